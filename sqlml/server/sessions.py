"""Everything that the sessions of a server share: who is here, who may what, what runs how long, what is logged and counted."""

from __future__ import annotations

import hmac
import itertools
import json
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from sqlml.errors import CancelledError, LoginError, ResourceError, SqlmlError
from sqlml.server.failures import SHUTDOWN, TOO_MANY, error_fields
from sqlml.server.limits import Limits, least, seconds

if TYPE_CHECKING:
    from sqlml.server.client import Client
    from sqlml.server.policy import Policy
    from sqlml.server.statements import Piece

WATCH_EVERY = 0.05
LOGGED_TEXT = 2000


class Member(Protocol):
    """A session as the others see it."""

    process: int
    user: str
    settings: dict[str, str]
    limits: Limits

    def cancel(self) -> None:
        """Stop what runs, from another thread."""

    def deliver(self) -> None:
        """From another thread: what was sent to channels."""

    def part(self, error: SqlmlError) -> None:
        """From another thread: end, and say why."""


@dataclass
class Running:
    """A statement that runs: cancelled again and again until it notices, as the engine forgets what comes too early."""

    client: Member
    text: str
    query_id: int
    started: float
    deadline: float | None
    reason: str = ""


@dataclass
class Counters:
    """What the metrics endpoint tells."""

    connections: int = 0
    refused: int = 0
    statements: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    seconds: float = 0.0


