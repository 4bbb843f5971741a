"""Errors on their way out of a backend: any exception to the parts of a server's error, as JSON that a function raises."""

from __future__ import annotations

import json
from typing import Any

from sqlml.errors import SqlmlError
from sqlml.language.errors import line_and_column


def failure(error: BaseException, translated: SqlmlError | None) -> str:
    """The JSON of an error; ``translated`` is what the engine made of one of the server's."""
    told = translated if translated is not None else error
    if isinstance(told, SqlmlError):
        parts: dict[str, Any] = {
            "message": told.message,
            "detail": _detail(told),
            "hint": told.hint,
            "sqlstate": told.sqlstate,
        }
    elif isinstance(told, MemoryError):
        parts = {"message": "out of memory", "sqlstate": "53200", "hint": "Train on fewer rows or columns."}
    else:
        parts = {"message": f"internal error: {type(told).__name__}: {told}", "sqlstate": "XX000"}
    return json.dumps({key: value for key, value in parts.items() if value})


def _detail(error: SqlmlError) -> str | None:
    """What is known beside the message, and the place in the statement, which the server cannot point at by itself."""
    if error.text is None or error.position is None:
        return error.detail
    number, column = line_and_column(error.text, error.position)
    line = error.text.split("\n")[number - 1].strip()
    place = f'At column {column} of line {number}: "{line}".'
    return f"{error.detail} {place}" if error.detail else place
