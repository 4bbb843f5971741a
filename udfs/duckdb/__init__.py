"""Scoring inside DuckDB: importing nothing but this and calling ``register()`` gives every database opened later its functions."""

from __future__ import annotations

import os


def register() -> bool:
    """Arrange for the native scoring functions; False where they are switched off or DuckDB does not offer what they need."""
    if os.environ.get("SQLML_SCORER") == "arrow":
        return False
    from udfs.duckdb.extension import install  # noqa: PLC0415 - loads DuckDB

    return install()
