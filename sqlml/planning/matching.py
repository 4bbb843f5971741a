"""Features to columns: the arguments of a scalar PREDICT in, one SQL expression a model input out."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlml.errors import AmbiguousColumnError, InputMismatchError, MissingColumnError
from sqlml.language.statements import Argument, Span
from sqlml.planning.visible import Quote, TextOf, VisibleColumn, VisibleColumns
from udfs.model import Input

ColumnName = Callable[[str], tuple[str, ...] | None]
"""The parts of a text that is nothing but a column reference, else None."""


FieldsOf = Callable[[str], list[str]]
"""The fields of an expression whose value is a STRUCT; none of any other."""


@dataclass(frozen=True)
class Candidate:
    """A column or expression offered to the model: the name it may be matched by, and its SQL."""

    name: str | None
    sql: str
    origin: str  # for messages: a.x


@dataclass(frozen=True)
class Matcher:
    """What matching needs to know of the statement: its texts, the columns in sight, how to quote and to read a column name."""

    visible: VisibleColumns
    text_of: TextOf
    quote: Quote
    column_name: ColumnName
    fields_of: FieldsOf


def match_arguments(
    inputs: Sequence[Input], arguments: Sequence[Argument], matcher: Matcher, *, model: str, call: Span
) -> dict[str, str]:
    """SQL of each model input by its name.

    By name where the arguments have names (columns, ``*``, ``expr AS feature``); by position only where none of them names an
    input and their number fits. Raises MissingColumnError, AmbiguousColumnError or InputMismatchError.
    """
    if not arguments:
        arguments = (Argument(call, star=True),)
    candidates = [candidate for argument in arguments for candidate in _candidates(argument, matcher)]
    if _is_positional(arguments, candidates, inputs):
        fields = _fields(candidates[0].sql, matcher) if len(candidates) == 1 else []
        if fields:
            return match_names(inputs, fields, model=model, position=call.start)
        _require_count(inputs, candidates, model, call)
        return {item.name: candidate.sql for item, candidate in zip(inputs, candidates, strict=True)}
    unnamed = [candidate for candidate in candidates if candidate.name is None]
    if unnamed:
        raise InputMismatchError(
            f'argument {unnamed[0].sql} of model "{model}" has no name',
            hint="Write expression AS feature, or give all inputs by position: " + _listed(inputs) + ".",
            position=call.start,
        )
    return match_names(inputs, candidates, model=model, position=call.start)


def match_names(
    inputs: Iterable[Input], candidates: Sequence[Candidate], *, model: str, position: int
) -> dict[str, str]:
    """Each input's only candidate: of exactly its name, else of its name in another case."""
    found: dict[str, str] = {}
    missing: list[str] = []
    wanted = list(inputs)
    for item in wanted:
        same = [c for c in candidates if c.name == item.name]
        same = same or [c for c in candidates if c.name is not None and c.name.casefold() == item.name.casefold()]
        if len(same) > 1:
            raise AmbiguousColumnError(
                f'feature "{item.name}" of model "{model}" is ambiguous',
                detail="It could be " + " or ".join(c.origin for c in same) + ".",
                hint=f"Name the relation, as in PREDICT({model}, t.*), or write column AS {item.name}.",
                position=position,
            )
        if same:
            found[item.name] = same[0].sql
        else:
            missing.append(item.name)
    if missing:
        raise missing_columns(missing, wanted, [c.name for c in candidates if c.name], model=model, position=position)
    return found


def missing_columns(
    missing: Sequence[str], inputs: Sequence[Input], offered: Sequence[str], *, model: str, position: int
) -> MissingColumnError:
    """The error for inputs that no column matches, with near misses."""
    near = [
        f'"{close[0]}" for "{name}"' for name in missing if (close := difflib.get_close_matches(name, offered, 1, 0.75))
    ]
    hint = f"Missing: {', '.join(missing)}. The model was trained on: {_listed(inputs)}."
    if near:
        hint += f" Did you mean {', '.join(near)}?"
    return MissingColumnError(
        f'model "{model}" expects {len(inputs)} input column{"s" * (len(inputs) != 1)}, {len(missing)} of them missing',
        hint=hint,
        position=position,
    )


