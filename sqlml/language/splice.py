"""A text with some spans replaced, and the way back from positions of the new text to the user's."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from sqlml.errors import SqlSyntaxError
from sqlml.language.statements import Span
from sqlml.language.tokens import Token, tokenize

_COMPARABLE = 4_000_000  # pairs of tokens; comparing more takes longer than a user waits for an error


@dataclass(frozen=True)
class _Piece:
    """``length`` characters of the new text from ``start``; they stand for ``origin`` of the user's text, verbatim or not."""

    start: int
    length: int
    origin: Span
    verbatim: bool


@dataclass(frozen=True)
class OffsetMap:
    """Positions of a generated text to positions of the user's."""

    text: str
    generated: str
    pieces: tuple[_Piece, ...]

    def to_user(self, position: int) -> int:
        """Where the user wrote what stands at ``position``: exact in kept text, the same word or else the start of the call in replaced text."""
        if not self.pieces:
            return position
        index = max(0, bisect_right([piece.start for piece in self.pieces], position) - 1)
        piece = self.pieces[index]
        offset = position - piece.start
        if piece.verbatim:
            return min(piece.origin.start + offset, piece.origin.end)
        return self._in_replacement(piece, offset)

    def _in_replacement(self, piece: _Piece, offset: int) -> int:
        replacement = self.generated[piece.start : piece.start + piece.length]
        found = locate(self.text, replacement, offset, piece.origin)
        return piece.origin.start if found is None else found


def locate(text: str, generated: str, position: int, within: Span | None = None) -> int | None:
    """Where in the user's text (or in the part ``within``) the word stands that generated SQL has at ``position``.

    For SQL that was made from the user's without a map, such as a query that asks the engine for columns: the user's words
    survive in it, and the longest run of them around the position tells which one it is. None for a word of ours.
    """
    origin = within or Span(0, len(text))
    try:
        new = tokenize(generated)
        old = tokenize(origin.of(text))
    except SqlSyntaxError:
        return None
    wanted = next((i for i, token in enumerate(new) if token.start <= position < token.end), None)
    found = None if wanted is None else _aligned(old, new, wanted)
    if wanted is None or found is None:
        return None
    return origin.start + old[found].start + (position - new[wanted].start)


def _aligned(old: Sequence[Token], new: Sequence[Token], wanted: int) -> int | None:
    """The old token that the new one is a copy of: the one in a common run, else any of the same text."""
    if len(old) * len(new) > _COMPARABLE:
        return next((i for i, token in enumerate(old) if token.text == new[wanted].text), None)
    matcher = difflib.SequenceMatcher(None, [t.text for t in old], [t.text for t in new], autojunk=False)
    for block in matcher.get_matching_blocks():
        if block.b <= wanted < block.b + block.size and block.size > 1:
            return block.a + wanted - block.b
    if new[wanted].kind == "symbol":
        return None
    return next((i for i, token in enumerate(old) if token.text == new[wanted].text), None)


def splice(text: str, replacements: Sequence[tuple[Span, str]], within: Span | None = None) -> tuple[str, OffsetMap]:
    """``text`` (or the part ``within``) with each span replaced; spans must not overlap, and may come in any order."""
    whole = within or Span(0, len(text))
    parts: list[str] = []
    pieces: list[_Piece] = []
    length = 0

    def add(part: str, origin: Span, *, verbatim: bool) -> None:
        nonlocal length
        if part:
            pieces.append(_Piece(length, len(part), origin, verbatim))
            parts.append(part)
            length += len(part)

    position = whole.start
    for span, replacement in sorted(replacements, key=lambda item: (item[0].start, item[0].end)):
        if span.start < position or span.end > whole.end:
            raise ValueError(f"replaced spans overlap or lie outside: {span}")  # a mistake of ours, not of the user's
        add(text[position : span.start], Span(position, span.start), verbatim=True)
        add(replacement, span, verbatim=False)
        position = span.end
    add(text[position : whole.end], Span(position, whole.end), verbatim=True)
    generated = "".join(parts)
    return generated, OffsetMap(text, generated, tuple(pieces))
