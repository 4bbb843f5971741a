"""Calendar parts of points in time in PL/pgSQL, in the time zone whose transitions the model stores."""

from __future__ import annotations

import numpy as np

from udfs.columns import DAY
from udfs.model import Step
from udfs.postgres.plsql_expressions import floor_divide
from udfs.postgres.plsql_guards import divide
from udfs.postgres.plsql_literals import double, integers
from udfs.postgres.plsql_scope import Scope

_FIELDS = {
    "month": "month",
    "day": "day",
    "dow": "dow",
    "doy": "doy",
    "quarter": "quarter",
    "week": "week",
    "isodow": "isodow",
}
_YEARS = {"year": "year", "isoyear": "isoyear"}
_CLOCK = {
    "hour": "{micros} / 3600000000",
    "minute": "{micros} / 60000000 % 60",
    "second": "{micros} / 1000000 % 60",
    "millisecond": "{micros} % 60000000 / 1000",
    "microsecond": "{micros} % 60000000",
}


def calendar(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """One number a part."""
    (moment,) = inputs
    local = scope.let("int8", _local(step, moment)) if _is_shifted(step) else moment
    day_number = scope.let("int8", floor_divide(local, DAY))
    micros = scope.let("int8", f"{local} - {day_number} * {DAY}")
    day = scope.let("timestamp", f"date '1970-01-01' + {day_number}::int4")
    return [_part(part, moment, day, micros) for part in step.params["parts"]]


def _is_shifted(step: Step) -> bool:
    return bool(np.any(step.params.get("shifts", np.zeros(1, np.int64))))


def _local(step: Step, moment: str) -> str:
    shifts = step.params["shifts"].tolist()
    if len(shifts) == 1:
        return f"{moment} + {shifts[0]}"
    transitions = integers(step.params["transitions"].tolist())
    return f"{moment} + ({integers(shifts)})[width_bucket({moment}, {transitions}) + 1]"


def _part(part: str, moment: str, day: str, micros: str) -> str:
    if part in _FIELDS:
        return f"date_part('{_FIELDS[part]}', {day})"
    if part in _YEARS:
        return _year(_YEARS[part], day)
    if part in _CLOCK:
        return f"({_CLOCK[part].format(micros=micros)})::float8"
    if part == "epoch":
        return divide(f"{moment}::float8", double(1e6))
    year, week = _year("isoyear", day), f"date_part('week', {day})"
    return f"CASE WHEN {year} >= 0 THEN {year} * 100 + {week} ELSE {year} * 100 - {week} END"


def _year(field: str, day: str) -> str:
    """PostgreSQL has no year 0: what is -1 there is 0 here."""
    return f"(date_part('{field}', {day}) + (date_part('{field}', {day}) < 0)::int4)"
