"""Engine statements that hold ML calls: rewritten, run, and recorded where their text is stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.catalog.records import RecordedView
from sqlml.engines.failures import plain_message
from sqlml.errors import AmbiguousColumnError, EngineError, InputMismatchError, MissingColumnError
from sqlml.language.places import named_in
from sqlml.results import LocalResult
from sqlml.rewrite import Rewriter
from sqlml.statements.syntax import require_syntax
from sqlml.table_functions import TABLE_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.engines.engine import Bound
    from sqlml.language.splice import OffsetMap
    from sqlml.language.statements import Call, EngineStatement, Span
    from sqlml.session import Session


_INTERNAL = re.compile(r"\b__sqlml_\w+")  # functions whose names no user wrote
_DOCUMENT = re.compile(r"\A[^()]*\([^)]*\bFORMAT\s+(?:JSON|XML|YAML)\b", re.IGNORECASE)  # plans that lines would spoil


@dataclass(frozen=True)
class Generated:
    """A statement as the engine takes it, for somebody else to run: what EXPLAIN shows beside the plan, and how errors are told.

    ``passing`` says that it reads temporary tables of ours, which ``serving.tidy`` drops afterwards.
    """

    sql: str
    statement: EngineStatement
    offsets: OffsetMap
    lines: tuple[str, ...] = ()
    passing: bool = False

    def tell(self, error: EngineError) -> None:
        """Word an error of the engine's as if it had run what the user wrote."""
        error.reword(plain_message(error.message))
        _tell(error, self.offsets, self.statement.span, self.statement.calls)
        if self.statement.rejected and error.sqlstate.startswith(("42", "3F")):
            name = self.statement.rejected[0].parts[-1]
            error.hint = error.hint or f'There is no model "{name}" either.'


def generate(session: Session, statement: EngineStatement, text: str) -> Generated:
    """The SQL of a statement whose text is not stored; a model that only the server could have meant otherwise is known to exist."""
    if statement.rejected and not session.engine.knows_predict():
        raise session.store.unknown(statement.rejected[0])
    state = session.state_to_keep(text, statement)
    rewriter = _rewriter(session, statement, text)
    sql, offsets = _rewritten(session, rewriter, statement)
    shown = statement.explains and not _DOCUMENT.search(text)
    lines = [f"sqlml: {line.strip()}" for line in _lines(rewriter)] if shown else []
    if statement.stores is None and statement.calls and not rewriter.outside and not lines:
        session.remember(text, statement, offsets, state)
    return Generated(sql, statement, offsets, tuple(lines), bool(rewriter.outside))


def has_work(statement: EngineStatement) -> bool:
    """Whether the engine cannot be given the statement as it is."""
    return bool(statement.calls or statement.rejected)


def run_with_calls(
    session: Session, statement: EngineStatement, text: str, parameters: Any, *, lazily: bool = False
) -> Any:
    """Rewrite and run. None: the result waits on the engine's connection; EXPLAIN's gets our lines. ``lazily``: a relation."""
    try:
        return _run(session, statement, text, parameters, lazily=lazily)
    finally:
        session.serving.tidy()


def bound_with_calls(session: Session, statement: EngineStatement, text: str, parameters: Any) -> Bound:
    """What the statement takes and gives, without running it."""
    try:
        sql, offsets = _rewriter(session, statement, text).rewrite()
        bound: Bound = _mapped(session, statement, offsets, lambda: session.engine.bound(sql, parameters))
    finally:
        session.serving.tidy()
    return bound


def _rewriter(session: Session, statement: EngineStatement, text: str) -> Rewriter:
    return Rewriter(
        text,
        statement.span,
        statement.calls,
        session,
        TABLE_FUNCTIONS,
        unnamed_items=statement.unnamed_items,
        stored=statement.stores is not None,
    )


