"""One client's connection: messages in, statements run, messages out. Bytes come and go through a ``Stream`` (see ``listen``).

message ─> state table ─> handler ─> Executor ─> rows, tag, error ─> messages
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from sqlml.errors import NotSupportedYetError, ProtocolError, SqlmlError
from sqlml.server import messages as m
from sqlml.server.commands import find_command
from sqlml.server.executor import FAILED, IDLE, Description, Executor, Outcome
from sqlml.server.extended import Extended
from sqlml.server.failures import aborted, error_fields, idle_error, notice_fields
from sqlml.server.limits import least, room, seconds
from sqlml.server.progress import told_now_and_then
from sqlml.server.settings import DEFAULTS, ENGINE, REPORTED, change, value_of
from sqlml.server.state import State, next_state
from sqlml.server.statements import Piece, split
from sqlml.sqltext import read_sql

if TYPE_CHECKING:
    from sqlml.server.catalogue import Catalogue
    from sqlml.server.cursors import Cursor
    from sqlml.server.roles import User
    from sqlml.server.sessions import Sessions

ENDS = frozenset({"COMMIT", "END", "ROLLBACK", "ABORT"})
# Statements that cannot stand in the transaction that Postgres puts around a query of several statements.
ALONE = ENDS | {"BEGIN", "START", "VACUUM", "CHECKPOINT", "ATTACH", "DETACH", "USE", "SET", "COPY", "DISCARD"}
MODEL_EVENTS = "sqlml_models"  # the channel that tells of changed models


class DisconnectedError(Exception):
    """The client is gone: there is nobody to tell anything."""


class SilentError(DisconnectedError):
    """The client has said nothing for as long as it may."""


class Stream(Protocol):
    """Where messages come from and go to."""

    def read_message(self) -> tuple[bytes, bytes]: ...

    def write(self, data: Any) -> None: ...

    def flush(self) -> None: ...

    def hang_up(self) -> None: ...

    def set_timeout(self, seconds: float | None) -> None: ...


class Client:
    """A session that has logged in."""

    def __init__(self, stream: Stream, executor: Executor, sessions: Sessions, user: User, process: int) -> None:
        self.stream = stream
        self.executor = executor
        self.sessions = sessions
        self.account = user
        self.user = user.name
        self.process = process
        self.limits = sessions.limits.of_user(user.limits)
        executor.limit(self.limits, lambda: room(self))
        self.catalogue: Catalogue | None = None
        self.state = State.IDLE
        self.settings: dict[str, str] = {}
        self.started_with: dict[str, str] = {}
        self.extended = Extended(self)
        self.cursors: dict[str, Cursor] = {}
        self.declared_values: list[Any] = []
        self._outbox: list[tuple[str, str]] = []
        self._waits = threading.Lock()  # held by the session while it does not wait for a query
        executor.session.on_notice = self.notice
        executor.session.on_progress = told_now_and_then(self.notice)
        self._handlers: dict[type, Callable[[Any], None]] = {
            m.Query: self._query,
            m.Parse: self.extended.parse,
            m.Bind: self.extended.bind,
            m.Describe: self.extended.describe,
            m.Execute: self.extended.execute,
            m.Close: self.extended.close,
            m.Sync: self._sync,
            m.Flush: lambda _: self.stream.flush(),
            m.FunctionCall: self._function_call,
        }

    # -- the loop -----------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Until the client leaves."""
        with self._waits:
            self.ready()
            while self.state is not State.CLOSED:
                message = self._wait() if self.state is State.IDLE else self.next_message()
                self.handle(message)

    def _wait(self) -> m.Request:
        self._waits.release()
        self.deliver()  # what came while nobody could tell that the session waits
        self.stream.set_timeout(self._patience() or None)
        try:
            tag, body = self.stream.read_message()
        except SilentError as error:
            raise idle_error(in_transaction=self.executor.status != IDLE) from error
        finally:
            self._waits.acquire()
            self.stream.set_timeout(self.limits.idle_timeout or None)
        return self._accepted(tag, body)

    def _patience(self) -> float:
        """Seconds that the client may say nothing."""
        name = "idle_session_timeout" if self.executor.status == IDLE else "idle_in_transaction_session_timeout"
        return least(self.limits.idle_timeout, seconds(self.settings.get(name, "")))

    def next_message(self) -> m.Request:
        """The next message that the state allows."""
        return self._accepted(*self.stream.read_message())

    def _accepted(self, tag: bytes, body: bytes) -> m.Request:
        message = m.parse_message(tag, body)
        self.state = next_state(self.state, message)
        return message

    def handle(self, message: m.Request) -> None:
        """Answer one message."""
        handler = self._handlers.get(type(message))
        if handler is None or self.state in (State.FAILED, State.CLOSED):
            return  # skipped up to Sync, or rows of a COPY that is over
        try:
            handler(message)
        except (DisconnectedError, ProtocolError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - told to the client, and to the log what is not ours
            self.fail(error)
            if isinstance(message, m.Query | m.FunctionCall):
                self.ready()
            elif not isinstance(message, m.Sync):
                self.state = State.FAILED

    def ready(self) -> None:
        """Ready for the next query; what was sent to channels comes before."""
        self.executor.end_reading()
        self._pass_on()
        self.stream.write(m.READY[self.executor.status])
        self.stream.flush()

    def fail(self, error: BaseException) -> None:
        """Tell of an error."""
        self.executor.failed()
        error = self.sessions.why(self, error)
        self.stream.write(m.make_error(error_fields(error, offset=getattr(error, "wire_offset", 0))))
        self.stream.flush()  # the client may have asked for no more than Flush, which is skipped now
        self.sessions.log_error(self, error)

    def left(self) -> DisconnectedError:
        return DisconnectedError()

    # -- the simple protocol ------------------------------------------------------------------------------------------------

    def _query(self, message: m.Query) -> None:
        pieces = split(message.text)
        self.extended.portals.pop("", None)
        if not pieces:
            self.stream.write(m.EMPTY_QUERY)
        alone = len(pieces) == 1 or any(piece.words[:1] and piece.words[0] in ALONE for piece in pieces)
        together = bool(pieces) and not alone and self.executor.status == IDLE
        if together:
            self.executor.begin(read_only=self.read_only)
        try:
            for piece in pieces:
                self._run_simple(piece)
        except BaseException:
            if together:
                self.executor.rollback()
            raise
        if together:
            self.executor.commit()
        self.ready()

    def _run_simple(self, piece: Piece) -> None:
        self.refuse_if_failed(piece)
        if self.is_for_catalogue(piece):
            self.the_catalogue.simple(piece.written, self.stream)
            return
        with self.running(piece):
            outcome = self.start(piece, [], None)
            if outcome.copy is not None:
                self.stream.write(m.make_command_complete(outcome.copy.run(self)))
                return
            self.tell(outcome)
            if outcome.rows is None:
                self.stream.write(m.make_command_complete(outcome.tag))
                return
            self.stream.write(m.make_row_description(outcome.rows.fields(())))
            sent = self.send(outcome.rows, (), 0)
            self.stream.write(m.make_command_complete(outcome.finished_tag(sent)))

    def start(self, piece: Piece, parameters: list[Any], described: Description | None) -> Outcome:
        """Run a statement: one of the server's own, or the engine's."""
        self.refuse_if_failed(piece)
        command = find_command(piece)
        if command is not None:
            self.declared_values = parameters
            outcome = command(self, piece)
            if outcome is not None:
                return outcome
        self.sessions.allow(self, piece)
        if self.read_only and self.executor.status == IDLE:
            return self.executor.run_read_only(piece, parameters, described)
        outcome = self.executor.run(piece, parameters, described)
        if outcome.tag.endswith(" MODEL"):
            self._changed_model(outcome.tag, piece)
        return outcome

    def _changed_model(self, tag: str, piece: Piece) -> None:
        """Tell those who listen, and let whoever made a model use it."""
        if tag == "CREATE MODEL" and self.sessions.policy is not None:
            self.sessions.policy.created(self, piece)
        event = {"event": tag.lower(), "user": self.user, "statement": piece.written[:1000]}
        self.send_at_commit(MODEL_EVENTS, json.dumps(event))

    def refuse_if_failed(self, piece: Piece) -> None:
        """In a transaction that an error ended, only its end is accepted."""
        if self.executor.status == FAILED and not (piece.words and piece.words[0] in ENDS):
            raise aborted()

    def send(self, rows: Any, formats: tuple[int, ...], limit: int) -> int:
        """Rows to the client; says how many."""
        before = rows.sent
        for data in rows.messages(formats, limit):
            self.sessions.check(self, rows.taken)
            self.stream.write(data)
        self.sessions.counters.rows += rows.sent - before
        return int(rows.sent - before)

    def tell(self, outcome: Outcome) -> None:
        """Warnings that come with what a statement did."""
        for severity, sqlstate, text in outcome.notices:
            self.stream.write(m.make_notice(notice_fields(text, severity=severity, sqlstate=sqlstate)))

    def _sync(self, _: m.Sync) -> None:
        if self.executor.status == IDLE:
            self.extended.drop_portals()
        self.ready()

    def _function_call(self, _: m.FunctionCall) -> None:
        raise NotSupportedYetError("function calls by the fast path are not supported", hint="Use SELECT.")

    @contextmanager
    def running(self, piece: Piece) -> Iterator[None]:
        """While a statement runs it can be cancelled, and is counted; an error says where in the query it stands."""
        with self.sessions.running(self, piece.text):
            try:
                yield
            except SqlmlError as error:
                error.wire_offset = piece.start  # type: ignore[attr-defined]
                raise

    def cancel(self) -> None:
        """From another thread."""
        with suppress(Exception):
            self.executor.session.interrupt()

    # -- the catalogue ------------------------------------------------------------------------------------------------------

    def is_for_catalogue(self, piece: Piece) -> bool:
        """Whether a statement touches nothing but the catalogue."""
        return self.catalogue is not None and self.executor.status != FAILED and self.catalogue.takes(piece)

    @property
    def the_catalogue(self) -> Catalogue:
        assert self.catalogue is not None  # noqa: S101 - invariant: only what is_for_catalogue goes there
        return self.catalogue

    # -- what the session is like -------------------------------------------------------------------------------------------

    @property
    def read_only(self) -> bool:
        return self.account.role == "reader"

    @property
    def prepared(self) -> dict[str, Any]:
        return self.extended.prepared

    def begin_settings(self, wanted: dict[str, str]) -> None:
        """What the client asked for at its start, beside what makes the engine more like Postgres."""
        for statement in read_sql("wire.sql").split(";\n"):
            if statement.strip():
                self.run_quietly(statement)
        self.settings["session_authorization"] = self.user
        self.settings["is_superuser"] = "on" if self.account.is_admin else "off"
        for key, value in wanted.items():
            if key.lower() in ENGINE or any(key.lower() == name.lower() for name in DEFAULTS):
                change(self, key, value)
        self.started_with = dict(self.settings)
        for name in REPORTED:
            self.report(name, value_of(self, name) or "")

    def report(self, name: str, value: str) -> None:
        self.stream.write(m.make_parameter_status(name, value))

    def run_quietly(self, sql: str) -> None:
        """A statement of our own on the engine's connection."""
        with self.executor.translating(sql):
            self.executor.set_aside()
            self.executor.engine.run(sql)

    def end_transaction(self) -> None:
        """The transaction ends: cursors without HOLD go, what was to be sent to channels goes out if it commits."""
        for name in [name for name, cursor in self.cursors.items() if not cursor.hold]:
            self.cursors.pop(name).rows.close()
        if self.executor.status == FAILED:
            self._outbox.clear()

    def discard_all(self) -> None:
        """As if the session had just begun."""
        self.extended.prepared.clear()
        self.extended.drop_portals()
        for cursor in self.cursors.values():
            cursor.rows.close()
        self.cursors.clear()
        self.sessions.unlisten(self, None)
        for key, value in self.started_with.items():
            if self.settings.get(key) != value:
                change(self, key, value)
        self.settings = dict(self.started_with)

    # -- what is said beside results ----------------------------------------------------------------------------------------

    def notice(self, text: str) -> None:
        """A notice, at once."""
        self.stream.write(m.make_notice(notice_fields(text)))
        self.stream.flush()

    def send_at_commit(self, channel: str, payload: str) -> None:
        """To a channel: now, or when the transaction commits."""
        self._outbox.append((channel, payload))
        if self.executor.status == IDLE:
            self._deliver_outbox()
        else:
            self.executor.at_end.append(self._deliver_outbox)

    def _deliver_outbox(self) -> None:
        sent, self._outbox = self._outbox, []
        for channel, payload in sent:
            self.sessions.notify(channel, payload, self.process)

    def deliver(self) -> None:
        """From this or another session's thread: what was sent to channels, if this session waits for a query."""
        if self._waits.acquire(blocking=False):
            try:
                self._pass_on()
                self.stream.flush()
            finally:
                self._waits.release()

    def _pass_on(self) -> None:
        for channel, payload, process in self.sessions.waiting_for(self):
            self.stream.write(m.make_notification(process, channel, payload))

    def part(self, error: SqlmlError) -> None:
        """From another thread: if this session waits for a query, tell it why it ends, and end it."""
        if self._waits.acquire(timeout=1):
            try:
                self.stream.write(m.make_error(error_fields(error, fatal=True)))
                self.stream.flush()
                self.stream.hang_up()
            finally:
                self._waits.release()
