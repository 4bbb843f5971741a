"""Whether the columns given to a model have the types it takes, asked before casts in generated SQL make something of any type."""

from __future__ import annotations

from collections.abc import Mapping

from sqlml.errors import UnsupportedTypeError
from sqlml.planning.kinds import base_type, kind_of
from udfs.model import Kind, Model

_WANTED: dict[Kind, str] = {
    "number": "a number",
    "boolean": "a boolean",
    "text": "text",
    "date": "a date or timestamp",
    "timestamp": "a timestamp, date or time",
    "timestamptz": "a timestamp with time zone",
}
_TAKES: dict[Kind, tuple[Kind, ...]] = {
    "number": ("number", "boolean"),
    "boolean": ("number", "boolean"),
    "text": ("text",),
    "date": ("date", "timestamp"),
    "timestamp": ("date", "timestamp"),
    "timestamptz": ("timestamptz",),
}


def require_types(model: Model, types: Mapping[str, str]) -> None:
    """Refuse a column whose type the model does not take; ``types`` are by the names of inputs, as far as they are known."""
    for argument in model.arguments:
        given = types.get(argument.name) if argument.expression is None else None
        if given is not None and not _takes(argument.kind, given):
            raise UnsupportedTypeError(
                f'column "{argument.name}" must be {_WANTED[argument.kind]}, got {given}',
                hint="Cast it to the type the model was trained on.",
            )


def _takes(kind: Kind, sql_type: str) -> bool:
    is_time = base_type(sql_type).startswith("TIME ") or base_type(sql_type) == "TIME"
    return kind_of(sql_type) in _TAKES[kind] and not (kind == "date" and is_time)


def has_own_type(sql: str) -> bool:
    """Whether an expression has a type before it is used: a parameter, a NULL and a text constant take the one that is wanted."""
    bare = sql.strip("() ")
    return not (bare.startswith(("$", "'")) or bare.upper() == "NULL")
