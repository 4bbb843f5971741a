"""The server's own programming interface as an engine: the caller's transaction in a backend, through PL/Python, as rows and batches.

What is particular to it and decides the shape of this file:

* Every call runs in a subtransaction of its own, so that an error that is caught has undone nothing else.
* Rows that are read in bulk never become Python objects: see ``spi_stream``.
* The caller's search path, settings and temporary objects hold for the caller's statements, and for nothing of ours: our own SQL
  names the schema of whatever it calls, and literals mean the same under every setting.
* A statement that is cancelled, or whose time is over, raises from the next call of any kind: whoever works for long without
  one asks with ``check_interrupts``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC
from types import FrameType
from typing import Any, Self

import pyarrow as pa

from sqlml.engines.engine import Column, Result
from sqlml.engines.postgres_facts import PostgresFacts
from sqlml.engines.spi_errors import engine_error
from sqlml.engines.spi_literals import inline, quoted
from sqlml.engines.spi_memory import free_memory
from sqlml.engines.spi_stream import BatchReader, CursorColumn, json_query
from sqlml.errors import EngineError, NotSupportedYetError

JSON_ROWS = 1_024
_TEMPORAL = frozenset({1082, 1083, 1114, 1184})
_QUERIES = ("SELECT", "VALUES", "TABLE", "WITH", "(")
_numbers = itertools.count(1)


class SpiEngine(PostgresFacts):
    """The Engine contract on ``plpy``, the module by which a PL/Python function reaches its server."""

    dialect = "postgres"
    main_schema = "public"
    row_place = "ctid"

    def __init__(self, plpy: Any) -> None:
        self.connection = plpy
        self._result: SpiResult | None = None
        self._types: dict[tuple[int, int], tuple[str, str, int]] = {}

    # -- the user's statements ------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Result:
        """What the last statement gave."""
        if self._result is None:
            raise EngineError("no statement was executed")
        return self._result

    def seeing(self, frame: FrameType | None) -> AbstractContextManager[None]:
        """A server sees no variables of ours."""
        return nullcontext()

    def statements(self, sql: str) -> list[Any]:
        """The server takes a text of several statements as a whole."""
        return []

    def execute_native(self, sql: Any, parameters: Any = None) -> None:
        """Execute a text; a query's rows wait in a cursor until they are read."""
        if self._result is not None:
            self._result.close()
            self._result = None
        if parameters:
            raise EngineError("a statement inside of the server takes no parameters", hint="Write the values into it.")
        if sql.lstrip().upper().startswith(_QUERIES) and self._open_result(sql):
            return
        self._result = SpiResult(self, self._execute(sql))

    def _open_result(self, sql: str) -> bool:
        """Whether the text is one query that a cursor can read; any other error than that is raised."""
        try:
            cursor, columns = self._open(sql)
        except EngineError as error:
            if error.sqlstate in ("0A000", "42601", "42P11"):  # WITH that writes, or more than one statement
                return False
            raise
        self._result = SpiResult(self, None, cursor, columns)
        return True

    def native_relation(self, sql: str) -> Any:
        """The rows of a query as an Arrow table."""
        return self.table(sql)

    def table(self, sql: str) -> pa.Table:
        """The rows of a query, with its columns even where there is none."""
        cursor, columns = self._open(sql)
        with self._closing(cursor):
            reader = BatchReader(self._execute, cursor, columns, 65_536)
            return pa.Table.from_batches(iter(reader.next_batch, None), reader.schema)

    def relation_of(self, table: pa.Table) -> Any:
        """Rows that are here already are a table."""
        return table

    def result_table(self) -> pa.Table:
        """The rest of the result."""
        rows = self.result.fetchall()
        names = [column[0] for column in self.result.description or ()]
        return pa.Table.from_arrays([pa.array([row[i] for row in rows]) for i in range(len(names))], names=names)

    def result_reader(self, rows_per_batch: int) -> pa.RecordBatchReader:
        """The rest of the result, batch by batch."""
        table = self.result_table()
        return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(rows_per_batch))

    def result_frame(self) -> Any:
        """The rest of the result as a pandas frame."""
        return self.result_table().to_pandas()

    def lending(self, rows: Any) -> AbstractContextManager[str]:
        """A backend has no client whose rows it could read."""
        raise NotSupportedYetError("rows of a client cannot be read inside of the server", hint="Store them in a table.")

    def translated(self, error: Exception, sql: str) -> EngineError | None:
        """The EngineError for an error of the server's; None for any other."""
        if isinstance(error, EngineError):
            return error
        return engine_error(error, sql) if isinstance(error, self.connection.SPIError) else None

    def listen(self, on_notice: Callable[[str], None]) -> None:
        """The server's notices go to the client by themselves."""

    # -- our own statements ---------------------------------------------------------------------------------------------------

    def run(self, sql: str, parameters: Sequence[Any] | None = None) -> None:
        """Execute for effect."""
        self._execute(inline(sql, parameters))

    def rows(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        text = inline(sql, parameters)
        result = self._execute(text)
        names = result.colnames()
        if len(set(names)) == len(names) and not _TEMPORAL & set(result.coltypes()):
            return [tuple(row.values()) for row in result]
        # Times would come as text in the caller's DateStyle, and columns of one name as one.
        columns = [_naive(column.to_pylist()) for column in self.table(text).columns]
        return list(zip(*columns, strict=True))

    def _execute(self, sql: str, about: str | None = None) -> Any:
        """Run a statement; errors point into the part of it that it is ``about``."""
        try:
            return self.connection.execute(sql)
        except self.connection.SPIError as error:
            raise engine_error(error, sql if about is None else about) from error

    def columns(self, sql: str) -> list[Column]:
        """Names and types of a query's columns; it is planned, and no row of it is made."""
        return [Column(column.name, column.sql_type) for column in self._described(sql)]

    def _described(self, sql: str) -> list[CursorColumn]:
        return self._columns_of(self._execute(f"SELECT * FROM (\n{sql}\n) AS sqlml_described LIMIT 0", sql))

    def _columns_of(self, result: Any) -> list[CursorColumn]:
        names, types = result.colnames(), list(zip(result.coltypes(), result.coltypmods(), strict=True))
        unknown = [pair for pair in dict.fromkeys(types) if pair not in self._types]
        if unknown:
            pairs = ", ".join(f"({number}::pg_catalog.oid, {modifier})" for number, modifier in unknown)
            found = self._execute(self.type_query(f"(VALUES {pairs})"))
            self._types |= {(int(row["o"]), row["m"]): (row["n"], row["d"], int(row["b"])) for row in found}
        return [CursorColumn(name, *self._types[pair]) for name, pair in zip(names, types, strict=True)]

    def require_syntax(self, sql: str) -> None:
        """Raise the parser's error if the text is no SQL."""
        try:
            self.columns(sql)
        except EngineError as error:
            if error.sqlstate == "42601":
                raise

    def stream(self, sql: str, rows_per_batch: int = 65_536) -> Iterator[pa.RecordBatch]:
        """The result as Arrow batches in the query's order."""
        cursor, columns = self._open(sql)
        with self._closing(cursor):
            reader = BatchReader(self._execute, cursor, columns, rows_per_batch)
            while (batch := reader.next_batch()) is not None:
                yield batch

    def _open(self, sql: str) -> tuple[str, list[CursorColumn]]:
        """A new cursor on a query, and its columns."""
        cursor = f"sqlml_cursor_{next(_numbers)}"
        self._execute(f"SELECT sqlml._open({quoted(cursor)}, {quoted(sql)})", sql)
        return cursor, self._columns_of(self._execute(f"FETCH 0 FROM {cursor}"))

    @contextmanager
    def _closing(self, cursor: str) -> Iterator[None]:
        try:
            yield
        finally:
            self.close_cursor(cursor)

    def close_cursor(self, cursor: str) -> None:
        """Close a cursor, unless the error that is on its way has closed it."""
        try:
            self._execute(f"CLOSE {cursor}")
        except EngineError as error:
            if error.sqlstate not in ("34000", "57014"):
                raise

    def check_interrupts(self) -> None:
        """Raise the error of a statement that was cancelled or whose time is over."""
        self._execute("SELECT 1")

    # -- transactions ---------------------------------------------------------------------------------------------------------

    def in_transaction(self) -> bool:
        """Everything runs in the transaction of the caller's statement."""
        return True

    def begin(self) -> None:
        """Never needed, since a transaction is always open."""

    begin_snapshot = commit = begin

    def rollback(self) -> None:
        """What failed is undone by the error that the caller's statement ends with."""

    # -- facts and life -------------------------------------------------------------------------------------------------------

    def memory_limit(self) -> int:
        """Half of what the server's machine has left: a backend that is killed for memory takes all others with it."""
        return free_memory() // 2

    def interrupt(self) -> None:
        """A backend is interrupted by its server."""

    def duplicate(self) -> Self:
        """There is one connection in a backend."""
        return self

    def close(self) -> None:
        """The connection is the caller's."""


class SpiResult:
    """Rows of a statement: those of an open cursor, or all of them at once."""

    def __init__(
        self, engine: SpiEngine, result: Any, cursor: str | None = None, columns: Sequence[CursorColumn] = ()
    ) -> None:
        self._engine = engine
        self.cursor = cursor
        self.columns = list(columns)
        self._rows: list[dict[str, Any]] = [] if result is None else list(result)
        names = [column.name for column in columns] if result is None else list(self._rows[0] if self._rows else ())
        self.description: Any = [(name, *[None] * 6) for name in names] or None
        self.rowcount: int = -1 if result is None else result.nrows()

    def json_rows(self) -> Iterator[str]:
        """Each row as the text of a JSON object; those of a cursor are made by the server."""
        if self.cursor is None:
            yield from (json.dumps(row, default=_shown, ensure_ascii=False) for row in self._rows)
            return
        query = json_query(self.cursor, JSON_ROWS, self.columns)
        while taken := self._engine.rows(query):
            yield from (text for (text,) in taken)

    def fetchmany(self, size: int = 1) -> list[Any]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return [tuple(row.values()) for row in taken]

    def fetchone(self) -> Any:
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchall(self) -> list[Any]:
        return self.fetchmany(len(self._rows))

    def close(self) -> None:
        """Give up what was not read."""
        if self.cursor is not None:
            self._engine.close_cursor(self.cursor)


def _shown(value: Any) -> Any:
    """A value that JSON has no word for."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _naive(values: list[Any]) -> list[Any]:
    """Times with a zone in UTC."""
    return [value.astimezone(UTC) if getattr(value, "tzinfo", None) is not None else value for value in values]
