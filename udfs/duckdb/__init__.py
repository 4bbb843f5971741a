"""Scoring inside DuckDB: importing nothing but this and calling ``register()`` gives every database opened later its functions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from udfs.duckdb.registry import Instance


def register() -> bool:
    """Arrange for the native scoring functions; False where they are switched off or DuckDB does not offer what they need."""
    if os.environ.get("SQLML_SCORER") == "arrow":
        return False
    from udfs.duckdb.extension import install  # noqa: PLC0415 - loads DuckDB

    return install()


def register_arrow(connection: Any) -> Instance:
    """Give the database of an open connection the functions as Arrow UDFs, unless it has them; returns its registry."""
    from udfs.duckdb import arrow  # noqa: PLC0415 - loads pyarrow

    return arrow.register_arrow(connection)
