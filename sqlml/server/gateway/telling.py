"""The server's errors about SQL of ours, told about what the user wrote: an ErrorResponse in, one out, its other fields as they were."""

from __future__ import annotations

from collections.abc import Callable

from sqlml.errors import EngineError
from sqlml.server import messages as m
from sqlml.server.upstream import read_error


def retold(message: bytes, tell: Callable[[EngineError], None]) -> bytes:
    """``tell`` words the error anew; its message, hint and position are what can change."""
    error = read_error(message[5:])
    tell(error)
    changed = {
        b"M": error.message.encode(),
        b"H": error.hint.encode() if error.hint else None,
        b"P": str(error.position + 1).encode() if error.position is not None else None,
    }
    fields = [(part[:1], part[1:]) for part in message[5:].split(b"\0") if part]
    kept = [(code, changed.pop(code, value)) for code, value in fields]
    told = [*kept, *changed.items()]
    return m.make(b"E", b"".join(code + value + b"\0" for code, value in told if value is not None) + b"\0")
