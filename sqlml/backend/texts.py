"""Function calls to statements of the dialect: names, queries and options as JSON in, the text to run out."""

from __future__ import annotations

import json
from typing import Any

from sqlml.errors import OptionValueError, SqlmlError
from sqlml.language.parser import parse
from sqlml.language.statements import DescribeModel

_ROWS_LATER = "\n)"  # on a line of its own: a comment may end the query


def checked_name(name: str) -> str:
    """A model's name as the dialect writes it; anything that is more or less than a name is refused."""
    (statement, *others) = parse(f"DESCRIBE MODEL {name}", "postgres", lambda parts: False)
    if others or not isinstance(statement, DescribeModel):
        raise SqlmlError(f'"{name}" is not a model name')
    return name


def call_text(function: str, name: str, query: str | None, settings: str | None) -> str:
    """A query on one of the ML table functions."""
    parts = [f"MODEL {checked_name(name)}"]
    if query is not None:
        parts.append(f"({_trimmed(query)}{_ROWS_LATER}")
    given = _object(settings, "settings")
    if given:
        parts.append(
            "STRUCT(" + ", ".join(f"{_literal(key, value)} AS {_key(key)}" for key, value in given.items()) + ")"
        )
    return f"SELECT * FROM ML.{function}({', '.join(parts)})"


def create_text(name: str, query: str, options: str | None, *, or_replace: bool) -> str:
    """A CREATE MODEL."""
    given = _object(options, "options")
    items = ", ".join(f"{_key(key)} = {_literal(key, value)}" for key, value in given.items())
    replacing = "OR REPLACE " if or_replace else ""
    clause = f" OPTIONS ({items})" if items else ""
    return f"CREATE {replacing}MODEL {checked_name(name)}{clause} AS\n{_trimmed(query)}"


def drop_text(name: str, *, if_exists: bool, cascade: bool) -> str:
    """A DROP MODEL."""
    return f"DROP MODEL {'IF EXISTS ' if if_exists else ''}{checked_name(name)}{' CASCADE' if cascade else ''}"


def _trimmed(query: str) -> str:
    return query.rstrip("; \t\r\n")


def _object(text: str | None, what: str) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    if not isinstance(found, dict):
        raise OptionValueError(f"{what} must be a JSON object", hint='Write {"name": value, ...}.')
    return found


def _key(key: str) -> str:
    if not key.replace("_", "a").isalnum() or not key.isascii() or key[0].isdigit():
        raise OptionValueError(f'"{key}" is not the name of an option')
    return key


def _literal(key: str, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_literal(key, item) for item in value) + "]"
    if isinstance(value, str):
        return _text(value)
    raise OptionValueError(f'option "{key}" cannot be a JSON object')


def _text(value: str) -> str:
    """Postgres' own form for texts with a backslash, which the dialect's tokens follow."""
    doubled = value.replace("'", "''")
    return f"E'{doubled.replace(chr(92), chr(92) * 2)}'" if "\\" in value else f"'{doubled}'"
