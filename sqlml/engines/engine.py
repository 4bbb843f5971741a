"""What sqlml needs of a database engine: one small contract, met by one file an engine.

Every statement runs on the user's own connection, so that temporary tables, uncommitted rows and variables are seen, and no
setting of it is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """A result column: its name and its type in the engine's own words."""

    name: str
    sql_type: str


class Engine(Protocol):
    """A connection to a database, seen by the rest of sqlml. Errors arrive as ``sqlml.errors.EngineError``."""

    dialect: str  # "duckdb" or "postgres": also the name of sqlglot's dialect

    def run(self, sql: str, parameters: Sequence[Any] | None = None) -> None:
        """Execute for effect; the result, if any, is discarded and the connection is free afterwards."""

    def rows(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result (catalog reads)."""

    def columns(self, sql: str) -> list[Column]:
        """Names and types of a query's result without running it; parameters in the text are allowed."""

    def stream(self, sql: str, rows_per_batch: int = 65_536) -> Iterator[pa.RecordBatch]:
        """The result as Arrow batches, in bounded memory; the connection is busy until the iterator is exhausted or closed."""

    def in_transaction(self) -> bool:
        """Whether the user has an explicit transaction open."""

    def begin(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def current_database(self) -> str: ...

    def current_schema(self) -> str: ...

    def is_read_only(self, database: str) -> bool: ...

    def schema_exists(self, database: str, schema: str) -> bool: ...

    def relation_exists(self, parts: tuple[str, ...]) -> bool: ...

    def keeps_row_order(self, sql: str) -> bool:
        """Whether two runs over the same data give the same sequence of rows (a plain scan, or a total ORDER BY)."""

    def is_volatile(self, sql: str) -> bool:
        """Whether two runs in one snapshot can differ (random(), sampling, now() does not count)."""

    def memory_limit(self) -> int:
        """The engine's own memory limit in bytes."""

    def time_zone(self) -> str: ...

    def version(self) -> str: ...

    def quote(self, *parts: str) -> str:
        """A quoted, qualified identifier."""

    def interrupt(self) -> None: ...
