"""What a client asked of the server and has had no answer to yet: messages of both directions in, what to pass on out; no I/O.

An answer belongs to the oldest message without one. After an error the server skips what is left of the extended protocol up
to Sync, and while it takes rows of COPY it pays Sync no attention; both have to be known here, for the answers to add up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlml.errors import ProtocolError
from sqlml.server import messages as m

# The answers that end what a client asked for, by the tag of its message.
_ENDS: dict[bytes, bytes] = {
    b"P": b"1",
    b"B": b"2",
    b"C": b"3",
    b"D": b"Tn",
    b"E": b"CIs",
    b"Q": b"Z",
    b"F": b"Z",
    b"S": b"Z",
}
ASKING = frozenset(ord(tag) for tag in (*_ENDS, b"c", b"f"))
_COPY_ENDS = b"cf"
_TO_READY = b"QFS"
_ASIDE = b"NSAK"  # messages that answer nothing


@dataclass
class Asked:
    """A message of the client's, or of ours on its behalf.

    ``silent``: nobody hears the answers, or, with ``loud``, none but errors. ``held``: ReadyForQuery is for us to send. ``tell``
    words errors anew, ``lines`` are rows of one text that follow the server's.
    """

    kind: bytes
    text: str = ""
    tell: Callable[[bytes], bytes] | None = None
    lines: tuple[str, ...] = ()
    silent: bool = False
    loud: bool = False
    held: bool = False
    sqlstate: str = ""
    warned: bool = False
    started: float = field(default_factory=time.monotonic)


class Ledger:
    """One session's account: the thread that reads the client asks, the one that reads the server finds the answers."""

    def __init__(self, on_done: Callable[[Asked], None]) -> None:
        self.status = b"I"
        self.skipping = False  # whether the server skips what it gets up to Sync
        self.copying = False  # whether the server takes rows of COPY
        self.lent = False  # whether answers are for an engine of ours
        self.ended = False
        self._on_done = on_done
        self._queue: deque[Asked] = deque()
        self._writing = False
        self._changed = threading.Condition()

    # -- the client's side --------------------------------------------------------------------------------------------------

    def ask(self, asked: Asked) -> None:
        """A message is about to be sent to the server."""
        with self._changed:
            if asked.kind in _COPY_ENDS:
                if self._queue and not self.copying:
                    self._queue.append(asked)
                self.copying = False
            elif not self.copying and (asked.kind == b"S" or not self.skipping):
                self.skipping = False
                self._queue.append(asked)

    def wait(self, timeout: float | None = None) -> bool:
        """Until all is answered and passed on, or the server wants rows of COPY, or is gone; says whether in that time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.ended or ((self.copying or not self._queue) and not self._writing), timeout
            )

    def is_quiet(self) -> bool:
        """Whether the server has nothing to do."""
        return not self._queue and not self.lent

    # -- the server's side --------------------------------------------------------------------------------------------------

    def answer(self, tag: int, message: bytes) -> bytes | None:
        """What to pass on of a message of the server's. It counts as passed on at ``written``."""
        kind = bytes((tag,))
        with self._changed:
            head = self._head()
            if kind in _ASIDE:
                return self._aside(kind, head, message)
            self._writing = True
            if kind == b"E":
                return self._error(head, message)
            if kind == b"Z":
                return self._ready(message)
            if kind == b"G":
                self._copy(head)
            if head is None or kind not in _ENDS.get(head.kind, b""):
                return self._rows_after(head, kind, message)
            self._queue.popleft()
            self._on_done(head)
            return self._rows_after(head, kind, message)

    def written(self) -> None:
        """All that was answered has been passed on."""
        with self._changed:
            self._writing = False
            self._changed.notify_all()

    def take_status(self, message: bytes) -> None:
        """ReadyForQuery for the engine that the connection is lent to."""
        self.status = message[5:6]

    def end(self) -> None:
        """The server is gone."""
        with self._changed:
            self.ended, self._writing = True, False
            self._changed.notify_all()

    def _head(self) -> Asked | None:
        while self._queue and self._queue[0].kind in _COPY_ENDS:
            self._queue.popleft()
        return self._queue[0] if self._queue else None

    def _aside(self, kind: bytes, head: Asked | None, message: bytes) -> bytes | None:
        if kind == b"N" and head is not None and head.silent:
            head.warned = True
            return None
        return message

    def _error(self, head: Asked | None, message: bytes) -> bytes | None:
        self.copying = False
        if head is None:
            return message
        head.sqlstate = sqlstate_of(message)
        if head.kind not in _TO_READY:
            while self._queue and self._queue[0].kind != b"S":
                self._queue.popleft()
            self.skipping = not self._queue
            self._on_done(head)
        if head.silent and not head.loud:
            return None
        return head.tell(message) if head.tell is not None else message

    def _ready(self, message: bytes) -> bytes | None:
        self.status, self.copying = message[5:6], False
        while self._queue:
            asked = self._queue.popleft()
            if asked.kind in _TO_READY:
                self._on_done(asked)
                self._head()
                return None if asked.held or asked.silent else message
        return message

    def _copy(self, head: Asked | None) -> None:
        """COPY FROM STDIN begins: the server pays no attention to Sync before the end of the rows."""
        ends = next((i for i, asked in enumerate(self._queue) if asked.kind in _COPY_ENDS), None)
        before = len(self._queue) if ends is None else ends
        kept = [asked for i, asked in enumerate(self._queue) if i > before or asked is head or asked.kind not in b"Scf"]
        self._queue = deque(kept)
        self.copying = ends is None

    @staticmethod
    def _rows_after(head: Asked | None, kind: bytes, message: bytes) -> bytes | None:
        if head is None:
            return message
        if head.silent:
            return None
        if kind == b"C" and head.lines and head.kind in b"QE":
            return b"".join(m.make_data_row([line.encode()]) for line in head.lines) + message
        return message


def sqlstate_of(message: bytes) -> str:
    """Of an ErrorResponse."""
    for part in message[5:].split(b"\0"):
        if part[:1] == b"C":
            return part[1:].decode("ascii", "replace")
    return "XX000"


def rows_of(message: bytes) -> int:
    """The number of rows that a CommandComplete of a query tells."""
    words = message[5:-1].split(b" ")
    return int(words[-1]) if words[0] in (b"SELECT", b"FETCH", b"COPY") and words[-1].isdigit() else 0


def parse_status(message: bytes) -> tuple[str, str]:
    """Name and value of a ParameterStatus."""
    name, _, rest = message[5:].partition(b"\0")
    if not rest.endswith(b"\0"):
        raise ProtocolError("a string in a message has no end")
    return name.decode("utf-8", "replace"), rest[:-1].decode("utf-8", "replace")
