"""The ML table functions by name: each turns a call into the text of a derived table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlml.engines.engine import Column
from sqlml.errors import DuplicateColumnError, InputMismatchError, NotSupportedYetError, OptionError, OptionValueError
from sqlml.language.statements import TableCall
from sqlml.planning import facts
from sqlml.planning.evaluation import class_columns
from sqlml.planning.explaining import parse_explain_settings
from sqlml.planning.matching import Candidate, match_names
from sqlml.planning.scoring import checked_setting, parse_predict_settings
from sqlml.planning.segments import parse_segments
from sqlml.rewrite import Found, Rewriter, TableFunction
from udfs.model import MOST_INTERACTING

ROWS = "__sqlml_rows"


def _predict(rewriter: Rewriter, call: TableCall) -> str:
    found, source, columns, mapping = _given_rows(rewriter, call)
    settings = parse_predict_settings(call.settings, found.model, default_threshold=found.threshold)
    names = [column.name for column in columns]
    try:
        return rewriter.phrases.predict_table_sql(rewriter.scored(found, call), source, names, mapping, settings)
    except DuplicateColumnError as error:
        error.position = call.inputs[0][0].start
        raise


def _transform(rewriter: Rewriter, call: TableCall) -> str:
    _no_settings(call)
    found, source, _, mapping = _given_rows(rewriter, call)
    rewriter.require_pinned(found, call, "ML.TRANSFORM")
    return rewriter.phrases.transform_table_sql(rewriter.scored(found, call), source, mapping)


def _explain_predict(rewriter: Rewriter, call: TableCall) -> str:
    found, source, columns, mapping = _given_rows(rewriter, call)
    rewriter.require_pinned(found, call, "ML.EXPLAIN_PREDICT")
    settings = parse_explain_settings(call.settings, found.model, default_threshold=found.threshold)
    try:
        return rewriter.phrases.explain_table_sql(
            rewriter.scored(found, call), source, [c.name for c in columns], mapping, settings
        )
    except DuplicateColumnError as error:
        error.position = call.inputs[0][0].start
        raise


def _global_explain(rewriter: Rewriter, call: TableCall) -> str:
    found, source, columns, mapping = _given_rows(rewriter, call)
    rewriter.require_pinned(found, call, "ML.GLOBAL_EXPLAIN")
    segments = parse_segments(call.settings, [column.name for column in columns])
    try:
        return rewriter.phrases.global_table_sql(rewriter.scored(found, call), source, mapping, segments)
    except DuplicateColumnError as error:
        error.position = call.inputs[0][0].start
        raise


def _explain_difference(rewriter: Rewriter, call: TableCall) -> str:
    _no_settings(call)
    if len(call.inputs) != 2:
        raise InputMismatchError(
            f"ML.EXPLAIN_DIFFERENCE needs two sets of rows, got {len(call.inputs)}",
            hint=f"Write ML.EXPLAIN_DIFFERENCE(MODEL {_name(call)}, (SELECT ...), (SELECT ...)).",
            position=call.span.start,
        )
    found, first, _, mapping = _given_rows(rewriter, call)
    _, second, _, other = _given_rows(rewriter, call, 1)
    rewriter.require_pinned(found, call, "ML.EXPLAIN_DIFFERENCE")
    return rewriter.phrases.difference_table_sql(rewriter.scored(found, call), (first, second), (mapping, other))


def _interactions(rewriter: Rewriter, call: TableCall) -> str:
    _no_settings(call)
    count = len(rewriter.find(call).model.features)
    if count > MOST_INTERACTING:
        raise InputMismatchError(
            f'ML.INTERACTIONS is for at most {MOST_INTERACTING} features, model "{_name(call)}" has {count}',
            hint="Train a model of the features in question.",
            position=call.span.start,
        )
    found, source, _, mapping = _given_rows(rewriter, call)
    rewriter.require_pinned(found, call, "ML.INTERACTIONS")
    return rewriter.phrases.interactions_table_sql(rewriter.scored(found, call), source, mapping)


def _given_rows(rewriter: Rewriter, call: TableCall, index: int = 0) -> tuple[Found, str, list[Column], dict[str, str]]:
    """The model, the query, its columns, and each model input's SQL over the query."""
    found = rewriter.find(call)
    if not call.inputs:
        raise InputMismatchError(
            f"ML.{call.function.upper()} needs rows",
            hint=f"Write ML.{call.function.upper()}(MODEL {_name(call)}, TABLE t) or (MODEL {_name(call)}, (SELECT ...)).",
            position=call.span.start,
        )
    source, columns = rewriter.source(call, index)
    position = call.inputs[index][0].start
    _refuse_duplicates(columns, call, position)
    quote = rewriter.session.quote
    candidates = [Candidate(c.name, f"{ROWS}.{quote(c.name)}", c.name) for c in columns]
    mapping = match_names(found.model.inputs, candidates, model=_name(call), position=position)
    rewriter.matched[call.span] = mapping
    if rewriter.session.dialect == "postgres":  # where casts would make something of any type
        types = {candidate.sql: column.sql_type for candidate, column in zip(candidates, columns, strict=True)}
        rewriter.require_types(found, {name: types[sql] for name, sql in mapping.items()}, call)
    return found, rewriter.given_rows(found, call, source, columns, mapping), columns, mapping


