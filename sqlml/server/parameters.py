"""Parameters of Bind to Python values: text or binary, by the type the client declared or the engine expects."""

from __future__ import annotations

import datetime as dt
import re
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlml.errors import DataError, ProtocolError
from sqlml.server import types as t
from sqlml.server.numbers import parse_numeric

_EPOCH = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - of timestamps without a zone
_EPOCH_UTC = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_TRUE, _FALSE = ("t", "true", "y", "yes", "on", "1"), ("f", "false", "n", "no", "off", "0")


def decode(data: bytes | None, oid: int, *, binary: bool) -> Any:
    """The value of one parameter."""
    if data is None:
        return None
    kind = t.BY_OID.get(oid, t.TEXT)
    if binary:
        return _decode_binary(data, kind, oid)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from error
    reader = _TEXT.get(kind.oid)
    if reader is None:
        return text
    try:
        return reader(text.strip())
    except (ValueError, InvalidOperation) as error:
        wrong = DataError(f'invalid input syntax for type {kind.name}: "{text}"')
        wrong.sqlstate = "22P02"
        raise wrong from error


def _decode_binary(data: bytes, kind: t.WireType, oid: int) -> Any:
    reader = _BINARY.get(oid) or _BINARY.get(kind.oid)
    try:
        return reader(data) if reader else data.decode()
    except (struct.error, UnicodeDecodeError, OverflowError, ValueError) as error:
        wrong = DataError("incorrect binary data format in a bind parameter")
        wrong.sqlstate = "22P03"
        raise wrong from error


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(text)


def read_bytea(text: str) -> bytes:
    """Both of Postgres' texts of bytes: hexadecimal, and with escapes."""
    if text.startswith("\\x"):
        return bytes.fromhex(text[2:])
    escaped = re.sub(r"\\([0-7]{3}|\\)", lambda m: "\\" if m[1] == "\\" else chr(int(m[1], 8)), text)
    return escaped.encode("latin-1")


def _unbounded(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    """A value that Python's own type cannot hold, such as infinity or a year BC, stays a text, which the engine casts."""

    def read(text: str) -> Any:
        try:
            return reader(text)
        except ValueError:
            return text

    return read


def _moment(data: bytes, epoch: dt.datetime, infinite: str) -> Any:
    (microseconds,) = struct.unpack("!q", data)
    if microseconds == 2**63 - 1:
        return infinite
    if microseconds == -(2**63):
        return "-" + infinite
    return epoch + dt.timedelta(microseconds=microseconds)


def _date(data: bytes) -> Any:
    (days,) = struct.unpack("!i", data)
    if days in (2**31 - 1, -(2**31)):
        return "infinity" if days > 0 else "-infinity"
    return (_EPOCH + dt.timedelta(days=days)).date()


def _time(data: bytes) -> dt.time:
    (microseconds,) = struct.unpack("!q", data)
    return (_EPOCH + dt.timedelta(microseconds=microseconds)).time()


def _interval(data: bytes) -> str:
    microseconds, days, months = struct.unpack("!qii", data)
    return f"{months} months {days} days {microseconds} microseconds"


def _timetz(data: bytes) -> str:
    microseconds, west = struct.unpack("!qi", data)
    zone = dt.timezone(dt.timedelta(seconds=-west))
    return (_EPOCH + dt.timedelta(microseconds=microseconds)).time().replace(tzinfo=zone).isoformat()


def _bits(data: bytes) -> str:
    (length,) = struct.unpack_from("!i", data)
    return "".join(f"{byte:08b}" for byte in data[4:])[:length]


_TEXT: dict[int, Callable[[str], Any]] = {
    t.BOOL.oid: _boolean,
    t.INT2.oid: int,
    t.INT4.oid: int,
    t.INT8.oid: int,
    t.FLOAT4.oid: float,
    t.FLOAT8.oid: float,
    t.NUMERIC.oid: Decimal,
    t.BYTEA.oid: read_bytea,
    t.DATE.oid: _unbounded(dt.date.fromisoformat),
    t.TIMESTAMP.oid: _unbounded(lambda text: dt.datetime.fromisoformat(text).replace(tzinfo=None)),
    t.TIMESTAMPTZ.oid: _unbounded(dt.datetime.fromisoformat),
    t.UUID.oid: uuid.UUID,
}
_BINARY: dict[int, Callable[[bytes], Any]] = {
    t.BOOL.oid: lambda data: struct.unpack("!?", data)[0],
    t.INT2.oid: lambda data: struct.unpack("!h", data)[0],
    t.INT4.oid: lambda data: struct.unpack("!i", data)[0],
    t.INT8.oid: lambda data: struct.unpack("!q", data)[0],
    26: lambda data: struct.unpack("!I", data)[0],
    t.FLOAT4.oid: lambda data: struct.unpack("!f", data)[0],
    t.FLOAT8.oid: lambda data: struct.unpack("!d", data)[0],
    t.NUMERIC.oid: parse_numeric,
    t.BYTEA.oid: bytes,
    t.DATE.oid: _date,
    t.TIME.oid: _time,
    t.TIMETZ.oid: _timetz,
    t.TIMESTAMP.oid: lambda data: _moment(data, _EPOCH, "infinity"),
    t.TIMESTAMPTZ.oid: lambda data: _moment(data, _EPOCH_UTC, "infinity"),
    t.INTERVAL.oid: _interval,
    t.UUID.oid: lambda data: uuid.UUID(bytes=data),
    t.VARBIT.oid: _bits,
    1560: _bits,
    3802: lambda data: data[1:].decode(),  # jsonb: a version before the text
}
