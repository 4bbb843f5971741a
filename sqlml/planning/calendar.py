"""Calendar parts, differences and literals of dates and timestamps in portable expressions."""

from __future__ import annotations

import datetime as dt
import re

from sqlml.planning.values import DOUBLE, INTEGER, TIMES, Emitter, NotPortableError, Value
from udfs.columns import DAY

PARTS = (
    *("year", "month", "day", "dow", "doy", "hour", "minute", "second", "quarter", "week"),
    *("isoyear", "isodow", "millisecond", "microsecond", "epoch", "yearweek"),
)
CLOCK = ("hour", "minute", "second", "millisecond", "microsecond", "epoch")
# function and part names of DuckDB -> parts
PART_NAMES = {
    **{part: part for part in PARTS},
    "dayofmonth": "day",
    "dayofweek": "dow",
    "weekday": "dow",
    "dayofyear": "doy",
    "weekofyear": "week",
}
# classes in which sqlglot reads such functions -> parts
CALENDAR_CLASSES = {
    "Year": "year",
    "Month": "month",
    "Day": "day",
    "DayOfMonth": "day",
    "DayOfWeek": "dow",
    "DayOfYear": "doy",
    "Week": "week",
    "WeekOfYear": "week",
    "Quarter": "quarter",
    "Hour": "hour",
    "Minute": "minute",
    "Second": "second",
    "DayOfWeekIso": "isodow",
    "YearOfWeek": "isoyear",
    "TimeToUnix": "epoch",
}
_UNITS = {
    "day": DAY,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}


def calendar_part(emitter: Emitter, part: str, value: Value, time_zone: str) -> Value:
    """extract(part FROM value)."""
    base = value.type.base
    if part not in PARTS or base not in (*TIMES, "timestamptz", "time"):
        raise NotPortableError(f"{part} of {base}")
    if base == "time" and part not in CLOCK:
        raise NotPortableError(f"{part} of a time of day")
    if base == "timestamptz" and part == "epoch":
        raise NotPortableError("epoch of a timestamptz")  # DuckDB adds milliseconds and the rest: other last bits
    params: dict[str, object] = {"parts": [part]}
    if base == "timestamptz":
        from udfs.transforms.zones import zone_params  # noqa: PLC0415 - needed by zoned columns only

        params |= zone_params(time_zone)
    return Value(emitter.emit("calendar", (value.register,), **params), DOUBLE if part == "epoch" else INTEGER)


def date_difference(emitter: Emitter, unit: str, start: Value, end: Value) -> Value:
    """date_diff(unit, start, end): the number of boundaries between two points in time."""
    if start.type.base not in TIMES or end.type.base not in TIMES:
        raise NotPortableError("date_diff of other than dates and timestamps")
    if unit in _UNITS:
        registers = (start.register, end.register)
        return Value(emitter.emit("time_difference", registers, unit=_UNITS[unit], offset=0), INTEGER)
    factors = {"year": (1, ()), "quarter": (4, ("quarter",)), "month": (12, ("month",))}
    if unit not in factors:
        raise NotPortableError(f"date_diff in units of {unit}")
    factor, finer = factors[unit]

    def count(value: Value) -> str:
        years = emitter.emit("calendar", (value.register,), parts=["year"])
        total = emitter.elementwise("multiply", years, factor) if factor > 1 else years
        for part in finer:
            rest = emitter.emit("calendar", (value.register,), parts=[part])
            total = emitter.emit("arithmetic", (total, rest), function="add")
        return total

    return Value(emitter.emit("arithmetic", (count(end), count(start)), function="subtract"), INTEGER)


def parse_moment(text: str, *, with_clock: bool) -> int:
    """Microseconds since 1970 of an ISO date or timestamp without a zone."""
    pattern = r"\d{4}-\d{2}-\d{2}"
    if with_clock:
        pattern += r"([ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?)?"
    if not re.fullmatch(pattern, text.strip()):
        raise NotPortableError(f"the literal {text!r}")
    try:
        moment = dt.datetime.fromisoformat(text.strip()).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise NotPortableError(f"the literal {text!r}") from error
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
