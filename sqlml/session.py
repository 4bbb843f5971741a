"""Runs the dialect on one engine connection: text in, the engine's own result or a local one out.

text ── may_hold_ml? ── no ──> engine, byte for byte
│ yes
└─> parse ─> model statement ─> sqlml.statements (train, alter, show...)
└─> engine statement with calls ─> Rewriter ─> engine
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.callers import calling_frame
from sqlml.catalog.store import Store
from sqlml.engines.interrupts import stopped_by_ctrl_c
from sqlml.errors import (
    ArtifactError,
    CatalogVersionError,
    ConflictError,
    DependencyError,
    EngineError,
    ReadOnlyError,
    SignatureError,
    SqlmlError,
    TransformError,
)
from sqlml.language.parser import parse, parse_each
from sqlml.language.places import point
from sqlml.language.reader import is_plain_name
from sqlml.language.statements import CreateModel, DescribeModel, EngineStatement, ModelName, Span, Statement
from sqlml.language.tokens import first_word, first_words, may_hold_ml
from sqlml.planning.facts import VersionFacts, scores_null_as_zero
from sqlml.rewrite import Found
from sqlml.statements import handler_of
from sqlml.statements.engine import Generated, bound_with_calls, generate, has_work, run_generated, run_with_calls

if TYPE_CHECKING:
    from sqlml.catalog.records import ModelRecord, VersionRecord
    from sqlml.engines.engine import Bound, Column, Engine
    from sqlml.language.splice import OffsetMap
    from sqlml.planning.postgres.outside import Given
    from sqlml.results import LocalResult
    from sqlml.serving.serving import Serving
    from sqlml.training.progress import Progress
    from udfs.model import Model

# Statements after which an unqualified name may lead elsewhere, and those that end a transaction.
MOVES_NAMES = frozenset({"USE", "SET", "RESET", "ATTACH", "DETACH", "PRAGMA"})
ENDS_TRANSACTION = frozenset({"COMMIT", "END", "ROLLBACK", "ABORT"})
WATCHED = MOVES_NAMES | ENDS_TRANSACTION
NAME_ERRORS = ("42", "3F")  # SQLSTATEs of statements that do not fit the tables and models there are
CACHED_TEXTS = 256
_ABOUT_MODEL = (ArtifactError, CatalogVersionError, ConflictError, DependencyError, ReadOnlyError, SignatureError)


@dataclass(frozen=True)
class Rewritten:
    """A statement, its generated SQL with the way back to the user's text, and the state of the models it was made in."""

    statement: EngineStatement
    offsets: OffsetMap
    state: Hashable


