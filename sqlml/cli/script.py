"""Text typed or read from a file to single statements, without judging them: quotes, comments and semicolons only."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PIECE = re.compile(
    r"""
      (?P<space>   \s+ )
    | (?P<line>    --[^\n]* )
    | (?P<block>   /\* )
    | (?P<escaped> \b[eE]'(?:[^'\\]|\\.|'')*(?P<escaped_end>')? )
    | (?P<string>  '(?:[^']|'')*(?P<string_end>')? )
    | (?P<name>    "(?:[^"]|"")*(?P<name_end>")? )
    | (?P<tick>    `[^`]*(?P<tick_end>`)? )
    | (?P<dollar>  \$(?P<tag>(?:[^\W\d]\w*)?)\$ )
    | (?P<end>     ; )
    | (?P<word>    \w[\w$]* )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Piece:
    """One statement as written, comments before it included; ``ended`` by a semicolon, which is not part of ``text``.

    ``open`` says what was never closed: a quote, a comment, a dollar quote. ``blank`` is nothing but space and comments.
    """

    text: str
    start: int
    ended: bool
    open: bool
    blank: bool


def split_script(text: str) -> list[Piece]:
    """Cut at the semicolons; what follows the last one is a piece of its own, unless it is empty."""
    pieces: list[Piece] = []
    start = at = 0
    blank, is_open = True, False
    while at < len(text):
        match = _PIECE.match(text, at)
        assert match is not None  # noqa: S101 - invariant: the last alternative takes any character
        kind = match.lastgroup
        at, closed = _end_of(kind, match, text)
        is_open = is_open or not closed
        if kind == "end":
            pieces.append(Piece(text[start : match.start()], start, ended=True, open=False, blank=blank))
            start, blank = at, True
        elif kind not in {"space", "line", "block"}:
            blank = False
    if text[start:].strip() or is_open:
        pieces.append(Piece(text[start:], start, ended=False, open=is_open, blank=blank))
    return pieces


def is_complete(text: str) -> bool:
    """Whether the shell may run what was typed: every statement is ended, or there is none."""
    pieces = split_script(text)
    return all(piece.ended or (piece.blank and not piece.open) for piece in pieces)


def _end_of(kind: str | None, match: re.Match[str], text: str) -> tuple[int, bool]:
    """Where the piece ends and whether it was closed."""
    if kind == "block":
        return _end_of_comment(text, match.end())
    if kind == "dollar":
        end = text.find(match["dollar"], match.end())
        return (len(text), False) if end < 0 else (end + len(match["dollar"]), True)
    if kind in {"escaped", "string", "name", "tick"}:
        return match.end(), match[f"{kind}_end"] is not None
    return match.end(), True


def _end_of_comment(text: str, at: int) -> tuple[int, bool]:
    """Comments nest, as in Postgres and DuckDB."""
    depth = 1
    for found in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end(), True
    return len(text), False
