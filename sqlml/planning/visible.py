"""Which columns a scope shows, asked of the engine's own binder: scope in, visible columns with their qualifiers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlml.engines.engine import Column
from sqlml.errors import EngineError
from sqlml.language.statements import FromItem, Scope, Span

TextOf = Callable[[Span], str]
"""A span of the user's text with the ML calls inside it already replaced."""

ColumnsOf = Callable[[str], list[Column]]
"""The engine's binder: names and types of a query's result."""

Quote = Callable[[str], str]


@dataclass(frozen=True)
class VisibleColumn:
    """One column of ``SELECT *``: ``qualifiers`` are the aliases it can be named by (two for a USING column)."""

    name: str
    sql_type: str
    qualifiers: tuple[str, ...]


@dataclass(frozen=True)
class VisibleColumns:
    """The columns of one SELECT's FROM, in the order of ``SELECT *``, and those of each relation by its alias."""

    star: tuple[VisibleColumn, ...]
    relations: dict[str, tuple[Column, ...]]

    def relation(self, alias: str) -> tuple[str, tuple[Column, ...]] | None:
        """The relation of that alias, exactly or else case-insensitively, with its alias as written."""
        if alias in self.relations:
            return alias, self.relations[alias]
        found = [name for name in self.relations if name.casefold() == alias.casefold()]
        return (found[0], self.relations[found[0]]) if len(found) == 1 else None


NOTHING = VisibleColumns((), {})


def visible_columns(
    scope: Scope, *, text_of: TextOf, columns_of: ColumnsOf, quote: Quote, call: Span
) -> VisibleColumns:
    """Ask the engine what the scope's FROM shows.

    One probe for ``*`` tells which columns there are (USING columns once); with several relations one more probe a relation
    tells by which alias each can be named.
    """
    source = _source(scope, text_of)
    if not source:
        return NOTHING

    def probe(selection: str) -> list[Column]:
        return columns_of(in_scope(f"SELECT {selection} FROM {source}", scope, text_of, call))

    star = probe("*")
    named = [item for item in scope.items if item.alias is not None]
    if len(named) == 1 and len(scope.items) == 1:
        relations = {_alias(named[0]): tuple(star)}
    else:
        relations = {_alias(item): tuple(probe(quote(_alias(item)) + ".*")) for item in named if _is_shown(item, scope)}
    return VisibleColumns(_attribute(star, relations), relations)


def fields_of(expression: str, scope: Scope, *, text_of: TextOf, columns_of: ColumnsOf, call: Span) -> list[str]:
    """The names of an expression's fields where its type is STRUCT; none where it is another."""
    source = _source(scope, text_of)
    from_clause = f" FROM {source}" if source else ""

    def probe(selection: str) -> list[Column]:
        return columns_of(in_scope(f"SELECT {selection}{from_clause}", scope, text_of, call))

    try:
        is_row = probe(expression)[0].sql_type.startswith("STRUCT(")
        return [column.name for column in probe(f"unnest({expression})")] if is_row else []
    except EngineError:
        return []  # it uses what only the whole statement shows: the variable of a lambda, another result column


def types_of(
    expressions: Sequence[str], scope: Scope, *, text_of: TextOf, columns_of: ColumnsOf, call: Span
) -> list[str]:
    """The type of each expression; none of them where only the whole statement tells."""
    source = _source(scope, text_of)
    query = f"SELECT {', '.join(expressions)}" + (f" FROM {source}" if source else "")
    try:
        columns = columns_of(in_scope(query, scope, text_of, call))
    except EngineError:
        return []
    return [column.sql_type for column in columns] if len(columns) == len(expressions) else []


def in_scope(query: str, scope: Scope | None, text_of: TextOf, call: Span) -> str:
    """A query that binds as ``query`` does in that scope: with the definitions in sight, and under enclosing relations.

    A scope's relations are joined in by LATERAL, scope by scope, so that a correlated query binds too. Only where there are
    any does that cost the query its repeated column names, which a derived table makes different.
    """
    if scope is None:
        return query
    query = f"{_with_clause(scope, text_of, call)}{query}"
    scope = scope.outer
    while scope is not None:
        source, definitions = _source(scope, text_of), _with_clause(scope, text_of, call)
        if source:
            query = f"{definitions}SELECT __inner.* FROM {source}, LATERAL ({query}) AS __inner"
        elif definitions:
            query = f"{definitions}({query})"
        scope = scope.outer
    return query


def _with_clause(scope: Scope, text_of: TextOf, call: Span) -> str:
    """The definitions that this scope sees and the one around it does not."""
    own = [span for span in scope.ctes if scope.outer is None or span not in scope.outer.ctes]
    anchors = [
        span for span in scope.anchors if not span.start <= call.start < span.end
    ]  # of a first term: not in sight
    texts = [text_of(span) for span in own] + [text_of(span) + ")" for span in anchors]
    return f"WITH {'RECURSIVE ' if scope.recursive else ''}{', '.join(texts)} " if texts else ""


def _source(scope: Scope, text_of: TextOf) -> str:
    if scope.source is not None:
        return text_of(scope.source)
    return ", ".join(text_of(item.span) for item in scope.items)


def _alias(item: FromItem) -> str:
    return item.alias or ""


def _is_shown(item: FromItem, scope: Scope) -> bool:
    """Whether the alias is unique: DuckDB refuses ``t.*`` of a repeated one, and the star probe has told the columns anyway."""
    return sum(_alias(other).casefold() == _alias(item).casefold() for other in scope.items) == 1


def _attribute(star: Sequence[Column], relations: dict[str, tuple[Column, ...]]) -> tuple[VisibleColumn, ...]:
    """Give each column of ``*`` the aliases it can be named by.

    ``*`` lists the relations in order, so a column that occurs as often as relations have it belongs to one each; one that
    occurs fewer times was merged by USING and belongs to all of them.
    """
    owners: dict[str, list[str]] = {}
    for alias, columns in relations.items():
        for column in columns:
            owners.setdefault(column.name.casefold(), []).append(alias)
    counts: dict[str, int] = {}
    for column in star:
        key = column.name.casefold()
        counts[key] = counts.get(key, 0) + 1
    taken: dict[str, int] = {}
    visible = []
    for column in star:
        key = column.name.casefold()
        names = owners.get(key, [])
        position = taken.get(key, 0)
        taken[key] = position + 1
        one_each = counts[key] == len(names)
        qualifiers = (names[position],) if one_each and names else tuple(names)
        visible.append(VisibleColumn(column.name, column.sql_type, qualifiers))
    return tuple(visible)
