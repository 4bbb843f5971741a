"""The conditions that every row of a SELECT meets, as far as plain tokens tell: its WHERE, cut at AND."""

from __future__ import annotations

from collections.abc import Sequence

from sqlml.errors import SqlSyntaxError
from sqlml.language.tokens import Token, column_name, literal_value, tokenize
from sqlml.language.words import CLAUSES, SET_OPERATORS

_STOPS = (CLAUSES | SET_OPERATORS | {";"}) - {"SELECT", "FROM", "WHERE", "USING", "FOR", "INTO"}
Condition = tuple[tuple[str, ...], tuple[str | None, ...]]
"""The parts of a column's name, and the values that it may have; None stands for NULL."""


def fixed_columns(text: str, dialect: str = "duckdb") -> list[Condition]:
    """The columns that a WHERE leaves a few literals to; ``text`` goes on where the relations of its FROM end, or before."""
    try:
        tokens = tokenize(text, dialect)
    except SqlSyntaxError:
        return []
    found = (_condition(text, part, dialect) for part in _conjuncts(_where(tokens)))
    return [condition for condition in found if condition is not None]


def _where(tokens: Sequence[Token]) -> list[Token]:
    """The tokens of the first WHERE outside brackets, before the query ends."""
    depth, start = 0, None
    for index, token in enumerate(tokens):
        word = token.upper
        if word in ("(", "[", "{"):
            depth += 1
        elif word in (")", "]", "}"):
            depth -= 1
        if depth < 0 or (depth == 0 and word in _STOPS and (index == 0 or tokens[index - 1].text not in (".", "*"))):
            return [] if start is None else list(tokens[start:index])
        if depth == 0 and word == "WHERE" and start is None:
            start = index + 1
    return [] if start is None else list(tokens[start:])


def _conjuncts(tokens: Sequence[Token]) -> list[list[Token]]:
    """The parts between ANDs outside brackets, unless there is an OR; that of BETWEEN is none, nor any inside CASE."""
    parts: list[list[Token]] = [[]]
    depth, is_between = 0, False
    for token in tokens:
        word = token.upper
        depth += (word in ("(", "[", "{", "CASE")) - (word in (")", "]", "}", "END"))
        if depth == 0 and word == "OR":
            return []
        if depth == 0 and word == "AND" and not is_between:
            parts.append([])
            continue
        is_between = word == "BETWEEN" or (is_between and not (depth == 0 and word == "AND"))
        parts[-1].append(token)
    return [part for part in parts if part]


def _condition(text: str, tokens: Sequence[Token], dialect: str) -> Condition | None:
    """``a = 'x'``, ``'x' = a``, ``a IN ('x', 'y')``, ``a IS NULL``; None for anything else."""

    def said(first: int, end: int | None = None) -> str:
        part = tokens[first:end]
        return text[part[0].start : part[-1].end] if part else ""

    words = [token.upper for token in tokens]
    if len(words) > 2 and words[-2:] == ["IS", "NULL"]:
        name, values = column_name(said(0, -2), dialect), ["NULL"]
    elif "IN" in words[1:-3] and words[words.index("IN") + 1] == "(" and words[-1] == ")":
        at = words.index("IN")
        name, values = column_name(said(0, at), dialect), _listed(said(at + 2, -1), dialect)
    elif "=" in words:
        at = words.index("=")
        after = at + 1 + (words[at + 1 :][:1] == ["="])  # DuckDB has == as well
        sides = said(0, at), said(after)
        name, values = column_name(sides[0], dialect), [sides[1]]
        if name is None:
            name, values = column_name(sides[1], dialect), [sides[0]]
    else:
        return None
    read = [None if value == "NULL" else literal_value(value, dialect) for value in values]
    if name is None or not read or (None in read and values != ["NULL"]) or (values == ["NULL"] and words[-2] != "IS"):
        return None
    return name, tuple(read)


def _listed(text: str, dialect: str) -> list[str]:
    """The items of a list of literals."""
    items: list[list[Token]] = [[]]
    for token in tokenize(text, dialect):
        if token.text == "," and token.kind == "symbol":
            items.append([])
        else:
            items[-1].append(token)
    return [text[item[0].start : item[-1].end] if item else "" for item in items]
