"""Which columns a scope shows, asked of the engine's own binder: scope in, visible columns with their qualifiers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlml.engines.engine import Column
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
    tells by which alias each can be named. Enclosing scopes are joined in by LATERAL, so that a correlated FROM binds too.
    """
    if scope.source is None and not scope.items:
        return NOTHING
    source = (
        text_of(scope.source) if scope.source is not None else ", ".join(text_of(item.span) for item in scope.items)
    )
    prefix = with_clause(scope, text_of)
    outer = outer_relations(scope.outer, text_of, call)

    def probe(selection: str) -> list[Column]:
        inner = f"SELECT {selection} FROM {source}"
        if outer:
            return columns_of(f"{prefix}SELECT __inner.* FROM {outer}, LATERAL ({inner}) AS __inner")
        return columns_of(prefix + inner)

    star = probe("*")
    named = [item for item in scope.items if item.alias is not None]
    if len(named) == 1 and len(scope.items) == 1:
        relations = {_alias(named[0]): tuple(star)}
    else:
        relations = {_alias(item): tuple(probe(quote(_alias(item)) + ".*")) for item in named if _is_shown(item, scope)}
    return VisibleColumns(_attribute(star, relations), relations)


def with_clause(scope: Scope | None, text_of: TextOf) -> str:
    """``WITH [RECURSIVE] a AS (...), ... `` of all common table expressions in sight; empty without any."""
    definitions: list[Span] = []
    anchors: list[Span] = []
    recursive = False
    while scope is not None:
        definitions = [span for span in scope.ctes if span not in definitions] + definitions
        anchors = [span for span in scope.anchors if span not in anchors] + anchors
        recursive = recursive or scope.recursive
        scope = scope.outer
    texts = [text_of(span) for span in definitions] + [text_of(span) + ")" for span in anchors]
    return f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(texts)} " if texts else ""


def outer_relations(scope: Scope | None, text_of: TextOf, call: Span) -> str:
    """The relations of all enclosing scopes as one FROM list, outermost first; the relation the call stands in and later ones are left out."""
    texts: list[str] = []
    while scope is not None:
        before = [item for item in scope.items if not item.span.start <= call.start < item.span.end]
        if len(before) < len(scope.items):  # the call is inside this FROM: only relations to its left are in sight
            before = [item for item in before if item.span.end <= call.start]
        texts = [text_of(item.span) for item in before] + texts
        scope = scope.outer
    return ", ".join(texts)


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
            owners.setdefault(column.name, []).append(alias)
    counts: dict[str, int] = {}
    for column in star:
        counts[column.name] = counts.get(column.name, 0) + 1
    taken: dict[str, int] = {}
    visible = []
    for column in star:
        names = owners.get(column.name, [])
        position = taken.get(column.name, 0)
        taken[column.name] = position + 1
        one_each = counts[column.name] == len(names)
        qualifiers = (names[position],) if one_each and names else tuple(names)
        visible.append(VisibleColumn(column.name, column.sql_type, qualifiers))
    return tuple(visible)
