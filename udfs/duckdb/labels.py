"""Class labels as DuckDB stores values of their type, so that a prediction is a copy of a few bytes."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from udfs.duckdb import capi
from udfs.duckdb.capi import DuckType

INLINE = 12  # bytes of a string kept in its 16-byte entry
_INTEGERS = {
    capi.TINYINT: "b",
    capi.SMALLINT: "h",
    capi.INTEGER: "i",
    capi.BIGINT: "q",
    capi.UTINYINT: "B",
    capi.USMALLINT: "H",
    capi.UINTEGER: "I",
    capi.UBIGINT: "Q",
}
_DIGITS = Context(prec=100)  # more than any DECIMAL has
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LabelTable:
    """The classes' values one after another; ``width`` bytes each. Keeps the bytes that long strings point to."""

    def __init__(self, values: Sequence[bytes], keep: Sequence[Any] = (), *, text: bool = False) -> None:
        self.width = len(values[0]) if values else 1
        self.text = text
        self._memory = ctypes.create_string_buffer(b"".join(values) or b"\0", max(1, self.width * len(values)))
        self._keep = tuple(keep)

    @property
    def address(self) -> int:
        """Of the first value."""
        return ctypes.addressof(self._memory)


def encode_labels(classes: Sequence[bool | float | str], kind: DuckType) -> LabelTable | None:
    """The classes as values of a type; None where the type is not one of those below, or a class is not of the type."""
    if kind.id == capi.VARCHAR:
        return _texts([_text(label) for label in classes])
    encode = _encoder(kind)
    if encode is None:
        return None
    try:
        return LabelTable([encode(label) for label in classes])
    except (ValueError, TypeError, OverflowError, InvalidOperation, struct.error):
        return None


def _text(label: bool | float | str) -> str:
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label)


def _texts(labels: Sequence[str]) -> LabelTable:
    values, keep = [], []
    for label in labels:
        data = label.encode()
        if len(data) <= INLINE:
            values.append(struct.pack("<I12s", len(data), data))
            continue
        memory = ctypes.create_string_buffer(data)
        keep.append(memory)
        values.append(struct.pack("<I4sQ", len(data), data[:4], ctypes.addressof(memory)))
    return LabelTable(values, keep, text=True)


def _encoder(kind: DuckType) -> Callable[[Any], bytes] | None:
    if kind.id in _INTEGERS:
        return lambda label: struct.pack(f"<{_INTEGERS[kind.id]}", _whole(label))
    if kind.id in (capi.HUGEINT, capi.UHUGEINT):
        return lambda label: _whole(label).to_bytes(16, "little", signed=kind.id == capi.HUGEINT)
    if kind.id == capi.DECIMAL:
        return lambda label: _decimal(label, kind)
    if kind.id == capi.ENUM:
        size = 1 if len(kind.words) <= 256 else 2 if len(kind.words) <= 65_536 else 4
        return lambda label: kind.words.index(label).to_bytes(size, "little")
    return _ENCODERS.get(kind.id)


def _whole(label: float | str) -> int:
    number = int(label)
    if isinstance(label, float) and number != label:
        raise ValueError("not a whole number")
    return number


def _decimal(label: float | str, kind: DuckType) -> bytes:
    scaled = Decimal(str(label)).scaleb(kind.scale, _DIGITS)
    if scaled != scaled.to_integral_value(context=_DIGITS) or abs(scaled) >= Decimal(10) ** kind.width:
        raise ValueError("does not fit the decimal")
    size = 2 if kind.width <= 4 else 4 if kind.width <= 9 else 8 if kind.width <= 18 else 16
    return int(scaled).to_bytes(size, "little", signed=True)


def _moment(label: str) -> bytes:
    moment = datetime.fromisoformat(label)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    passed = moment - _EPOCH
    return struct.pack("<q", (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds)


def _boolean(label: bool | float | str) -> bytes:
    if label not in (False, True):
        raise ValueError("not a boolean")
    return b"\1" if label else b"\0"


_ENCODERS: dict[int, Callable[[Any], bytes]] = {
    capi.BOOLEAN: _boolean,
    capi.FLOAT: lambda label: struct.pack("<f", float(label)),
    capi.DOUBLE: lambda label: struct.pack("<d", float(label)),
    capi.DATE: lambda label: struct.pack("<i", (date.fromisoformat(label) - _EPOCH.date()).days),
    capi.TIMESTAMP: _moment,
    capi.TIMESTAMP_TZ: _moment,
    capi.UUID: lambda label: (UUID(label).int ^ (1 << 127)).to_bytes(16, "little"),
}
