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
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC
from types import FrameType
from typing import Any, Self

import pyarrow as pa

from sqlml.engines.engine import Bound, Column
from sqlml.engines.postgres_facts import PostgresFacts
from sqlml.engines.postgres_plans import PlanFacts, read_plan
from sqlml.engines.spi_errors import engine_error
from sqlml.engines.spi_literals import inline, quoted
from sqlml.engines.spi_memory import free_memory
from sqlml.engines.spi_result import SpiResult
from sqlml.engines.spi_stream import BatchReader, CursorColumn
from sqlml.errors import EngineError, NotSupportedYetError

_TEMPORAL = frozenset({1082, 1083, 1114, 1184})
_QUERIES = ("SELECT", "VALUES", "TABLE", "WITH", "(")
# As users are told, as a column definition says it, and by number: enums are text, and domains what they are domains of.
_TYPE_QUERY = (
    "SELECT t.o::pg_catalog.int8 AS o, t.m AS m, CASE WHEN y.typtype = 'e' THEN 'text' WHEN y.typtype = 'd' "
    "THEN pg_catalog.format_type(y.typbasetype, y.typtypmod) ELSE pg_catalog.format_type(t.o, t.m) END AS n, "
    "pg_catalog.format_type(t.o, t.m) AS d, CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE t.o END::pg_catalog.int8 AS b "
    "FROM (VALUES {pairs}) AS t(o, m) JOIN pg_catalog.pg_type AS y ON y.oid = t.o"
)
_numbers = itertools.count(1)


class SpiEngine(PostgresFacts):
    """The Engine contract on ``plpy``, the module by which a PL/Python function reaches its server."""

    def __init__(self, plpy: Any) -> None:
        self.connection = plpy
        self._result: SpiResult | None = None
        self._types: dict[tuple[int, int], tuple[str, str, int]] = {}

    # -- the user's statements ------------------------------------------------------------------------------------------------

    @property
    def result(self) -> SpiResult:
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

    def native_relation(self, sql: str, parameters: Any = None) -> Any:
        """The rows of a query as an Arrow table."""
        return self.table(sql)

    def table(self, sql: str) -> pa.Table:
        """The rows of a query, with its columns even where there is none."""
        cursor, columns = self._open(sql)
        with self._closing(cursor):
            return self.reader(cursor, columns).read_all()

    def reader(self, cursor: str, columns: Sequence[CursorColumn], rows_per_batch: int = 65_536) -> BatchReader:
        """The rows of a cursor as Arrow."""
        return BatchReader(self._execute, cursor, columns, rows_per_batch)

    def relation_of(self, table: pa.Table) -> Any:
        """Rows that are here already are a table."""
        return table

    def result_table(self) -> pa.Table:
        """The rest of the result."""
        return self.result.table()

    def result_reader(self, rows_per_batch: int) -> pa.RecordBatchReader:
        """The rest of the result, batch by batch."""
        table = self.result_table()
        return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(rows_per_batch))

    def result_frame(self) -> Any:
        """The rest of the result as a pandas frame."""
        return self.result_table().to_pandas()

    def explained(self, lines: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        """The plan's lines; one that is a document in JSON, XML or YAML stays whole."""
        plan = [str(text) for (text,) in self.result.fetchall()]
        if plan[0].startswith(("[", "<", "- ")):
            return ["QUERY PLAN"], [(text,) for text in plan]
        return ["QUERY PLAN"], [(text,) for text in (*plan, *(f"sqlml: {line.strip()}" for line in lines))]

    def lending(self, rows: Any) -> AbstractContextManager[str]:
        """A backend has no client whose rows it could read."""
        raise NotSupportedYetError(
            "rows of a client cannot be read inside of the server", hint="Store them in a table."
        )

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
            found = self._execute(_TYPE_QUERY.format(pairs=pairs))
            self._types |= {(int(row["o"]), row["m"]): (row["n"], row["d"], int(row["b"])) for row in found}
        return [CursorColumn(name, *self._types[pair]) for name, pair in zip(names, types, strict=True)]

    def bound(self, sql: str, parameters: Sequence[Any] | None = None) -> Bound:
        raise NotImplementedError  # invariant: the wire server asks this of DuckDB only

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
            reader = self.reader(cursor, columns, rows_per_batch)
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

    def keeps_row_order(self, sql: str) -> bool:
        """Whether two runs over the same data give the same sequence of rows."""
        return self._facts(sql).keeps_row_order

    def is_volatile(self, sql: str) -> bool:
        """Whether two runs in one snapshot can differ in the rows they give."""
        return self._facts(sql).is_volatile

    def _facts(self, sql: str) -> PlanFacts:
        return read_plan(sql, self.rows, serial=True)  # cursors have no workers

    def require_files(self, right: str) -> None:
        """The server's files are for the roles that COPY asks for, too."""
        role = f"pg_{right}_server_files"
        ((allowed,),) = self.rows("SELECT pg_catalog.pg_has_role(?::pg_catalog.name, 'USAGE')", [role])
        if not allowed:
            error = EngineError(
                f"permission denied to {right} files of the server",
                detail=f'Only roles with privileges of the "{role}" role may do that.',
                hint="Run the statement through a client with sqlml, whose files are your own.",
            )
            error.sqlstate = "42501"
            raise error

    def version(self) -> str:
        """The server's version, such as 15.18."""
        ((text,),) = self.rows("SELECT pg_catalog.current_setting('server_version_num')")
        return f"{int(text) // 10_000}.{int(text) % 10_000}"

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


def _naive(values: list[Any]) -> list[Any]:
    """Times with a zone in UTC."""
    return [value.astimezone(UTC) if getattr(value, "tzinfo", None) is not None else value for value in values]