def _run(session: Session, statement: EngineStatement, text: str, parameters: Any, *, lazily: bool) -> Any:
    state = session.state_to_keep(text, statement)
    rewriter = _rewriter(session, statement, text)
    sql, offsets = _rewritten(session, rewriter, statement)
    if lazily:
        relation = _mapped(session, statement, offsets, lambda: session.engine.native_relation(sql, parameters))
        if not rewriter.outside:
            session.remember(text, statement, offsets, state)
        return relation

    def execute() -> None:
        _mapped(session, statement, offsets, lambda: session.execute(sql, parameters))

    if statement.stores is not None and statement.stores != "prepare":
        with session.transaction():
            execute()
            if not statement.temporary:
                _record(session, statement, text, rewriter)
        return None
    execute()
    if statement.explains:
        return _explained(session, rewriter)
    if statement.stores is None and statement.calls and not rewriter.outside:
        session.remember(text, statement, offsets, state)
    return None


def _rewritten(session: Session, rewriter: Rewriter, statement: EngineStatement) -> tuple[str, OffsetMap]:
    try:
        return rewriter.rewrite()
    except (AmbiguousColumnError, InputMismatchError, MissingColumnError):
        require_syntax(session, statement, rewriter.text)
        raise


def _mapped(session: Session, statement: EngineStatement, offsets: OffsetMap, action: Callable[[], Any]) -> Any:
    try:
        return run_generated(session, offsets, action, statement.span, statement.calls)
    except EngineError as error:
        _blame_model(session, statement, error)
        raise


def run_generated(
    session: Session, offsets: OffsetMap, action: Callable[[], Any], span: Span, calls: Sequence[Call]
) -> Any:
    """Run the SQL generated for ``span``; an error of the engine is told in the user's own words and place."""
    try:
        return action()
    except Exception as error:
        translated = session.engine.translated(error, offsets.generated)
        if translated is None:
            raise
        _tell(translated, offsets, span, calls)
        raise translated from error


def _tell(error: EngineError, offsets: OffsetMap, span: Span, calls: Sequence[Call]) -> None:
    """An error about generated SQL in the user's own words and place."""
    if error.position is not None:
        error.position = offsets.to_user(error.position)
    else:
        error.position = _place(offsets.text, span, calls, error)
    error.text = offsets.text
    error.reword(_INTERNAL.sub("PREDICT", error.message))


def _place(text: str, span: Span, calls: Sequence[Call], error: EngineError) -> int | None:
    """The word that an error without a place names; a column that a model cannot take, at the only call there is."""
    place = named_in(text, span, error.message)
    return calls[0].span.start if place is None and len(calls) == 1 and error.sqlstate == "42804" else place


def _blame_model(session: Session, statement: EngineStatement, error: EngineError) -> None:
    """Where the engine has no function PREDICT and no schema ML of its own, the model's name is what the user got wrong."""
    if statement.rejected and error.sqlstate.startswith(("42", "3F")):
        name = statement.rejected[0]
        place = statement.span.start
        if session.engine.in_transaction() or not session.engine.knows_predict():
            raise session.store.unknown(name) from error
        error.hint = error.hint or f'There is no model "{name.parts[-1]}" either.'
        error.position = error.position if error.position is not None else place


def _record(session: Session, statement: EngineStatement, text: str, rewriter: Rewriter) -> None:
    """Remember which models a view or macro uses, so that a change of signature or a DROP can name it."""
    database, schema, name = session.engine.place(statement.stored_name)
    session.store.forget_view(database, schema, name)
    ways = {(f.version.model.model_id, f.version.version, f.pinned, f.alias): f for f in rewriter.used.values()}
    for found in ways.values():
        view = RecordedView(
            kind=statement.stores or "view",
            database=database,
            schema=schema,
            name=name,
            version=found.version.version if found.pinned else None,
            statement=statement.span.of(text),
            alias=found.alias,
        )
        session.store.record_view(found.version.model, view)


def _lines(rewriter: Rewriter) -> list[str]:
    from sqlml.statements.explained import explain_lines  # noqa: PLC0415 - scoring needs none of it

    return explain_lines(rewriter)


def _explained(session: Session, rewriter: Rewriter) -> LocalResult:
    """The engine's plan and the lines on its models."""
    import pyarrow as pa  # noqa: PLC0415 - scoring needs none of it

    columns, rows = session.engine.explained(_lines(rewriter))
    return LocalResult.of([(column, pa.string()) for column in columns], rows)
