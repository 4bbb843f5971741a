"""One client's session with the server behind us: two threads that pass on bytes, and the floor for what the dialect answers.

client ──> frames ──> dialect? ──no──> ledger ──> server
client <──── what the ledger passes on <──────── server ──> or the loan, while the session is lent
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.errors import SqlmlError
from sqlml.server import messages as m
from sqlml.server.client import DisconnectedError
from sqlml.server.failures import error_fields, notice_fields
from sqlml.server.gateway.frames import BROKEN, BULK, Frames
from sqlml.server.gateway.ledger import ASKING, Asked, Ledger, parse_status, rows_of
from sqlml.server.progress import told_now_and_then

if TYPE_CHECKING:
    from sqlml.connection import Connection
    from sqlml.server.gateway.loan import Loan, LoanOffice
    from sqlml.server.listen import SocketStream
    from sqlml.server.sessions import Sessions

Handler = Callable[[bytes], None]
LOOK_EVERY = 2.0  # seconds between looks at whether a client that waits is still there
PATIENCE = 2.0  # seconds that a statement has to end when the server stops


@dataclass(frozen=True)
class Services:
    """What sessions need of the gateway: the server asked to cancel what the session with a key runs, and loans."""

    cancel: Callable[[bytes], None]
    office: LoanOffice


class Relay:
    """A session that has logged in. ``handlers`` are asked before messages of their tags are passed on."""

    def __init__(self, client: SocketStream, upstream: SocketStream, *, sessions: Sessions, services: Services) -> None:
        self.services = services
        self.client = client
        self.upstream = upstream
        self.sessions = sessions
        self.limits = sessions.limits
        self.process = 0
        self.settings: dict[str, str] = {}
        self.user = self.database = ""
        self.parameters: dict[str, str] = {}
        self.key = b""
        self.handlers: dict[int, Handler] = {}
        self.ledger = Ledger(self._done)
        self._loan: Loan | None = None
        self._frames = Frames(b"d", sessions.limits.message_bytes)
        self._pending: deque[tuple[int, bytes]] = deque()
        self._gone = self._said = False

    # -- from the client to the server --------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Until one of the two leaves."""
        reader = threading.Thread(target=self._listen, name="sqlml-upstream", daemon=True)
        reader.start()
        try:
            while True:
                self._take(*self._next())
        except DisconnectedError:
            self._gone = True  # the server answers what it was asked, as it would without us, and leaves
            with suppress(DisconnectedError):
                self.upstream.flush()
            self.upstream.end_sending()
            reader.join()
            raise
        finally:
            self._gone = True
            self.upstream.hang_up()
            reader.join()
            if self._loan is not None:
                self._loan.close()

    def _next(self) -> tuple[int, bytes]:
        """The client's next message, once everything before it is on its way."""
        while not self._pending:
            self.upstream.flush()
            if self._said:  # else it could be waiting for a client that itself waits for us to read
                self._said = False
                self.client.flush()
            self._pending.extend(self._frames.feed(self.client.read_some()))
        return self._pending.popleft()

    def _take(self, tag: int, part: bytes) -> None:
        handler = self.handlers.get(tag)
        if tag == BROKEN:
            self._give_up(part)
        elif handler is not None and not self.ledger.copying:
            handler(part)
        else:
            self.forward(part)

    def _give_up(self, part: bytes) -> None:
        """Bytes that are no messages are for the server to complain of."""
        while True:
            self.upstream.write(part)
            self.upstream.flush()
            part = self.client.read_some()

    def forward(self, part: bytes, asked: Asked | None = None) -> None:
        """A message to the server; the answers are the client's unless ``asked`` says otherwise."""
        if part[0] in ASKING and part[0] != BULK:
            self.ledger.ask(asked or Asked(part[:1]))
        self.upstream.write(part)

    def wait(self) -> None:
        """Until all that the client asked is answered. Raises where one of the two is gone."""
        while True:
            self.upstream.flush()
            while not self.ledger.wait(LOOK_EVERY):
                if self.client.has_left():
                    raise DisconnectedError
            if self.ledger.ended:
                raise DisconnectedError
            if not self.ledger.copying:
                return
            self.forward(self._next()[1])

    # -- from the server to the client --------------------------------------------------------------------------------------

    def _listen(self) -> None:
        frames = Frames(b"Dd")
        try:
            while True:
                for tag, part in frames.feed(self.upstream.read_some()):
                    self._pass_on(tag, part)
                self.client.flush()
                if self._loan is not None:
                    self._loan.flush()
                self.ledger.written()
        except (DisconnectedError, SqlmlError):
            pass
        finally:
            with suppress(DisconnectedError):
                self.client.flush()
            self.ledger.end()
            if self._loan is not None:
                self._loan.hang_up()
            self.client.hang_up()
            self.upstream.hang_up()

    def _pass_on(self, tag: int, part: bytes) -> None:
        if tag == _STATUS:
            self._remember(part)
        elif tag == _KEY:
            self.key = part[5:]
        elif tag == _DONE:
            self.sessions.counters.rows += rows_of(part)
        if self.ledger.lent and tag not in _ASIDE:
            self._pass_to_loan(tag, part)
            return
        told = part if tag in (BULK, BROKEN) else self.ledger.answer(tag, part)
        if told:
            self.client.write(told)

    def _pass_to_loan(self, tag: int, part: bytes) -> None:
        if tag == _READY:
            self.ledger.take_status(part)
        if tag == _STATUS:
            self.client.write(part)
        if self._loan is not None:
            self._loan.write(part)

    def _remember(self, part: bytes) -> None:
        name, value = parse_status(part)
        self.parameters[name] = value

    # -- the floor ----------------------------------------------------------------------------------------------------------

    @property
    def status(self) -> bytes:
        """Of the transaction, as ReadyForQuery tells it."""
        return self.ledger.status

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """The dialect on this session. To be asked for only when ``wait`` says that nothing is unanswered."""
        self.ledger.lent = True
        try:
            loan = self._loan or self._lend()
            loan.refresh()
            yield loan.connection
        finally:
            self.ledger.lent = False

    def _lend(self) -> Loan:
        self._loan = self.services.office.open(self)
        session = self._loan.connection.session
        session.on_notice, session.on_progress = self.notice, told_now_and_then(self.notice)
        return self._loan

    def say(self, data: Any) -> None:
        """An answer of ours."""
        self._said = True
        self.client.write(data)

    def ready(self) -> None:
        """ReadyForQuery."""
        self.client.write(m.READY[self.status])
        self.client.flush()

    def notice(self, text: str) -> None:
        """A notice, at once."""
        self.client.write(m.make_notice(notice_fields(text)))
        self.client.flush()

    # -- what the other sessions and the operator see -----------------------------------------------------------------------

    def _done(self, asked: Asked) -> None:
        if asked.kind in b"QEF" and not asked.silent:
            self.sessions.passed(self, asked.text, asked.started, asked.sqlstate)

    def cancel(self) -> None:
        """From another thread: stop what runs, here and in the server."""
        if self._loan is not None:
            self._loan.connection.session.cancelled.set()
        if self.key and not self._gone:
            with suppress(DisconnectedError, OSError, SqlmlError):
                self.services.cancel(self.key)

    def deliver(self) -> None:
        """Channels are the server's."""

    def part(self, error: SqlmlError) -> None:
        """From another thread: end what runs, tell the client why, and leave."""
        if not self.ledger.is_quiet():
            self.cancel()
            self.ledger.wait(PATIENCE)
        with suppress(DisconnectedError):
            if self.ledger.is_quiet():
                self.client.write(m.make_error(error_fields(error, fatal=True)))
                self.client.flush()
        self.upstream.hang_up()
        self.client.hang_up()


_STATUS, _KEY, _DONE, _READY = (ord(tag) for tag in "SKCZ")
_ASIDE = frozenset(ord(tag) for tag in "NA")
