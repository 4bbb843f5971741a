"""Scoring inside a PostgreSQL server: images of models, and the native library that scores rows by them."""
