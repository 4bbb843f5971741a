"""One session's statements, run as Postgres would run them: text and parameters in, rows and a command tag out; no protocol.

status   b"I" no transaction   b"T" in one   b"E" in one that an error ended: only its end is accepted
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlml.errors import CancelledError, EngineError, NotSupportedYetError, SqlmlError
from sqlml.language.places import named_in
from sqlml.language.statements import Span
from sqlml.server.limits import Limits
from sqlml.server.parameters import decode
from sqlml.server.rows import ROWS_PER_BATCH, ROWS_PER_VECTOR, FetchedRows, Rows, is_simple
from sqlml.server.statements import LONGEST_KEPT, Piece, is_counted, tag_of, without_explain
from sqlml.server.types import TEXT, WireType, wire_type, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlml.connection import Connection
    from sqlml.engines.engine import Bound
    from sqlml.server.copying import CopyIn, CopyOut

IDLE, OPEN, FAILED = b"I", b"T", b"E"
UNKNOWN = ("UNKNOWN", "NULL")
KINDS_KEPT = 512
FEW = 200  # rows
SHOWS = frozenset({"SHOW", "DESCRIBE"})  # of statements about models: they only read
# A value of a type that a client declared, so that the engine knows the types of what is computed from it.
_SAMPLES: dict[int, str] = {
    16: "true", 17: "\\x00", 20: "9223372036854775807", 21: "1", 23: "1", 700: "1.5", 701: "1.5", 1700: "1.5", 1082: "2000-01-01",
    1114: "2000-01-01 00:00:00", 1184: "2000-01-01 00:00:00+00:00", 2950: "00000000-0000-0000-0000-000000000000",
}  # fmt: skip


@dataclass(frozen=True)
class Description:
    """What a statement takes and gives; ``columns`` is None where there are no rows."""

    parameters: tuple[int, ...] = ()
    columns: tuple[tuple[str, WireType], ...] | None = None
    kind: str = ""


@dataclass
class Outcome:
    """What a statement did: a tag, rows to come, or a COPY that the client takes part in."""

    tag: str
    rows: Rows | None = None
    copy: CopyIn | CopyOut | None = None
    notices: list[tuple[str, str, str]] = field(default_factory=list)  # severity, SQLSTATE, text

    def finished_tag(self, sent: int) -> str:
        return (
            f"{self.tag} {sent}"
            if self.tag in ("SELECT", "FETCH", "INSERT 0", "UPDATE", "DELETE", "MERGE")
            else self.tag
        )


class Executor:
    """The engine's side of a session."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.limits = Limits()
        self.room: Callable[[], int | None] = lambda: None  # bytes in memory that rows may take while they wait
        self.session = connection.session
        self.engine = self.session.engine
        self.status = IDLE
        self.live: Rows | None = None
        self.reads = False  # in a transaction that only ``run_read_only`` knows of
        self.at_end: list[Callable[[], None]] = []  # run when a transaction is over
        self._kinds: dict[str, tuple[str, str]] = {}
        self._small: set[str] = set()  # texts with parameters that gave few rows the last time
        self._changes = 0  # statements of this transaction that may have changed something
        self._savepoints: list[tuple[str, int]] = []

    def limit(self, limits: Limits, room: Callable[[], int | None]) -> None:
        """What the session may take, and how much of it in memory it may still take now."""
        self.limits, self.room = limits, room
        self.engine.training_cap = limits.memory
        if limits.memory:
            # Soft, as Postgres' work_mem is: from there on sorts and hash tables work in parts that can go to disk.
            self.engine.run(f"SET operator_memory_limit = '{limits.memory}B'")
            self.engine.run(f"SET max_streaming_buffer_size = '{limits.memory}B'")

    # -- without running ----------------------------------------------------------------------------------------------------

    def describe(self, piece: Piece, declared: Sequence[int] = ()) -> Description:
        """What a statement takes and gives."""
        self.set_aside()
        with self.translating(piece.text):
            bound = self.session.bound(piece.text)
            if bound is None:
                return self._describe_model_statement(piece)
            taken = self._parameter_types(bound.parameters, declared)
            if bound.parameters and (any(declared) or "UNKNOWN" in bound.parameters.values()):
                samples = [decode(_SAMPLES.get(oid, "").encode(), oid, binary=False) for oid in taken]
                bound = self._bound_with(piece, samples) or bound
        self._remember(piece.text, bound.kind, bound.returns)
        columns = None
        if bound.returns == "query_result":
            columns = tuple((column.name, wire_type(column.sql_type)) for column in bound.columns)
        return Description(taken, columns, bound.kind)

    def bound(self, piece: Piece) -> Bound | None:
        """What the engine says of a statement; None for one about models."""
        self.set_aside()
        with self.translating(piece.text):
            return self.session.bound(piece.text)

    def plan(self, piece: Piece, parameters: int) -> str:
        """The engine's own plan of a statement, before anything is optimised away; its values do not matter."""
        self.set_aside()
        with self.translating(piece.text):
            text = f"EXPLAIN (FORMAT json) {without_explain(piece.text)}"
            self.engine.run("SET explain_output = 'all'")
            try:
                self.connection.execute(text, [None] * parameters or None)
                return "\n".join(str(value) for row in self.connection.fetchall() for value in row)
            finally:
                self.engine.run("RESET explain_output")

    def _bound_with(self, piece: Piece, samples: list[Any]) -> Any:
        try:
            return self.session.bound(piece.text, samples)
        except Exception as error:
            if self.engine.translated(error, piece.text) is None:
                raise
            return None  # what fits no text may fit the value to come

    def _parameter_types(self, parameters: Any, declared: Sequence[int]) -> tuple[int, ...]:
        numbers = [int(name) for name in parameters if name.isdecimal()]
        count = max([len(declared), *numbers])
        taken = []
        for number in range(1, count + 1):
            oid = declared[number - 1] if number <= len(declared) else 0
            sql_type = parameters.get(str(number), "UNKNOWN")
            taken.append(oid or (TEXT.oid if sql_type in UNKNOWN else wire_type(sql_type).oid))
        return tuple(taken)

    def _describe_model_statement(self, piece: Piece) -> Description:
        if not piece.words or piece.words[0] not in SHOWS:
            return Description(kind="model")
        outcome = self.run(piece)
        assert outcome.rows is not None  # noqa: S101 - invariant: these statements give rows
        names = [name for name, _ in outcome.rows.columns]
        return Description((), tuple(zip(names, outcome.rows.kinds, strict=True)), "model")

    # -- running ------------------------------------------------------------------------------------------------------------

    def run(self, piece: Piece, parameters: Sequence[Any] = (), described: Description | None = None) -> Outcome:
        """Run one statement of the engine's or about models."""
        self.set_aside()
        with self.translating(piece.text):
            kind, returns = self._kind_of(piece, parameters, described)
            self._changes += kind not in ("select", "explain")
            if kind == "select" and returns == "query_result":
                return self._stream(piece, parameters, described)
            self.connection.execute(piece.text, list(parameters) or None)
            return self._outcome(piece, kind, returns, described)

    def run_read_only(self, piece: Piece, parameters: Sequence[Any], described: Description | None) -> Outcome:
        """Run one that must not write, as the engine sees to: in a transaction that ends with its rows, and that clients know nothing of."""
        self.begin(read_only=True)
        self.status = IDLE
        try:
            outcome = self.run(piece, parameters, described)
        except BaseException:
            self._undo()
            raise
        self.reads = True
        return outcome

    def end_reading(self) -> None:
        """The client may do something else now."""
        if self.reads:
            self.set_aside()

    def _stream(self, piece: Piece, parameters: Sequence[Any], described: Description | None) -> Outcome:
        """A query, whose rows are sent as the engine makes them; one that gave few rows before is run the way that is fast for few."""
        if piece.text in self._small:
            return self._fetch(piece, parameters, described)
        relation, reader = self.session.stream(piece.text, list(parameters) or None, self._rows_per_batch)
        columns = [(n, str(t).strip('"')) for n, t in zip(relation.columns, relation.types, strict=True)]
        self.live = self._rows(reader, columns, piece, described)
        if parameters and is_simple(columns):
            self.live.on_end = lambda sent: self._learn(piece.text, sent)
        return Outcome("SELECT", self.live)

    def _fetch(self, piece: Piece, parameters: Sequence[Any], described: Description | None) -> Outcome:
        self.connection.execute(piece.text, list(parameters))
        columns = [(column[0], str(column[1]).strip('"')) for column in self.connection.description or ()]
        if not is_simple(columns):
            reader: Any = self.connection.arrow_reader(self._rows_per_batch)
        else:
            reader = FetchedRows(self.connection.fetchmany, columns)
        self.live = self._rows(reader, columns, piece, described)
        self.live.on_end = lambda sent: self._learn(piece.text, sent)
        return Outcome("SELECT", self.live)

    def _learn(self, text: str, sent: int) -> None:
        if sent > FEW:
            self._small.discard(text)
        elif len(self._small) < KINDS_KEPT and len(text) <= LONGEST_KEPT:
            self._small.add(text)

    def _kind_of(self, piece: Piece, parameters: Sequence[Any], described: Description | None) -> tuple[str, str]:
        known = self._kinds.get(piece.text)
        if known is None:
            bound = self.session.bound(piece.text, list(parameters) or None)
            known = ("model", "") if bound is None else (bound.kind, bound.returns)
            self._remember(piece.text, *known)
        return known

    def _remember(self, text: str, kind: str, returns: str) -> None:
        if len(self._kinds) >= KINDS_KEPT:
            self._kinds.clear()
        if len(text) <= LONGEST_KEPT:
            self._kinds[text] = (kind, returns)

    def _outcome(self, piece: Piece, kind: str, returns: str, described: Description | None) -> Outcome:
        local = self.connection.local
        if local is not None:
            tag = local.status or (piece.words[0] if piece.words else "SELECT")
            if not local.table.num_columns:
                return Outcome(tag)
            names = [(field.name, words_of(field.type)) for field in local.table.schema]
            return Outcome(tag, self._rows(local.rest().to_reader(), names, piece, described))
        tag = tag_of(piece.words, kind)
        if returns == "query_result":
            columns = [(column[0], str(column[1]).strip('"')) for column in self.connection.description or ()]
            reader = self.connection.arrow_reader(self._rows_per_batch)
            self.live = self._rows(reader, columns, piece, described)
            return Outcome(tag, self.live)
        changed = self.connection.fetchall()
        count = changed[0][0] if changed and returns == "changed_rows" else 0
        if kind == "create" and returns == "changed_rows":
            return Outcome(f"SELECT {count}")
        return Outcome(f"{tag} {count}" if is_counted(kind) else tag)

    def _rows(self, reader: Any, columns: Any, piece: Piece, described: Description | None) -> Rows:
        kinds = [kind for _, kind in described.columns] if described and described.columns is not None else None
        return Rows(reader, columns, lambda error: self.translated(error, piece.text), kinds, limits=self.limits)

    @property
    def _rows_per_batch(self) -> int:
        return ROWS_PER_VECTOR if self.limits.memory else ROWS_PER_BATCH

    def plain(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small query of our own."""
        self.set_aside()
        return self.engine.rows(sql)

    def set_aside(self) -> None:
        """Free the engine's connection of a result that is being read."""
        live, self.live = self.live, None
        if live is not None and live.live:
            live.set_aside(self.room())
        if self.reads:
            self.reads = False
            self._undo()

    # -- errors -------------------------------------------------------------------------------------------------------------

    @contextmanager
    def translating(self, text: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self.translated(error, text) from error

    def translated(self, error: BaseException, text: str) -> BaseException:
        """Our words for an error of the engine's, whatever it arrived as."""
        if isinstance(error, SqlmlError) and not isinstance(error, EngineError):
            return error
        known = self.engine.translated(error, text) if isinstance(error, Exception) else None
        if known is None:
            return error
        if known.sqlstate == "57014":
            return CancelledError("canceling statement due to user request")
        if known.position is None and text and known.sqlstate.startswith("42"):  # binding alone tells no place
            known.position = named_in(text, Span(0, len(text)), known.message)
        return known

    def failed(self) -> None:
        """An error came: a transaction is over but for its end."""
        if self.status == OPEN:
            self.status = FAILED

    # -- transactions -------------------------------------------------------------------------------------------------------

    def begin(self, *, read_only: bool = False) -> None:
        self.set_aside()
        self.connection.execute("BEGIN TRANSACTION READ ONLY" if read_only else "BEGIN TRANSACTION")
        self.status = OPEN

    def commit(self) -> bool:
        """Commit, or roll back what an error ended; says which."""
        if self.status == FAILED:
            self.rollback()
            return False
        try:
            self.set_aside()
            with self.translating("COMMIT"):
                self.connection.execute("COMMIT")
        except BaseException:
            self._undo()
            raise
        finally:
            self._over()
        return True

    def rollback(self) -> None:
        self._drop_live()
        self._undo()
        self._over()

    def savepoint(self, name: str) -> None:
        """DuckDB has no savepoints: one can be gone back to only as long as nothing was changed since."""
        self._savepoints.append((name, self._changes))

    def release(self, name: str) -> None:
        """Forget a savepoint and those after it."""
        del self._savepoints[self._savepoint_at(name) :]

    def back_to(self, name: str) -> None:
        """Go back to a savepoint."""
        place = self._savepoint_at(name)
        if self._changes != self._savepoints[place][1] or not self._is_alive():
            raise NotSupportedYetError(
                f'cannot go back to savepoint "{name}", since something was changed or failed after it',
                hint="DuckDB has no savepoints: roll back the whole transaction.",
            )
        del self._savepoints[place + 1 :]
        self.status = OPEN

    def _savepoint_at(self, name: str) -> int:
        for place in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[place][0] == name:
                return place
        error = EngineError(f'savepoint "{name}" does not exist')
        error.sqlstate = "3B001"
        raise error

    def _is_alive(self) -> bool:
        """Whether the engine's transaction goes on: an error met while binding does not end it."""
        try:
            self.plain("SELECT 1")
        except EngineError:
            return False
        return True

    def _undo(self) -> None:
        try:
            self.connection.execute("ROLLBACK")
        except Exception as error:
            translated = self.engine.translated(error, "ROLLBACK")
            if translated is None or translated.sqlstate != "25P01":
                raise

    def _drop_live(self) -> None:
        if self.live is not None:
            self.live.close()
            self.live = None

    def _over(self) -> None:
        self.status = IDLE
        self._savepoints.clear()
        callbacks, self.at_end = self.at_end, []
        for callback in callbacks:
            callback()

    def close(self) -> None:
        self._drop_live()
        self.connection.close()


def decode_parameters(values: Sequence[bytes | None], formats: Sequence[int], types: Sequence[int]) -> list[Any]:
    """The values of Bind."""
    codes = [formats[0] if formats else 0] * len(values) if len(formats) <= 1 else formats
    kinds = [*types, *[TEXT.oid] * (len(values) - len(types))]
    return [decode(value, oid, binary=code == 1) for value, oid, code in zip(values, kinds, codes, strict=False)]
