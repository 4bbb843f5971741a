"""From a database's address, or a connection somebody else opened, to a Connection that speaks the dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import udfs.duckdb
from sqlml.connection import Connection

# Every database that the process opens from here on has the scoring functions, whoever opens it.
udfs.duckdb.register()


def connect(
    database: str | Path = ":memory:", *, read_only: bool = False, config: dict[str, Any] | None = None
) -> Connection:
    """Open a DuckDB database file, or one in memory, and speak the dialect on it.

    ``config`` are DuckDB's own settings. Raises the engine's error where the file cannot be opened.
    """
    from sqlml.engines.duckdb import open_connection  # noqa: PLC0415 - parsing and Arrow, loaded at the first open

    return attach(open_connection(str(database), read_only=read_only, config=config))


def attach(connection: Any) -> Connection:
    """Speak the dialect on a DuckDB connection that is open already; it stays the caller's to close or to use."""
    from sqlml.engines.duckdb import DuckDBEngine  # noqa: PLC0415
    from sqlml.serving.duckdb import DuckDBServing  # noqa: PLC0415
    from sqlml.session import Session  # noqa: PLC0415

    engine = DuckDBEngine(connection)
    return Connection(Session(engine, DuckDBServing(engine, udfs.duckdb.instance_of(connection))))
