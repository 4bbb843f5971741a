"""From a database's address, or a connection somebody else opened, to a Connection that speaks the dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import udfs.duckdb
from sqlml.connection import Connection
from sqlml.errors import MissingExtraError, SqlmlError

_SERVERS = ("postgresql://", "postgres://")

# Every database that the process opens from here on has the scoring functions, whoever opens it.
udfs.duckdb.register()


def connect(
    database: str | Path = ":memory:", *, read_only: bool = False, config: dict[str, Any] | None = None
) -> Connection:
    """Open a database and speak the dialect on it: a DuckDB file, one in memory, or a server at ``postgresql://...``.

    ``config`` are DuckDB's own settings. Raises the engine's error where the database cannot be opened.
    """
    if isinstance(database, str) and database.startswith(_SERVERS):
        return _attach_postgres(_postgres().open_connection(database, read_only=read_only))
    if not isinstance(database, str | Path):
        raise SqlmlError(
            f"a database is opened by its address, got a {type(database).__name__}",
            hint="sqlml.attach(connection) speaks the dialect on a connection that is open already.",
        )
    from sqlml.engines.duckdb import open_connection  # noqa: PLC0415 - parsing and Arrow, loaded at the first open

    return _attach_duckdb(open_connection(str(database), read_only=read_only, config=config))


def attach(connection: Any) -> Connection:
    """Speak the dialect on a connection of duckdb's or psycopg's that is open already; it stays the caller's to close or to use."""
    is_postgres = type(connection).__module__.partition(".")[0] == "psycopg"
    return _attach_postgres(connection) if is_postgres else _attach_duckdb(connection)


def _attach_duckdb(connection: Any) -> Connection:
    from sqlml.engines.duckdb import DuckDBEngine  # noqa: PLC0415
    from sqlml.serving.duckdb import DuckDBServing  # noqa: PLC0415
    from sqlml.session import Session  # noqa: PLC0415

    engine = DuckDBEngine(connection)
    return Connection(Session(engine, DuckDBServing(engine, udfs.duckdb.instance_of(connection))))


def _attach_postgres(connection: Any) -> Connection:
    from sqlml.serving.postgres import PostgresServing  # noqa: PLC0415
    from sqlml.session import Session  # noqa: PLC0415

    engine = _postgres().PostgresEngine(connection)
    return Connection(Session(engine, PostgresServing(engine)))


def _postgres() -> Any:
    try:
        from sqlml.engines import postgres  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed, which Postgres needs", hint="Install it: pip install 'sqlml[postgres]'."
        ) from error
    return postgres
