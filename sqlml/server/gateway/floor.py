"""The dialect's turn in a client's session: what is ours in a text, and how to run it, to fail and to leave as the server itself would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlml.errors import CancelledError, EngineError, NotSupportedYetError, PermissionDeniedError, SqlmlError
from sqlml.language.parser import parse
from sqlml.language.statements import EngineStatement, ExportModel, ImportModel, Statement
from sqlml.language.tokens import first_word, may_hold_ml
from sqlml.server import messages as m
from sqlml.server.failures import aborted, error_fields
from sqlml.server.gateway.ledger import Asked
from sqlml.server.gateway.telling import retold
from sqlml.server.rows import ROWS_PER_BATCH, Rows
from sqlml.server.types import words_of

if TYPE_CHECKING:
    from sqlml.connection import Connection
    from sqlml.server.gateway.relay import Relay
    from sqlml.session import Session
    from sqlml.statements.engine import Generated

IDLE, OPEN, FAILED = b"I", b"T", b"E"
_JOIN = "sqlml joins the transaction of a pipeline"
_FAIL = "a statement of sqlml failed"  # no portal has that name, so that executing it ends the transaction


class Floor:
    """What the simple and the extended protocol share."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.dirty = False  # whether the server has run something that the next Sync will commit
        self.joined = False  # whether that has become a transaction of our making
        self.untidy = False  # whether there are temporary tables of ours
        self.batch = 0  # counts Syncs
        self.unnamed: bytes | None = None  # the Parse of the server's unnamed statement
        self.lost = False  # whether our statements took its place

    # -- what is ours -------------------------------------------------------------------------------------------------------

    def read(self, text: str) -> Sequence[Statement]:
        """The statements of a text if any could be of the dialect, else none. Raises what is wrong with those."""
        if not may_hold_ml(text):
            return ()
        statements = parse(text, "postgres", lambda _: True)
        if not any(is_ours(statement) for statement in statements):
            return ()
        if any(isinstance(statement, ExportModel | ImportModel) for statement in statements):
            raise PermissionDeniedError(
                "files of the machine that serves are closed",
                hint="EXPORT MODEL and IMPORT MODEL are for a client with sqlml, whose files are your own.",
            )
        self._require_utf8()
        return statements

    def _require_utf8(self) -> None:
        parameters = self.relay.parameters
        encoding = parameters.get("client_encoding", "")
        if encoding == "SQL_ASCII":
            encoding = parameters.get("server_encoding", "")
        if encoding != "UTF8":
            raise NotSupportedYetError(
                f"statements about models are not understood in {encoding}", hint="SET client_encoding = 'UTF8'."
            )

    def enter(self) -> bool:
        """Wait for the floor; False where the server skips what comes now, so that it must not be ours."""
        self.flush()
        if self.relay.ledger.skipping:
            return False
        if self.dirty and not self.joined:
            self._join()
        elif self.relay.status == FAILED:
            raise aborted()
        return True

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """The dialect on the client's session, inside which errors are the client's to hear."""
        self.lost = self.unnamed is not None
        with self.relay.lent() as connection:
            try:
                yield connection
            except Exception as error:
                raise _as_told(connection.session, error) from error

    def _join(self) -> None:
        """What the pipeline did so far must not be committed by our own statements: make it a transaction like any other."""
        name = _JOIN.encode() + b"\0"
        begin = Asked(b"E", silent=True)
        self._silently(b"P", name + b"BEGIN\0\0\0")
        self._silently(b"B", name + name + bytes(6))
        self.relay.forward(m.make(b"E", name + bytes(4)), begin)
        for kind in (b"P", b"S"):
            self._silently(b"C", kind + name)
        self.flush()
        if self.relay.ledger.skipping:
            raise aborted()
        self.joined = not begin.warned  # else the client has begun one
        self.relay.ledger.status = OPEN

    def _silently(self, tag: bytes, body: bytes) -> None:
        self.relay.forward(m.make(tag, body), Asked(tag, silent=True))

    def flush(self) -> None:
        """Have all answers of the extended protocol, which the server may keep for itself up to Sync."""
        if not self.relay.ledger.is_quiet():
            self.relay.forward(m.make(b"H"))
        self.relay.wait()

    # -- prepared statements of the server ----------------------------------------------------------------------------------

    def prepare(self, part: bytes, tell: Callable[[bytes], bytes] | None, *, silent: bool = False) -> None:
        """Parse, remembered if it is of the unnamed statement."""
        if part[5:6] == b"\0":
            self.unnamed, self.lost = part, False
        self.relay.forward(part, Asked(b"P", tell=tell, silent=silent, loud=True))

    def restore_unnamed(self) -> None:
        """Before the unnamed statement is used: make it again if statements of ours took its place."""
        if self.lost and self.unnamed is not None:
            self.prepare(self.unnamed, None, silent=True)

    def close_silently(self, name: str) -> None:
        """Forget a statement of the server's."""
        self._silently(b"C", b"S" + name.encode() + b"\0")

    # -- running ------------------------------------------------------------------------------------------------------------

    def generate(self, text: str) -> Generated | None:
        """The SQL for the server; None for a statement that ``run`` has to run."""
        with self.session() as connection:
            generated = connection.session.generated(text)
        if generated is not None and generated.passing:
            self.untidy = True
        return generated

    def run(self, text: str) -> tuple[str, Rows | None]:
        """Run a statement here: its tag, and its rows if it gives any."""
        with self.relay.sessions.running(self.relay, text), self.session() as connection:
            connection.execute(text)
            local = connection.local
            if local is None:
                return connection.session.engine.result.statusmessage or "", None  # type: ignore[attr-defined]
            tag = local.status or first_word(text).upper()
            if not local.table.num_columns:
                return tag, None
            columns = [(field.name, words_of(field.type)) for field in local.table.schema]
            return tag, Rows(local.rest().to_reader(ROWS_PER_BATCH), columns, lambda error: error)

    def asked(self, tag: bytes, generated: Generated, text: str, *, held: bool = False) -> Asked:
        """What is asked of the server with SQL of ours."""
        return Asked(tag, text, lambda part: retold(part, generated.tell), generated.lines, held=held)

    # -- failing ------------------------------------------------------------------------------------------------------------

    def tell(self, error: BaseException) -> None:
        """Tell the client of an error."""
        sessions = self.relay.sessions
        error = sessions.why(self.relay, error)
        self.relay.say(m.make_error(error_fields(error)))
        sessions.log_error(self.relay, error)

    def fail(self, error: BaseException) -> None:
        """In the extended protocol: the server has to skip up to Sync, and its transaction is over."""
        if not self.relay.ledger.skipping:
            self._silently(b"E", _FAIL.encode() + bytes(5))
            self.flush()
        self.tell(error)
        self.relay.client.flush()

    def fail_query(self, error: BaseException) -> None:
        """In the simple protocol: an open transaction is over."""
        if self.relay.status == OPEN:
            self._silently(b"E", _FAIL.encode() + bytes(5))
            self._silently(b"S", b"")
            self.relay.wait()
        self.tell(error)

    # -- leaving ------------------------------------------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether there is something to do before the client hears that the server is ready."""
        return self.joined or self.untidy

    def sync(self) -> None:
        """The server is ready, and the client has not heard of it: end what we began."""
        self.relay.wait()
        if self.joined and self.relay.status != IDLE:
            self._end_joined()
        self.joined = False
        if self.untidy and self.relay.status == IDLE:
            self.untidy = False
            with self.session() as connection:
                connection.session.serving.tidy()

    def _end_joined(self) -> None:
        try:
            with self.session() as connection:
                connection.session.engine.run("COMMIT" if self.relay.status == OPEN else "ROLLBACK")
        except SqlmlError as error:
            self.tell(error)

    def ready(self) -> None:
        """Tell the client that the server is."""
        if self.held:
            self.sync()
        self.relay.ready()


def is_ours(statement: Statement) -> bool:
    """Whether the server cannot be given a statement as it is."""
    return not isinstance(statement, EngineStatement) or bool(statement.calls or statement.rejected)


def _as_told(session: Session, error: Exception) -> BaseException:
    if isinstance(error, SqlmlError) and not isinstance(error, EngineError):
        return error
    known = session.engine.translated(error, "")
    if known is None:
        return error
    return CancelledError("canceling statement due to user request") if known.sqlstate == "57014" else known
