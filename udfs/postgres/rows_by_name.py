"""Rows as JSON objects to the arguments of a model: by column name, exactly or else whatever the case."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

from udfs.errors import InputMismatchError
from udfs.model import Kind, Model
from udfs.postgres.packed import EPOCH_MICROSECONDS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Packed = tuple[bytes, bytes, list[str | None]]


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
