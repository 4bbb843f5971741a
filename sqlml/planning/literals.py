"""Literal arguments of preprocessors: numbers, texts, booleans and lists of them, read from tokens."""

from __future__ import annotations

import math

from sqlml.language.tokens import string_value
from sqlml.planning.select_list import Range, SelectList

Constant = bool | int | float | str | list["Constant"]

_WORDS = {"TRUE": True, "FALSE": False}
_INFINITIES = {"inf": math.inf, "+inf": math.inf, "infinity": math.inf, "+infinity": math.inf}


def read_constant(items: SelectList, body: Range) -> Constant:
    """The value of a literal; raises SqlSyntaxError for anything else."""
    inner = items.inside(body, "[")
    if inner is not None:
        return [read_constant(items, part) for part in items.split(inner)]
    tokens = items.tokens[body.first : body.end]
    if len(tokens) == 1 and tokens[0].upper in _WORDS:
        return _WORDS[tokens[0].upper]
    if len(tokens) == 1 and tokens[0].kind == "string":
        return string_value(tokens[0])
    if len(tokens) == 6 and tokens[0].upper == "CAST" and tokens[2].kind == "string":
        value = _INFINITIES.get(string_value(tokens[2]).lower())
        if value is not None:
            return value
    sign = -1 if tokens[0].text == "-" else 1
    number = tokens[1:] if tokens[0].text in ("-", "+") else tokens
    if len(number) == 1 and number[0].kind == "number":
        text = number[0].text.replace("_", "")
        try:
            return sign * (int(text) if text.isdecimal() else float(text))
        except ValueError:
            pass
    raise items.error("expected a constant", body.first, "Write a number, a text in single quotes, or a list [a, b].")
