"""Tokens of a FROM list to its relations: text, alias, and the places of the calls inside them."""

from __future__ import annotations

from sqlml.language.statements import FromItem, Scope
from sqlml.language.tokens import identifier, span_of, string_value
from sqlml.language.walking import Environment, Place, TokenWalker
from sqlml.language.words import JOIN_PREFIXES, NOT_AN_ALIAS

_NEAREST = frozenset({"APPROX", "EXACT", "NEAREST"})


class RelationWalker(TokenWalker):
    """Walks ``relation [AS alias] [JOIN relation ON ...], ...``."""

    def walk_from(self, first: int, end: int, env: Environment, extra: tuple[FromItem, ...] = ()) -> Scope:
        """The scope that a FROM list makes; ``extra`` relations (an UPDATE's target) come before it."""
        items = self._walk_list(first, end, env, extra)
        while end > first and self.word(end - 1) == ",":
            end -= 1
        source = span_of(self.tokens, first, end) if end > first and not extra else None
        return env.scope(source, items)

    def _walk_list(self, first: int, end: int, env: Environment, before: tuple[FromItem, ...]) -> tuple[FromItem, ...]:
        """All relations of the list, those of ``before`` included; what stands left of a relation is in sight in it."""
        items = before
        index = first
        hidden = False  # the right side of SEMI JOIN and ANTI JOIN shows no columns
        while index < end:
            found, index = self._walk_relation(index, end, env, items)
            visible = items if hidden else (*items, *found)
            while index < end and self._joins_at(index, end) == index and self.word(index) != ",":
                index = self._walk_qualifier(index, end, env, (*items, *found))
            items = visible
            hidden, index = self._skip_join(index, end)
        return items

    def _skip_join(self, index: int, end: int) -> tuple[bool, int]:
        """Past a comma or ``[LEFT ...] JOIN``; whether it was a semi or anti join."""
        if self.word(index, end) == ",":
            return False, index + 1
        start = index
        index = self._joins_at(index, end)
        words = {self.word(position) for position in range(start, index)}
        if self.word(index - 1, end) == "JOIN" and self.word(index, end) == "BY" and self.word(index + 1, end) == "(":
            words |= {self.word(position) for position in range(index + 1, self.after(index + 1))}
            index = self.after(index + 1)
        return bool(words & {"SEMI", "ANTI"}), max(index, start + 1)

    def _joins_at(self, index: int, end: int) -> int:
        """The index behind ``[LEFT ...] JOIN`` if that stands here, else the same index."""
        position = index
        while self.word(position, end) in JOIN_PREFIXES:
            position += 1
        return position + 1 if self.word(position, end) == "JOIN" else index

    def _walk_qualifier(self, first: int, end: int, env: Environment, items: tuple[FromItem, ...]) -> int:
        """ON, USING or NEAREST up to the next join or comma; returns where that is."""
        index = first + 1
        while index < end and self.word(index) != "," and not self._is_join(index, first, end):
            index = self.after(index)
        self.walk_expression(first, index, env.scope(None, items), env)
        return index

    def _is_join(self, index: int, first: int, end: int) -> bool:
        return self._joins_at(index, end) > index and self.is_keyword(index, first)

    def _walk_relation(
        self, first: int, end: int, env: Environment, before: tuple[FromItem, ...]
    ) -> tuple[tuple[FromItem, ...], int]:
        """One relation with its alias; several for an unnamed ``(a JOIN b)``."""
        alias = None
        index = first
        if self.tokens[index].kind in ("word", "quoted", "string") and self.word(index + 1, end) == ":":
            alias = self._name(index)
            index += 2
        if self.word(index, end) == "LATERAL":
            index += 1
        if index >= end:
            return (), end
        inner: tuple[FromItem, ...] = ()
        lateral = env.scope(None, before)
        if self.word(index) == "(" and not self.starts_query(index):
            inner = self._walk_list(index + 1, self.brackets[index], env, before)[len(before) :]
            index = self.brackets[index] + 1
        else:
            index, default = self._walk_primary(index, end, env, lateral)
            alias = alias or default
        stop, written = self._walk_suffixes(index, end, env, lateral)
        alias = written or alias
        if inner and alias is None:
            return inner, stop
        return (FromItem(span_of(self.tokens, first, stop), alias),), stop

    def _walk_primary(self, index: int, end: int, env: Environment, lateral: Scope) -> tuple[int, str | None]:
        """A subquery, VALUES, table, function or file; returns the index behind it and the alias it has by itself."""
        if self.word(index) == "(":
            self.walk_query(index + 1, self.brackets[index], env.inside(lateral))
            return self.brackets[index] + 1, None
        if self.word(index) == "VALUES":
            first = index
            index += 1
            while self.word(index, end) == "(":
                index = self.brackets[index] + 1
                if self.word(index, end) == "," and self.word(index + 1, end) == "(":
                    index += 1
            self.walk_expression(first, index, lateral, env)
            return index, None
        first = index
        while self.word(index + 1, end) == "." and index + 2 < end:
            index += 2
        default = self._name(index)
        if self.word(index + 1, end) != "(":
            return index + 1, default
        close = self.brackets[index + 1]
        if self.is_call(first):
            self.place(first, Place(env.inside(lateral).scope(), is_table=True))
            default = None
        self.walk_expression(index + 2, close, lateral, env)
        return close + 1, default

    def _walk_suffixes(self, index: int, end: int, env: Environment, scope: Scope) -> tuple[int, str | None]:
        """Alias, column names, TABLESAMPLE, PIVOT ... up to the next join, ON, USING or comma."""
        alias = None
        first = index
        while index < end:
            word = self.word(index)
            if word in (",", "ON", "USING") or self._is_join(index, first - 1, end) or self._is_nearest(index, end):
                break
            if word == "AS" and index + 1 < end:
                named = self.tokens[index + 1]
                alias = string_value(named) if named.kind == "string" else self._name(index + 1) or alias
                index += 1
            elif self.tokens[index].kind == "quoted" or (
                self.tokens[index].kind == "word" and word not in NOT_AN_ALIAS and self._is_alias(index, first)
            ):
                alias = self._name(index)
            elif word == "(":
                self.walk_expression(index, self.after(index), scope, env)
            index = self.after(index)
        return index, alias

    def _is_alias(self, index: int, first: int) -> bool:
        """A bare word is an alias where it begins the suffixes or follows a bracket, and is not itself part of one.

        ``t TABLESAMPLE reservoir(10)``, ``UNPIVOT INCLUDE NULLS (..)``, ``AT (VERSION => 1)``, ``WITH ORDINALITY``.
        """
        word, before, after = self.word(index), self.word(index - 1), self.word(index + 1)
        if word in ("AT", "REPEATABLE") and after == "(":
            return False
        if word in ("INCLUDE", "EXCLUDE") and after == "NULLS":
            return False
        return index == first or before in (")", "ORDINALITY")

    def _is_nearest(self, index: int, end: int) -> bool:
        if self.word(index) not in _NEAREST:
            return False
        while self.word(index, end) in ("APPROX", "EXACT"):
            index += 1
        if self.word(index, end) != "NEAREST":
            return False
        index += 1
        if index < end and self.tokens[index].kind == "number":
            index += 1
        return self.word(index, end) == "BY"

    def _name(self, index: int) -> str | None:
        """What the token names: an identifier, or DuckDB's name for a file."""
        token = self.tokens[index]
        if token.kind in ("word", "quoted"):
            return identifier(token)
        if token.kind == "string":
            file = string_value(token).replace("\\", "/").rsplit("/", 1)[-1]
            return file.split(".", 1)[0] or None
        return None
