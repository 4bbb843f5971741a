"""Points in time to calendar parts, as DuckDB's extract: proleptic Gregorian, ISO weeks, Sunday = 0 for dow.

Days become year, month and day by the algorithm of Howard Hinnant ("chrono-compatible low-level date algorithms"). Points of
timestamptz are first moved by the offset in force in the model's time zone; ``transitions`` (microseconds UTC, ascending) and
``shifts`` (microseconds, one more entry) are stored with the model, so that a later time zone database changes nothing.
"""

from __future__ import annotations

import numpy as np

from udfs.columns import DAY
from udfs.jit import kernel, view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, array_param, numbers, param, require, require_shapes, words

PARTS = (
    "year",
    "month",
    "day",
    "dow",
    "doy",
    "hour",
    "minute",
    "second",
    "quarter",
    "week",
    "isoyear",
    "isodow",
    "millisecond",
    "microsecond",
    "epoch",
    "yearweek",
)
DATE_PARTS = ("year", "month", "day", "dow", "doy")
TIME_PARTS = ("hour", "minute", "second")


@kernel
def civil_year(days):
    """Year, and the day of a year that begins on 1 March."""
    z = days + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    return yoe + era * 400, doe - (365 * yoe + yoe // 4 - yoe // 100)


@kernel
def days_of_year_start(year):
    """Days from 1970-01-01 to the first of January."""
    y = year - 1
    return y * 365 + y // 4 - y // 100 + y // 400 - 719_162


@kernel
def iso_week(days):
    """ISO year and week of a day: those of its Thursday."""
    thursday = days - (days + 3) % 7 + 3
    year, late = civil_year(thursday)
    if late >= 306:
        year += 1
    return year, (thursday - days_of_year_start(year)) // 7 + 1


@kernel
def day_part(part, days, year, late):
    """A part of a day, whose year from March and day in that are known; see PARTS for the numbers."""
    mp = (5 * late + 2) // 153
    after = np.int64(late >= 306)  # January and February: of the next year
    result = year + after
    if part == 1:
        result = mp + 3 - 12 * after
    elif part == 2:
        result = late - (153 * mp + 2) // 5 + 1
    elif part == 3:
        result = (days + 4) % 7
    elif part == 4:
        leap = np.int64((year % 4 == 0 and year % 100 != 0) or year % 400 == 0)
        result = late - 305 if after else late + 60 + leap
    elif part == 8:
        result = (mp + 5 - 12 * after) // 3
    elif part == 11:
        result = (days + 3) % 7 + 1
    elif part > 8:
        isoyear, week = iso_week(days)
        if part == 15:
            result = isoyear * 100 + week if isoyear >= 0 else isoyear * 100 - week
        else:
            result = week if part == 9 else isoyear
    return result


@kernel
def clock_part(part, micros):
    """A part of the microseconds since midnight."""
    seconds = micros // 1_000_000
    if part == 5:
        return seconds // 3_600
    if part == 6:
        return seconds // 60 % 60
    if part == 7:
        return seconds % 60
    rest = micros % 60_000_000
    return rest // 1_000 if part == 12 else rest


@kernel
def shift_index(transitions, count, moment):
    """How many transitions have passed at a moment."""
    low = 0
    high = count
    while low < high:
        middle = (low + high) >> 1
        if transitions[middle] <= moment:
            low = middle + 1
        else:
            high = middle
    return low


def calendar(params, rows, n):
    """``params``: number of parts, of transitions, parts, transitions, shifts; ``rows``: time, nulls, one out a part."""
    head = view(params, np.int64, 2)
    wanted = head[0]
    parts = view(params + 16, np.int64, wanted)
    count = head[1]
    transitions = view(params + 16 + 8 * wanted, np.int64, count)
    shifts = view(params + 16 + 8 * (wanted + count), np.int64, count + 1)
    row = view(rows, np.int64, 2 + wanted)
    times = view(row[0], np.int64, n)
    nulls = view(row[1], np.uint8, n)
    for i in range(n):
        moment = times[i]
        local = moment + shifts[shift_index(transitions, count, moment)]
        days = local // 86_400_000_000
        micros = local - days * 86_400_000_000
        year, late = civil_year(days)
        for k in range(wanted):
            part = parts[k]
            if part == 14:
                value = np.float64(moment) / 1e6
            elif part == 5 or part == 6 or part == 7 or part == 12 or part == 13:  # noqa: PLR1714 - compiled
                value = np.float64(clock_part(part, micros))
            else:
                value = np.float64(day_part(part, days, year, late))
            view(row[2 + k], np.float64, n)[i] = np.nan if nulls[i] else value


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("time",))
    parts = param(step, "parts", (list, tuple))
    require(parts and all(part in PARTS for part in parts), step, "it names an unknown calendar part")
    require(len(parts) == len(step.outputs), step, "it has not one output a part")
    if "transitions" in step.params or "shifts" in step.params:
        transitions = array_param(step, "transitions", np.int64)
        shifts = array_param(step, "shifts", np.int64, len(transitions) + 1)
        require(bool((np.diff(transitions) > 0).all()), step, "its transitions are not ascending")
        require(bool((np.abs(shifts) <= 2 * DAY).all()), step, "its time shifts are too large")
    return numbers(len(parts))


def _encode(step: Step) -> Words:
    parts = np.array([PARTS.index(part) for part in step.params["parts"]], np.int64)
    transitions = step.params.get("transitions", np.zeros(0, np.int64))
    shifts = step.params.get("shifts", np.zeros(1, np.int64))
    return words(len(parts), len(transitions), parts, transitions, shifts)


CALENDAR = Operator(_shapes, _encode, calendar)
