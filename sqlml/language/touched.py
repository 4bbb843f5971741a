"""A query's text to the relations and functions it touches, so that one about nothing but the catalogue of Postgres is told apart.

It is what a statement touches that counts, never a word in it: ``select current_user, count(*) from t`` is about t.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sqlml.errors import SqlSyntaxError
from sqlml.language.tokens import Token, identifier, match_brackets, tokenize

_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "("})
_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
# Words that end a list of relations; inside brackets the closing one does.
_ENDS = frozenset(
    {"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FETCH", "UNION", "INTERSECT", "EXCEPT", "WINDOW", "FOR", "RETURNING",
     "QUALIFY", "SELECT"}
)  # fmt: skip
_NO_FUNCTIONS = frozenset(
    {"IN", "ANY", "ALL", "SOME", "EXISTS", "AND", "OR", "NOT", "AS", "ON", "USING", "FROM", "WHERE", "SELECT", "VALUES", "ARRAY", "ROW",
     "CASE", "WHEN", "THEN", "ELSE", "BY", "OVER", "FILTER", "JOIN", "UNION", "LATERAL", "OPERATOR", "DISTINCT", "BETWEEN", "LIKE", "CAST",
     "COALESCE", "NULLIF", "TRIM", "WITHIN", "MATERIALIZED", "VARCHAR", "CHAR", "NUMERIC", "DECIMAL", "LIMIT"}
)  # fmt: skip
_KEYWORD_FUNCTIONS = frozenset(
    {"CURRENT_USER", "SESSION_USER", "USER", "CURRENT_ROLE", "CURRENT_CATALOG", "CURRENT_SCHEMA"}
)
# Functions that tell about the session or the catalogue, beside all whose names begin with pg_ or has_.
_INFORMATION = frozenset(
    {"version", "current_schema", "current_schemas", "current_database", "current_setting", "set_config", "format_type", "obj_description",
     "col_description", "shobj_description", "to_regclass", "to_regtype", "to_regproc", "to_regnamespace", "inet_server_addr",
     "inet_server_port", "inet_client_addr", "inet_client_port", "array_to_string", "quote_ident", "unnest", "row_to_json"}
)  # fmt: skip
_ASKS = _INFORMATION - {"array_to_string", "quote_ident", "unnest", "row_to_json"}


@dataclass(frozen=True)
class Touched:
    """Names as they stand: parts in the case that an unquoted name is folded to."""

    relations: frozenset[tuple[str, ...]]
    functions: frozenset[tuple[str, ...]]
    defined: frozenset[str]  # by WITH


def is_about_catalogue(text: str, known: AbstractSet[str]) -> bool:
    """Whether every relation is one of the catalogue's; ``known`` are the names that are found without a schema.

    Without relations, whether the functions only tell about the session.
    """
    try:
        touched = read_touched(text)
    except SqlSyntaxError:
        return False
    if touched is None:
        return False
    relations = [name for name in touched.relations if not (len(name) == 1 and name[0] in touched.defined)]
    if relations:
        return all(_is_catalogue(name, known) for name in relations)
    return bool(touched.functions) and _is_information(touched)


def _is_catalogue(name: tuple[str, ...], known: AbstractSet[str]) -> bool:
    return name[-2] in _SCHEMAS if len(name) > 1 else name[0] in known


def _is_information(touched: Touched) -> bool:
    asks = False
    for name in touched.functions:
        last = name[-1]
        special = last.startswith(("pg_", "has_")) or (len(name) > 1 and name[-2] == "pg_catalog")
        special = special or last.upper() in _KEYWORD_FUNCTIONS
        if not special and (len(name) > 1 or last not in _INFORMATION):
            return False
        asks = asks or special or last in _ASKS
    return asks


def read_touched(text: str) -> Touched | None:
    """What a query touches; None for what is no query, or cannot be read."""
    tokens = tokenize(text, "postgres")
    if not tokens or tokens[0].upper not in _QUERIES:
        return None
    brackets = match_brackets(tokens)
    if isinstance(brackets, int):
        return None
    return _Scan(tokens, brackets).read()


class _Scan:
    """One pass over the tokens."""

    def __init__(self, tokens: list[Token], brackets: dict[int, int]) -> None:
        self.tokens = tokens
        self.brackets = brackets
        self.relations: set[tuple[str, ...]] = set()
        self.functions: set[tuple[str, ...]] = set()
        self.defined: set[str] = set()

    def read(self) -> Touched:
        for index, token in enumerate(self.tokens):
            before = self._word(index - 1)
            if token.upper in ("FROM", "JOIN", "TABLE") and before not in ("DISTINCT", "."):
                self._read_list(index + 1)
            elif token.upper in _KEYWORD_FUNCTIONS and before != "." and self._word(index + 1) not in ("(", "."):
                self.functions.add((token.text.lower(),))
            elif token.upper == "AS" and self._defines(index):
                self.defined.add(_folded(self.tokens[self._name_before(index)]))
            elif token.upper == "(" and index and self._is_call(index):
                self.functions.add(self._name_ending(index - 1))
        return Touched(frozenset(self.relations), frozenset(self.functions), frozenset(self.defined))

    def _word(self, index: int) -> str:
        return self.tokens[index].upper if 0 <= index < len(self.tokens) else ""

    def _is_name(self, index: int) -> bool:
        return 0 <= index < len(self.tokens) and self.tokens[index].kind in ("word", "quoted")

    def _is_call(self, index: int) -> bool:
        return self._is_name(index - 1) and self.tokens[index - 1].upper not in _NO_FUNCTIONS

    def _name_before(self, index: int) -> int:
        """Of ``name AS`` and ``name (columns) AS``."""
        index -= 1
        if self._word(index) == ")":
            index = next(opening for opening, closing in self.brackets.items() if closing == index) - 1
        return index

    def _defines(self, index: int) -> bool:
        """``name [(columns)] AS [[NOT] MATERIALIZED] (query)`` in WITH."""
        opening = index + 1
        while self._word(opening) in ("NOT", "MATERIALIZED"):
            opening += 1
        starts = self._word(opening) == "(" and self._word(opening + 1) in _QUERIES
        name = self._name_before(index)
        return starts and self._is_name(name) and self._word(name - 1) in ("WITH", "RECURSIVE", ",")

    def _name_ending(self, index: int) -> tuple[str, ...]:
        parts = [_folded(self.tokens[index])]
        while self._word(index - 1) == "." and self._is_name(index - 2):
            index -= 2
            parts.insert(0, _folded(self.tokens[index]))
        return tuple(parts)

    def _read_list(self, index: int) -> None:
        """The relations from here on, up to what ends their list; those after a JOIN are met again there."""
        while self._word(index) in ("ONLY", "LATERAL"):
            index += 1
        self._read_relation(index)
        while index < len(self.tokens):
            word = self._word(index)
            if word in _ENDS or word == ")":
                return
            if word == ",":
                index += 1
                while self._word(index) in ("ONLY", "LATERAL"):
                    index += 1
                self._read_relation(index)
            index = self.brackets.get(index, index) + 1

    def _is_file(self, index: int) -> bool:
        """``FROM 'file.csv'``, and not ``substring(a FROM '...')``, which stands in brackets without a SELECT."""
        if index >= len(self.tokens) or self.tokens[index].kind != "string":
            return False
        openings = [opening for opening, closing in self.brackets.items() if opening < index < closing]
        return not openings or self._word(max(openings) + 1) in _QUERIES

    def _read_relation(self, index: int) -> None:
        if self._word(index) == "(":
            inside = index + 1
            if self._word(inside) not in _QUERIES:
                self._read_list(inside)  # (a JOIN b)
            return
        if not self._is_name(index):
            if self._is_file(index):
                self.relations.add((self.tokens[index].text,))
            return
        parts = [_folded(self.tokens[index])]
        while self._word(index + 1) == "." and self._is_name(index + 2):
            index += 2
            parts.append(_folded(self.tokens[index]))
        if self._word(index + 1) == "(":
            return  # a function, which is found as one
        self.relations.add(tuple(parts))


def _folded(token: Token) -> str:
    return identifier(token) if token.kind == "quoted" else token.text.lower()
