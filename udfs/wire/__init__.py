"""Kernels that lay out rows for the Postgres wire protocol."""
