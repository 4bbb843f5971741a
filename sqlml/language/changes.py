"""Tokens of any statement to the places of its calls: what changes data, what stores text, what wraps another statement."""

from __future__ import annotations

from dataclasses import dataclass

from sqlml.language.scopes import QueryWalker
from sqlml.language.statements import FromItem
from sqlml.language.tokens import identifier, span_of
from sqlml.language.walking import Environment
from sqlml.language.words import CHANGES, NOT_AN_ALIAS, QUERY_STARTS

_CLAUSES_OF = {
    "UPDATE": frozenset({"SET", "FROM", "WHERE", "RETURNING"}),
    "DELETE": frozenset({"WHERE", "RETURNING"}),
}


@dataclass
class StatementWalker(QueryWalker):
    """Walks a whole statement."""

    def walk_statement(self, first: int, end: int, env: Environment) -> None:
        word = self.word(first)
        if word in CHANGES:
            self.walk_change(first, end, env)
        elif word in QUERY_STARTS or (word == "(" and self.starts_query(first)):
            self.walk_query(first, end, env)
        elif word == "CREATE":
            self._walk_create(first, end, env)
        elif word in ("COPY", "EXECUTE"):
            self.walk_brackets(first, end, env)
        else:
            self.walk_expression(first, end, env.scope(), env)

    def walk_change(self, first: int, end: int, env: Environment) -> None:
        """INSERT, UPDATE, DELETE, MERGE."""
        word = self.word(first)
        if word == "INSERT":
            self._walk_insert(first, end, env)
        elif word == "MERGE":
            self._walk_merge(first, end, env)
        else:
            self._walk_update_or_delete(first, end, env)

    def _target(self, first: int, end: int, *, bare_alias: bool = True) -> tuple[FromItem, int]:
        """``name [[AS] alias]``; also the index behind it."""
        index = first
        while self.word(index + 1, end) == "." and index + 2 < end:
            index += 2
        alias = self._name(index)
        index += 1
        if self.word(index, end) == "AS":
            index, bare_alias = index + 1, True
        if (
            bare_alias
            and index < end
            and self.tokens[index].kind in ("word", "quoted")
            and self.word(index) not in NOT_AN_ALIAS
        ):
            alias = identifier(self.tokens[index])
            index += 1
        return FromItem(span_of(self.tokens, first, min(index, end)), alias), index

    def _walk_update_or_delete(self, first: int, end: int, env: Environment) -> None:
        """``UPDATE t SET .. [FROM ..]``, ``DELETE FROM t [USING ..]``."""
        word = self.word(first)
        start = first + 1 + (self.word(first + 1, end) == "FROM")
        if start >= end:
            return
        target, index = self._target(start, end)
        scope = env.scope(target.span, (target,))
        clauses = self._change_clauses(index, end, word)
        for clause, begin, stop in clauses:
            if clause in ("FROM", "USING"):
                scope = self.walk_from(begin, stop, env, (target,))
        for clause, begin, stop in clauses:
            if clause == "RETURNING":
                self.walk_select_list(begin, stop, scope, env)
            elif clause not in ("FROM", "USING"):
                self.walk_expression(begin, stop, scope, env)

    def _change_clauses(self, first: int, end: int, word: str) -> list[tuple[str, int, int]]:
        """The clauses of UPDATE or DELETE; the first USING of a DELETE is its own, the others belong to joins."""
        using = self.find_word(first, end, frozenset({"USING"})) if word == "DELETE" else end
        clauses = self.clauses(using + 1 if using < end else first, end, _CLAUSES_OF[word])
        if using < end:
            stop = clauses[0][1] - 1 if clauses else end
            clauses.insert(0, ("USING", using + 1, stop))
        return clauses

    def _walk_insert(self, first: int, end: int, env: Environment) -> None:
        """``INSERT INTO t [(..)] query [ON CONFLICT ..] [RETURNING ..]``."""
        into = self.find_word(first, end, frozenset({"INTO"}))
        if into + 1 >= end:
            return
        target, index = self._target(into + 1, end, bare_alias=False)
        scope = env.scope(target.span, (target,))
        while index < end and self.word(index) not in QUERY_STARTS and self.word(index) != "DEFAULT":
            if self.word(index) == "(" and self.starts_query(index):
                break
            index = self.after(index)
        tail = min(self._find_conflict(index, end), self.find_word(index, end, frozenset({"RETURNING"})))
        self.walk_query(index, tail, env)
        returning = self.find_word(tail, end, frozenset({"RETURNING"}))
        self.walk_expression(tail, returning, scope, env)
        self.walk_select_list(returning + 1, end, scope, env)

    def _find_conflict(self, index: int, end: int) -> int:
        while index < end:
            if self.word(index) == "ON" and self.word(index + 1, end) == "CONFLICT":
                return index
            index = self.after(index)
        return end

    def _walk_merge(self, first: int, end: int, env: Environment) -> None:
        """``MERGE INTO t USING s ON .. WHEN [NOT] MATCHED .. THEN ..``: each branch sees the rows that it can have."""
        into = self.find_word(first, end, frozenset({"INTO"}))
        using = self.find_word(into, end, frozenset({"USING"}))
        if into + 1 >= end or using + 1 >= end:
            return
        target, _ = self._target(into + 1, using)
        stop = using + 1
        while stop < end and self.word(stop) not in ("ON", "USING", "WHEN"):
            stop = self.after(stop)
        source = self.walk_from(using + 1, stop, env)
        both = env.scope(None, (target, *source.items))
        heads = [stop]
        index = stop
        while index < end:
            opens_branch = self.word(index) == "WHEN" and self.word(index + 1, end) in ("MATCHED", "NOT")
            if opens_branch or (self.word(index) == "RETURNING" and self.is_keyword(index, stop)):
                heads.append(index)
            index = self.after(index)
        for begin, close in zip(heads, [*heads[1:], end], strict=True):
            scope = both
            if self.word(begin) == "WHEN" and self.word(begin + 1) == "NOT":
                by_source = self.word(begin + 3, end) == "BY" and self.word(begin + 4, end) == "SOURCE"
                scope = env.scope(target.span, (target,)) if by_source else source
            self.walk_expression(begin, close, scope, env)

    def _walk_create(self, first: int, end: int, env: Environment) -> None:
        """What follows AS is a query or, in a macro, an expression; without AS there are only expressions in brackets."""
        kind = self.created_kind(first, end)
        if self.word(kind, end) == "TRIGGER":
            body = self._find_trigger_body(kind + 1, end)
            self.walk_statement(body, end, env)
            return
        if self.word(kind, end) in ("MACRO", "FUNCTION"):
            self._walk_macro(kind + 1, end, env)
            return
        query = self.find_word(kind, end, frozenset({"AS"}))
        self.walk_brackets(kind, query, env)
        if query + 1 < end:
            self.walk_statement(query + 1, end, env)

    def created_kind(self, first: int, end: int) -> int:
        """The index of VIEW, TABLE, MACRO ... in CREATE."""
        index = first + 1
        while self.word(index, end) in (
            "OR",
            "REPLACE",
            "TEMP",
            "TEMPORARY",
            "PERSISTENT",
            "UNIQUE",
            "RECURSIVE",
            "MATERIALIZED",
        ):
            index += 1
        return index

    def _walk_macro(self, index: int, end: int, env: Environment) -> None:
        """``name(..) AS expression, (..) AS expression`` or ``AS TABLE query``."""
        while index < end:
            while index < end and self.word(index) != "AS":
                index = self.after(index)
            index += 1
            if self.word(index, end) == "TABLE":
                index += 1
            if index >= end:
                return
            if self.word(index) in QUERY_STARTS:
                self.walk_query(index, end, env)
                return
            stop = index
            while stop < end and self.word(stop) != ",":
                stop = self.after(stop)
            self.walk_expression(index, stop, env.scope(), env)
            index = stop + 1

    def _find_trigger_body(self, index: int, end: int) -> int:
        """The statement behind the event (``AFTER INSERT ON t ..``): the first change word that follows ON."""
        index = self.find_word(index, end, frozenset({"ON"}))
        return self.find_word(index, end, CHANGES)