def _candidates(argument: Argument, matcher: Matcher) -> list[Candidate]:
    if argument.star:
        columns = _star(argument, matcher)
        excluded = {name.casefold() for name in argument.excluded}
        _require_excluded(argument, columns)
        return [column for column in columns if column.name is None or column.name.casefold() not in excluded]
    sql = matcher.text_of(argument.span)
    if argument.alias is not None:
        return [Candidate(argument.alias, f"({sql})", sql)]
    parts = matcher.column_name(sql)
    if parts is None:
        return [Candidate(None, f"({sql})", sql)]
    if len(parts) == 1 and _is_row(parts[0], matcher):
        return _star(Argument(argument.span, star=True, qualifier=parts[0]), matcher)
    return [Candidate(parts[-1], sql, sql)]


def _require_excluded(argument: Argument, columns: Sequence[Candidate]) -> None:
    """Refuse EXCEPT of a column that ``*`` does not have, as the engine does."""
    offered = [column.name for column in columns if column.name is not None]
    for name in argument.excluded:
        if name.casefold() not in {other.casefold() for other in offered}:
            near = difflib.get_close_matches(name, offered, 1, 0.6)
            raise MissingColumnError(
                f'column "{name}" in EXCEPT is not among the columns of *',
                hint=f'Did you mean "{near[0]}"?' if near else f"Columns are: {', '.join(dict.fromkeys(offered))}.",
                position=argument.span.start,
            )


def _fields(sql: str, matcher: Matcher) -> list[Candidate]:
    """The fields of a row that is given as one value, as the engine's own function takes it."""
    return [
        Candidate(name, f"struct_extract({sql}, '{name.replace(chr(39), chr(39) * 2)}')", name)
        for name in matcher.fields_of(sql)
    ]


def _is_row(name: str, matcher: Matcher) -> bool:
    """Whether a bare name is a relation's alias and no column: then it stands for the whole row, as in the engine."""
    if any(column.name.casefold() == name.casefold() for column in matcher.visible.star):
        return False
    return matcher.visible.relation(name) is not None


def _star(argument: Argument, matcher: Matcher) -> list[Candidate]:
    visible, quote = matcher.visible, matcher.quote
    if argument.qualifier is None:
        return [_candidate(column, quote) for column in visible.star]
    relation = visible.relation(argument.qualifier)
    if relation is None:
        raise MissingColumnError(
            f'no relation "{argument.qualifier}" in sight',
            hint="In FROM are: " + ", ".join(visible.relations) + "."
            if visible.relations
            else "This SELECT has no FROM.",
            position=argument.span.start,
        )
    alias, columns = relation
    return [_candidate(VisibleColumn(c.name, c.sql_type, (alias,)), quote) for c in columns]


def _candidate(column: VisibleColumn, quote: Quote) -> Candidate:
    """A column's SQL is qualified, save for a USING column, whose merged value only the bare name gives."""
    name = quote(column.name)
    if len(column.qualifiers) == 1:
        qualifier = column.qualifiers[0]
        return Candidate(column.name, f"{quote(qualifier)}.{name}", f"{qualifier}.{column.name}")
    return Candidate(column.name, name, column.name)


def _is_positional(arguments: Sequence[Argument], candidates: Sequence[Candidate], inputs: Sequence[Input]) -> bool:
    if any(argument.star or argument.alias is not None for argument in arguments):
        return False
    names = {item.name.casefold() for item in inputs}
    return len(candidates) == len(arguments) and not any(
        c.name is not None and c.name.casefold() in names for c in candidates
    )


def _require_count(inputs: Sequence[Input], candidates: Sequence[Candidate], model: str, call: Span) -> None:
    if len(candidates) != len(inputs):
        raise InputMismatchError(
            f'model "{model}" expects {len(inputs)} input column{"s" * (len(inputs) != 1)}, got {len(candidates)}',
            hint="The model was trained on: " + _listed(inputs) + ".",
            position=call.start,
        )


def _listed(inputs: Iterable[Input]) -> str:
    return ", ".join(item.name for item in inputs)
