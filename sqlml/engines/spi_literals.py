"""Parameters written into the text of a statement, as the server's own programming interface wants it: safe literals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlml.errors import EngineError

# A question mark counts outside of literals and quoted names only; our own statements hold neither comments nor dollar quotes.
_PIECES = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\?")


def inline(sql: str, parameters: Sequence[Any] | None) -> str:
    """The statement with a literal for each ``?``."""
    if not parameters:
        return sql
    values = iter(parameters)

    def replaced(match: re.Match[str]) -> str:
        return literal(_next(values, sql)) if match[0] == "?" else match[0]

    text = _PIECES.sub(replaced, sql)
    if next(values, values) is not values:
        raise EngineError("a statement was given more parameters than it has places")
    return text


def _next(values: Iterator[Any], sql: str) -> Any:
    for value in values:
        return value
    raise EngineError("a statement was given fewer parameters than it has places", text=sql)


def literal(value: Any) -> str:
    """A value as SQL that means the same under every setting a caller can make."""
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return f"ARRAY[{', '.join(map(literal, value))}]" if value else "'{}'"
    written = next((write for kind, write in _WRITERS if isinstance(value, kind)), None)
    return quoted(str(value)) if written is None else written(value)


def quoted(text: str) -> str:
    """A text literal; backslashes need their own form, whatever ``standard_conforming_strings`` says."""
    if "\0" in text:
        raise EngineError("a text in Postgres cannot hold the character 0")
    doubled = text.replace("'", "''")
    return f"E'{doubled.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{doubled}'"


def _whole(value: int | Decimal) -> str:
    return f"({value})" if str(value).startswith("-") else str(value)


def _double(value: float) -> str:
    if math.isfinite(value):
        return f"'{value!r}'::pg_catalog.float8"
    shown = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return f"'{shown}'::pg_catalog.float8"


def _bytes(value: bytes) -> str:
    return f"pg_catalog.decode('{bytes(value).hex()}', 'hex')"


def _moment(value: datetime) -> str:
    return f"'{value.isoformat()}'::pg_catalog.{'timestamp' if value.tzinfo is None else 'timestamptz'}"


# The first that fits: a boolean is an integer, too, and a moment a date.
_WRITERS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (bool, lambda value: str(value).upper()),
    (int | Decimal, _whole),
    (float, _double),
    (bytes | bytearray | memoryview, _bytes),
    (datetime, _moment),
    (date, lambda value: f"'{value.isoformat()}'::pg_catalog.date"),
)
