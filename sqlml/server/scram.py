"""SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: messages of a login in and out, secrets as Postgres stores them; no I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from dataclasses import dataclass

from sqlml.errors import LoginError, ProtocolError

MECHANISM = "SCRAM-SHA-256"
ITERATIONS = 4096


@dataclass(frozen=True)
class Secret:
    """What is kept of a password: ``SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>``."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __str__(self) -> str:
        salt, stored, server = (
            base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"


def make_secret(password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> Secret:
    """The secret of a password."""
    salt = salt if salt is not None else secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", prepare(password).encode(), salt, iterations)
    client_key = _hmac(salted, b"Client Key")
    return Secret(iterations, salt, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key"))


def parse_secret(text: str) -> Secret:
    """A secret as it is stored; raises ValueError."""
    mechanism, numbers, keys = text.split("$")
    if mechanism != MECHANISM:
        raise ValueError(mechanism)
    iterations, salt = numbers.split(":")
    stored, server = keys.split(":")
    return Secret(int(iterations), *(base64.b64decode(part, validate=True) for part in (salt, stored, server)))


def mock_secret(user: str, key: bytes) -> Secret:
    """For a user who does not exist: the same salt each time, so that nobody learns who does."""
    salt = _hmac(key, user.encode())[:16]
    return Secret(ITERATIONS, salt, secrets.token_bytes(32), secrets.token_bytes(32))


def prepare(password: str) -> str:
    """SASLprep (RFC 4013); what it forbids is used as it is, as Postgres does."""
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    normal = unicodedata.normalize("NFKC", mapped)
    forbidden = (stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4, stringprep.in_table_c9)
    return password if not normal or any(test(c) for c in normal for test in forbidden) else normal


class Exchange:
    """One login: the client's first message, then its proof. ``first`` and ``final`` answer; a wrong proof raises LoginError."""

    def __init__(self, user: str, secret: Secret, *, known: bool, nonce: str | None = None) -> None:
        self.user = user
        self.secret = secret
        self.known = known
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(18)).decode()
        self._bare = self._first = self._header = ""

    def first(self, message: bytes) -> bytes:
        """The server's first message for the client's."""
        text = _ascii(message)
        flag, _, rest = text.partition(",")
        authorized, _, self._bare = rest.partition(",")
        if flag not in ("n", "y") or (authorized and not authorized.startswith("a=")):
            raise ProtocolError("malformed SCRAM message", detail="The client asks for channel binding.")
        self._header = f"{flag},{authorized},"
        attributes = self._bare.split(",")
        if len(attributes) < 2 or not attributes[0].startswith("n=") or len(attributes[1]) < 3:
            raise ProtocolError("malformed SCRAM message")
        if not attributes[1].startswith("r="):
            raise ProtocolError("malformed SCRAM message")
        self._nonce = attributes[1][2:] + self._nonce
        salt = base64.b64encode(self.secret.salt).decode()
        self._first = f"r={self._nonce},s={salt},i={self.secret.iterations}"
        return self._first.encode()

    def final(self, message: bytes) -> bytes:
        """The server's signature for the client's proof."""
        text = _ascii(message)
        without_proof, _, proof_text = text.rpartition(",p=")
        attributes = dict(part.partition("=")[::2] for part in without_proof.split(","))
        try:
            proof = base64.b64decode(proof_text, validate=True)
            bound = base64.b64decode(attributes.get("c", ""), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ProtocolError("malformed SCRAM message") from error
        if attributes.get("r") != self._nonce or bound != self._header or len(proof) != 32:
            raise ProtocolError("malformed SCRAM message")
        signed = f"{self._bare},{self._first},{without_proof}".encode()
        signature = _hmac(self.secret.stored_key, signed)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        right = hmac.compare_digest(hashlib.sha256(client_key).digest(), self.secret.stored_key)
        if not (right and self.known):
            raise LoginError(f'password authentication failed for user "{self.user}"')
        return b"v=" + base64.b64encode(_hmac(self.secret.server_key, signed))


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _ascii(message: bytes) -> str:
    try:
        return message.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError("malformed SCRAM message") from error
