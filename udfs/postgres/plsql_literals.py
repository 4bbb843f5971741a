"""Values of a model as PL/pgSQL text: constants that keep every bit, and names."""

from __future__ import annotations

import math
from collections.abc import Iterable


def double(value: float) -> str:
    """A float8 constant: quoted, because a bare 0.1 is numeric and would be cast again and again."""
    return f"'{bare_double(value)}'::float8"


def bare_double(value: float) -> str:
    """A double as float8's input reads it: ``repr`` is the shortest text that gives the same bits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))


def doubles(values: Iterable[float]) -> str:
    """A float8[] constant in which missing values are NULL."""
    return "'{" + ",".join("NULL" if math.isnan(v) else bare_double(v) for v in values) + "}'::float8[]"


def integers(values: Iterable[int]) -> str:
    """An int8[] constant."""
    return "'{" + ",".join(str(int(v)) for v in values) + "}'::int8[]"


def text(value: str) -> str:
    """A text constant that means the same whatever standard_conforming_strings says."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in value else f"'{escaped}'"


def identifier(name: str) -> str:
    """A quoted name."""
    return '"' + name.replace('"', '""') + '"'
