"""A user's text to statements: model statements read in full, everything else left to the engine with its ML calls found."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlml.errors import SqlSyntaxError
from sqlml.language.calls import CallReader, Candidate, IsModel, find_candidates
from sqlml.language.changes import StatementWalker
from sqlml.language.model_statements import is_model_statement, read_model_statement
from sqlml.language.reader import Reader
from sqlml.language.statements import (
    AlterModel,
    Call,
    CreateModel,
    EngineStatement,
    ImportModel,
    ModelName,
    Span,
    Statement,
)
from sqlml.language.tokens import Token, identifier, match_brackets, tokenize
from sqlml.language.walking import Environment
from sqlml.language.words import QUERY_STARTS

Stores = Literal["view", "macro", "prepare", "table", "index", "trigger"]
_STORED: dict[str, Stores] = {
    "VIEW": "view",
    "MACRO": "macro",
    "FUNCTION": "macro",
    "TABLE": "table",
    "INDEX": "index",
    "TRIGGER": "trigger",
}
# What cannot be meant for the engine, for texts that have no tokens because a quote is not closed.
_OURS = re.compile(
    r"""(?ix) (?: ^ | ; ) \s* (?:create|drop|alter|refresh|export|import|show|describe) \b [\w\s]*? \b models? \b
      | (?<![\w.]) (?: ml \s* \. \s* \w+ | (?:explain_)? predict (?:_proba)? ) \s* \( \s* model \b"""
)


def parse(text: str, dialect: str, is_model: IsModel) -> list[Statement]:
    """All statements of a text, at least one.

    ``is_model`` is asked about the names in ``PREDICT(name, ...)`` only: with MODEL before the name, with ``*`` or USING behind
    it, the call is ours anyway.
    A model that an earlier statement of the text creates counts as one. Spans of engine statements reach from one semicolon
    to the next, so that the engine gets its comments and line numbers.
    """
    created: list[tuple[str, ...]] = []

    def is_known(parts: tuple[str, ...]) -> bool:
        return any(_same_model(parts, name) for name in created) or is_model(parts)

    statements: list[Statement] = []
    for piece, span in _pieces(text, dialect):
        statement = _statement(text, piece, span, dialect, is_known)
        if isinstance(statement, CreateModel | ImportModel):
            created.append(statement.name.parts)
        elif isinstance(statement, AlterModel) and statement.new_name:
            created.append(statement.new_name.parts)
        statements.append(statement)
    return statements


def parse_each(
    text: str, dialect: str, is_model: IsModel, parsed: Sequence[Statement] | None = None
) -> Iterator[Statement]:
    """The statements of a text one by one, for running them.

    The whole text is checked before the first is given out (``parsed`` says that it was, a moment ago), and ``is_model`` is
    asked about a statement's names only when those before it have run.
    """
    first, *others = parsed or parse(text, dialect, is_model)
    yield first
    if others:
        for piece, span in _pieces(text, dialect)[1:]:
            yield _statement(text, piece, span, dialect, is_model)


def _same_model(name: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two names end alike, as far as both are qualified."""
    length = min(len(name), len(other))
    return [part.casefold() for part in name[-length:]] == [part.casefold() for part in other[-length:]]


def _pieces(text: str, dialect: str) -> list[tuple[list[Token], Span]]:
    try:
        return _split(text, tokenize(text, dialect))
    except SqlSyntaxError:
        if _OURS.search(text):
            raise
        return [([], Span(0, len(text)))]


def _split(text: str, tokens: Sequence[Token]) -> list[tuple[list[Token], Span]]:
    """The tokens of each statement and the text between its semicolons; the last one has the rest of the text."""
    pieces: list[tuple[list[Token], Span]] = []
    piece: list[Token] = []
    start = 0
    for token in tokens:
        if token.upper != ";":
            piece.append(token)
            continue
        if piece:
            pieces.append((piece, Span(start, token.start)))
        piece, start = [], token.end
    if piece or not pieces:
        pieces.append((piece, Span(start, len(text))))
    return pieces


def _statement(text: str, tokens: list[Token], span: Span, dialect: str, is_model: IsModel) -> Statement:
    if not tokens:
        return EngineStatement(span, "")
    try:
        return _read_statement(text, tokens, span, dialect, is_model)
    except RecursionError:
        message = "the statement is nested too deeply"
        raise SqlSyntaxError(message, position=tokens[0].start, text=text) from None


def _read_statement(text: str, tokens: list[Token], span: Span, dialect: str, is_model: IsModel) -> Statement:
    reader = Reader(text, tokens, 0, len(tokens), dialect)
    if is_model_statement(reader):
        statement = read_model_statement(reader)
        if isinstance(statement, CreateModel):
            first = next(i for i, token in enumerate(tokens) if token.start == statement.query.start)
            found = _calls(text, tokens, first, dialect, is_model)
            statement = replace(statement, calls=found.calls, unnamed_items=found.unnamed_items)
        return statement
    return _engine_statement(text, tokens, span, dialect, is_model)


def _engine_statement(text: str, tokens: list[Token], span: Span, dialect: str, is_model: IsModel) -> EngineStatement:
    reader = Reader(text, tokens, 0, len(tokens), dialect)
    explains = reader.sees("EXPLAIN")
    prepared = _skip_wrappers(reader)
    if (explains or prepared) and is_model_statement(reader):
        verb = "explained" if explains else "prepared"
        raise reader.error_at(f"a model statement cannot be {verb}", reader.peek().start)
    stores, name, temporary = ("prepare", prepared, True) if prepared else _stored(reader)
    found = _calls(text, tokens, reader.index, dialect, is_model)
    return EngineStatement(
        span,
        tokens[0].upper,
        found.calls,
        stores,
        name,
        temporary,
        explains,
        _dropped(reader),
        found.rejected,
        found.unnamed_items,
    )


def _skip_wrappers(reader: Reader) -> tuple[str, ...]:
    """Past EXPLAIN [ANALYZE] [(...)], DECLARE name ... CURSOR ... FOR and PREPARE name [(...)] AS; what is prepared, by name."""
    prepared: tuple[str, ...] = ()
    while True:
        if reader.accept("EXPLAIN"):
            while reader.peek().upper in ("ANALYZE", "ANALYSE", "VERBOSE"):
                reader.take()
            if reader.sees("(") and reader.peek(1).upper not in QUERY_STARTS | {"("}:
                _skip_brackets(reader)
        elif reader.sees("DECLARE"):
            _skip_declaration(reader)
        elif reader.sees("PREPARE") and reader.peek(1).kind in ("word", "quoted"):
            prepared = (identifier(reader.peek(1)),)
            reader.index += 2
            if reader.sees("("):
                _skip_brackets(reader)
            reader.accept("AS")
        else:
            return prepared


def _skip_declaration(reader: Reader) -> None:
    while not reader.at_end() and reader.take().upper != "FOR":
        pass


def _skip_brackets(reader: Reader) -> None:
    depth = 0
    while not reader.at_end():
        word = reader.take().upper
        depth += (word == "(") - (word == ")")
        if depth == 0:
            return


def _stored(reader: Reader) -> tuple[Stores | None, tuple[str, ...], bool]:
    """What a CREATE stores, its name, and whether it is temporary; CREATE TABLE ... AS stores no text, ALTER TABLE may."""
    if reader.sees("ALTER", "TABLE"):
        return "table", _qualified(reader, 4 if reader.peek(2).upper == "IF" else 2)[0], False
    if not reader.sees("CREATE"):
        return None, (), False
    ahead, temporary = 1, False
    while reader.peek(ahead).upper in _CREATE_MODIFIERS:
        temporary = temporary or reader.peek(ahead).upper in ("TEMP", "TEMPORARY")
        ahead += 1
    stores = _STORED.get(reader.peek(ahead).upper)
    ahead += 1
    if [reader.peek(ahead + i).upper for i in range(3)] == ["IF", "NOT", "EXISTS"]:
        ahead += 3
    if stores is None:
        return None, (), temporary
    name, ahead = _qualified(reader, ahead)
    if stores == "table" and reader.peek(ahead).upper == "AS":
        return None, name, temporary
    return stores, name, temporary


_CREATE_MODIFIERS = frozenset(
    {"OR", "REPLACE", "TEMP", "TEMPORARY", "PERSISTENT", "UNIQUE", "RECURSIVE", "MATERIALIZED"}
)


def _qualified(reader: Reader, ahead: int) -> tuple[tuple[str, ...], int]:
    """The dotted name there and where it ends."""
    parts: list[str] = []
    while reader.peek(ahead).kind in ("word", "quoted"):
        parts.append(identifier(reader.peek(ahead)))
        ahead += 1
        if reader.peek(ahead).upper != ".":
            break
        ahead += 1
    return tuple(parts), ahead


def _dropped(reader: Reader) -> tuple[tuple[str, ...], ...]:
    if not reader.sees("DROP"):
        return ()
    ahead = 1 + (reader.peek(1).upper == "MATERIALIZED")
    if reader.peek(ahead).upper not in ("VIEW", "MACRO", "FUNCTION"):
        return ()
    ahead += 1 + (reader.peek(ahead + 1).upper == "TABLE")
    if reader.peek(ahead).upper == "IF":
        ahead += 2
    names = []
    while True:
        name, ahead = _qualified(reader, ahead)
        if name:
            names.append(name)
        if reader.peek(ahead).upper != ",":
            return tuple(names)
        ahead += 1


@dataclass(frozen=True)
class _Found:
    calls: tuple[Call, ...] = ()
    rejected: tuple[ModelName, ...] = ()
    unnamed_items: tuple[Span, ...] = ()


def _calls(text: str, tokens: list[Token], first: int, dialect: str, is_model: IsModel) -> _Found:
    """The calls from token ``first`` on, and the names that are no models."""
    candidates = [candidate for candidate in find_candidates(tokens) if candidate.index >= first]
    if not candidates:
        return _Found()
    brackets = match_brackets(tokens)
    if isinstance(brackets, int):
        _refuse_unbalanced(text, tokens, candidates, brackets)
        return _Found()
    walker = StatementWalker(text, tokens, brackets, [candidate.index for candidate in candidates])
    walker.walk_statement(first, len(tokens), Environment())
    reader = CallReader(text, tokens, brackets, dialect, is_model)
    calls: list[Call] = []
    rejected: list[ModelName] = []
    for candidate in candidates:
        place = walker.places.get(candidate.index)
        found = reader.read(candidate, place) if place else None
        if isinstance(found, ModelName):
            rejected.append(found)
        elif found is not None:
            calls.append(found)
    starts = [call.span.start for call in calls]
    unnamed = [item for item in walker.unnamed_items if _holds_any(item, starts)]
    return _Found(tuple(calls), tuple(rejected), tuple(unnamed))


def _holds_any(span: Span, starts: list[int]) -> bool:
    index = bisect_left(starts, span.start)
    return index < len(starts) and starts[index] < span.end


def _refuse_unbalanced(text: str, tokens: list[Token], candidates: list[Candidate], fault: int) -> None:
    """Brackets that do not pair are the engine's to report, unless it would stumble over our MODEL first."""
    if not any(tokens[c.opening + 1].upper == "MODEL" for c in candidates if c.opening + 1 < len(tokens)):
        return
    token = tokens[fault]
    message = f'"{token.text}" is never closed' if token.text in "([{" else f'"{token.text}" closes nothing'
    raise SqlSyntaxError(message, position=token.start, text=text)
