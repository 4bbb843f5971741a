"""Where in the user's text the word stands that an error is about: the error's message names it, the text has it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlml.errors import (
    DataError,
    DuplicateColumnError,
    MissingColumnError,
    SqlmlError,
    SqlSyntaxError,
    TransformError,
    UnsupportedTypeError,
)
from sqlml.language.splice import locate
from sqlml.language.statements import Span
from sqlml.language.tokens import Token, identifier, string_value, tokenize

_MENTION = re.compile(r'"((?:[^"]|"")+)"|with name (\S+) does not|\bversion (\d+)')
_REPEATED = re.compile(r"\btwo\b|more than once|twice|already")
_ABOUT_QUERY = (DataError, DuplicateColumnError, MissingColumnError, TransformError, UnsupportedTypeError)


def point(error: SqlmlError, text: str, spans: Sequence[Span]) -> None:
    """Give an error without a place in the user's text the best one: the word it is about, looked for in span after span.

    An error of generated SQL points at the same word of the user's. An error about the query that names no word of it
    points at the query, the first span.
    """
    if error.text is not None and error.text != text:
        if error.position is not None:
            error.position = locate(text, error.text, error.position, spans[0])
        error.text = None
    if error.position is None and error.text is None:
        error.position = next(
            (place for span in spans if (place := named_in(text, span, error.message)) is not None), None
        )
        if error.position is None and isinstance(error, _ABOUT_QUERY):
            error.position = spans[0].start + len(spans[0].of(text)) - len(spans[0].of(text).lstrip())
    error.text = text


def named_in(text: str, within: Span, message: str) -> int | None:
    """Where the last word stands that the message mentions and that part of the text has; of repeated names the last one."""
    try:
        tokens = tokenize(within.of(text))
    except SqlSyntaxError:
        return None
    mentioned = [next(name for name in found.groups() if name) for found in _MENTION.finditer(message)]
    for name in reversed(mentioned):
        places = [token.start for token in tokens if _names(token, name)]
        if places:
            return within.start + (places[-1] if _REPEATED.search(message) else places[0])
    return None


def _names(token: Token, name: str) -> bool:
    if token.kind in ("word", "quoted"):
        return identifier(token).casefold() == name.casefold()
    if token.kind == "string":
        return string_value(token) == name
    return token.kind == "number" and token.text == name
