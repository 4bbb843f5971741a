"""Tokens of OPTIONS (key = value, ...) and STRUCT(value AS key, ...) to keys and Python values."""

from __future__ import annotations

import math

from sqlml.errors import SqlSyntaxError
from sqlml.language.reader import Reader
from sqlml.language.statements import Option, OptionValue
from sqlml.language.tokens import identifier, string_value

_LITERALS: dict[str, OptionValue] = {"TRUE": True, "FALSE": False, "NULL": None}
_TYPED = frozenset({"DATE", "TIME", "DATETIME", "TIMESTAMP", "TIMESTAMPTZ"})
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


def read_options(reader: Reader, *, what: str = "OPTIONS") -> tuple[Option, ...]:
    """``(key = value, ...)``; the reader stands before the bracket."""
    reader.expect("(", hint=f"Write {what} (key = value, ...).")
    options: list[Option] = []
    while not reader.accept(")"):
        if options:
            _comma(reader, ")")
        first = reader.index
        key = _key(reader, "an option's name")
        if not (reader.accept("=") or reader.accept("=>") or reader.accept(":=")):
            raise reader.error('"="', hint=f"Write {key} = value.")
        options.append(Option(key, read_value(reader), reader.span_from(first)))
    return tuple(options)


def read_struct(reader: Reader) -> tuple[Option, ...]:
    """``(value AS key, ...)`` behind STRUCT."""
    reader.expect("(", hint="Write STRUCT(value AS setting, ...).")
    options: list[Option] = []
    while not reader.accept(")"):
        if options:
            _comma(reader, ")")
        first = reader.index
        value = read_value(reader)
        reader.expect("AS", hint="Every setting needs its name: STRUCT(value AS setting, ...).")
        options.append(Option(_key(reader, "a setting's name"), value, reader.span_from(first)))
    return tuple(options)


def _comma(reader: Reader, close: str) -> None:
    if not reader.accept(","):
        raise reader.error(f'"," or "{close}"')


def _key(reader: Reader, what: str) -> str:
    token = reader.peek()
    if token.kind not in ("word", "quoted"):
        raise reader.error(what)
    reader.take()
    return identifier(token).lower()


def read_value(reader: Reader) -> OptionValue:
    """A literal: number, string, TRUE, FALSE, NULL, list, struct, DATE '...', or a call such as HPARAM_RANGE(1, 5)."""
    token = reader.peek()
    if token.kind == "string":
        return string_value(reader.take())
    if token.kind == "quoted":  # BigQuery writes strings in double quotes
        return identifier(reader.take())
    if token.kind == "number" or token.upper in ("-", "+", "."):
        return _number(reader)
    if token.upper in _BRACKETS:
        return _record(reader) if token.upper == "{" else _list(reader)
    if token.kind == "word":
        return _word(reader)
    raise reader.error("a value", hint="A value is a literal: a number, a 'string', TRUE, FALSE, NULL or a list.")


def _word(reader: Reader) -> OptionValue:
    token = reader.take()
    if token.upper in _LITERALS:
        return _LITERALS[token.upper]
    following = reader.peek()
    if token.upper in _TYPED and following.kind == "string":
        return string_value(reader.take())
    if token.upper == "ARRAY" and following.upper in ("[", "<"):
        _skip_element_type(reader)
        return _list(reader)
    if token.upper == "STRUCT" and following.upper == "(":
        return _struct_value(reader)
    if following.upper == "(":
        return {token.text.lower(): _list(reader)}
    raise reader.error_at(
        f'"{token.text}" is not a value', token.start, hint=f"Write '{token.text}' in single quotes if it is text."
    )


def _number(reader: Reader) -> OptionValue:
    """A signed number; ``.5`` arrives as two tokens."""
    first = reader.index
    sign = -1 if reader.accept("-") else 1
    reader.accept("+")
    text = "." if reader.accept(".") else ""
    token = reader.peek()
    if token.kind != "number":
        raise reader.error("a number")
    text += reader.take().text.replace("_", "")
    try:
        value = _parse_number(text)
    except ValueError:
        raise _bad_number(reader, first) from None
    return sign * value


def _parse_number(text: str) -> int | float:
    if text[:2].lower() in ("0x", "0b", "0o"):
        return int(text, 0)
    if text.isdecimal():
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _bad_number(reader: Reader, first: int) -> SqlSyntaxError:
    span = reader.span_from(first)
    return reader.error_at(f"{span.of(reader.text)} is not a number", span.start)


def _skip_element_type(reader: Reader) -> None:
    """``ARRAY<STRING>[...]``."""
    if reader.accept("<"):
        while not reader.at_end() and not reader.accept(">"):
            reader.take()


def _list(reader: Reader) -> tuple[OptionValue, ...]:
    close = _BRACKETS.get(reader.peek().upper)
    if close is None or close == "}":
        raise reader.error("a list", hint="Write [value, ...].")
    reader.take()
    values: list[OptionValue] = []
    while not reader.accept(close):
        if values:
            _comma(reader, close)
        values.append(read_value(reader))
    return tuple(values)


def _struct_value(reader: Reader) -> OptionValue:
    """``STRUCT(1 AS a)`` is a dict, ``STRUCT('yes', 0.5)`` a tuple."""
    reader.expect("(")
    values: list[OptionValue] = []
    keys: list[str] = []
    while not reader.accept(")"):
        if values:
            _comma(reader, ")")
        values.append(read_value(reader))
        if reader.accept("AS"):
            keys.append(_key(reader, "a field's name"))
    if keys and len(keys) != len(values):
        raise reader.error_at("some fields of the STRUCT have names and some do not", reader.peek(-1).start)
    return dict(zip(keys, values, strict=True)) if keys else tuple(values)


def _record(reader: Reader) -> dict[str, OptionValue]:
    """``{'yes': 0.5, no: 0.5}``."""
    reader.expect("{")
    record: dict[str, OptionValue] = {}
    while not reader.accept("}"):
        if record:
            _comma(reader, "}")
        token = reader.peek()
        if token.kind == "string":
            key = string_value(reader.take())
        elif token.kind in ("word", "quoted", "number"):
            key = identifier(reader.take())
        else:
            raise reader.error("a key")
        reader.expect(":")
        record[key] = read_value(reader)
    return record
