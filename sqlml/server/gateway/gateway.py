"""A Postgres server behind ours: a connection to it for each client, whose login and bytes are relayed, with the dialect in between."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlml.errors import EngineError, LoginError
from sqlml.server import messages as m
from sqlml.server.client import DisconnectedError
from sqlml.server.gateway.floor import Floor
from sqlml.server.gateway.loan import LoanOffice
from sqlml.server.gateway.login import relay_login
from sqlml.server.gateway.prepared import Extended
from sqlml.server.gateway.relay import Relay, Services
from sqlml.server.gateway.simple import Simple
from sqlml.server.listen import open_upstream
from sqlml.server.login import Door, greet, require_encryption

if TYPE_CHECKING:
    from sqlml.server.gateway.address import ServerAddress
    from sqlml.server.listen import SocketStream
    from sqlml.server.sessions import Sessions

REPLICATES = frozenset({"true", "on", "yes", "1", "database"})


@dataclass
class Gateway:
    """The server at an address. The door tells who need not prove who they are, and whether connections have to be encrypted."""

    address: ServerAddress
    door: Door = field(default_factory=Door)

    def begin(self, sessions: Sessions) -> None:
        """Before the first client comes: whether the server is there."""
        self._open().close()
        self.office = LoanOffice(self._send_cancel)
        self._services = Services(self._send_cancel, self.office)

    def end(self) -> None:
        """After the last one has left."""
        self.office.close()

    def converse(self, stream: SocketStream, sessions: Sessions) -> None:
        """One connection, from its first byte to its last."""
        greeted = greet(stream, lambda request: self._cancel(request, sessions))
        if greeted is None:
            return
        startup, data = greeted
        require_encryption(stream, self.door)
        self._require_database(startup)
        with sessions.place() as (process, _):
            upstream = self._open()
            try:
                upstream.set_timeout(sessions.limits.login_timeout)
                upstream.write(struct.pack("!i", len(data) + 4) + data)
                if not relay_login(stream, upstream, trust=self.door.trust):
                    sessions.write_log("refused", user=startup.parameters.get("user", ""))
                    return
                stream.set_timeout(None)
                upstream.set_timeout(None)
                relay = Relay(stream, upstream, sessions=sessions, services=self._services)
                relay.process = process
                self._session(startup, relay)
            finally:
                upstream.close()

    def _session(self, startup: m.Startup, relay: Relay) -> None:
        relay.user = startup.parameters.get("user", "")
        relay.database = startup.parameters.get("database", "") or relay.user
        if startup.parameters.get("replication", "false") not in REPLICATES:
            floor = Floor(relay)
            relay.handlers = {ord("Q"): Simple(floor).query, **Extended(floor).handlers()}
        stream = relay.client
        with relay.sessions.joined(relay, database=relay.database, encrypted=stream.encrypted):
            relay.serve()

    def _require_database(self, startup: m.Startup) -> None:
        wanted = startup.parameters.get("database", "") or startup.parameters.get("user", "")
        served = self.address.database
        if served is not None and wanted != served:
            error = LoginError(f'database "{wanted}" is not served', hint=f'Connect to the database "{served}".')
            error.sqlstate = "3D000"
            raise error

    def _open(self) -> SocketStream:
        address = self.address
        try:
            stream = open_upstream(address.host, address.port)
        except OSError as error:
            raise _unreachable(address, str(error)) from error
        try:
            self._encrypt(stream)
        except BaseException:
            stream.close()
            raise
        return stream

    def _encrypt(self, stream: SocketStream) -> None:
        address, context = self.address, self.address.context()
        try:
            encrypted = context is not None and stream.ask_tls(context, address.host)
        except (OSError, DisconnectedError) as error:
            raise _unreachable(address, str(error.__cause__ or error)) from error
        if not encrypted and address.encryption not in ("disable", "prefer"):
            raise _unreachable(address, "it does not encrypt connections")

    # -- cancelling ---------------------------------------------------------------------------------------------------------

    def _cancel(self, request: m.CancelRequest, sessions: Sessions) -> None:
        """Stops what the session with that key runs, here and in the server."""
        key = struct.pack("!i", request.process) + request.secret
        for member in sessions.clients():
            if isinstance(member, Relay) and member.key == key:
                member.cancel()
                return
        self._send_cancel(key)

    def _send_cancel(self, key: bytes) -> None:
        stream = self._open()
        try:
            stream.write(struct.pack("!ii", len(key) + 8, m.CANCEL_REQUEST) + key)
            stream.flush()
            stream.set_timeout(5)
            with suppress(DisconnectedError):
                stream.read_some()  # the server hangs up once the signal is on its way
        finally:
            stream.close()


def _unreachable(address: ServerAddress, why: str) -> EngineError:
    error = EngineError(f"could not connect to the server at {address.host}:{address.port}: {why}")
    error.sqlstate = "08001"
    return error
