"""Where the Postgres server behind us is: a postgresql:// address to host, port and how to encrypt; no I/O."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlml.errors import OptionValueError

SCHEMES = ("postgresql://", "postgres://")
MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
_KNOWN = frozenset({"host", "port", "dbname", "sslmode", "sslrootcert"})


@dataclass(frozen=True)
class ServerAddress:
    """A server, and the one database of it that is served, or all."""

    host: str
    port: int = 5432
    database: str | None = None
    encryption: str = "prefer"  # as libpq's sslmode
    roots: str | None = None  # the file with the certificates that are trusted

    def context(self) -> ssl.SSLContext | None:
        """How to encrypt the connection; None where that is not wanted, or is not possible."""
        if self.encryption == "disable" or self.host.startswith("/"):
            return None
        if not self.encryption.startswith("verify"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context
        roots = None if self.roots in (None, "system") else self.roots
        context = ssl.create_default_context(cafile=roots)
        context.check_hostname = self.encryption == "verify-full"
        return context


def parse_address(text: str) -> ServerAddress:
    """Raises OptionValueError for what cannot be, or would not do what it seems to."""
    parts = urlsplit(text)
    given = dict(parse_qsl(parts.query))
    if parts.username or parts.password or "user" in given or "password" in given:
        raise OptionValueError(
            "the address of a server that is served has no user or password",
            hint="Leave them out: every client logs in at the server with its own.",
        )
    unknown = sorted(given.keys() - _KNOWN)
    if unknown:
        raise OptionValueError(
            f'"{unknown[0]}" cannot be given in the address of a server that is served',
            hint="Give host, port and database, sslmode and sslrootcert; clients bring everything else.",
        )
    mode = given.get("sslmode", "prefer")
    if mode not in MODES:
        raise OptionValueError(f'"{mode}" is no sslmode', hint=f"Choose from {', '.join(MODES)}.")
    host = given.get("host") or unquote(parts.hostname or "localhost")
    if "," in parts.netloc or "," in host:
        raise OptionValueError("only one server can be served", hint="Name one host.")
    database = unquote(parts.path.removeprefix("/")) or given.get("dbname")
    return ServerAddress(host, _port(parts.netloc, given), database or None, mode, given.get("sslrootcert"))


def _port(netloc: str, given: Mapping[str, str]) -> int:
    text = given.get("port") or netloc.rpartition("]")[2].partition(":")[2] or "5432"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise OptionValueError(f'"{text}" is no port')
    return int(text)