class Sessions:
    """The registry of a server's sessions."""

    def __init__(self, limits: Limits | None = None, *, log: TextIO | None = None) -> None:
        self.limits = limits or Limits()
        self.counters = Counters()
        self.closing = threading.Event()
        self.policy: Policy | None = None
        self._log = log
        self._lock = threading.Lock()
        self._log_lock = threading.Lock()
        self._clients: dict[int, tuple[bytes, Member | None]] = {}
        self._numbers = itertools.count(1)
        self._queries = itertools.count(1)
        self._running: dict[int, Running] = {}
        self._channels: dict[str, set[int]] = {}
        self._inbox: dict[int, deque[tuple[str, str, int]]] = {}

    # -- coming and going ---------------------------------------------------------------------------------------------------

    @contextmanager
    def place(self) -> Iterator[tuple[int, bytes]]:
        """A place for one more session: its number and the secret that cancels its statements."""
        with self._lock:
            if self.closing.is_set():
                raise _login_error("the server is shutting down", SHUTDOWN)
            if self.limits.connections and len(self._clients) >= self.limits.connections:
                self.counters.refused += 1
                raise _login_error("sorry, too many clients already", TOO_MANY)
            number, secret = next(self._numbers), secrets.token_bytes(4)
            self._clients[number] = (secret, None)
            self._inbox[number] = deque(maxlen=10_000)
            self.counters.connections += 1
        try:
            yield number, secret
        finally:
            with self._lock:
                del self._clients[number], self._inbox[number]
                for listeners in self._channels.values():
                    listeners.discard(number)

    @contextmanager
    def joined(self, client: Member, **told: Any) -> Iterator[None]:
        """While the session of a place is logged in."""
        with self._lock:
            self._clients[client.process] = (self._clients[client.process][0], client)
        self.write_log("connected", session=client.process, user=client.user, **told)
        try:
            yield
        finally:
            self.write_log("disconnected", session=client.process, user=client.user)

    def count(self) -> int:
        return len(self._clients)

    def clients(self) -> list[Member]:
        with self._lock:
            return [client for _, client in self._clients.values() if client is not None]

    # -- statements ---------------------------------------------------------------------------------------------------------

    def allow(self, client: Client, piece: Piece) -> None:
        """Raises where the client's user may not run a statement."""
        if self.policy is not None:
            self.policy.allow(client, piece)

    @contextmanager
    def running(self, client: Member, text: str) -> Iterator[None]:
        """While a statement runs."""
        started = time.monotonic()
        asked = seconds(client.settings.get("statement_timeout", ""))
        timeout = least(asked, client.limits.statement_timeout)  # who is limited cannot ask for more
        entry = Running(client, text, next(self._queries), started, started + timeout if timeout else None)
        self._running[client.process] = entry
        error: BaseException | None = None
        try:
            yield
        except BaseException as caught:
            error = caught
            raise
        finally:
            del self._running[client.process]
            if entry.reason and error is not None:
                error.wire_reason = entry.reason  # type: ignore[attr-defined]
            self._account(entry, "" if error is None else getattr(error, "sqlstate", "XX000"))

    def passed(self, client: Member, text: str, started: float, sqlstate: str) -> None:
        """A statement ran that nobody watched; its state is empty where it met no error."""
        if sqlstate:
            self.counters.errors[sqlstate] += 1
        self._account(Running(client, text, next(self._queries), started, None), sqlstate)

    def _account(self, entry: Running, sqlstate: str) -> None:
        seconds = time.monotonic() - entry.started
        self.counters.statements += 1
        self.counters.seconds += seconds
        if self._log is not None:
            self.write_log(
                "statement",
                session=entry.client.process,
                user=entry.client.user,
                query_id=entry.query_id,
                milliseconds=round(seconds * 1000, 3),
                text=entry.text[:LOGGED_TEXT],
                **({"sqlstate": sqlstate} if sqlstate else {}),
            )

    def check(self, client: Member, rows: int) -> None:
        """Asked between portions of a result: whether it may go on."""
        limit = client.limits.rows
        if limit and rows > limit:
            raise ResourceError(
                f"the result has more than {limit} rows", hint="Ask for fewer rows, with LIMIT or WHERE."
            )
        entry = self._running.get(client.process)
        if entry is not None and entry.reason:
            raise CancelledError("canceling statement due to user request")

    def why(self, client: Member, error: BaseException) -> BaseException:
        """A statement that was stopped says who stopped it."""
        reason = getattr(error, "wire_reason", "")
        stopped = isinstance(error, SqlmlError) and error.sqlstate == "57014"
        return CancelledError(reason) if reason and stopped else error

    def cancel(self, process: int, secret: bytes) -> None:
        """CancelRequest: stops what the session runs, if the secret is right; nobody is told."""
        with self._lock:
            expected, client = self._clients.get(process, (b"", None))
        if client is not None and hmac.compare_digest(expected, secret):
            self._stop(client.process, "canceling statement due to user request")

    def _stop(self, process: int, reason: str) -> None:
        entry = self._running.get(process)
        if entry is not None:
            entry.reason = entry.reason or reason
            entry.client.cancel()

    def watch(self) -> None:
        """For a thread of its own: timeouts, and cancelling again what has not noticed yet."""
        while not self.closing.wait(WATCH_EVERY):
            now = time.monotonic()
            for entry in list(self._running.values()):
                if entry.reason:
                    entry.client.cancel()
                elif entry.deadline is not None and now > entry.deadline:
                    self._stop(entry.client.process, "canceling statement due to statement timeout")

    def stop_all(self) -> None:
        """The server goes: whatever runs is cancelled."""
        self.closing.set()
        for process in list(self._running):
            self._stop(process, "terminating connection due to administrator command")

    # -- channels -----------------------------------------------------------------------------------------------------------

    def listen(self, client: Member, channel: str) -> None:
        with self._lock:
            self._channels.setdefault(channel, set()).add(client.process)

    def unlisten(self, client: Member, channel: str | None) -> None:
        """One channel, or all."""
        with self._lock:
            for name, listeners in self._channels.items():
                if channel in (None, name):
                    listeners.discard(client.process)

    def notify(self, channel: str, payload: str, process: int) -> None:
        """To all who listen: at once to those who wait for a query, to others when theirs is done."""
        with self._lock:
            listeners = [
                self._clients[number][1] for number in self._channels.get(channel, ()) if number in self._clients
            ]
            for client in listeners:
                if client is not None:
                    self._inbox[client.process].append((channel, payload, process))
        for client in listeners:
            if client is not None and client.process != process:
                with suppress(OSError):
                    client.deliver()

    def waiting_for(self, client: Member) -> list[tuple[str, str, int]]:
        """What was sent to a session meanwhile."""
        inbox = self._inbox.get(client.process)
        found = []
        while inbox:
            found.append(inbox.popleft())
        return found

    def listens(self, client: Member) -> bool:
        return any(client.process in listeners for listeners in self._channels.values())

    # -- the log ------------------------------------------------------------------------------------------------------------

    def log_error(self, client: Member, error: BaseException) -> None:
        fields = error_fields(error)
        self.counters.errors[fields["C"]] += 1
        if not isinstance(error, SqlmlError):
            self.write_log(
                "failure", session=client.process, user=client.user, error=f"{type(error).__name__}: {error}"
            )

    @property
    def logs(self) -> bool:
        return self._log is not None

    def write_log(self, event: str, **fields: Any) -> None:
        """One line of JSON."""
        if self._log is None:
            return
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **fields})
        with self._log_lock, suppress(OSError, ValueError):
            self._log.write(line + "\n")
            self._log.flush()


def _login_error(text: str, sqlstate: str) -> LoginError:
    error = LoginError(text)
    error.sqlstate = sqlstate
    return error
