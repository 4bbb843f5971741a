"""The server put together: what is behind it, its sessions and a listener; started and stopped."""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, Self, TextIO

from sqlml.errors import LoginError, ProtocolError, SqlmlError
from sqlml.server import messages as m
from sqlml.server.client import DisconnectedError
from sqlml.server.failures import error_fields, terminating
from sqlml.server.limits import Limits
from sqlml.server.listen import HttpListener, Listener, SocketStream, open_listening
from sqlml.server.metrics import answer
from sqlml.server.sessions import Sessions

GRACE = 5.0  # seconds that statements have to end when the server stops


@dataclass(frozen=True)
class Address:
    """Where to listen; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 5433
    tls: ssl.SSLContext | None = None


class Behind(Protocol):
    """What a server serves."""

    def begin(self, sessions: Sessions) -> None:
        """Before the first client comes."""

    def end(self) -> None:
        """After the last one has left."""

    def converse(self, stream: SocketStream, sessions: Sessions) -> None:
        """One connection, from its first byte to its last; errors that end it are raised."""


@dataclass
class Server:
    """Lets clients of Postgres at what is behind it, until ``stop``."""

    behind: Behind
    address: Address = field(default_factory=Address)
    limits: Limits = field(default_factory=Limits)
    log: TextIO | None = None
    metrics_port: int | None = None  # on this machine only

    def start(self) -> Self:
        """Listen."""
        self.sessions = Sessions(self.limits, log=self.log)
        self.behind.begin(self.sessions)
        listening = open_listening(self.address.host, self.address.port)
        self.host, self.port = listening.getsockname()[:2]
        longest = self.limits.message_bytes
        self._listener = Listener(listening, self._serve, tls=self.address.tls, longest=longest).start()
        threading.Thread(target=self.sessions.watch, name="sqlml-watch", daemon=True).start()
        self.metrics = None
        if self.metrics_port is not None:
            self.metrics = HttpListener(self.metrics_port, lambda path: answer(path, self.sessions)).start()
        self.sessions.write_log("started", host=self.host, port=self.port)
        return self

    def stop(self) -> None:
        """No new sessions; what runs is cancelled, who waits is told."""
        self._listener.stop_accepting()
        self.sessions.stop_all()
        deadline = time.monotonic() + GRACE
        for client in self.sessions.clients():
            with suppress(Exception):
                client.part(terminating())
        while self.sessions.count() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._listener.hang_up()
        self._listener.wait(GRACE)
        self.behind.end()
        if self.metrics is not None:
            self.metrics.stop()
        self.sessions.write_log("stopped")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self, stream: SocketStream) -> None:
        """One connection, from its first byte to its last."""
        try:
            stream.set_timeout(self.limits.login_timeout)
            self.behind.converse(stream, self.sessions)
        except DisconnectedError:
            pass
        except (LoginError, ProtocolError, SqlmlError) as error:
            self.sessions.write_log("refused", sqlstate=error.sqlstate, message=error.message)
            with suppress(DisconnectedError, OSError):
                stream.write(m.make_error(error_fields(error, fatal=True)))
        except Exception as error:  # noqa: BLE001 - one connection's failure is no other's
            self.sessions.write_log("failure", error=f"{type(error).__name__}: {error}")
            with suppress(DisconnectedError, OSError):
                stream.write(m.make_error(error_fields(error, fatal=True)))
