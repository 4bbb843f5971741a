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


def registered_instance(connection: Any) -> Instance | None:
    """The registry of a connection's database, if the functions are there: asked by calling one, as a list of all takes 30 ms to make."""
    import duckdb  # noqa: PLC0415 - importing this module must stay cheap

    from udfs.duckdb.bind import INSTANCE_FUNCTION  # noqa: PLC0415
    from udfs.duckdb.registry import instance  # noqa: PLC0415

    try:
        (number,) = connection.cursor().execute(f"SELECT {INSTANCE_FUNCTION}()").fetchone()
    except duckdb.CatalogException:
        return None
    return instance(number)


def instance_of(connection: Any) -> Instance:
    """The registry of a connection's database: the native one, else that of Arrow UDFs, which are then registered there."""
    found = registered_instance(connection)
    if found is None:
        from udfs.duckdb import arrow  # noqa: PLC0415 - loads pyarrow

        found = arrow.register_arrow(connection)
    return found
