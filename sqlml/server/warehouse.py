"""A DuckDB database behind the server: its door, and sessions in which the engine runs what clients say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlml.connection import Connection
from sqlml.server import messages as m
from sqlml.server.client import Client
from sqlml.server.executor import Executor
from sqlml.server.login import Asked, Door, log_in
from sqlml.server.policy import Policy

if TYPE_CHECKING:
    from sqlml.server.catalogue import Catalogue
    from sqlml.server.listen import SocketStream
    from sqlml.server.sessions import Sessions

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


@dataclass
class Warehouse:
    """The database of an open connection, which stays the caller's to close."""

    connection: Connection
    door: Door = field(default_factory=Door)
    catalogue_for: Callable[[Client], Catalogue | None] | None = None

    def begin(self, sessions: Sessions) -> None:
        """Before the first client comes."""
        # Names of tables must not find the variables of this program.
        for setting in HARDENING:
            self.connection.execute(f"SET GLOBAL {setting}")
        sessions.policy = Policy(self.door.roles)
        self._opening = threading.Lock()

    def end(self) -> None:
        """After the last one has left; the connection is its owner's to close."""

    def converse(self, stream: SocketStream, sessions: Sessions) -> None:
        """One connection, from its first byte to its last."""
        asked = log_in(stream, self.door, lambda request: sessions.cancel(request.process, request.secret))
        if asked is None:
            return
        with sessions.place() as (process, secret):
            executor = self._open()
            try:
                self._session(stream, asked, Client(stream, executor, sessions, asked.user, process), secret)
            finally:
                executor.close()

    def _open(self) -> Executor:
        with self._opening:  # a cursor is taken from one connection, which is for one thread at a time
            return Executor(self.connection.cursor())

    def _session(self, stream: SocketStream, asked: Asked, client: Client, secret: bytes) -> None:
        sessions = client.sessions
        assert sessions.policy is not None  # noqa: S101 - invariant: begin made it
        sessions.policy.begin(client)
        client.begin_settings(dict(asked.parameters))
        if self.catalogue_for is not None:
            client.catalogue = self.catalogue_for(client)
        stream.write(m.make_backend_key(client.process, secret))
        stream.longest = client.limits.longest_message
        try:
            with sessions.joined(client, encrypted=stream.encrypted):
                client.serve()
        finally:
            if client.catalogue is not None:
                client.catalogue.close()
