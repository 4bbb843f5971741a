"""The segments of ML.GLOBAL_EXPLAIN: ``STRUCT(['plan', 'region'] AS group_by)`` names columns of the rows that are explained."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from sqlml.errors import OptionError, OptionValueError
from sqlml.language.statements import Option


def parse_segments(settings: Sequence[Option], columns: Sequence[str]) -> list[str]:
    """The columns to group by, as the rows have them; raises OptionError or OptionValueError with the position."""
    segments: list[str] = []
    for number, option in enumerate(settings):
        if option.key != "group_by":
            raise OptionError(
                f'unknown setting "{option.key}" of ML.GLOBAL_EXPLAIN',
                hint="The only setting is group_by, a list of columns: STRUCT(['plan'] AS group_by).",
                position=option.span.start,
            )
        if number:
            raise OptionError(
                'setting "group_by" stands twice', hint="Give it once, with all columns.", position=option.span.start
            )
        segments = [_column(option, name, columns) for name in _names(option)]
        if len(set(segments)) < len(segments):
            raise OptionValueError(
                'setting "group_by" names a column twice', hint="Name it once.", position=option.span.start
            )
    return segments


def _names(option: Option) -> list[str]:
    value = option.value
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return [str(name) for name in names]
    raise OptionValueError(
        'setting "group_by" must be a list of columns',
        hint="Write it as in STRUCT(['plan', 'region'] AS group_by).",
        position=option.span.start,
    )


def _column(option: Option, name: str, columns: Sequence[str]) -> str:
    alike = [name] if name in columns else [column for column in columns if column.casefold() == name.casefold()]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(name, columns, 1, 0.6)
    raise OptionValueError(
        f'setting "group_by" names "{name}", which is not a column of the rows',
        hint=f"Did you mean {near[0]}?" if near else f"The columns are: {', '.join(columns)}.",
        position=option.span.start,
    )
