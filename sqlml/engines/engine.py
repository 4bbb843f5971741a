"""What sqlml needs of a database engine: one contract, met by a file an engine and its siblings.

Every statement runs on the user's own connection, so that temporary tables, uncommitted rows and variables are seen, and no
setting of it is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, Self

from sqlml.errors import EngineError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """A result column: its name and its type in the engine's own words."""

    name: str
    sql_type: str


@dataclass(frozen=True)
class Bound:
    """What a statement takes and gives. Types are in the engine's words, ``UNKNOWN`` where only a value would tell.

    ``returns`` is ``query_result``, ``changed_rows`` or ``nothing``; ``kind`` the engine's own name for the kind of statement.
    """

    columns: tuple[Column, ...]
    parameters: Mapping[str, str]
    returns: str
    kind: str
    writes: bool


class Result(Protocol):
    """Rows of a statement as the DB-API fetches them."""

    description: Any
    rowcount: int

    def fetchone(self) -> Any: ...

    def fetchmany(self, size: int = 1) -> list[Any]: ...

    def fetchall(self) -> list[Any]: ...


class Engine(Protocol):
    """A connection to a database, seen by the rest of sqlml. Errors arrive as ``EngineError`` where nothing else is said."""

    dialect: str  # "duckdb" or "postgres": also the name of sqlglot's dialect
    main_schema: str  # of names that nobody qualified: "main", "public"
    reads_again: bool  # whether running a query again costs less than keeping its rows on disk
    training_cap: int  # bytes of memory that training may take whatever an option says; 0 is no bound
    row_place: str  # the system column that keeps rows in the order of their insertion
    connection: Any  # the engine's own

    # -- the user's statements, with the engine's own results and errors ------------------------------------------------------

    @property
    def result(self) -> Result:
        """The result of the last statement of ``execute_native``."""

    def seeing(self, frame: FrameType | None) -> AbstractContextManager[None]:
        """Let the engine find data frames among the variables of ``frame`` within the block."""

    def statements(self, sql: str) -> list[Any]:
        """The statements of a text as the engine tells them apart, each with its text as ``query``."""

    def execute_native(self, sql: Any, parameters: Any = None) -> None:
        """Execute a text, or one of its ``statements``; the result stays on the connection."""

    def native_relation(self, sql: str, parameters: Any = None) -> Any:
        """A query as a lazy relation, which runs when it is read."""

    def relation_of(self, table: pa.Table) -> Any:
        """Rows that are here already, as such a relation."""

    def result_table(self) -> pa.Table:
        """The rest of the result as Arrow."""

    def result_reader(self, rows_per_batch: int) -> pa.RecordBatchReader:
        """The rest of the result as a stream of Arrow batches."""

    def result_frame(self) -> Any:
        """The rest of the result as a pandas frame."""

    def explained(self, lines: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        """The columns and rows of the plan that EXPLAIN left as the result, with lines of ours below."""

    def lending(self, rows: Any) -> AbstractContextManager[str]:
        """A name under which an Arrow-speaking object can be read as a table within the block."""

    def translated(self, error: Exception, sql: str) -> EngineError | None:
        """The EngineError for an error of the engine's own; None for any other."""

    def listen(self, on_notice: Callable[[str], None]) -> None:
        """Hand over what the engine says beside results."""

    # -- our own statements ---------------------------------------------------------------------------------------------------

    def run(self, sql: str, parameters: Sequence[Any] | None = None) -> None:
        """Execute for effect; the result, if any, is discarded and the connection is free afterwards. Parameters are ``?``."""

    def rows(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result (catalog reads); JSON as text. Parameters are ``?``."""

    def columns(self, sql: str) -> list[Column]:
        """Names and types of a query's result without running it; never aborts a transaction."""

    def bound(self, sql: str, parameters: Sequence[Any] | None = None) -> Bound:
        """What a statement takes and gives, without running it; never aborts a transaction."""

    def require_syntax(self, sql: str) -> None:
        """Raise the parser's error if the text is no SQL; nothing runs, and no transaction is aborted."""

    def stream(self, sql: str, rows_per_batch: int = 65_536) -> Iterator[pa.RecordBatch]:
        """The result as Arrow batches in the query's order, in bounded memory; the connection is busy until the end or ``close``."""

    def copy_binary(self, table: str, blocks: Iterable[bytes]) -> None:
        """Append tuples of Postgres' binary COPY format to a table."""

    # -- transactions ---------------------------------------------------------------------------------------------------------

    def in_transaction(self) -> bool:
        """Whether the user has an explicit transaction open, also one that an error aborted."""

    def begin(self) -> None: ...

    def begin_snapshot(self) -> None:
        """Open a transaction in which all queries see the same rows, in the same order where ``keeps_row_order`` says so."""

    def repeats_reads(self) -> bool:
        """Whether two queries of the user's open transaction see the same rows."""

    def commit(self) -> None:
        """Commit; where that fails the transaction is undone and closed, and the error says whether to retry."""

    def rollback(self) -> None: ...

    # -- facts ----------------------------------------------------------------------------------------------------------------

    def current_database(self) -> str: ...

    def current_schema(self) -> str: ...

    def has_database(self, database: str) -> bool: ...

    def databases(self) -> list[str]:
        """The databases that can hold models, the current one first."""

    def surroundings(self) -> tuple[str, list[str]]:
        """The current database, and its schemas in which a bare name is looked up, in order."""

    def place(self, parts: tuple[str, ...]) -> tuple[str, str, str]:
        """The database, schema and name that a name given to CREATE stands for."""

    def is_read_only(self, database: str) -> bool: ...

    def schema_exists(self, database: str, schema: str) -> bool: ...

    def relation_exists(self, parts: tuple[str, ...]) -> bool: ...

    def stored_text(self, kind: str, parts: tuple[str, ...]) -> tuple[str, str] | None:
        """Of a view or macro: what DROP calls it, and its text as the engine keeps it; None where there is none."""

    def drop_statement(self, kind: str, *parts: str) -> str:
        """The statement that drops a view or macro, if it is there."""

    def knows_predict(self) -> bool:
        """Whether the user has a function of their own called predict or predict_proba, or a schema ml."""

    def keeps_row_order(self, sql: str) -> bool:
        """Whether two runs over the same data give the same sequence of rows (a plain scan, or a total ORDER BY)."""

    def is_volatile(self, sql: str) -> bool:
        """Whether two runs in one snapshot can differ (random(), sampling, now() does not count)."""

    def memory_limit(self) -> int:
        """How much memory training may take, in bytes, where no option says."""

    def time_zone(self) -> str: ...

    def version(self) -> str: ...

    def quote(self, *parts: str) -> str:
        """A quoted, qualified identifier."""

    def sort_key(self, column: str, sql_type: str) -> str:
        """What to sort by so that the order of texts is that of their bytes, whatever the database's collation."""

    def quote_schema(self, database: str, schema: str) -> str:
        """A schema's name, qualified where there are databases to tell apart."""

    def require_files(self, right: str) -> None:
        """Raise where statements may not "read" or "write" files, which are those of the machine that this runs on."""

    # -- life -----------------------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop what the connection is running; may be called from any thread."""

    def duplicate(self) -> Self:
        """An engine on another connection to the same database."""

    def close(self) -> None: ...