class Session:
    """The dialect on one connection. ``on_notice`` and ``on_progress`` are the callbacks of whoever talks to the user."""

    def __init__(self, engine: Engine, serving: Serving) -> None:
        self.engine = engine
        self.serving = serving
        self.store = Store(engine)
        self.notices: list[str] = []
        self.on_notice: Callable[[str], None] | None = None
        self.on_progress: Callable[[Progress], None] | None = None
        self.cancelled = threading.Event()
        self._rewritten: dict[str, Rewritten] = {}
        self._told: set[str] = set()
        engine.listen(self.notice)

    # -- running -----------------------------------------------------------------------------------------------------------

    def run(self, text: str, parameters: Any = None) -> LocalResult | None:
        """Run all statements of a text. None: the result waits on the engine's connection."""
        if self.notices:
            self.notices = []
        self.cancelled.clear()
        with self.engine.seeing(calling_frame()):
            self.serving.settle()  # the transaction may have ended on the engine's own connection
            if not may_hold_ml(text):
                self.pass_through(text, parameters)
                return None
            known = self._rewritten.get(text)
            if known is not None and known.state == self.serving.state():  # None is kept by nothing
                return self._run_known(text, known, parameters)
            return self._run_text(text, parameters)

    def _run_text(self, text: str, parameters: Any) -> LocalResult | None:
        try:
            dialect = self.engine.dialect
            statements = parse(text, dialect, self._is_model)
            if not any(_is_ours(statement) for statement in statements):
                self.pass_through(text, parameters)
                return None
            result: LocalResult | None = None
            for number, statement in enumerate(parse_each(text, dialect, self._is_model, statements), 1):
                result = self._run_statement(text, statement, parameters if number == len(statements) else None)
        except SqlmlError as error:
            error.text = error.text if error.text is not None else text
            raise
        return result

    def _run_statement(self, text: str, statement: Statement, parameters: Any) -> LocalResult | None:
        if not isinstance(statement, EngineStatement):
            with stopped_by_ctrl_c(self.engine.interrupt):
                return self._run_model_statement(text, statement)
        if not has_work(statement):
            self.pass_through(statement.span.of(text), parameters)
            return None
        explained: LocalResult | None = run_with_calls(self, statement, text, parameters)
        return explained

    def _run_model_statement(self, text: str, statement: Any) -> LocalResult:
        try:
            return handler_of(statement)(self, statement, text)
        except SqlmlError as error:
            point(error, text, _spans(statement, error))
            if error.position is None and isinstance(error, _ABOUT_MODEL) and hasattr(statement, "name"):
                error.position = statement.name.span.start
            raise

    def _run_known(self, text: str, known: Rewritten, parameters: Any) -> LocalResult | None:
        """Run a statement whose SQL is known; where the names in it lead elsewhere now, begin anew."""
        statement, offsets = known.statement, known.offsets

        def execute() -> None:
            self.execute(offsets.generated, parameters)

        try:
            run_generated(self, offsets, execute, statement.span, statement.calls)
        except EngineError as error:
            self._rewritten.pop(text, None)
            if not error.sqlstate.startswith(NAME_ERRORS) or self.engine.in_transaction():
                raise
            return self._run_text(text, parameters)
        return None

    def state_to_keep(self, text: str, statement: EngineStatement) -> Hashable:
        """The state of the models, before they are looked up, under which a statement's SQL may serve again.

        None where it is one of several, or sees the snapshot of a transaction, which others have left behind.
        """
        alone = statement.span.start == 0 and statement.span.end >= len(text.rstrip("; \t\r\n"))
        state = self.serving.state() if alone else None
        return None if self.engine.in_transaction() else state

    def remember(self, text: str, statement: EngineStatement, offsets: OffsetMap, state: Hashable) -> None:
        """Keep the SQL of a text for the next time it is run."""
        if state is None:
            return
        if len(self._rewritten) >= CACHED_TEXTS:
            self._rewritten.clear()
        self._rewritten[text] = Rewritten(statement, offsets, state)

    def pass_through(self, text: str, parameters: Any) -> None:
        """The engine's own statements, untouched, with the engine's own result and errors."""
        statements = self.engine.statements(text) if first_words(text) & WATCHED else []
        if not statements:
            self.execute(text, parameters)
            return
        # One by one, as the engine itself does: what follows from one of them must not cost the last one its result.
        *others, last = statements
        for statement in others:
            self._run_watched(statement, None)
        self._run_watched(last, parameters)

    def _run_watched(self, statement: Any, parameters: Any) -> None:
        """Run one statement and take note where it ends a transaction or lets names lead elsewhere."""
        word = first_word(statement.query)
        try:
            self.execute(statement, parameters)
        finally:
            if word in ENDS_TRANSACTION:
                self.serving.settle()
        if word in MOVES_NAMES:
            self._rewritten.clear()
        if word in ("ATTACH", "DETACH"):
            self.serving.moved()

    def execute(self, sql: Any, parameters: Any = None) -> None:
        """Run on the engine, with its own errors; stored texts see the models of a transaction that is still open."""
        with self.serving.seeing_own():
            self.engine.execute_native(sql, parameters)

    def bound(self, text: str, parameters: Any = None) -> Bound | None:
        """What a single statement takes and gives, without running it; None for a statement about models."""
        self.serving.settle()
        with self.engine.seeing(None), self.serving.seeing_own():
            if not may_hold_ml(text):
                return self.engine.bound(text, parameters)
            try:
                return self._bound(text, parameters)
            except SqlmlError as error:
                error.text = error.text if error.text is not None else text
                raise

    def _bound(self, text: str, parameters: Any) -> Bound | None:
        (statement,) = parse(text, self.engine.dialect, self._is_model)
        if not isinstance(statement, EngineStatement):
            return None
        if has_work(statement):
            return bound_with_calls(self, statement, text, parameters)
        return self.engine.bound(text, parameters)

    def generated(self, text: str) -> Generated | None:
        """A single statement as the engine takes it, for whoever runs it there; None for one that only ``run`` can."""
        known = self._rewritten.get(text)
        if known is not None and known.state == self.serving.state():
            return Generated(known.offsets.generated, known.statement, known.offsets)
        try:
            (statement,) = parse(text, self.engine.dialect, self._is_model)
            if not isinstance(statement, EngineStatement) or statement.stores not in (None, "prepare"):
                return None
            return generate(self, statement, text)
        except SqlmlError as error:
            error.text = error.text if error.text is not None else text
            raise

    def stream(self, query: str, parameters: Any, rows_per_batch: int) -> tuple[Any, Any]:
        """A single query of the engine's as its relation, which tells the columns, and its rows as they come."""
        self.cancelled.clear()
        with self.serving.seeing_own():
            known = self._rewritten.get(query)
            if known is not None and known.state == self.serving.state():
                relation = self.engine.native_relation(known.offsets.generated, parameters)
            else:
                relation = self.relation(query, parameters)
            return relation, relation.to_arrow_reader(rows_per_batch)

    def relation(self, query: str, parameters: Any = None) -> Any:
        """The engine's lazy relation of a query, or of a local result; None without a result."""
        with self.engine.seeing(calling_frame()):
            if not may_hold_ml(query):
                return self.engine.native_relation(query, parameters)
            try:
                statements = parse(query, self.engine.dialect, self._is_model)
                if len(statements) == 1 and isinstance(statements[0], EngineStatement) and statements[0].stores is None:
                    return run_with_calls(self, statements[0], query, parameters, lazily=True)
                result = self._run_text(query, None)
            except SqlmlError as error:
                error.text = error.text if error.text is not None else query
                raise
            return self.engine.relation_of(result.table) if result is not None else None

    # -- what rewriting asks for ---------------------------------------------------------------------------------------------

    @property
    def dialect(self) -> str:
        return self.engine.dialect

    def find_model(self, name: ModelName, *, stored: bool) -> Found:
        """A model's version in the user's own transaction, loaded into the scorers of this database instance."""
        version = self.store.resolve(name)
        model = self.serving.model(version)
        reference = f"sha256:{version.artifact_hash}"
        if stored:
            full = _stored_reference(version, name)
            pinned = name.version is not None
            reference = self.serving.stored_reference(version, full, pinned=pinned, alias=name.alias)
        threshold = version.model.options.get("threshold") if model.task == "binary" else None
        return Found(
            version,
            model,
            reference,
            pinned=name.version is not None,
            alias=name.alias,
            threshold=threshold,
            scorer=self.serving.scorer_of(version, model),
        )

    def tell_nulls(self, found: Found) -> None:
        """Say once which features of a model score a NULL as 0."""
        version = found.version
        if version.artifact_hash in self._told:
            return
        self._told.add(version.artifact_hash)
        zero = scores_null_as_zero(found.model)
        if zero:
            shown = ", ".join(zero[:5]) + (f" and {len(zero) - 5} more" if len(zero) > 5 else "")
            self.notice(
                f'model "{version.model.name}" saw no NULL in {shown} while it was trained: a NULL there scores as 0'
            )

    def name_tables(self) -> tuple[str, str]:
        return self.serving.name_tables()

    def score_outside(self, model: Model, given: Given, functions: Iterable[str]) -> None:
        self.serving.score_outside(model, given, functions)

    def columns_of(self, sql: str) -> list[Column]:
        return self.engine.columns(sql)

    def quote(self, *parts: str) -> str:
        return self.engine.quote(*parts)

    def facts(self, found: Found) -> VersionFacts:
        """A version with all that is stored about it."""
        version = found.version
        return VersionFacts(version, found.model, self.store.metrics(version), self.store.feature_statistics(version))

    def _is_model(self, parts: tuple[str, ...]) -> bool:
        return self.store.find_or_none(parts) is not None

    def find(self, name: str) -> VersionRecord:
        """The version of a name as written in the dialect (``late``, ``late@2``)."""
        (statement,) = parse(f"DESCRIBE MODEL {name}", self.engine.dialect, self._is_model)
        if not isinstance(statement, DescribeModel):
            raise SqlmlError(f'"{name}" is not a model name')
        return self.store.resolve(statement.name)

    def model_names(self) -> list[str]:
        """Names of the models of the current database as one writes them, qualified where they are not in the current schema."""
        here = self.engine.current_schema()
        names = [(m.name,) if m.schema == here else (m.schema, m.name) for m in self.store.list_models()]
        return [".".join(part if is_plain_name(part) else self.quote(part) for part in parts) for parts in names]

    def notice(self, text: str) -> None:
        """Tell the user something beside the result."""
        self.notices.append(text)
        if self.on_notice is not None:
            self.on_notice(text)

    # -- transactions and what others see ------------------------------------------------------------------------------------

    def transaction(self) -> AbstractContextManager[None]:
        """The user's own transaction where one is open, else one of ours around the block."""
        return self.store.transaction()

    def changed(self, database: str) -> None:
        """Models of a database were changed: others see them now, or after the user's COMMIT."""
        self._rewritten.clear()
        self.serving.changed(database)

    def rebuild_views(self, model: ModelRecord) -> None:
        """Create the recorded views on the bare name anew, from what the user wrote, for another signature."""
        with self.serving.seeing_names_of(model.database):
            for view in self.store.views_of(model):
                if view.version is not None or view.alias is not None:
                    continue
                (statement,) = parse(view.statement, self.engine.dialect, self._is_model)
                if isinstance(statement, EngineStatement):
                    self.engine.run(self.engine.drop_statement(view.kind, view.database, view.schema, view.name))
                    run_with_calls(self, statement, view.statement, None)

    # -- life ----------------------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop what runs, from another thread."""
        self.cancelled.set()
        self.engine.interrupt()

    def duplicate(self) -> Session:
        """A session on another connection to the same database."""
        engine = self.engine.duplicate()
        session = Session(engine, self.serving.duplicate(engine))
        session.on_notice, session.on_progress = self.on_notice, self.on_progress
        return session

    def close(self) -> None:
        self.engine.close()


def _spans(statement: Any, error: SqlmlError) -> list[Span]:
    """The parts of a model statement in which to look for the word at fault, the likeliest first."""
    if not isinstance(statement, CreateModel) or isinstance(error, _ABOUT_MODEL):
        return [statement.span]
    spans = [statement.query, statement.span]
    about_transform = isinstance(error, TransformError) or "features" in error.message
    return [statement.transform, *spans] if statement.transform is not None and about_transform else spans


def _is_ours(statement: Statement) -> bool:
    return not isinstance(statement, EngineStatement) or has_work(statement)


def _stored_reference(version: VersionRecord, name: ModelName) -> str:
    """The name under which a stored text finds the model: with the database, since another one may have a model of that name."""
    model = version.model
    parts = [f'"{part.replace(chr(34), chr(34) * 2)}"' for part in (model.database, model.schema, model.name)]
    suffix = ""
    if name.version is not None:
        suffix = f"@{name.version}"
    elif name.alias is not None:
        suffix = "@" + '"' + name.alias.replace('"', '""') + '"'
    return ".".join(parts) + suffix