def _refuse_duplicates(columns: list[Column], call: TableCall, position: int) -> None:
    seen: set[str] = set()
    for column in columns:
        if column.name in seen:
            raise DuplicateColumnError(
                f'column "{column.name}" occurs more than once in the input of ML.{call.function.upper()}',
                hint="Give one of them another name with AS.",
                position=position,
            )
        seen.add(column.name)


def _name(call: TableCall) -> str:
    return call.model.parts[-1] if call.model is not None else ""


# -- evaluation --------------------------------------------------------------------------------------------------------


def _evaluate(rewriter: Rewriter, call: TableCall) -> str:
    if not call.inputs:
        return _stored(rewriter, call, lambda found: _stored_metrics(found, call))
    found, rows = _labelled_rows(rewriter, call, _threshold(call, rewriter))
    return rewriter.phrases.evaluate_sql(rewriter.scored(found, call), rows)


def _confusion_matrix(rewriter: Rewriter, call: TableCall) -> str:
    found = rewriter.find(call)
    _require_classes(found, call)
    if not call.inputs:
        return _stored(rewriter, call, lambda found: _stored_confusion(found, call))
    found, rows = _labelled_rows(rewriter, call, _threshold(call, rewriter))
    return rewriter.phrases.confusion_matrix_sql(rewriter.scored(found, call), rows)


def _roc_curve(rewriter: Rewriter, call: TableCall) -> str:
    found = rewriter.find(call)
    _require_classes(found, call)
    if found.model.task != "binary":
        raise InputMismatchError(
            f'model "{_name(call)}" has {len(found.model.label.classes)} classes; a ROC curve is of two',
            hint=f"Use ML.CONFUSION_MATRIX(MODEL {_name(call)}), or train a model of one class against the others.",
            position=call.span.start,
        )
    thresholds = _thresholds(call)
    if not call.inputs:
        return _stored(rewriter, call, lambda found: _stored_roc(found, call))
    found, rows = _labelled_rows(rewriter, call, None)
    return rewriter.phrases.roc_curve_sql(rows, thresholds)


def _labelled_rows(rewriter: Rewriter, call: TableCall, threshold: float | None) -> tuple[Found, str]:
    found, source, columns, mapping = _given_rows(rewriter, call)
    quote = rewriter.session.quote
    label = found.model.label.name
    same = [c for c in columns if c.name == label] or [c for c in columns if c.name.casefold() == label.casefold()]
    if len(same) != 1:
        raise InputMismatchError(
            f'ML.{call.function.upper()} needs the label column "{label}" in its input',
            hint="Its columns are: " + ", ".join(c.name for c in columns) + ".",
            position=call.inputs[0][0].start,
        )
    scored = rewriter.scored(found, call)
    row = scored.row(mapping)
    if threshold is None:
        threshold = found.threshold
    actual = f"{ROWS}.{quote(same[0].name)}", same[0].sql_type
    return found, rewriter.phrases.scored_rows_sql(scored, source, actual, row, threshold)


def _require_classes(found: Found, call: TableCall) -> None:
    if not found.model.label.classes:
        raise InputMismatchError(
            f'model "{_name(call)}" predicts a number; ML.{call.function.upper()} is for classifiers',
            hint=f"Use ML.EVALUATE(MODEL {_name(call)}).",
            position=call.span.start,
        )


def _threshold(call: TableCall, rewriter: Rewriter) -> float | None:
    threshold = None
    for option in call.settings:
        if option.key != "threshold":
            raise _unknown_setting(call, option.key, "threshold", option.span.start)
        threshold = checked_setting(option, float)
    if threshold is not None and rewriter.find(call).model.task != "binary":
        raise OptionValueError(
            "a threshold is for binary classifiers only", hint="Leave it out.", position=call.settings[0].span.start
        )
    return threshold


