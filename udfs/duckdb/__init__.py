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


def instance_of(connection: Any) -> Instance:
    """The registry of a connection's database: the native one, else that of Arrow UDFs, which are then registered there."""
    from udfs.duckdb import arrow  # noqa: PLC0415 - loads pyarrow

    return arrow.register_arrow(connection)
