"""One statement over Postgres' wire protocol to a server that trusts us: text in, rows of texts out; no client library needed."""

from __future__ import annotations

import socket
import struct
from typing import BinaryIO

from sqlml.errors import EngineError

PROTOCOL = 196608  # 3.0
Row = tuple[str | None, ...]


def query(port: int, statement: str, *, database: str = "postgres", user: str = "postgres") -> list[Row]:
    """Run the statement on a server of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, connection.makefile("rb") as stream:
        words = ("user", user, "database", database)
        start = struct.pack("!i", PROTOCOL) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
        connection.sendall(struct.pack("!i", len(start) + 4) + start)
        _rows_until_ready(stream)
        body = statement.encode() + b"\0"
        connection.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return _rows_until_ready(stream)


def _rows_until_ready(stream: BinaryIO) -> list[Row]:
    rows: list[Row] = []
    failure: EngineError | None = None
    while True:
        head = stream.read(5)
        if len(head) < 5:
            raise failure or EngineError("the server closed the connection")
        body = stream.read(struct.unpack("!i", head[1:])[0] - 4)
        match head[:1]:
            case b"D":
                rows.append(_row(body))
            case b"E":
                failure = _error(body)
            case b"R" if body[:4] != bytes(4):
                raise EngineError("the server asks for a password")
            case b"Z" if failure:
                raise failure
            case b"Z":
                return rows
            case _:
                pass  # settings, the key to cancel with, descriptions, notices


def _row(body: bytes) -> Row:
    values: list[str | None] = []
    place = 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        (length,) = struct.unpack_from("!i", body, place)
        place += 4
        values.append(None if length < 0 else body[place : place + length].decode())
        place += max(length, 0)
    return tuple(values)


def _error(body: bytes) -> EngineError:
    fields = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
    error = EngineError(fields[b"M"], detail=fields.get(b"D"), hint=fields.get(b"H"))
    error.sqlstate = fields[b"C"]
    return error
