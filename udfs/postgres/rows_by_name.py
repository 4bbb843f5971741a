"""Rows to the arguments of a model: by column name, exactly or else whatever the case.

A row comes twice: as the server sends records in binary, which is exact for every type, and as JSON, which has the names.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from udfs.errors import InputMismatchError
from udfs.model import Kind, Model
from udfs.postgres.packed import EPOCH_MICROSECONDS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Packed = tuple[bytes, bytes, list[str | None]]


# From the binary form of a type, by its fixed number. What is not here is a number's or a text's, as JSON has it.
_READERS: dict[int, Callable[[bytes], Any]] = {
    16: lambda data: data != b"\0",
    20: lambda data: int.from_bytes(data, "big", signed=True),
    21: lambda data: int.from_bytes(data, "big", signed=True),
    23: lambda data: int.from_bytes(data, "big", signed=True),
    700: lambda data: struct.unpack(">f", data)[0],
    701: lambda data: struct.unpack(">d", data)[0],
    1042: lambda data: data.decode().rstrip(" "),
    1082: lambda data: Moment(_day_micros(int.from_bytes(data, "big", signed=True)), zoned=False),
    1083: lambda data: Moment(int.from_bytes(data, "big", signed=True) - EPOCH_MICROSECONDS, zoned=False),
    1114: lambda data: Moment(int.from_bytes(data, "big", signed=True), zoned=False),
    1184: lambda data: Moment(int.from_bytes(data, "big", signed=True), zoned=True),
}
_DOCUMENTS = (114, 3802)  # json and jsonb, whose objects are rows too
_DAY = 86_400_000_000
_ENDS = {2**31 - 1: 2**63 - 1, -(2**31): -(2**63)}


class Moment:
    """Microseconds since 2000, as the server counts them."""

    def __init__(self, micros: int, *, zoned: bool) -> None:
        self.micros, self.zoned = micros, zoned


def _day_micros(days: int) -> int:
    return _ENDS.get(days, days * _DAY)


def read_row(sent: bytes, text: str) -> Any:
    """The value that is the only one of the sent record, whose JSON is the text: a dictionary where it is a row itself."""
    kind, data = _fields(sent)[0]
    pairs: list[tuple[str, Any]] = []

    def note(found: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs[:] = found  # the outermost object comes last
        return dict(found)

    value = json.loads(text, object_pairs_hook=note)
    if kind in _DOCUMENTS or not isinstance(value, dict) or data is None:
        return value
    row: dict[str, Any] = {}
    for (name, shown), (number, content) in zip(pairs, _fields(data), strict=True):
        if name in row:
            raise InputMismatchError(f'column "{name}" is ambiguous: the row has it twice')
        reader = _READERS.get(number)
        row[name] = shown if reader is None or content is None else reader(content)
    return row


def _fields(data: bytes) -> list[tuple[int, bytes | None]]:
    """The types and contents of a record as the server sends it."""
    (count,), at, fields = struct.unpack_from(">i", data), 4, []
    for _ in range(count):
        kind, size = struct.unpack_from(">Ii", data, at)
        at += 8
        fields.append((kind, None if size < 0 else bytes(data[at : at + size])))
        at += max(size, 0)
    return fields


def packed_row(model: Model, row: Any) -> Packed:
    """The arguments in groups, as SQL packs them. A value that is no object stands for the only argument."""
    if any(argument.expression is not None for argument in model.arguments):
        raise InputMismatchError(
            "the model needs expressions of SQL, which only a statement of the dialect computes",
            hint="Use sqlml.execute('SELECT ... PREDICT(model, *) ...'), or a view that was made so.",
        )
    values = _by_name(model, row) if isinstance(row, dict) else _by_position(model, row)
    numbers: list[float | None] = []
    times: list[int | None] = []
    texts: list[str | None] = []
    for argument, value in zip(model.arguments, values, strict=True):
        try:
            if argument.kind in ("number", "boolean"):
                numbers.append(_number(value))
            elif argument.kind == "text":
                texts.append(None if value is None else str(value))
            else:
                times.append(_microseconds(value, argument.kind))
        except (TypeError, ValueError):
            raise InputMismatchError(f'column "{argument.name}" expects {argument.kind}, got {value!r}') from None
    return _pack(numbers, ">d"), _pack(times, ">q"), texts


def _by_name(model: Model, row: dict[str, Any]) -> list[Any]:
    folded: dict[str, list[str]] = {}
    for name in row:
        folded.setdefault(name.casefold(), []).append(name)
    missing, values = [], []
    for argument in model.arguments:
        names = [argument.name] if argument.name in row else folded.get(argument.name.casefold(), [])
        if len(names) > 1:
            raise InputMismatchError(f'column "{argument.name}" is ambiguous: the row has {", ".join(names)}')
        if names:
            values.append(row[names[0]])
        else:
            missing.append(argument.name)
    if missing:
        listed = ", ".join(f'"{name}"' for name in missing)
        raise InputMismatchError(
            f"missing column{'s' * (len(missing) > 1)} {listed}", hint=f"The row has: {', '.join(row)}."
        )
    return values


def _by_position(model: Model, value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if len(values) != len(model.arguments):
        names = ", ".join(argument.name for argument in model.arguments)
        raise InputMismatchError(
            f"the model takes {len(model.arguments)} arguments, got {len(values)}", hint=f"They are: {names}."
        )
    return values


def _number(value: Any) -> float | None:
    """JSON has no NaN: Postgres writes it, and infinity, as texts."""
    return None if value is None else float(value)


def _microseconds(value: Any, kind: Kind) -> int | None:
    if isinstance(value, Moment):
        if value.zoned != (kind == "timestamptz"):
            raise ValueError
        return value.micros
    if value is None or value in ("infinity", "-infinity"):
        return None
    if not isinstance(value, str):
        raise TypeError
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif kind != "timestamptz":
        raise ValueError
    difference = moment - _EPOCH
    return (difference.days * 86_400 + difference.seconds) * 1_000_000 + difference.microseconds - EPOCH_MICROSECONDS


def _pack(values: list[Any], form: str) -> bytes:
    header = struct.pack(">iiIii", 1, 1, 0, len(values), 1)
    return header + b"".join(_packed(value, form) for value in values)


def _packed(value: Any, form: str) -> bytes:
    if value is None:
        return struct.pack(">i", -1)
    return struct.pack(">i", struct.calcsize(form)) + struct.pack(form, value)
