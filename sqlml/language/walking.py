"""The ground all walkers stand on: tokens with their brackets, the places found so far, and what a text lends to queries inside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlml.language.statements import FromItem, Scope, Span
from sqlml.language.tokens import Token
from sqlml.language.words import CLAUSES, QUERY_STARTS


@dataclass(frozen=True)
class Place:
    """Where a call stands."""

    scope: Scope
    is_table: bool = False
    select_item: bool = False
    unnamed_item: Span | None = None


@dataclass(frozen=True)
class Environment:
    """What an enclosing text lends to the queries inside it."""

    ctes: tuple[Span, ...] = ()
    names: tuple[str, ...] = ()  # of the ctes, folded
    recursive: bool = False
    anchors: tuple[Span, ...] = ()
    outer: Scope | None = None
    depth: int = 0

    def inside(self, outer: Scope) -> Environment:
        """For a query inside ``outer``, which is left out where it shows nothing itself."""
        if outer.source is None and not outer.items:
            return replace(self, outer=outer.outer, depth=self.depth + 1)
        return replace(self, outer=outer, depth=self.depth + 1)

    def scope(self, source: Span | None = None, items: tuple[FromItem, ...] = ()) -> Scope:
        return Scope(source, items, self.ctes, self.recursive, self.outer, self.anchors)

    def with_cte(self, name: str, span: Span) -> Environment:
        """One more definition; it hides an outer one of its name."""
        kept = [(n, s) for n, s in zip(self.names, self.ctes, strict=True) if n != name]
        return replace(self, ctes=(*(s for _, s in kept), span), names=(*(n for n, _ in kept), name))


@dataclass
class TokenWalker(ABC):
    """Finds the places of the calls whose name tokens are at the indexes ``calls`` (sorted)."""

    text: str
    tokens: Sequence[Token]
    brackets: dict[int, int]
    calls: Sequence[int]
    places: dict[int, Place] = field(default_factory=dict)
    unnamed_items: list[Span] = field(default_factory=list)

    def word(self, index: int, end: int | None = None) -> str:
        """The word or symbol there, in upper case; empty behind the end."""
        if index < 0 or index >= (len(self.tokens) if end is None else end):
            return ""
        return self.tokens[index].upper

    def holds_call(self, first: int, end: int) -> bool:
        position = bisect_left(self.calls, first)
        return position < len(self.calls) and self.calls[position] < end

    def is_call(self, index: int) -> bool:
        position = bisect_left(self.calls, index)
        return position < len(self.calls) and self.calls[position] == index

    def after(self, index: int) -> int:
        """The index behind this token, or behind its bracket."""
        return self.brackets.get(index, index) + 1

    def is_keyword(self, index: int, first: int) -> bool:
        """Whether a word there can be one of the language: not after a dot, nor as a name after AS."""
        before = self.word(index - 1) if index > first else ""
        return self.tokens[index].kind == "word" and before not in (".", "AS")

    def starts_query(self, opening: int) -> bool:
        """Whether the bracket opened there holds a query; ``trim(FROM x)`` does not."""
        if self.word(opening - 1) == "TRIM":
            return False
        index = opening
        while self.word(index) == "(":
            index += 1
        word = self.word(index)
        if word not in QUERY_STARTS or index + 1 >= self.brackets[opening]:
            return False
        if word == "VALUES":  # sum(values), f(values := 1)
            return self.word(index + 1) == "("
        return self.tokens[index + 1].kind != "symbol" or self._may_follow(word, index)

    def _may_follow(self, word: str, index: int) -> bool:
        """Whether a symbol behind a query's first word leaves it one: ``SELECT *``, ``FROM (``, but not ``show + 1``."""
        return word in ("SELECT", "FROM", "WITH") or self.word(index + 1) in ("(", "{", "[")

    def place(self, index: int, place: Place) -> None:
        self.places[index] = place

    def walk_expression(
        self, first: int, end: int, scope: Scope, env: Environment, unnamed_item: Span | None = None
    ) -> None:
        """Calls anywhere in these tokens see ``scope``; queries in brackets have their own."""
        index = first
        while index < end:
            if not self.holds_call(index, end):
                return
            if self.is_call(index):
                self.places.setdefault(index, Place(scope, unnamed_item=unnamed_item))
            if self.word(index) == "(" and self.starts_query(index):
                self.walk_query(index + 1, self.brackets[index], env.inside(scope))
                index = self.brackets[index]
            index += 1

    def walk_brackets(self, first: int, end: int, env: Environment) -> None:
        """Only what stands in brackets holds expressions or queries; a name before one is not a function's."""
        index = first
        while index < end:
            if self.word(index) == "(":
                self.walk_expression(index, self.after(index), env.scope(), env)
            index = self.after(index)

    def find_word(self, first: int, end: int, words: frozenset[str]) -> int:
        """The first of these keywords outside brackets, else the end."""
        index = first
        while index < end:
            if self.word(index) in words and self.is_keyword(index, first):
                return index
            index = self.after(index)
        return end

    def clauses(self, first: int, end: int, words: frozenset[str] = CLAUSES) -> list[tuple[str, int, int]]:
        """Each clause of one SELECT (or of another statement): its word, and the tokens that follow it."""
        heads = []
        index = first
        while index < end:
            if self.word(index) in words and self.is_keyword(index, first) and self._opens_clause(index, first):
                heads.append(index)
            index = self.after(index)
        stops = [*heads[1:], end]
        return [(self.word(head), head + 1, stop) for head, stop in zip(heads, stops, strict=True)]

    def _opens_clause(self, index: int, first: int) -> bool:
        """``IS [NOT] DISTINCT FROM`` is an operator, and USING opens a clause of its own only as ``USING SAMPLE``."""
        if self.word(index) == "USING":
            return self.word(index + 1) == "SAMPLE"
        if self.word(index) != "FROM" or index - first < 2:
            return True
        return not (self.word(index - 1) == "DISTINCT" and self.word(index - 2) in ("IS", "NOT"))

    def split(self, first: int, end: int, separator: str = ",") -> list[tuple[int, int]]:
        """The non-empty parts between commas outside brackets."""
        parts = []
        start = index = first
        while index < end:
            if self.word(index) == separator:
                parts.append((start, index))
                start = index + 1
            index = self.after(index)
        return [(a, b) for a, b in [*parts, (start, end)] if a < b]

    @abstractmethod
    def walk_query(self, first: int, end: int, env: Environment) -> None: ...
