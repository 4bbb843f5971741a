"""Tokens of a query to the place of each call in it: its scope, whether a table stands there, whether it is a whole select item.

Only clause words at the depth of their own bracket are looked at, and only brackets that hold a call are entered. The
picture for ``WITH c AS (..) SELECT f(x) FROM t JOIN (SELECT g(y) FROM u) s ON h(z)``:

    query      environment {c}                         walk_query
      select   scope {source t JOIN ..., items t, s}   f stands here
        from   relations t, s                          s's query is entered with that scope as the outer one: g
               ON      scope {items t, s}              h stands here: no text of its own shows both, so source is None
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from sqlml.errors import SqlSyntaxError
from sqlml.language.relations import RelationWalker
from sqlml.language.statements import Scope, Span
from sqlml.language.tokens import Token, span_of
from sqlml.language.walking import Environment, Place
from sqlml.language.words import CHANGES, MODIFIERS, QUERY_STARTS, RESERVED, SET_OPERATORS

MAX_DEPTH = 100
_CHECK = ("CHECK", "OPTION")
_OPTIONS = (("NO", "DATA"), ("DATA",), _CHECK, ("LOCAL", *_CHECK), ("CASCADED", *_CHECK))


class QueryWalker(RelationWalker):
    """Walks ``[WITH ...] core [UNION ... core] [ORDER BY ...]`` and all that it holds."""

    @abstractmethod
    def walk_change(self, first: int, end: int, env: Environment) -> None: ...

    def walk_query(self, first: int, end: int, env: Environment) -> None:
        """``[WITH ...] core [UNION ... core] [ORDER BY ...]``, or a changing statement after WITH."""
        end = self._without_options(first, end)
        if first >= end or not self.holds_call(first, end):
            return
        if env.depth > MAX_DEPTH:
            raise SqlSyntaxError(
                "queries are nested too deeply",
                hint=f"At most {MAX_DEPTH} levels are read where a model is called.",
                position=self.tokens[first].start,
                text=self.text,
            )
        if self.word(first) == "WITH":
            first, env = self._walk_with(first + 1, end, env)
        if self.word(first, end) in CHANGES:
            self.walk_change(first, end, env)
            return
        cores = self._split_set_operations(first, end)
        modifiers = self.find_word(cores[-1][0], end, MODIFIERS)
        if len(cores) > 1 and modifiers < end:
            cores[-1] = (cores[-1][0], modifiers)
            self.walk_expression(modifiers, end, env.scope(), env)
        for core_first, core_end in cores:
            self._walk_core(core_first, core_end, env)

    def _without_options(self, first: int, end: int) -> int:
        """Where the query of a CREATE ends: before ``WITH [NO] DATA`` and ``WITH [LOCAL | CASCADED] CHECK OPTION``."""
        for words in _OPTIONS:
            start = end - len(words) - 1
            if start > first and tuple(self.word(index) for index in range(start, end)) == ("WITH", *words):
                return start
        return end

    def _walk_with(self, index: int, end: int, env: Environment) -> tuple[int, Environment]:
        """The definitions of a WITH; returns where the query proper begins, and the environment it sees."""
        recursive = self.word(index) == "RECURSIVE"
        index += recursive
        env = replace(env, recursive=env.recursive or recursive)
        while index < end:
            first = index
            while index < end and self.word(index) != "AS":
                index = self.after(index)
            index += 1
            while self.word(index, end) in ("NOT", "MATERIALIZED"):
                index += 1
            if self.word(index, end) != "(":
                return index, env
            body, close = index + 1, self.brackets[index]
            name = _folded(self.tokens[first])
            inner = env
            if recursive:
                anchor = self._anchor(first, body, close)
                inner = replace(env, anchors=(*env.anchors, anchor)) if anchor else env
            self.walk_query(body, close, replace(inner, depth=env.depth + 1))
            env = env.with_cte(name, span_of(self.tokens, first, close + 1))
            index = close + 1
            if self.word(index, end) != ",":
                break
            index += 1
        return index, env

    def _anchor(self, first: int, body: int, close: int) -> Span | None:
        """A recursive definition up to the end of its first term: what a call in the other term sees of it."""
        cores = self._split_set_operations(body, close)
        if len(cores) < 2 or cores[0][1] <= cores[0][0]:
            return None
        return span_of(self.tokens, first, cores[0][1])

    def _split_set_operations(self, first: int, end: int) -> list[tuple[int, int]]:
        cores: list[tuple[int, int]] = []
        start = index = first
        while index < end:
            if self.word(index) in SET_OPERATORS and self._is_set_operator(index, first, end):
                cores.append((start, index))
                index += 1
                while self.word(index, end) in ("ALL", "DISTINCT", "BY", "NAME"):
                    index += 1
                start = index
                continue
            index = self.after(index)
        return [*cores, (start, end)]

    def _is_set_operator(self, index: int, first: int, end: int) -> bool:
        """``* EXCEPT (a, b)`` is a list of columns, not a query."""
        if not self.is_keyword(index, first):
            return False
        following = self.word(index + 1, end)
        if self.word(index) == "EXCEPT" and self.word(index - 1) == "*":
            return (
                following in QUERY_STARTS
                or following in ("ALL", "DISTINCT", "BY")
                or (following == "(" and self.starts_query(index + 1))
            )
        return True

    def _walk_core(self, first: int, end: int, env: Environment) -> None:
        if first >= end or not self.holds_call(first, end):
            return
        word = self.word(first)
        if word == "(":
            self.walk_query(first + 1, self.brackets[first], replace(env, depth=env.depth + 1))
            self.walk_expression(self.brackets[first] + 1, end, env.scope(), env)
        elif word in ("SELECT", "FROM"):
            self._walk_select(first, end, env)
        elif word in ("PIVOT", "PIVOT_WIDER", "UNPIVOT", "PIVOT_LONGER"):
            self._walk_pivot(first, end, env)
        elif word in ("DESCRIBE", "DESC", "SUMMARIZE", "SHOW", "TABLE"):
            if self.word(first + 1, end) in QUERY_STARTS or self.word(first + 1, end) == "(":
                self.walk_query(first + 1, end, replace(env, depth=env.depth + 1))
            else:
                self.walk_expression(first + 1, end, env.scope(), env)
        else:
            self.walk_expression(first, end, env.scope(), env)

    def _walk_pivot(self, first: int, end: int, env: Environment) -> None:
        """``PIVOT relation ON ... USING ... GROUP BY ...``."""
        stop = self.find_word(first + 1, end, frozenset({"ON", "USING", "GROUP"}) | MODIFIERS)
        scope = self.walk_from(first + 1, stop, env)
        self.walk_expression(stop, end, scope, env)

    def _walk_select(self, first: int, end: int, env: Environment) -> None:
        clauses = self.clauses(first, end)
        scope = env.scope()
        for word, start, stop in clauses:
            if word == "FROM":
                scope = self.walk_from(start, stop, env)
        for word, start, stop in clauses:
            if word == "SELECT":
                self.walk_select_list(start, stop, scope, env)
            elif word != "FROM":
                self.walk_expression(start, stop, scope, env)

    def walk_select_list(self, first: int, end: int, scope: Scope, env: Environment) -> None:
        if self.word(first) in ("DISTINCT", "ALL"):
            first += 1
            if self.word(first) == "ON" and self.word(first + 1) == "(":
                self.walk_expression(first + 1, self.after(first + 1), scope, env)
                first = self.after(first + 1)
        for start, stop in self.split(first, end):
            if not self.holds_call(start, stop):
                continue
            item = span_of(self.tokens, start, stop) if self._is_unnamed(start, stop) else None
            whole = self.is_call(start) and self._is_whole(start, stop)
            if whole:
                self.place(start, Place(scope, select_item=item is not None, unnamed_item=item))
            elif item is not None:
                self.unnamed_items.append(item)
            self.walk_expression(start, stop, scope, env, item)

    def _is_unnamed(self, start: int, stop: int) -> bool:
        """Whether a select item has no alias for certain; a word at its end may be one, unless an operator stands before it."""
        if self.word(start + 1, stop) == ":" or self.find_word(start, stop, frozenset({"AS"})) < stop:
            return False
        last, before = self.tokens[stop - 1], self.tokens[stop - 2] if stop - 2 >= start else None
        if last.kind not in ("word", "quoted") or last.upper in RESERVED or before is None:
            return True
        return before.kind == "symbol" and before.text not in (")", "]", "}")

    def _is_whole(self, start: int, stop: int) -> bool:
        """Whether the call that begins at ``start`` is all there is before ``stop``."""
        index = start
        while index < stop and self.word(index) != "(":
            index += 1
        return index < stop and self.brackets[index] + 1 == stop


def _folded(token: Token) -> str:
    return token.text.strip('"`').casefold()
