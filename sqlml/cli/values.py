"""Arrow values to the text and the JSON that people read: one list a column, None for NULL."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

Texts = list[str | None]


def column_texts(column: pa.Array | pa.ChunkedArray, *, rounded: bool = False) -> Texts:
    """Each value as text; ``rounded`` cuts doubles to six decimals, for eyes and not for files."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    write = _writer(kind, rounded=rounded)
    return [None if value is None else write(value) for value in column.to_pylist()]


def column_json(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Each value as something ``json.dumps`` takes: exact numbers stay numbers, NaN and infinity become null."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return list(_timestamps(column))
    if pa.types.is_interval(kind):
        return list(column_texts(column))
    if pa.types.is_map(kind):
        return [
            None if pairs is None else _plain({_key(key): value for key, value in pairs})
            for pairs in column.to_pylist()
        ]
    return [_plain(value) for value in column.to_pylist()]


def is_numeric(kind: pa.DataType) -> bool:
    """Whether a column of this type is set flush right."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def to_json(value: Any) -> str:
    """One line of JSON."""
    return json.dumps(_plain(value), ensure_ascii=False, default=str)


def _writer(kind: pa.DataType, *, rounded: bool) -> Callable[[Any], str]:
    if pa.types.is_floating(kind):
        return _rounded if rounded else repr
    if pa.types.is_map(kind):
        return lambda pairs: to_json({_key(key): _rounded_inside(value) if rounded else value for key, value in pairs})
    if pa.types.is_nested(kind):
        return (lambda value: to_json(_rounded_inside(value))) if rounded else to_json
    return next((write for applies, write in _WRITERS if applies(kind)), str)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else to_json(key)


def _interval(value: pa.MonthDayNano) -> str:
    """In DuckDB's words: ``1 years 2 months 3 days 04:05:06``."""
    years, months = divmod(abs(value.months), 12)
    sign = -1 if value.months < 0 else 1
    amounts = ((sign * years, "years"), (sign * months, "months"), (value.days, "days"))
    parts = [f"{amount} {unit}" for amount, unit in amounts if amount]
    if value.nanoseconds or not parts:
        seconds, nanos = divmod(abs(value.nanoseconds), 1_000_000_000)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        fraction = f".{nanos:09}".rstrip("0").rstrip(".")
        parts.append(("-" if value.nanoseconds < 0 else "") + clock + fraction)
    return " ".join(parts)


def _rounded(value: float) -> str:
    """Six decimals, or six digits of a small number; a whole number keeps its ``.0`` so that it reads as a double."""
    if not math.isfinite(value) or value.is_integer():
        return repr(value)
    if abs(value) < 1e-4:
        return f"{value:.6g}"
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _rounded_inside(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value):
        return float(_rounded(value))
    if isinstance(value, dict):
        return {key: _rounded_inside(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded_inside(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | date | time | timedelta):
        return "\\x" + value.hex() if isinstance(value, bytes) else str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _timestamps(column: pa.Array | pa.ChunkedArray) -> Texts:
    """Written without pytz, which pyarrow's own conversion needs, and without trailing zeros of a second."""
    zone = _zone(column.type.tz)
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).to_pylist()
    return [None if value is None else _timestamp(value, zone) for value in micros]


def _timestamp(micros: int, zone: ZoneInfo | Any | None) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    except OverflowError:
        return "infinity" if micros > 0 else "-infinity"
    if zone is None:
        moment = moment.replace(tzinfo=None)
    else:
        moment = moment.astimezone(zone)
    return moment.isoformat(sep=" ")


def _zone(name: str | None) -> ZoneInfo | Any | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC  # a machine without time zone data: the same moment, in UTC


_WRITERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], str]], ...] = (
    (pa.types.is_boolean, lambda value: "true" if value else "false"),
    (pa.types.is_binary, lambda value: "\\x" + value.hex()),
    (pa.types.is_large_binary, lambda value: "\\x" + value.hex()),
    (pa.types.is_interval, _interval),
)
