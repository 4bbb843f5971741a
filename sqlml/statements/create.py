"""CREATE MODEL: the statement in, a trained and stored version out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml.errors import NotSupportedYetError, SqlmlError, SqlSyntaxError
from sqlml.language.tokens import parameters_in
from sqlml.planning.features import FeatureOptions, plan_features
from sqlml.planning.options import parse_options
from sqlml.rewrite import Rewriter
from sqlml.statements.engine import run_generated
from sqlml.statements.expressions import type_of_expression
from sqlml.statements.storing import exists_already, skipped, store_version
from sqlml.table_functions import TABLE_FUNCTIONS

if TYPE_CHECKING:
    from sqlml.engines.engine import Column
    from sqlml.language.statements import CreateModel, Span
    from sqlml.planning.features import FeaturePlan
    from sqlml.planning.options import TrainingOptions
    from sqlml.results import LocalResult
    from sqlml.session import Session


@dataclass(frozen=True)
class Query:
    """The training query as the engine runs it, and its columns."""

    sql: str
    columns: list[Column]


def create_model(session: Session, statement: CreateModel, text: str) -> LocalResult:
    """Check all that can be checked before rows are read, then train, then store.

    In the user's transaction the model's row is written first, so that a conflict shows before the hour of training. Outside of
    one, a transaction of ours gives one snapshot to read and is over before the trees grow.
    """
    if exists_already(session, statement):
        return skipped(statement)
    options = parse_options(statement.options)
    query = _training_query(session, statement, text)
    plan = _plan(session, statement.transform, text, query, options)
    session.store.require_writable(statement.name)
    if session.engine.in_transaction():
        session.store.reserve(statement.name)
    from sqlml.training.train import TrainingSource, train  # noqa: PLC0415 - LightGBM takes a second to import

    source = TrainingSource(query=query.sql, statement=statement.span.of(text).strip())
    version = train(
        session.engine,
        source,
        options,
        plan,
        progress=session.on_progress,
        cancelled=session.cancelled.is_set,
    )
    return store_version(session, statement, version, "CREATE MODEL", options.model_options)


def _training_query(session: Session, statement: CreateModel, text: str) -> Query:
    parameters = parameters_in(text, statement.query, session.engine.dialect)
    if parameters:
        raise SqlSyntaxError(
            "a training query cannot have parameters",
            hint="The statement is stored with the version, to be run again: write the values into it.",
            position=parameters[0].start,
        )
    rewriter = Rewriter(
        text, statement.query, statement.calls, session, TABLE_FUNCTIONS, unnamed_items=statement.unnamed_items
    )
    query, offsets = rewriter.rewrite()
    columns = run_generated(session, offsets, lambda: session.columns_of(query), statement.query, statement.calls)
    if [column.sql_type for column in columns] == ["UNKNOWN"]:
        raise NotSupportedYetError(
            "the columns of this training query are known only when it runs",
            hint="Write PIVOT t ON x IN ('a', 'b') ..., or store its result with CREATE TABLE ... AS first.",
            position=statement.query.start,
        )
    return Query(query, columns)


def _plan(session: Session, transform: Span | None, text: str, query: Query, options: TrainingOptions) -> FeaturePlan:
    feature_options = FeatureOptions(
        categorical_features=options.categorical_features,
        exclude=options.exclude,
        carried=options.reserved_columns,
        time_zone=session.engine.time_zone(),
    )
    dialect = session.engine.dialect
    try:
        if transform is None:
            return plan_features(query.columns, label=options.label, options=feature_options, dialect=dialect)
        return plan_features(
            query.columns,
            label=options.label,
            transform=transform.of(text),
            options=feature_options,
            dialect=dialect,
            type_of=lambda expression: type_of_expression(session, query.sql, expression),
        )
    except SqlmlError as error:
        if transform is not None and error.text is not None:
            error.position = None if error.position is None else error.position + transform.start
            error.text = text
        raise
