"""A query's text to its statements, and a statement's words to the command tag that Postgres would give it; no engine needed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

from sqlml.errors import SqlSyntaxError
from sqlml.language.tokens import Token, tokenize

_CHANGES = frozenset(
    {"OR", "REPLACE", "TEMP", "TEMPORARY", "LOCAL", "GLOBAL", "UNIQUE", "RECURSIVE", "PERSISTENT", "SECRET"}
)
_TWO_WORDS = frozenset({"CREATE", "DROP", "ALTER"})
_QUERIES = frozenset({"SELECT", "WITH", "FROM", "VALUES", "TABLE", "("})
_COUNTED = {"insert": "INSERT 0", "update": "UPDATE", "delete": "DELETE", "merge_into": "MERGE", "copy": "COPY"}


LONGEST_KEPT = 1 << 14  # characters of a text whose statements are remembered


@dataclass(frozen=True)
class Piece:
    """One statement of a query, without the semicolon: its text for the engine, where it begins, its first words in upper case.

    For the engine the schema public is main, padded so that every other character stays where it is; ``written`` is
    the text as the client sent it.
    """

    text: str
    start: int
    words: tuple[str, ...]
    written: str = ""


def split(text: str) -> tuple[Piece, ...]:
    """The statements of a text; those that hold nothing are left out."""
    return _split_again(text) if len(text) <= LONGEST_KEPT else _split(text)


def _split(text: str) -> tuple[Piece, ...]:
    try:
        tokens = tokenize(text)
    except SqlSyntaxError:
        return (Piece(text, 0, (), text),)  # the engine finds the words for it
    pieces: list[Piece] = []
    start = first = 0
    for index, token in enumerate(tokens):
        if token.upper == ";":
            _add(pieces, text[start : token.start], start, tokens[first:index])
            start, first = token.end, index + 1
    _add(pieces, text[start:], start, tokens[first:])
    return tuple(pieces)


_split_again = lru_cache(1024)(_split)


def _add(pieces: list[Piece], text: str, start: int, tokens: list[Token]) -> None:
    if tokens:
        shift = tokens[0].start - start
        written = text[shift:].rstrip()
        shown = _with_main(written, tokens, tokens[0].start)
        pieces.append(Piece(shown, start + shift, tuple(token.upper for token in tokens[:8]), written))


def _with_main(text: str, tokens: list[Token], origin: int) -> str:
    """The text with ``main`` for ``public`` before a dot."""
    for token, after in itertools.pairwise(tokens):
        if after.upper == "." and token.text.lower() in ("public", '"public"'):
            place, end = token.start - origin, token.end - origin
            name = "main" if token.kind == "word" else '"main"'
            text = text[:place] + name.ljust(end - place) + text[end:]
    return text


def tag_of(words: tuple[str, ...], kind: str) -> str:
    """The tag of a statement of the engine's, without the count; ``kind`` is the engine's own name of what it is."""
    if kind in _COUNTED:
        return _COUNTED[kind]
    if kind in ("select", "execute", "relation") or not words:
        return "SELECT"
    first = words[0]
    if first in _TWO_WORDS:
        second = next((word for word in words[1:] if word and word not in _CHANGES), "")
        return f"{first} {'FUNCTION' if second == 'MACRO' else second}".rstrip()
    return first


def is_counted(kind: str) -> bool:
    """Whether the tag of a statement without rows has a number."""
    return kind in _COUNTED


def without_explain(text: str) -> str:
    """The statement that an EXPLAIN explains; any other one as it is."""
    tokens = tokenize(text)
    if not tokens or tokens[0].upper != "EXPLAIN":
        return text
    index = 1
    while index < len(tokens) and tokens[index].upper in ("ANALYZE", "VERBOSE"):
        index += 1
    if index + 1 < len(tokens) and tokens[index].upper == "(" and tokens[index + 1].upper not in _QUERIES:
        while index < len(tokens) and tokens[index].upper != ")":
            index += 1
        index += 1
    return text[tokens[index].start :] if index < len(tokens) else ""
