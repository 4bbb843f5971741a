"""The text of TRANSFORM to its items: stars, expressions with their names, and the ML calls inside, all as ranges of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlml.errors import SqlSyntaxError
from sqlml.language.tokens import Token, identifier, match_brackets, tokenize


@dataclass(frozen=True)
class Range:
    """Tokens ``first`` up to, not including, ``end``."""

    first: int
    end: int


@dataclass(frozen=True)
class Item:
    """An expression and its name, if it has one; ``star`` for ``*``, with what it leaves out and replaces."""

    body: Range
    alias: str | None = None
    star: bool = False
    excluded: tuple[str, ...] = ()
    replaced: tuple[Item, ...] = ()


@dataclass(frozen=True)
class MlCall:
    """``ML.NAME(arguments) [OVER ()]``; ``whole`` covers all of it."""

    name: str
    arguments: tuple[Range, ...]
    whole: Range


class SelectList:
    """The tokens of a TRANSFORM and how its brackets pair."""

    def __init__(self, text: str, dialect: str) -> None:
        self.text = text
        self.tokens: Sequence[Token] = tokenize(text, dialect)
        pairs = match_brackets(self.tokens)
        if isinstance(pairs, int):
            raise SqlSyntaxError(
                f'unpaired "{self.tokens[pairs].text}" in TRANSFORM', position=self.tokens[pairs].start, text=text
            )
        self._pairs = pairs
        if not self.tokens:
            raise SqlSyntaxError(
                "TRANSFORM is empty", hint="List columns and expressions, or *.", position=0, text=text
            )

    def source(self, body: Range) -> str:
        """The user's text of a range."""
        return self.text[self.tokens[body.first].start : self.tokens[body.end - 1].end]

    def position(self, body: Range) -> int:
        """Where a range begins in the text."""
        return self.tokens[body.first].start

    def error(self, message: str, index: int, hint: str | None = None) -> SqlSyntaxError:
        """A syntax error at a token."""
        position = self.tokens[index].start if index < len(self.tokens) else len(self.text)
        return SqlSyntaxError(message, hint=hint, position=position, text=self.text)

    def items(self) -> list[Item]:
        """All items; a comma at the end is allowed, as in BigQuery."""
        whole = Range(0, len(self.tokens))
        if self.tokens[-1].upper == "," and len(self.tokens) > 1:
            whole = Range(0, len(self.tokens) - 1)
        return [self._item(part) for part in self.split(whole)]

    def split(self, body: Range) -> list[Range]:
        """The parts of a range between its top-level commas."""
        parts = []
        first = index = body.first
        while index < body.end:
            if self.tokens[index].upper == ",":
                parts.append(self._part(first, index))
                first = index + 1
            index = self._pairs.get(index, index) + 1
        parts.append(self._part(first, body.end))
        return parts

    def _part(self, first: int, end: int) -> Range:
        if first >= end:
            raise self.error("expected an expression", end)
        return Range(first, end)

    def _item(self, body: Range) -> Item:
        if self.tokens[body.first].upper == "*":
            return self._star(body)
        return self._named(body)

    def _named(self, body: Range) -> Item:
        last = self.tokens[body.end - 1]
        if body.end - body.first >= 3 and self.tokens[body.end - 2].upper == "AS":
            if last.kind not in ("word", "quoted"):
                raise self.error("expected a name after AS", body.end - 1)
            return Item(Range(body.first, body.end - 2), identifier(last))
        if body.end - body.first >= 2 and last.kind in ("word", "quoted"):
            before = self.tokens[body.end - 2]
            # "a b" and "f(x) b"; a word after a word may belong to a type or an operator, so only these two
            if (before.text == ")" and last.upper != "END") or (body.end - body.first == 2 and before.kind != "symbol"):
                return Item(Range(body.first, body.end - 1), identifier(last))
        return Item(body)

    def _star(self, body: Range) -> Item:
        index = body.first + 1
        excluded: list[str] = []
        replaced: list[Item] = []
        while index < body.end:
            word = self.tokens[index].upper
            index += 1
            if word in ("EXCEPT", "EXCLUDE"):
                inner, index = self._bracketed(index, body, single=True)
                excluded += [self._name(part) for part in self.split(inner)]
            elif word == "REPLACE":
                inner, index = self._bracketed(index, body, single=False)
                replaced += [self._replacement(part) for part in self.split(inner)]
            else:
                raise self.error(
                    f'expected EXCEPT or REPLACE after *, found "{self.tokens[index - 1].text}"', index - 1
                )
        return Item(body, star=True, excluded=tuple(excluded), replaced=tuple(replaced))

    def _bracketed(self, index: int, body: Range, *, single: bool) -> tuple[Range, int]:
        if index < body.end and self.tokens[index].text == "(":
            close = self._pairs[index]
            return Range(index + 1, close), close + 1
        if single and index < body.end:
            return Range(index, index + 1), index + 1
        raise self.error('expected "("', min(index, body.end))

    def _name(self, part: Range) -> str:
        token = self.tokens[part.first]
        if part.end - part.first != 1 or token.kind not in ("word", "quoted"):
            raise self.error("expected a column name", part.first)
        return identifier(token)

    def _replacement(self, part: Range) -> Item:
        item = self._named(part)
        if item.alias is None:
            raise self.error("expected AS and a column name", part.end - 1, "Write REPLACE (expression AS column).")
        return item

    def calls(self, body: Range) -> list[MlCall]:
        """The ML calls of a range, outermost only."""
        found = []
        index = body.first
        while index < body.end:
            if self._starts_call(index, body.end):
                call = self._call(index, body.end)
                found.append(call)
                index = call.whole.end
            else:
                index += 1
        return found

    def _starts_call(self, index: int, end: int) -> bool:
        return (
            index + 3 < end
            and self.tokens[index].upper == "ML"
            and self.tokens[index + 1].text == "."
            and self.tokens[index + 2].kind == "word"
            and self.tokens[index + 3].text == "("
        )

    def _call(self, index: int, end: int) -> MlCall:
        opening = index + 3
        close = self._pairs[opening]
        arguments = tuple(self.split(Range(opening + 1, close))) if close > opening + 1 else ()
        stop = close + 1
        if stop < end and self.tokens[stop].upper == "OVER":
            bracket = stop + 1
            if bracket >= end or self.tokens[bracket].text != "(" or self._pairs[bracket] != bracket + 1:
                raise self.error(
                    "expected OVER ()",
                    stop,
                    "A preprocessor looks at all training rows: its window has to be empty.",
                )
            stop = bracket + 2
        return MlCall(self.tokens[index + 2].upper, arguments, Range(index, stop))

    def inside(self, body: Range, opening: str) -> Range | None:
        """What a range that is one bracket, perhaps after a word (STRUCT, ARRAY), holds."""
        first = body.first
        if self.tokens[first].kind == "word" and first + 1 < body.end:
            first += 1
        if self.tokens[first].text == opening and self._pairs.get(first) == body.end - 1:
            return Range(first + 1, body.end - 1)
        return None

    def columns_in(self, body: Range, columns: Iterable[str]) -> list[str]:
        """The columns that an expression only the engine reads may use: every name in it that a column has."""
        exact = set(columns)
        folded = {name.casefold(): name for name in exact}
        found = []
        for index in range(body.first, body.end):
            token = self.tokens[index]
            if token.kind in ("word", "quoted") and not (index and self.tokens[index - 1].text == "."):
                name = identifier(token)
                match = name if name in exact else folded.get(name.casefold())
                if match is not None:
                    found.append(match)
        return found
