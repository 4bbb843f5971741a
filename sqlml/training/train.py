"""CREATE MODEL's work: a query, options and a feature plan in, a version ready to be stored out.

survey (labels, split) ──► gather (transform, sample, parts) ──► bin_rows ──► boost ──► evaluate ──► NewVersion
`-------------- reads the rows, in one snapshot --------------------------'   no transaction is open any more
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlml.catalog.records import Fingerprint, NewVersion
from sqlml.engines.engine import Column, Engine
from sqlml.errors import EngineError, MissingColumnError
from sqlml.planning.features import FeaturePlan
from sqlml.planning.kinds import require_kind
from sqlml.planning.options import TrainingOptions
from sqlml.training import lightgbm
from sqlml.training.binning import bin_rows
from sqlml.training.boosting import Trained, boost
from sqlml.training.evaluation import Evaluation, evaluate
from sqlml.training.gather import Gathered, Gatherer, with_classes
from sqlml.training.memory import check_memory, estimate_bytes, sample_count, strip_machine
from sqlml.training.parameters import class_weights, is_row_wise, lightgbm_parameters
from sqlml.training.progress import Progress, Watch
from sqlml.training.rows import Rows
from sqlml.training.survey import Layout, Survey, survey_rows
from udfs.artifact import artifact_hash, write_artifact
from udfs.forest.text import parse_lightgbm
from udfs.model import Feature, Model

SORTED_ROWS = 10_000_000  # without the option, larger results are not sorted for the sake of reproducibility


@dataclass(frozen=True)
class TrainingSource:
    """``query`` is the training query as the engine runs it, ``statement`` the CREATE MODEL as the user wrote it."""

    query: str
    statement: str = ""


@dataclass(frozen=True)
class _Reading:
    """The SQL that is streamed, and what is known of its sequence of rows."""

    sql: str
    columns: tuple[Column, ...]
    repeatable: bool
    reproducible: bool


@dataclass(frozen=True)
class _Learned:
    """All that the parts of the training found, on the way to a version."""

    survey: Survey
    gathered: Gathered
    features: tuple[Feature, ...]
    trained: Trained
    evaluation: Evaluation


def train(
    engine: Engine,
    source: TrainingSource,
    options: TrainingOptions,
    plan: FeaturePlan,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> NewVersion:
    """Train a model. Nothing is stored and no transaction stays open, whether it succeeds, fails or is cancelled.

    ``cancelled`` is asked between batches and between iterations; CancelledError follows a yes.
    """
    watch = Watch(progress, cancelled)
    try:
        return _train(engine, source, options, plan, watch)
    except EngineError:
        watch.check()  # who cancels also interrupts the engine: what counts is that the user asked for it
        raise


def _train(
    engine: Engine, source: TrainingSource, options: TrainingOptions, plan: FeaturePlan, watch: Watch
) -> NewVersion:
    options = resolve_columns(options, engine.columns(source.query), plan)
    layout = Layout.of(tuple(argument.name for argument in plan.arguments), options)
    reading = _plan_reading(engine, source, options, plan)
    with Rows(engine, reading.sql, watch, repeatable=reading.repeatable) as rows:
        label_type = reading.columns[layout.label].sql_type
        survey = survey_rows(rows, layout, options, label_type, watch)
        limit = options.memory_limit or engine.memory_limit()
        limit = min(limit, engine.training_cap or limit)
        _check_memory(plan.features, survey, options, limit)
        split_kind = None
        if options.split_method == "group" and layout.split is not None:
            split_kind = require_kind(options.split_column or "", reading.columns[layout.split].sql_type)
        plan = with_classes(plan, survey.labels.class_count)
        gatherer = Gatherer(plan, layout, survey, options, split_kind)
        gathered = gatherer.run(rows, sample_count(len(plan.features), options), watch)
        statistics = gathered.statistics.finish(gathered.sample)
        _, features = gathered.fit.finish()
        _check_memory(features, survey, options, limit)
        parameters = lightgbm_parameters(options, survey.labels, features)
        weights = class_weights(options, survey.labels)
        size = sample_count(len(features), options)
        binned = bin_rows(rows, plan.arguments, gathered, parameters, weights, sample_size=size, watch=watch)
    watch.enter("training")
    trained = boost(binned, parameters, options, watch)
    watch.enter("evaluation")
    part, split = (gathered.held_out, "evaluation") if binned.held_out else (gathered.training, "training")
    evaluation = evaluate(survey.labels, part, trained.predictions, split)
    features = tuple(replace(f, has_missing=m) for f, m in zip(features, binned.has_missing, strict=True))
    watch.finish()
    learned = _Learned(survey, gathered, features, trained, evaluation)
    version = _version(engine, source, options, plan, learned)
    return replace(
        version,
        reproducible=reading.reproducible,
        feature_statistics=statistics,
        fingerprint=_fingerprint(reading, gathered),
        training_info={**version.training_info, "durations": watch.durations},
    )


def resolve_columns(options: TrainingOptions, columns: Sequence[Column], plan: FeaturePlan) -> TrainingOptions:
    """Options with the label, weight and split column spelled as the query spells them; each must exist."""
    offered = [*(name for name, _ in plan.expressions), *(column.name for column in columns)]
    given: dict[str, Any] = dict(options.given)
    given.setdefault("input_label_cols", options.label)
    for name in ("input_label_cols", "instance_weight_col", "data_split_col"):
        if name in given:
            given[name] = _column(str(given[name]), name, offered, options)
    return replace(options, given=given)


def _column(wanted: str, option: str, offered: list[str], options: TrainingOptions) -> str:
    found = [name for name in offered if name == wanted] or [n for n in offered if n.casefold() == wanted.casefold()]
    if found:
        return found[0]
    near = difflib.get_close_matches(wanted, offered, n=1)
    role = {"input_label_cols": "label", "instance_weight_col": "weight", "data_split_col": "split"}[option]
    hint = f'Did you mean "{near[0]}"?' if near else f"Columns are: {', '.join(offered)}."
    if option not in options.given:
        hint = "Name the label with OPTIONS (input_label_cols = ['...'])."
    raise MissingColumnError(
        f'{role} column "{wanted}" is not in the training query', hint=hint, position=options.position(option)
    )


def _plan_reading(engine: Engine, source: TrainingSource, options: TrainingOptions, plan: FeaturePlan) -> _Reading:
    """The query with the columns wanted, sorted where its own order would not repeat and the user wants it to."""
    sql = plan.source_sql(source.query, Layout.extra_columns(options), engine.quote)
    columns = tuple(engine.columns(sql))
    volatile, ordered = engine.is_volatile(sql), engine.keeps_row_order(sql)
    if not volatile and not ordered and _sorts(engine, source, options):
        names = [f"c{place}" for place in range(len(columns))]  # an argument and a computed label may share one
        keys = ", ".join(engine.sort_key(name, c.sql_type) for name, c in zip(names, columns, strict=True))
        sql = f"SELECT * FROM ({sql}) AS sorted_rows({', '.join(names)}) ORDER BY {keys}"
        return _Reading(sql, columns, repeatable=False, reproducible=True)
    return _Reading(sql, columns, repeatable=ordered and not volatile, reproducible=ordered and not volatile)


def _sorts(engine: Engine, source: TrainingSource, options: TrainingOptions) -> bool:
    if options.deterministic is not None:
        return options.deterministic
    counted = engine.rows(f"SELECT count(*) FROM (\n{source.query}\n) AS {engine.quote('training data')}")
    return int(counted[0][0]) <= SORTED_ROWS


def _check_memory(features: Sequence[Feature], survey: Survey, options: TrainingOptions, limit: int) -> None:
    labels = survey.labels
    row_wise = is_row_wise(options, labels.row_count, len(features))
    needed = estimate_bytes(labels.row_count, features, labels.class_count, options, row_wise=row_wise)
    check_memory(needed, limit, labels.row_count, options)


def _fingerprint(reading: _Reading, gathered: Gathered) -> Fingerprint:
    content = gathered.content
    schema = tuple((column.name, column.sql_type) for column in reading.columns)
    return Fingerprint(content.row_count, schema, content.hexadecimal())


def _model(engine: Engine, options: TrainingOptions, plan: FeaturePlan, learned: _Learned) -> Model:
    """The artifact's content: nothing in it depends on the time, the machine or the number of threads."""
    forest = parse_lightgbm(learned.trained.text)
    steps, _ = learned.gathered.fit.finish()
    return Model(
        task=learned.survey.labels.task,
        label=learned.survey.labels.label,
        inputs=plan.inputs,
        arguments=plan.arguments,
        steps=steps,
        features=learned.features,
        forest=replace(forest, parameters=strip_machine(forest.parameters)),
        dialect=plan.dialect,
        time_zone=plan.time_zone,
        provenance={
            "seed": options.seed,
            "options": _json(options.hashed),
            "libraries": {"lightgbm": lightgbm.version()},
            "training_rows": learned.gathered.training.row_count,
            "held_out_rows": learned.gathered.held_out.row_count,
        },
    )