def _thresholds(call: TableCall) -> list[float] | None:
    for option in call.settings:
        if option.key != "thresholds":
            raise _unknown_setting(call, option.key, "thresholds", option.span.start)
        values = option.value
        if (
            not isinstance(values, tuple)
            or not values
            or not all(isinstance(v, int | float) and 0 <= v <= 1 for v in values)
        ):
            raise OptionValueError(
                'setting "thresholds" must be a list of numbers between 0 and 1',
                hint="Write it as in STRUCT([0.25, 0.5, 0.75] AS thresholds).",
                position=option.span.start,
            )
        return [float(v) for v in values]  # type: ignore[arg-type]
    return None


def _unknown_setting(call: TableCall, key: str, known: str, position: int) -> OptionError:
    return OptionError(
        f'unknown setting "{key}" of ML.{call.function.upper()}',
        hint=f"The only setting is: {known}.",
        position=position,
    )


def _no_settings(call: TableCall) -> None:
    if call.settings:
        raise OptionError(
            f"ML.{call.function.upper()} has no settings",
            hint="Leave out STRUCT(...).",
            position=call.settings[0].span.start,
        )


# -- what is stored with a version -------------------------------------------------------------------------------------


def _stored(rewriter: Rewriter, call: TableCall, table: Callable[[Found], facts.Table]) -> str:
    """The facts of one version as constants; in a stored text only where the version is pinned, since it never changes."""
    found = rewriter.find(call)
    if rewriter.stored and not found.pinned:
        raise NotSupportedYetError(
            f"ML.{call.function.upper()} without data is about one version and cannot follow the default in a stored text",
            hint=f"Pin the version: MODEL {_name(call)}@{found.version.version}; or give rows.",
            position=call.span.start,
        )
    columns, rows = table(found)
    return rewriter.phrases.values_sql(columns, rows, rewriter.session.quote)


def _fact_function(table: Callable[[facts.VersionFacts], facts.Table]) -> TableFunction:
    def function(rewriter: Rewriter, call: TableCall) -> str:
        _no_settings(call)
        if call.inputs:
            raise InputMismatchError(
                f"ML.{call.function.upper()} takes no rows",
                hint="Name only the model.",
                position=call.inputs[0][0].start,
            )
        return _stored(rewriter, call, lambda found: table(rewriter.session.facts(found)))

    return function


def _held_out(found: Found, key: str, call: TableCall) -> Any:
    value = found.version.evaluation.get(key)
    if value is None:
        raise InputMismatchError(
            f'model "{_name(call)}" has no held-out evaluation data stored',
            hint=f"Give rows: ML.{call.function.upper()}(MODEL {_name(call)}, TABLE t).",
            position=call.span.start,
        )
    return value


def _stored_metrics(found: Found, call: TableCall) -> facts.Table:
    if call.settings:
        raise OptionError(
            "a threshold needs rows",
            hint="Give rows, or read ML.ROC_CURVE of the held-out split.",
            position=call.settings[0].span.start,
        )
    metrics: Mapping[str, float] = _held_out(found, "metrics", call)
    return [(name, "DOUBLE") for name in metrics], [tuple(metrics.values())]


def _stored_confusion(found: Found, call: TableCall) -> facts.Table:
    if call.settings:
        raise OptionError("a threshold needs rows", hint="Give rows.", position=call.settings[0].span.start)
    matrix = _held_out(found, "confusion_matrix", call)
    label = found.model.label
    columns = [("expected_label", label.sql_type), *((name, "BIGINT") for name in class_columns(label))]
    return columns, [(value, *counts) for value, counts in zip(label.classes, matrix, strict=True)]


def _stored_roc(found: Found, call: TableCall) -> facts.Table:
    points = _held_out(found, "roc_curve", call)
    kinds = {"threshold": "DOUBLE", "recall": "DOUBLE", "false_positive_rate": "DOUBLE"}
    names = (
        "threshold",
        "recall",
        "false_positive_rate",
        "true_positives",
        "false_positives",
        "true_negatives",
        "false_negatives",
    )
    return [(name, kinds.get(name, "BIGINT")) for name in names], [
        tuple(point[name] for name in names) for point in points
    ]


TABLE_FUNCTIONS: dict[str, TableFunction] = {
    "predict": _predict,
    "transform": _transform,
    "explain_predict": _explain_predict,
    "global_explain": _global_explain,
    "explain_difference": _explain_difference,
    "interactions": _interactions,
    "evaluate": _evaluate,
    "confusion_matrix": _confusion_matrix,
    "roc_curve": _roc_curve,
    "feature_importance": _fact_function(facts.feature_importance),
    "feature_info": _fact_function(facts.feature_info),
    "training_info": _fact_function(facts.training_info),
    "metrics": _fact_function(facts.metrics),
}
"""Every table function of this release; others of the dialect parse and are answered with "not supported yet"."""
