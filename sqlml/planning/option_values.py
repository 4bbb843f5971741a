"""Values of options: from what the parser read to the type and range that an option's rule asks for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any

from sqlml.language.statements import OptionValue
from sqlml.planning.option_rules import OBJECTIVE_ALIASES, Rule

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


class MismatchError(Exception):
    """A value that does not fit its rule: what was wanted instead."""

    def __init__(self, wanted: str, hint: str | None = None) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.hint = hint


def read_value(value: OptionValue, rule: Rule) -> Any:
    """The value in the type of its rule; raises MismatchError."""
    return _READERS[rule.kind](value, rule)


def shown(value: OptionValue) -> str:
    """The value as it stands in SQL, for messages."""
    if value is None or isinstance(value, bool):
        return "NULL" if value is None else str(value).upper()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, dict):
        return "a STRUCT"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _range_of(rule: Rule, noun: str) -> str:
    low = f"{'above' if rule.open_low else 'at least'} {rule.low:g}" if rule.low > float("-inf") else ""
    high = f"{'below' if rule.open_high else 'at most'} {rule.high:.10g}" if rule.high < 2**31 - 1 else ""
    return f"{noun} {' and '.join(part for part in (low, high) if part)}".strip()


def _in_range(value: float, rule: Rule) -> bool:
    above = value > rule.low if rule.open_low else value >= rule.low
    below = value < rule.high if rule.open_high else value <= rule.high
    return above and below  # false for NaN as well


def _read_integer(value: OptionValue, rule: Rule) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not _in_range(value, rule):
        raise MismatchError(_range_of(rule, "an integer"))
    return value


def _read_real(value: OptionValue, rule: Rule) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not _in_range(value, rule)
        or value == float("inf")
    ):
        raise MismatchError(_range_of(rule, "a number"))
    return float(value)


def _read_boolean(value: OptionValue, rule: Rule) -> bool:
    if not isinstance(value, bool):
        raise MismatchError("TRUE or FALSE")
    return value


def _read_text(value: OptionValue, rule: Rule) -> str:
    if not isinstance(value, str):
        raise MismatchError("text")
    return value


def _read_choice(value: OptionValue, rule: Rule) -> str:
    folded = value.lower() if isinstance(value, str) else ""
    if folded in rule.choices:
        return OBJECTIVE_ALIASES.get(folded, folded)
    near = difflib.get_close_matches(folded, rule.choices, n=1)
    shown = [choice for choice in rule.choices if choice not in OBJECTIVE_ALIASES]
    raise MismatchError(f"one of {', '.join(shown)}", f"Did you mean {near[0]}?" if near else None)


def _read_column(value: OptionValue, rule: Rule) -> str:
    values = value if isinstance(value, tuple) else (value,)
    if len(values) != 1 or not isinstance(values[0], str) or not values[0]:
        raise MismatchError("the name of one column")
    return values[0]


def _read_columns(value: OptionValue, rule: Rule) -> tuple[str, ...]:
    values = value if isinstance(value, tuple) else (value,)
    names = tuple(name for name in values if isinstance(name, str) and name)
    if len(names) != len(values):
        raise MismatchError("a list of column names")
    return names


def _read_size(value: OptionValue, rule: Rule) -> int:
    wanted = "a size such as '2GB'"
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", value) if isinstance(value, str) else None
    if found is None or found[2].lower() not in _UNITS or float(found[1]) <= 0:
        raise MismatchError(wanted)
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _pairs(value: OptionValue) -> Iterable[tuple[OptionValue, OptionValue]]:
    """The pairs of a STRUCT, of a list of STRUCTs of two values, or of a list of pairs."""
    if isinstance(value, dict):
        return list(value.items())
    if not isinstance(value, tuple):
        raise MismatchError("a list of pairs")
    items = [tuple(item.values()) if isinstance(item, dict) else item for item in value]
    if not all(isinstance(item, tuple) and len(item) == 2 for item in items):
        raise MismatchError("a list of pairs")
    return [(item[0], item[1]) for item in items if isinstance(item, tuple)]


def _read_weights(value: OptionValue, rule: Rule) -> tuple[tuple[str, float], ...]:
    wanted = "pairs of a class and a weight above 0, as in [('yes', 2.0), ('no', 0.5)]"
    try:
        pairs = list(_pairs(value))
    except MismatchError:
        raise MismatchError(wanted) from None
    weight_rule = Rule("real", low=0, open_low=True)
    try:
        return tuple((_class_text(name), _read_real(weight, weight_rule)) for name, weight in pairs)
    except MismatchError:
        raise MismatchError(wanted) from None


def _class_text(value: OptionValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise MismatchError("a class")


def _read_signs(value: OptionValue, rule: Rule) -> tuple[tuple[str, int], ...] | tuple[int, ...]:
    wanted = "-1, 0 or 1 for each feature, as in STRUCT(1 AS age) or [1, 0, -1]"
    try:
        if isinstance(value, tuple) and value and all(isinstance(item, int) for item in value):
            return tuple(_sign(item) for item in value)
        return tuple((_read_column(name, rule), _sign(sign)) for name, sign in _pairs(value))
    except MismatchError:
        raise MismatchError(wanted) from None


def _sign(value: OptionValue) -> int:
    return _read_integer(value, Rule("integer", low=-1, high=1))


_READERS: dict[str, Callable[[OptionValue, Rule], Any]] = {
    "integer": _read_integer,
    "real": _read_real,
    "boolean": _read_boolean,
    "text": _read_text,
    "choice": _read_choice,
    "column": _read_column,
    "columns": _read_columns,
    "size": _read_size,
    "weights": _read_weights,
    "signs": _read_signs,
}
