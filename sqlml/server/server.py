"""The server put together: a database, its door, its sessions and a listener; started and stopped."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TextIO

from sqlml.connection import Connection
from sqlml.errors import LoginError, ProtocolError, SqlmlError
from sqlml.server import messages as m
from sqlml.server.client import Client, DisconnectedError
from sqlml.server.executor import Executor
from sqlml.server.failures import error_fields, terminating
from sqlml.server.limits import Limits
from sqlml.server.listen import HttpListener, Listener, SocketStream
from sqlml.server.login import Asked, Door, log_in
from sqlml.server.metrics import answer
from sqlml.server.policy import Policy
from sqlml.server.sessions import Sessions

if TYPE_CHECKING:
    from sqlml.server.catalogue import Catalogue

OF_SESSIONS = (
    "TimeZone", "search_path", "schema", "explain_output", "errors_as_json", "operator_memory_limit", "max_streaming_buffer_size",
)  # fmt: skip
# Settings of the whole instance, which cannot be taken back while it is open. A session's own settings stay free.
HARDENING = (
    "python_enable_replacements = false",
    "integer_division = true",
    "default_null_order = 'NULLS_LAST_ON_ASC_FIRST_ON_DESC'",
    "allow_community_extensions = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "enable_external_access = false",
    f"allowed_configs = {[*OF_SESSIONS]}",
    "lock_configuration = true",
)
GRACE = 5.0  # seconds that statements have to end when the server stops


@dataclass(frozen=True)
class Address:
    """Where to listen; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 5433
    tls: ssl.SSLContext | None = None


@dataclass
class Server:
    """Serves the database of an open connection until ``stop``."""

    connection: Connection
    address: Address = field(default_factory=Address)
    door: Door = field(default_factory=Door)
    limits: Limits = field(default_factory=Limits)
    log: TextIO | None = None
    metrics_port: int | None = None  # on this machine only
    catalogue_for: Callable[[Client], Catalogue | None] | None = None

    def start(self) -> Self:
        """Listen."""
        # Names of tables must not find the variables of this program.
        for setting in HARDENING:
            self.connection.execute(f"SET GLOBAL {setting}")
        policy = Policy(self.door.roles)
        self.sessions = Sessions(self.limits, log=self.log, policy=policy)
        self._opening = threading.Lock()
        self._listener = Listener(
            self.address.host, self.address.port, self._serve, tls=self.address.tls, longest=self.limits.message_bytes
        ).start()
        self.host, self.port = self._listener.host, self._listener.port
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
            self._converse(stream)
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

    def _converse(self, stream: SocketStream) -> None:
        asked = log_in(stream, self.door, lambda request: self.sessions.cancel(request.process, request.secret))
        if asked is None:
            return
        with self.sessions.place() as (process, secret):
            executor = self._open()
            try:
                self._session(stream, asked, Client(stream, executor, self.sessions, asked.user, process), secret)
            finally:
                executor.close()

    def _open(self) -> Executor:
        with self._opening:  # a cursor is taken from one connection, which is for one thread at a time
            return Executor(self.connection.cursor())

    def _session(self, stream: SocketStream, asked: Asked, client: Client, secret: bytes) -> None:
        assert self.sessions.policy is not None  # noqa: S101 - invariant: start made it
        self.sessions.policy.begin(client)
        client.begin_settings(dict(asked.parameters))
        if self.catalogue_for is not None:
            client.catalogue = self.catalogue_for(client)
        stream.write(m.make_backend_key(client.process, secret))
        stream.longest = client.limits.longest_message
        self.sessions.join(client)
        self.sessions.write_log("connected", session=client.process, user=client.user, encrypted=stream.encrypted)
        try:
            client.serve()
        finally:
            if client.catalogue is not None:
                client.catalogue.close()
            self.sessions.write_log("disconnected", session=client.process, user=client.user)
