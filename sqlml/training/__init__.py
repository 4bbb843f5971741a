"""Rows to models: datasets, splits, LightGBM, metrics."""
