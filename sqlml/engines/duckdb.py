"""DuckDB as an engine: one user's connection in, rows, Arrow batches and facts about queries out.

What is particular to DuckDB 2.0 and decides the shape of this file:

* A relation's Arrow reader owns the connection until it is read to its end or closed; other calls fail meanwhile. A result
  of ``execute`` does so for relations only: the next ``execute`` replaces it.
* Any error inside an explicit transaction aborts it, except one met while binding: ``columns`` is safe at any time.
* Names that the catalog does not know are looked up as Python variables of the frame that calls DuckDB. So every call is
  made from a frame that shows the user's variables (see ``seeing``) and none of ours.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from sqlml.engines.duckdb_bound import read_bound, read_columns
from sqlml.engines.duckdb_errors import engine_error
from sqlml.engines.duckdb_plans import PlanFacts, read_plan
from sqlml.engines.engine import Bound, Column, Result
from sqlml.engines.failures import write_failure
from sqlml.errors import EngineError
from udfs.later import Later

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Later("pyarrow")

_CALL = compile("__sqlml_call__()", "<sqlml>", "eval")
_UNITS = {"bytes": 1, "byte": 1, "B": 1} | {
    unit: base**power
    for power, letter in enumerate("KMGTP", start=1)
    for base, unit in ((1000, letter + "B"), (1024, letter + "iB"))
}


class DuckDBEngine:
    """The Engine contract on a DuckDB connection of the user's."""

    dialect = "duckdb"
    main_schema = "main"
    row_place = "rowid"
    reads_again = True
    training_cap = 0

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._frame: FrameType | None = None

    @contextmanager
    def seeing(self, frame: FrameType | None) -> Iterator[None]:
        """Let DuckDB find data frames among the variables of ``frame``, as it does for its direct caller."""
        before, self._frame = self._frame, frame
        try:
            yield
        finally:
            self._frame = before

    def call(self, function: Callable[..., Any], *arguments: Any, sql: str = "", **keywords: Any) -> Any:
        """Call into DuckDB from a frame with the user's variables; its errors become EngineError with a position in ``sql``."""
        try:
            return self._native(function, *arguments, **keywords)
        except (duckdb.Error, OSError) as error:
            raise engine_error(error, sql) from error

    def _native(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        frame = self._frame
        visible: dict[str, Any] = {} if frame is None else dict(frame.f_locals)
        visible["__sqlml_call__"] = partial(function, *arguments, **keywords)  # in C: no frame of ours in between
        try:
            return eval(_CALL, {} if frame is None else frame.f_globals, visible)  # noqa: S307  our own constant text
        except RuntimeError as error:
            if str(error) == "Query interrupted":
                # DuckDB met the signal first and put this in place of Python's own error.
                raise KeyboardInterrupt from error
            raise

    @property
    def result(self) -> Result:
        """The connection itself fetches the result of its last statement."""
        fetcher: Result = self.connection
        return fetcher

    def statements(self, sql: str) -> list[Any]:
        """The statements of a text as DuckDB itself tells them apart, each with its text as ``query``."""
        return list(self.connection.extract_statements(sql))

    def execute_native(self, sql: Any, parameters: Any = None) -> None:
        """Execute a text, or one of its ``statements``, with DuckDB's own errors; the result stays on the connection."""
        self._native(self.connection.execute, sql, parameters)

    def native_relation(self, sql: str, parameters: Any = None) -> Any:
        """DuckDB's lazy relation of a query, with DuckDB's own errors."""
        return self._native(self.connection.sql, sql, params=parameters)

    def relation_of(self, table: pa.Table) -> Any:
        """Rows that are here already, as such a relation."""
        return self.connection.from_arrow(table)

    def result_table(self) -> pa.Table:
        """The rest of the result on the connection."""
        return self._as_arrow(self.connection.to_arrow_table)

    def result_reader(self, rows_per_batch: int) -> pa.RecordBatchReader:
        """The rest of the result on the connection, in bounded memory."""
        return self._as_arrow(self.connection.to_arrow_reader, rows_per_batch)

    def result_frame(self) -> Any:
        """The rest of the result on the connection as a pandas frame."""
        return self.connection.df()

    def explained(self, lines: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        """The plan's keys and values."""
        return ["explain_key", "explain_value"], [*self.connection.fetchall(), *(("sqlml", line) for line in lines)]

    @contextmanager
    def lending(self, rows: Any) -> Iterator[str]:
        """A name under which an Arrow-speaking object can be read as a table within the block."""
        name = "__sqlml_given"
        self.connection.register(name, rows)
        try:
            yield name
        finally:
            self.connection.unregister(name)

    def listen(self, on_notice: Callable[[str], None]) -> None:
        """DuckDB says nothing beside results."""

    def _as_arrow(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with warnings.catch_warnings():
            # DuckDB warns that a relation would save a copy; only the caller could have asked for one, with sql().
            warnings.filterwarnings("ignore", "Arrow output on a DB-API result")
            return function(*arguments)

    def translated(self, error: Exception, sql: str) -> EngineError | None:
        """The EngineError for an error of DuckDB's own; None for any other."""
        if isinstance(error, EngineError):
            return error
        return engine_error(error, sql) if isinstance(error, duckdb.Error | OSError) else None

    def run(self, sql: str, parameters: Sequence[Any] | None = None) -> None:
        """Execute for effect; the result, if any, is discarded and the connection is free afterwards."""
        self.call(self.connection.execute, sql, _values(parameters), sql=sql)
        self.call(self.connection.complete, sql=sql)

    def rows(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        self.call(self.connection.execute, sql, _values(parameters), sql=sql)
        return list(self.call(self.connection.fetchall, sql=sql))

    def columns(self, sql: str, parameters: Sequence[Any] | None = None) -> list[Column]:
        """Names and types of a query's result without running it; never aborts a transaction. Parameters want their values."""
        bind = self.connection._bind  # noqa: SLF001  DESCRIBE would be a statement, and takes no parameters
        names, types, *_ = self.call(bind, sql, values=_values(parameters), sql=sql)
        return read_columns(names, types)

    def bound(self, sql: str, parameters: Sequence[Any] | None = None) -> Bound:
        """What a statement takes and gives, without running it; never aborts a transaction."""
        bind = self.connection._bind  # noqa: SLF001  as above
        return read_bound(self.call(bind, sql, values=_values(parameters), with_type=True, with_writes=True, sql=sql))

    def require_syntax(self, sql: str) -> None:
        """Raise the parser's error if the text is no SQL; nothing is bound or run."""
        self.call(self.connection.extract_statements, sql, sql=sql)

    def stream(
        self, sql: str, rows_per_batch: int = 65_536, parameters: Sequence[Any] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The result as Arrow batches in the query's order; the connection is busy until the end or ``close``."""
        self.connection.abort()  # an unread result of ``execute`` would block the reader
        relation = self.call(self.connection.sql, sql, params=_values(parameters), sql=sql)
        reader = self.call(relation.to_arrow_reader, rows_per_batch, sql=sql)
        try:
            while (batch := self._next_batch(reader, sql)) is not None:
                yield batch
        finally:
            reader.close()

    def _next_batch(self, reader: pa.RecordBatchReader, sql: str) -> pa.RecordBatch | None:
        try:
            return reader.read_next_batch()
        except StopIteration:
            return None
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise engine_error(error, sql) from error

    def copy_binary(self, table: str, blocks: Iterable[bytes]) -> None:
        raise NotImplementedError  # invariant: only models that a server cannot score are scored by way of tables

    def in_transaction(self) -> bool:
        """Whether the user has an explicit transaction open, also one that an error aborted."""
        query = "SELECT system.main.txid_current()"
        try:
            # Outside a transaction each statement has an id of its own.
            return self.rows(query) == self.rows(query)
        except EngineError as error:
            if error.sqlstate == "25P02":
                return True
            raise

    def begin(self) -> None:
        """Open an explicit transaction."""
        self.call(self.connection.begin)

    def begin_snapshot(self) -> None:
        """Every transaction of DuckDB's is one snapshot."""
        self.begin()

    def repeats_reads(self) -> bool:
        """Every transaction of DuckDB's is one snapshot."""
        return True

    def commit(self) -> None:
        """Commit the explicit transaction; where that fails it is undone and closed, and the error says whether to retry."""
        try:
            self.call(self.connection.commit)
        except EngineError as error:
            raise write_failure(error) from error

    def rollback(self) -> None:
        """Undo and close the explicit transaction, if one is open."""
        try:
            self.call(self.connection.rollback)
        except EngineError as error:
            if error.sqlstate != "25P01":
                raise

    def current_database(self) -> str:
        """The database that unqualified names live in."""
        return str(self.rows("SELECT system.main.current_database()")[0][0])

    def current_schema(self) -> str:
        """The schema that unqualified names are created in."""
        return str(self.rows("SELECT system.main.current_schema()")[0][0])

    def has_database(self, database: str) -> bool:
        """Whether a database of that name is attached."""
        query = "SELECT 1 FROM system.main.duckdb_databases() WHERE lower(database_name) = lower(?)"
        return bool(self.rows(query, [database]))

    def is_read_only(self, database: str) -> bool:
        """Whether the database was opened or attached for reading only."""
        query = "SELECT readonly FROM system.main.duckdb_databases() WHERE lower(database_name) = lower(?)"
        return any(row[0] for row in self.rows(query, [database]))

    def schema_exists(self, database: str, schema: str) -> bool:
        """Whether the database has the schema, in the caller's transaction."""
        query = (
            "SELECT 1 FROM system.main.duckdb_schemas() "
            "WHERE lower(database_name) = lower(?) AND lower(schema_name) = lower(?)"
        )
        return bool(self.rows(query, [database, schema]))

    def relation_exists(self, parts: tuple[str, ...]) -> bool:
        """Whether a name, qualified or found on the search path, is a table or view."""
        # Runs no statement, so it aborts nothing.
        return bool(self.call(self.connection._table_kind, parts) != "none")  # noqa: SLF001

    def place(self, parts: tuple[str, ...]) -> tuple[str, str, str]:
        """The database, schema and name that a name given to CREATE stands for; ``a.b`` is schema a first, then database a."""
        *qualifiers, name = parts
        if len(qualifiers) >= 2:
            return qualifiers[0], qualifiers[1], name
        database = self.current_database()
        if not qualifiers:
            return database, self.current_schema(), name
        if not self.schema_exists(database, qualifiers[0]) and self.has_database(qualifiers[0]):
            return qualifiers[0], "main", name
        return database, qualifiers[0], name

    def databases(self) -> list[str]:
        """The attached databases that can hold models, the current one first."""
        query = (
            "SELECT database_name FROM system.main.duckdb_databases() WHERE NOT internal "
            "ORDER BY database_name = system.main.current_database() DESC, database_oid"
        )
        return [name for (name,) in self.rows(query)]

    def surroundings(self) -> tuple[str, list[str]]:
        """The current database, and its schemas in which a bare name is looked up, in order."""
        query = (
            "SELECT system.main.current_database(), system.main.current_schema(), system.main.current_schemas(false)"
        )
        ((database, schema, path),) = self.rows(query)
        return database, list(dict.fromkeys([schema, *path, "main"]))

    def stored_text(self, kind: str, parts: tuple[str, ...]) -> tuple[str, str] | None:
        """Of a view or macro: what DROP calls it, and its text as the engine keeps it; None where there is none."""
        rows = self.rows(
            "SELECT 'VIEW', sql FROM system.main.duckdb_views() WHERE lower(database_name) = lower(?) "
            "AND lower(schema_name) = lower(?) AND lower(view_name) = lower(?) UNION ALL "
            "SELECT CASE function_type WHEN 'table_macro' THEN 'MACRO TABLE' ELSE 'MACRO' END, macro_definition "
            "FROM system.main.duckdb_functions() WHERE lower(database_name) = lower(?) "
            "AND lower(schema_name) = lower(?) AND lower(function_name) = lower(?) AND macro_definition IS NOT NULL",
            parts + parts,
        )
        wanted = "MACRO" if kind == "macro" else "VIEW"
        return next(((found, text or "") for found, text in rows if found.startswith(wanted)), None)

    def drop_statement(self, kind: str, *parts: str) -> str:
        """The statement that drops a view or macro, if it is there."""
        return f"DROP {kind.upper()} IF EXISTS {self.quote(*parts)}"

    def knows_predict(self) -> bool:
        """Whether the user has a function of their own called predict or predict_proba, or a schema ml."""
        query = (
            "SELECT 1 FROM system.main.duckdb_functions() WHERE lower(function_name) IN ('predict', 'predict_proba') "
            "UNION ALL SELECT 1 FROM system.main.duckdb_schemas() WHERE lower(schema_name) = 'ml'"
        )
        return bool(self.rows(query))

    def keeps_row_order(self, sql: str) -> bool:
        """Whether two runs over the same data give the same sequence of rows."""
        return self._facts(sql).keeps_row_order

    def is_volatile(self, sql: str) -> bool:
        """Whether two runs in one snapshot can differ in the rows they give."""
        return self._facts(sql).is_volatile

    def _facts(self, sql: str) -> PlanFacts:
        return read_plan(sql, self.rows, lambda: self._reads_once(sql))

    def _reads_once(self, sql: str) -> bool:
        """Whether a Python object that the query reads may give its rows only once; tables in memory have a length."""
        frame = self._frame
        if frame is None:
            return True
        visible = {**frame.f_globals, **frame.f_locals}
        names = [name for name in self.connection.get_table_names(sql) if self._is_unknown(name)]
        return not names or not all(hasattr(visible.get(name), "__len__") for name in names)

    def _is_unknown(self, name: str) -> bool:
        return not self.relation_exists((name,))

    def memory_limit(self) -> int:
        """DuckDB's memory limit in bytes."""
        text = str(self.rows("SELECT system.main.current_setting('memory_limit')")[0][0])
        match = re.fullmatch(r"([\d.]+) ?(\w+)", text)
        if match is None or match[2] not in _UNITS:
            raise EngineError(f'cannot read the memory limit "{text}"')
        return int(float(match[1]) * _UNITS[match[2]])

    def time_zone(self) -> str:
        """The session's time zone."""
        return str(self.rows("SELECT system.main.current_setting('TimeZone')")[0][0])

    def version(self) -> str:
        """DuckDB's version, such as 2.0.0."""
        return duckdb.__version__

    def require_files(self, right: str) -> None:
        """Files are the user's own."""

    def quote(self, *parts: str) -> str:
        """A quoted, qualified identifier."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts)

    def sort_key(self, column: str, sql_type: str) -> str:
        """DuckDB's order of texts is that of their bytes, unless a setting says otherwise."""
        return f"{column} COLLATE C" if sql_type == "VARCHAR" else column

    def quote_schema(self, database: str, schema: str) -> str:
        """A schema's name with its database."""
        return self.quote(database, schema)

    def interrupt(self) -> None:
        """Stop what the connection is running; may be called from any thread."""
        self.connection.interrupt()

    def duplicate(self) -> Self:
        """An engine on a cursor of the connection."""
        return type(self)(self.connection.cursor())

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def open_connection(
    database: str, *, read_only: bool = False, config: dict[str, Any] | None = None
) -> duckdb.DuckDBPyConnection:
    """A new connection of DuckDB's own client."""
    return duckdb.connect(database, read_only=read_only, config=config or {})


def _values(parameters: Sequence[Any] | None) -> list[Any] | None:
    return None if parameters is None else list(parameters)