def _json(value: Any) -> Any:
    """Tuples as lists, so that what is read back equals what was written."""
    if isinstance(value, dict):
        return {name: _json(item) for name, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, tuple) else value


def _version(
    engine: Engine, source: TrainingSource, options: TrainingOptions, plan: FeaturePlan, learned: _Learned
) -> NewVersion:
    model = _model(engine, options, plan, learned)
    artifact = write_artifact(model)
    gathered, trained = learned.gathered, learned.trained
    notices = [*learned.survey.labels.notices, *gathered.notices]
    notices += [
        f'feature "{name}" has {count:,} levels more than a dictionary keeps: the rarest ones score like unseen ones'
        for name, count in gathered.fit.folded_levels().items()
    ]
    if not any(len(tree.split_feature) for tree in model.forest.trees):
        notices.append("the trees found no split: every prediction is the same; give more rows or set min_data_in_leaf")
    return NewVersion(
        artifact=artifact,
        artifact_hash=artifact_hash(artifact),
        task=model.task,
        statement=source.statement,
        options=_json(dict(options.given)),
        label=model.label.name,
        label_type=model.label.sql_type,
        signature=tuple((item.name, item.kind) for item in model.inputs),
        engine=engine.dialect,
        engine_version=engine.version(),
        library_versions={"lightgbm": lightgbm.version()},
        fingerprint=None,
        seed=options.seed,
        reproducible=False,
        metrics=(*learned.evaluation.metrics, *trained.curve),
        evaluation=learned.evaluation.details,
        training_info={
            "training_rows": gathered.training.row_count,
            "held_out_rows": gathered.held_out.row_count,
            "rows_without_label": learned.survey.labels.left_out,
            "iterations": trained.iterations,
            "stopped": trained.stopped,
            "split_method": learned.survey.split.method,
        },
        notices=tuple(notices),
    )
