"""A client's login at the server behind us, relayed: the server checks its own users, and we learn no password that can be used again.

Messages go through as they are, but for the offer to bind the proof to the encrypted channel (SCRAM-SHA-256-PLUS): there are two
channels, and the client's ends here. Who is let in by the server without any proof of who they are is let in by us only from this
machine and where the operator says so, since the server judges by where it is asked from, which is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml.errors import LoginError, NotSupportedYetError, ProtocolError
from sqlml.server import messages as m
from sqlml.server.scram import MECHANISM

if TYPE_CHECKING:
    from sqlml.server.listen import SocketStream

_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12
_ASKING = frozenset({_CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE})
_PROVEN = frozenset({_CLEARTEXT, _MD5, _SASL_FINAL})
_BOUND = f"{MECHANISM}-PLUS"


@dataclass
class _Login:
    """One login: who is asked, and what was said so far."""

    client: SocketStream
    upstream: SocketStream
    trust: bool
    proven: bool = False
    bound_offered: bool = False


def relay_login(client: SocketStream, upstream: SocketStream, *, trust: bool) -> bool:
    """Until the server lets the client in; False where it refused, and has said so."""
    login = _Login(client, upstream, trust)
    while True:
        upstream.flush()
        tag, body = upstream.read_message()
        if tag == b"R":
            if _authentication(login, body):
                return True
            continue
        if tag not in (b"E", b"N", b"v"):
            raise ProtocolError(f"unexpected message {tag!r} of the server while a client logs in")
        client.write(m.make(tag, body))
        if tag == b"E":
            client.flush()
            return False


def _authentication(login: _Login, body: bytes) -> bool:
    """Pass on one step; whether it was the last."""
    step = m.Fields(body).int32()
    if step == _OK:
        if not login.proven and not (login.trust and login.client.on_loopback):
            raise _unproven()
        login.client.write(m.make(b"R", body))
        return True
    if step not in _ASKING | {_SASL_FINAL}:
        raise NotSupportedYetError(
            "the server asks for a kind of login that cannot be relayed",
            hint="Passwords can: scram-sha-256, md5, password, ldap, radius and pam of pg_hba.conf.",
        )
    login.client.write(m.make(b"R", _offered(login, body) if step == _SASL else body))
    if step in _ASKING:
        login.client.flush()
        tag, answer = login.client.read_message(m.LONGEST_PASSWORD)
        if tag != b"p":
            raise ProtocolError("expected a password")
        if step == _SASL:
            _refuse_unbound(login, answer)
        login.upstream.write(m.make(tag, answer))
    login.proven = login.proven or step in _PROVEN
    return False


def _offered(login: _Login, body: bytes) -> bytes:
    """The mechanisms without the one that is bound to a channel."""
    fields, names = m.Fields(body), []
    fields.int32()
    while name := fields.string():
        names.append(name)
    login.bound_offered = _BOUND in names
    kept = [name for name in names if name != _BOUND]
    if not kept:
        raise NotSupportedYetError("the server lets in only who binds the login to its own encrypted channel")
    return m.make_sasl(kept)[5:]


def _refuse_unbound(login: _Login, answer: bytes) -> None:
    """A client that would have bound its proof takes the server for one that cannot, which the server takes for an attack."""
    fields = m.Fields(answer)
    fields.string()
    if login.bound_offered and answer[fields.at + 4 : fields.at + 5] == b"y":
        error = LoginError(
            "a login cannot be bound to a channel that ends here, and the server insists on it",
            hint="Connect with channel_binding=disable.",
        )
        error.sqlstate = "28000"
        raise error


def _unproven() -> LoginError:
    error = LoginError(
        "the server behind this one asks for no password when it is asked from here",
        hint="Let pg_hba.conf ask for scram-sha-256, or start with --trust, which lets anybody on this machine in.",
    )
    error.sqlstate = "28000"
    return error
