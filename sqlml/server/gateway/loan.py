"""A client's session of the server lent to the dialect: a client library connects to us, and what it says goes to that session.

The library needs a socket to connect to and a handshake; both are in this process. So statements of ours see what the client's own
would: its transaction, its temporary tables, its rights and settings.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import sqlml
from sqlml.errors import ProtocolError
from sqlml.server import messages as m
from sqlml.server.client import DisconnectedError
from sqlml.server.gateway.frames import Frames
from sqlml.server.listen import PrivateListener

if TYPE_CHECKING:
    from sqlml.server.listen import SocketStream

_ASKS_STATUS = m.make(b"Q", b"\0")  # which no statement of ours is
_LEAVES = ord("X")


class Lender(Protocol):
    """The session that is lent."""

    upstream: SocketStream
    process: int
    user: str
    database: str
    parameters: dict[str, str]
    key: bytes

    @property
    def status(self) -> bytes: ...


class LoanOffice:
    """Where client libraries in this process connect to sessions, and cancel what they run."""

    def __init__(self, cancel: Callable[[bytes], None]) -> None:
        self._cancel = cancel
        self._loans: dict[int, Loan] = {}
        self._listener = PrivateListener(self._serve)

    def open(self, lender: Lender) -> Loan:
        """The dialect on a session, until ``Loan.close``."""
        loan = self._loans[lender.process] = Loan(lender, self._loans.pop)
        words = {
            "host": self._listener.folder,
            "port": str(self._listener.port),
            "application_name": str(lender.process),
        }
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in words.items())
        loan.connect(f"postgresql://{quote(lender.user, safe='')}@/{quote(lender.database, safe='')}?{query}")
        return loan

    @property
    def folder(self) -> str:
        """Where the socket is."""
        return self._listener.folder

    def close(self) -> None:
        self._listener.stop()

    def _serve(self, stream: SocketStream) -> None:
        with suppress(DisconnectedError, OSError, ProtocolError):
            packet = m.parse_startup(stream.read_startup())
            if isinstance(packet, m.CancelRequest):
                self._cancel(struct.pack("!i", packet.process) + packet.secret)
            elif isinstance(packet, m.Startup):
                self._loans[int(packet.parameters["application_name"])].serve(stream)


class Loan:
    """The library's connection, and the thread that speaks to it."""

    def __init__(self, lender: Lender, on_close: Callable[[int], object]) -> None:
        self._lender = lender
        self._on_close = on_close
        self._stream: SocketStream | None = None
        self._over = threading.Event()

    def connect(self, address: str) -> None:
        """Have the library connect."""
        self.connection = sqlml.connect(address)
        # Names of prepared statements are the client's.
        self.connection.engine_connection.prepare_threshold = None

    def refresh(self) -> None:
        """Let the library know what became of the transaction while it did not listen."""
        self.connection.engine_connection.pgconn.exec_(b"")

    def write(self, data: bytes) -> None:
        """An answer of the server's."""
        if self._stream is not None:
            self._stream.write(data)

    def flush(self) -> None:
        if self._stream is not None:
            self._stream.flush()

    def hang_up(self) -> None:
        """The server is gone: whoever waits for an answer wakes up."""
        if self._stream is not None:
            self._stream.hang_up()

    def close(self) -> None:
        """The session is over."""
        if self._stream is not None:
            self._stream.hang_up()
            self._over.wait(5)
        with suppress(Exception):
            self.connection.close()
        self._on_close(self._lender.process)

    def serve(self, stream: SocketStream) -> None:
        """Answer the library's handshake, and pass on what it says."""
        self._stream = stream
        try:
            stream.write(self._greeting())
            stream.flush()
            frames = Frames(b"d")
            while True:
                for tag, part in frames.feed(stream.read_some()):
                    self._pass_on(stream, tag, part)
                self._lender.upstream.flush()
                stream.flush()
        finally:
            self._over.set()

    def _pass_on(self, stream: SocketStream, tag: int, part: bytes) -> None:
        if part == _ASKS_STATUS:
            stream.write(m.EMPTY_QUERY + m.READY[self._lender.status])
        elif tag != _LEAVES:
            self._lender.upstream.write(part)

    def _greeting(self) -> bytes:
        lender = self._lender
        told = dict(lender.parameters)
        # Texts that nothing converts are in the encoding of the server.
        if told.get("client_encoding") == "SQL_ASCII":
            told["client_encoding"] = told.get("server_encoding", "UTF8")
        parameters = b"".join(m.make_parameter_status(name, value) for name, value in told.items())
        key = lender.key or struct.pack("!ii", 0, 0)
        return m.AUTHENTICATION_OK + parameters + m.make(b"K", key) + m.READY[lender.status]
