"""Postgres as an engine: one user's psycopg connection in, rows, Arrow batches and facts about queries out.

What is particular to Postgres and decides the shape of this file:

* Any error inside an explicit transaction aborts it, so whatever only asks (``columns``, ``require_syntax``) and whatever may be
  broken off (``stream``) runs behind a savepoint there.
* Statements go out as they were written, by psycopg's raw cursors, whose parameters are the server's own ``$1``; our own SQL says
  ``?`` and is numbered here.
* A transaction of ours for reading is one snapshot without parallel workers and synchronised scans, which would change the order
  of rows from one reading to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Self

import psycopg
import pyarrow as pa
from psycopg.generators import execute
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.string import TextLoader

from sqlml.engines.engine import Bound, Column, Result
from sqlml.engines.failures import write_failure
from sqlml.engines.postgres_copy import CopyStream
from sqlml.engines.postgres_errors import engine_error
from sqlml.engines.postgres_facts import PostgresFacts, numbered
from sqlml.engines.postgres_plans import PlanFacts, read_plan
from sqlml.engines.postgres_results import as_frame, as_table, copy_in
from sqlml.errors import EngineError
from udfs.postgres.copy_rows import header, trailer


class PostgresEngine(PostgresFacts):
    """The Engine contract on a psycopg connection of the user's."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._result: Any = psycopg.RawCursor(connection)
        self._own = psycopg.RawCursor(connection, row_factory=tuple_row)
        for name in ("json", "jsonb"):
            self._own.adapters.register_loader(name, TextLoader)
        self._type_names: dict[tuple[int, int], str] = {}

    # -- the user's statements ------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Result:
        """The client library's cursor of the last statement."""
        found: Result = self._result
        return found

    @contextmanager
    def seeing(self, frame: FrameType | None) -> Iterator[None]:
        """A server sees no variables of ours."""
        yield

    def statements(self, sql: str) -> list[Any]:
        """The server takes a text of several statements as a whole, in one transaction."""
        return []

    def execute_native(self, sql: Any, parameters: Any = None) -> None:
        """Execute a text with psycopg's own errors; the result of its last statement stays here."""
        self._result = psycopg.RawCursor(self.connection)
        self._result.execute(sql, parameters)
        while self._result.nextset():
            pass

    def native_relation(self, sql: str, parameters: Any = None) -> Any:
        """The rows of a query as an Arrow table, streamed in binary."""
        batches = list(self.stream(sql))
        return pa.Table.from_batches(batches, self.arrow_schema(sql)) if not batches else pa.Table.from_batches(batches)

    def relation_of(self, table: pa.Table) -> Any:
        """Rows that are here already are a table."""
        return table

    def result_table(self) -> pa.Table:
        """The rest of the result."""
        self._result.row_factory = tuple_row
        return as_table(self._result, self._columns_of(self._result.pgresult))

    def result_reader(self, rows_per_batch: int) -> pa.RecordBatchReader:
        """The rest of the result, which the client library holds as a whole."""
        table = self.result_table()
        return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(rows_per_batch))

    def result_frame(self) -> Any:
        """The rest of the result as a pandas frame."""
        return as_frame(self.result_table())

    @contextmanager
    def lending(self, rows: Any) -> Iterator[str]:
        """A temporary table with the rows of an Arrow-speaking object, gone after the block."""
        name = "pg_temp.__sqlml_given"
        try:
            with self._translating("", write=True):
                copy_in(self._own, name, rows, self.quote)
            yield name
        finally:
            if not self._is_aborted():
                self.run(f"DROP TABLE IF EXISTS {name}")

    def translated(self, error: Exception, sql: str) -> EngineError | None:
        """The EngineError for an error of psycopg's; None for any other."""
        if isinstance(error, EngineError):
            return error
        return engine_error(error, sql) if isinstance(error, psycopg.Error) else None

    def listen(self, on_notice: Callable[[str], None]) -> None:
        """Hand over the server's notices."""
        self.connection.add_notice_handler(lambda diagnosis: on_notice(diagnosis.message_primary or ""))

    # -- our own statements ---------------------------------------------------------------------------------------------------

    def run(self, sql: str, parameters: Sequence[Any] | None = None) -> None:
        """Execute for effect."""
        self._execute(sql, parameters)

    def rows(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        self._execute(sql, parameters)
        return self._own.fetchall()

    def _execute(self, sql: str, parameters: Sequence[Any] | None) -> None:
        with self._translating(sql):
            # Never prepared: what psycopg prepared it forgets at a DROP by DEALLOCATE ALL, statements of the user's included.
            if parameters is None:
                self._own.execute(sql, prepare=False)
            else:
                self._own.execute(numbered(sql), parameters, prepare=False)

    @contextmanager
    def _translating(self, sql: str, *, write: bool = False) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            translated = engine_error(error, sql)
            raise (write_failure(translated) if write else translated) from error

    def columns(self, sql: str) -> list[Column]:
        """Names and types as the server plans them; a NULL or a parameter of no known type is text, as Postgres has it."""
        with self._protected(keep=False):
            return self._described(sql)

    def _described(self, sql: str) -> list[Column]:
        # Waited for in Python, as the client library's own calls would stop all other threads meanwhile.
        pgconn = self.connection.pgconn
        pgconn.send_prepare(b"", sql.encode())
        (result,) = self.connection.wait(execute(pgconn))
        if result.status == ExecStatus.COMMAND_OK:
            pgconn.send_describe_prepared(b"")
            (result,) = self.connection.wait(execute(pgconn))
        if result.status != ExecStatus.COMMAND_OK:
            error = psycopg.errors.error_from_result(result, encoding=self.connection.info.encoding)
            raise engine_error(error, sql)
        return self._columns_of(result)

    def _columns_of(self, result: Any) -> list[Column]:
        if result is None:
            return []
        types = [(result.ftype(i), result.fmod(i)) for i in range(result.nfields)]
        unknown = sorted(set(types) - self._type_names.keys())
        if unknown:
            query = (
                "SELECT t.o::bigint, t.m, CASE WHEN y.typtype = 'e' THEN 'text' WHEN y.typtype = 'd' "
                "THEN pg_catalog.format_type(y.typbasetype, y.typtypmod) ELSE pg_catalog.format_type(t.o, t.m) END "
                "FROM ROWS FROM (pg_catalog.unnest(?::pg_catalog.oid[]), pg_catalog.unnest(?::pg_catalog.int4[])) AS t(o, m) "
                "JOIN pg_catalog.pg_type y ON y.oid = t.o"
            )
            found = self.rows(query, [[str(oid) for oid, _ in unknown], [modifier for _, modifier in unknown]])
            self._type_names |= {(oid, modifier): name for oid, modifier, name in found}
        encoding = self.connection.info.encoding
        return [
            Column((result.fname(i) or b"").decode(encoding), self._type_names.get(key, "text"))
            for i, key in enumerate(types)
        ]

    def arrow_schema(self, sql: str) -> pa.Schema:
        """The schema of the batches that ``stream`` gives."""
        return CopyStream(self.connection, sql, self.columns(sql), self.quote).schema

    def bound(self, sql: str, parameters: Sequence[Any] | None = None) -> Bound:
        raise NotImplementedError  # invariant: the wire server asks this of DuckDB only

    def require_syntax(self, sql: str) -> None:
        """Raise the parser's error if the text is no SQL; what the names in it stand for does not matter."""
        try:
            self.columns(sql)
        except EngineError as error:
            if error.sqlstate == "42601":
                raise

    def stream(self, sql: str, rows_per_batch: int = 65_536) -> Iterator[pa.RecordBatch]:
        """The result as Arrow batches in the query's order."""
        stream = CopyStream(self.connection, sql, self.columns(sql), self.quote)
        with self._protected(keep=True):
            try:
                yield from stream.batches(rows_per_batch)
            finally:
                stream.close()

    @contextmanager
    def _protected(self, *, keep: bool) -> Iterator[None]:
        """Inside an explicit transaction, undo what the block did where it failed, or unless ``keep`` says otherwise."""
        if self.connection.info.transaction_status != TransactionStatus.INTRANS:
            yield
            return
        self.run("SAVEPOINT sqlml_asks")
        try:
            yield
        except BaseException:
            self._undo()
            raise
        if not keep or self._is_aborted():
            self._undo()
        else:
            self.run("RELEASE SAVEPOINT sqlml_asks")

    def _is_aborted(self) -> bool:
        return self.connection.info.transaction_status == TransactionStatus.INERROR

    def _undo(self) -> None:
        for attempt in range(2):
            try:
                self.run("ROLLBACK TO SAVEPOINT sqlml_asks; RELEASE SAVEPOINT sqlml_asks")
            except EngineError as error:
                if attempt or error.sqlstate != "57014":  # a cancel that came late
                    raise
            else:
                return

    def copy_binary(self, table: str, blocks: Iterable[bytes]) -> None:
        """Append tuples of the binary COPY format to a table."""
        with self._translating("", write=True), self._own.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(header())
            for block in blocks:
                copy.write(block)
            copy.write(trailer())

    # -- transactions ---------------------------------------------------------------------------------------------------------

    def in_transaction(self) -> bool:
        """Whether a transaction of the user's is open, also one that an error aborted; without autocommit there always is one."""
        return not self.connection.autocommit or self.connection.info.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

    def begin(self) -> None:
        """Open an explicit transaction; a connection that does not commit by itself opens one with each first statement."""
        if self.connection.autocommit:
            self.run("BEGIN")

    def begin_snapshot(self) -> None:
        """Open a transaction that is one snapshot, whose settings of the planner end with it."""
        if self.connection.autocommit:
            self.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            self.run("SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0")

    def commit(self) -> None:
        """Commit; a transaction that an error had aborted is undone by that, which is an error too."""
        with self._translating("", write=True):
            if not self.connection.autocommit:
                self.connection.commit()
                return
            self._own.execute("COMMIT")
        if self._own.statusmessage == "ROLLBACK":
            error = EngineError("an earlier error aborted the transaction; it was rolled back")
            error.sqlstate = "25P02"
            raise error

    def rollback(self) -> None:
        """Undo and close the transaction, if one is open."""
        if self.connection.closed:
            return
        with self._translating(""):
            self.connection.rollback()

    # -- facts ----------------------------------------------------------------------------------------------------------------

    def version(self) -> str:
        """The server's version, such as 15.18."""
        number = self.connection.info.server_version
        return f"{number // 10_000}.{number % 10_000}"

    def keeps_row_order(self, sql: str) -> bool:
        """Whether two runs over the same data give the same sequence of rows."""
        return self._facts(sql).keeps_row_order

    def is_volatile(self, sql: str) -> bool:
        """Whether two runs in one snapshot can differ in the rows they give."""
        return self._facts(sql).is_volatile

    def _facts(self, sql: str) -> PlanFacts:
        with self._protected(keep=False):
            return read_plan(sql, self.rows, serial=not self.in_transaction())

    # -- life -----------------------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Ask the server to cancel what the connection runs; may be called from any thread."""
        self.connection.cancel_safe(timeout=5)

    def duplicate(self) -> Self:
        """An engine on a new connection to the same database."""
        return type(self)(open_connection(self.connection.info.dsn, password=self.connection.info.password))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def open_connection(dsn: str, *, read_only: bool = False, password: str | None = None) -> psycopg.Connection[Any]:
    """A new connection that commits each statement by itself, as psql's does."""
    connect = partial(psycopg.connect, dsn, autocommit=True, fallback_application_name="sqlml")
    try:
        connection: psycopg.Connection[Any] = connect(password=password) if password else connect()
    except psycopg.OperationalError as error:
        raise engine_error(error, "") from error
    if read_only:
        connection.read_only = True
        connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    return connection
