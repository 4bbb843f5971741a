"""A real Postgres asked on a client's behalf: messages sent to it, its answers given back as they are."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Protocol

from sqlml.errors import EngineError
from sqlml.server import messages as m


class UpstreamStream(Protocol):
    """A connection to the server."""

    def read_message(self) -> tuple[bytes, bytes]: ...

    def write(self, data: Any) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Upstream:
    """A session there, that trusts whoever asks."""

    def __init__(self, stream: UpstreamStream, user: str, database: str) -> None:
        self.stream = stream
        words = (b"user", user.encode(), b"database", database.encode(), b"client_encoding", b"UTF8")
        body = struct.pack("!i", m.PROTOCOL_3) + b"\0".join(words) + b"\0\0"
        stream.write(struct.pack("!i", len(body) + 4) + body)
        for _ in self.answers():
            pass

    def answers(self) -> Iterator[tuple[bytes, bytes]]:
        """What it says up to ReadyForQuery; its error is raised once that has come."""
        self.stream.flush()
        failure: EngineError | None = None
        while True:
            tag, body = self.stream.read_message()
            if tag == b"Z":
                break
            if tag == b"E":
                failure = read_error(body)
                if failure.sqlstate.startswith("28"):
                    break
            elif tag not in (b"S", b"A", b"K", b"R"):
                yield tag, body
        if failure is not None:
            raise failure

    def simple(self, text: str) -> Iterator[tuple[bytes, bytes]]:
        """The answers to a simple query."""
        self.stream.write(m.make(b"Q", text.encode() + b"\0"))
        return self.answers()

    def rows(self, text: str) -> list[list[str | None]]:
        """The rows of a query, as texts."""
        return [read_row(body) for tag, body in self.simple(text) if tag == b"D"]

    def describe(self, parse: m.Parse) -> list[tuple[bytes, bytes]]:
        """ParameterDescription and RowDescription or NoData of a statement."""
        self.stream.write(m.make_parse("", parse.text, parse.parameter_types) + m.make(b"D", b"S\0") + m.make(b"S"))
        return [answer for answer in self.answers() if answer[0] in b"tTn"]

    def run(self, parse: m.Parse, bind: m.Bind) -> list[tuple[bytes, bytes]]:
        """RowDescription, rows and CommandComplete of a statement with values."""
        self.stream.write(
            m.make_parse("", parse.text, parse.parameter_types) + _bind_message(bind) + m.make(b"D", b"P\0")
        )
        self.stream.write(m.make(b"E", b"\0\0\0\0\0") + m.make(b"S"))
        return [answer for answer in self.answers() if answer[0] in b"TnDCI"]

    def close(self) -> None:
        self.stream.close()


def _bind_message(bind: m.Bind) -> bytes:
    body = b"\0\0" + struct.pack(f"!H{len(bind.formats)}h", len(bind.formats), *bind.formats)
    body += struct.pack("!H", len(bind.values))
    for value in bind.values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return m.make(
        b"B", body + struct.pack(f"!H{len(bind.result_formats)}h", len(bind.result_formats), *bind.result_formats)
    )


def read_row(body: bytes) -> list[str | None]:
    """The texts of a DataRow."""
    fields = m.Fields(body)
    return [None if (n := fields.int32()) == -1 else fields.take(n).decode() for _ in range(fields.count())]


def read_error(body: bytes) -> EngineError:
    """An ErrorResponse as an error of ours."""
    parts = {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
    position = int(parts["P"]) - 1 if parts.get("P", "").isdecimal() else None
    error = EngineError(parts.get("M", ""), hint=parts.get("H"), detail=parts.get("D"), position=position)
    error.sqlstate = parts.get("C", "XX000")
    return error
