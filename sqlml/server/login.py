"""The beginning of a connection: encryption, who asks, the proof of the password; then a session, or a refusal that ends it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sqlml.errors import LoginError, ProtocolError
from sqlml.server import messages as m
from sqlml.server.roles import Roles, User
from sqlml.server.scram import MECHANISM, Exchange, mock_secret, parse_secret


class LoginStream(Protocol):
    """The stream of a connection that has not begun."""

    encrypted: bool
    on_loopback: bool

    def read_startup(self) -> bytes: ...

    def read_message(self, longest: int | None = None) -> tuple[bytes, bytes]: ...

    def write(self, data: bytes) -> None: ...

    def flush(self) -> None: ...

    def answer_tls(self) -> None:
        """Say whether the connection will be encrypted, and encrypt it."""


@dataclass(frozen=True)
class Door:
    """How one gets in: by a password of the roles' file, or, on this machine only and only if asked for, by saying a name."""

    roles: Roles | None = None
    trust: bool = False
    require_tls: bool = False
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))


@dataclass(frozen=True)
class Asked:
    """Who asks for a session, with the settings asked for."""

    user: User
    parameters: Mapping[str, str]


def greet(stream: LoginStream, cancel: Callable[[m.CancelRequest], None]) -> tuple[m.Startup, bytes] | None:
    """What a client wants, and the bytes that say it, once the connection is as encrypted as it asks for; None if it only cancels."""
    asked = False
    while True:
        data = stream.read_startup()
        packet = m.parse_startup(data)
        if isinstance(packet, m.CancelRequest):
            cancel(packet)
            return None
        if isinstance(packet, m.Startup):
            return packet, data
        if packet.tls and not asked:
            asked = True
            stream.answer_tls()
        else:
            stream.write(b"N")
            stream.flush()


def require_encryption(stream: LoginStream, door: Door) -> None:
    """Raises where the door lets nobody through who can be listened to."""
    if door.require_tls and not stream.encrypted:
        raise _refused("the server requires an encrypted connection", "28000", hint="Connect with sslmode=require.")


def log_in(stream: LoginStream, door: Door, cancel: Callable[[m.CancelRequest], None]) -> Asked | None:
    """Through the door; None for a connection that only brought a CancelRequest. Raises LoginError and ProtocolError."""
    greeted = greet(stream, cancel)
    if greeted is None:
        return None
    packet, _ = greeted
    unknown = [name for name in packet.parameters if name.startswith("_pq_.")]
    if packet.minor or unknown:
        stream.write(m.make_negotiation(unknown))
    name = packet.parameters.get("user", "")
    if not name:
        raise LoginError("no PostgreSQL user name specified in startup packet")
    if packet.parameters.get("replication", "false") not in ("false", "off", "no", "0"):
        raise _refused("replication is not supported", "0A000")
    require_encryption(stream, door)
    user = _trusted(stream, door, name) or _proven(stream, door, name)
    stream.write(m.AUTHENTICATION_OK)
    return Asked(user, _wanted(packet.parameters))


def _trusted(stream: LoginStream, door: Door, name: str) -> User | None:
    if not (door.trust and stream.on_loopback):
        return None
    known = door.roles.find(name) if door.roles is not None else None
    return known or User(name, "admin", "")


def _proven(stream: LoginStream, door: Door, name: str) -> User:
    user = door.roles.find(name) if door.roles is not None else None
    secret = parse_secret(user.secret) if user is not None else mock_secret(name, door.key)
    exchange = Exchange(name, secret, known=user is not None)
    stream.write(m.make_sasl([MECHANISM]))
    fields = m.Fields(_password(stream))
    mechanism, length = fields.string(), fields.int32()
    if mechanism != MECHANISM or length < 0:
        raise ProtocolError("client selected an invalid SASL authentication mechanism")
    stream.write(m.make_sasl_continue(exchange.first(fields.take(length))))
    final = exchange.final(_password(stream))
    stream.write(m.make_sasl_final(final))
    if user is None:
        raise LoginError(f'password authentication failed for user "{name}"')  # invariant: final raised
    return user


def _password(stream: LoginStream) -> bytes:
    stream.flush()
    message = m.parse_message(*stream.read_message(m.LONGEST_PASSWORD))
    if not isinstance(message, m.Password):
        raise ProtocolError(f"expected a password, got message {type(message).__name__}")
    return message.data


def _wanted(parameters: Mapping[str, str]) -> dict[str, str]:
    """Settings of the startup packet, and those that ``options`` gives as ``-c name=value``."""
    wanted = {
        key: value for key, value in parameters.items() if key not in ("user", "database", "options", "replication")
    }
    words = parameters.get("options", "").replace("\\ ", "\0").split()
    for index, word in enumerate(words):
        text = words[index + 1] if word in ("-c", "--") and index + 1 < len(words) else ""
        text = text or (word[2:] if word.startswith(("-c", "--")) else "")
        key, equals, value = text.replace("\0", " ").partition("=")
        if equals:
            wanted[key.strip().replace("-", "_")] = value.strip()
    return wanted


def _refused(text: str, sqlstate: str, hint: str | None = None) -> LoginError:
    error = LoginError(text, hint=hint)
    error.sqlstate = sqlstate
    return error
