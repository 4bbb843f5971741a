"""Scoring functions inside DuckDB, native and over Arrow."""
