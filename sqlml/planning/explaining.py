"""SQL text of explanations: attributions of a model's features to raw scores, as lists that SQL cuts and sorts.

``__sqlml_contribs`` gives for every output (one, or one a class) the attributions of all features and then the baseline. A forest's
raw score is the sum of its trees; where the model averages them, attributions are divided alike.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

from sqlml.errors import OptionError, OptionValueError
from sqlml.language.statements import Option
from sqlml.planning.scoring import Scored, checked_setting, class_literal, literal, predict_sql, refuse_collision
from udfs.model import Model

_ADDED = ("top_feature_attributions", "baseline_prediction_value", "prediction_value", "approximation_error")


@dataclass(frozen=True)
class ExplainSettings:
    """STRUCT settings of ML.EXPLAIN_PREDICT: see the README's reference."""

    top_k_features: int = 5
    threshold: float | None = None


def parse_explain_settings(
    settings: Sequence[Option], model: Model, *, default_threshold: float | None = None
) -> ExplainSettings:
    """Read and check ML.EXPLAIN_PREDICT's STRUCT; raises OptionError or OptionValueError with the position."""
    known = ("top_k_features", "threshold")
    top, threshold, seen = 5, default_threshold, set[str]()
    for option in settings:
        if option.key not in known:
            near = difflib.get_close_matches(option.key, known, 1, 0.6)
            raise OptionError(
                f'unknown setting "{option.key}" of ML.EXPLAIN_PREDICT',
                hint=f"Did you mean {near[0]}?" if near else f"The settings are: {', '.join(known)}.",
                position=option.span.start,
            )
        if option.key in seen:
            raise OptionError(f'setting "{option.key}" stands twice', hint="Give it once.", position=option.span.start)
        seen.add(option.key)
        if option.key == "top_k_features":
            top = _count(option)
            continue
        threshold = checked_setting(option, float)
        if model.task != "binary":
            raise OptionValueError(
                "a threshold is for binary classifiers only", hint="Leave it out.", position=option.span.start
            )
    return ExplainSettings(top, threshold)


def _count(option: Option) -> int:
    if isinstance(option.value, int) and not isinstance(option.value, bool) and option.value >= 1:
        return option.value
    raise OptionValueError(
        f'setting "{option.key}" must be a number from 1 on',
        hint=f"Write it as in STRUCT(3 AS {option.key}).",
        position=option.span.start,
    )


def explain_columns(model: Model) -> list[str]:
    """The names ML.EXPLAIN_PREDICT adds."""
    probability = ["probability"] if model.label.classes else []
    return [f"predicted_{model.label.name}", *probability, *_ADDED]


def explain_table_sql(
    scored: Scored, source: str, columns: Sequence[str], mapping: Mapping[str, str], settings: ExplainSettings
) -> str:
    """The derived table of ML.EXPLAIN_PREDICT: all input columns, then BigQuery ML's.

    What is explained is the raw score: a number's or ranking's own, of two classes that of the greater label, of more classes
    that of the predicted one.
    """
    model, quote, row = scored.model, scored.quote, scored.row(mapping)
    names = explain_columns(model)
    refuse_collision(names, columns, model)
    inner = {
        "__sqlml_label": predict_sql(scored, row, settings.threshold),
        "__sqlml_raw": scored.call("raw", row),
        "__sqlml_all": scored.call("contribs", row),
    }
    if model.label.classes:
        inner["__sqlml_class"] = scored.call("class", row, threshold=settings.threshold)
        inner["__sqlml_probs"] = scored.call("probs", row)
    output = "__sqlml_class" if model.forest.outputs > 1 else "0"
    step = len(model.features) + 1
    values = [
        "__sqlml_label",
        *(["__sqlml_probs[__sqlml_class + 1]"] if model.label.classes else []),
        _top_features(model, settings.top_k_features),
        f"__sqlml_part[{step}]{_average(model)}",
        f"__sqlml_raw[{output} + 1]{_average(model)}",
        "CAST(0 AS DOUBLE)",  # the attributions are exact
    ]
    listed = ", ".join(f"{sql} AS {quote(name)}" for name, sql in zip(names, values, strict=True))
    scores = ", ".join(f"{sql} AS {name}" for name, sql in inner.items())
    part = f"list_slice(__sqlml_all, {output} * {step} + 1, {output} * {step} + {step})"
    return (
        f"(SELECT * EXCLUDE ({', '.join(inner)}, __sqlml_part), {listed} FROM (SELECT *, {part} AS __sqlml_part FROM "
        f"(SELECT __sqlml_rows.*, {scores} FROM ({source}) AS __sqlml_rows) AS __sqlml_scored) AS __sqlml_parts)"
    )


def _top_features(model: Model, count: int) -> str:
    """The features with the greatest attributions, the first of equals first."""
    keys = (
        f"list_transform(range(1, {len(model.features) + 1}), lambda __i: {{'k': -abs(__sqlml_part[__i]), 'i': __i}})"
    )
    value = f"{{'feature': ({_names(model)})[__s.i], 'attribution': __sqlml_part[__s.i]{_average(model)}}}"
    return f"list_transform(list_slice(list_sort({keys}), 1, {count}), lambda __s: {value})"


def _names(model: Model) -> str:
    return "[" + ", ".join(literal(feature.name) for feature in model.features) + "]::VARCHAR[]"


def _average(model: Model) -> str:
    """What turns a sum of trees into what the model predicts from."""
    forest = model.forest
    return f" / {len(forest.trees) // forest.outputs}" if forest.average_output else ""


def explain_sql(scored: Scored, row: str) -> str:
    """A struct with the attribution of every feature, of the output that ``explain_table_sql`` explains."""
    model = scored.model
    step = len(model.features) + 1
    many = model.forest.outputs > 1
    fields = ", ".join(
        f"{literal(feature.name)}: __x.c[{f'__x.k * {step} + ' if many else ''}{index}]{_average(model)}"
        for index, feature in enumerate(model.features, 1)
    )
    given = f"'c': {scored.call('contribs', row)}" + (f", 'k': {scored.call('class', row)}" if many else "")
    return f"list_transform([{{{given}}}], lambda __x: {{{fields}}})[1]"


def global_table_sql(scored: Scored, source: str, mapping: Mapping[str, str], segments: Sequence[str] = ()) -> str:
    """The derived table of ML.GLOBAL_EXPLAIN: the mean absolute attribution of each feature over rows and outputs, by segments."""
    refuse_collision(("feature", "attribution"), segments, scored.model)
    groups = "".join(f"{scored.quote(name)}, " for name in segments)
    model = scored.model
    means = mean_sizes(model, len(model.features) + 1, len(model.features))
    return (
        f"(SELECT {groups}feature, attribution FROM (SELECT {groups}unnest({_names(model)}) AS feature, unnest(__m) AS attribution, "
        f"unnest(range({len(means)})) AS __sqlml_place FROM ({_aggregated(scored, source, mapping, means, segments)}) AS __sqlml_means) "
        f"AS __sqlml_features ORDER BY {groups}attribution DESC, __sqlml_place)"
    )


def interactions_table_sql(scored: Scored, source: str, mapping: Mapping[str, str]) -> str:
    """The derived table of ML.INTERACTIONS: the mean absolute interaction of each pair of features over rows and outputs.

    A feature's pair with itself is what it gives alone.
    """
    model = scored.model
    pairs = list(combinations_with_replacement([literal(feature.name) for feature in model.features], 2))
    means = mean_sizes(model, len(pairs))
    row = f"SELECT {scored.call('interactions', scored.row(mapping))} AS __c FROM ({source}) AS __sqlml_rows"
    columns = ", ".join(
        f"unnest([{', '.join(names)}]::VARCHAR[]) AS feature_{side}"
        for side, names in zip("ab", zip(*pairs, strict=True), strict=True)
    )
    return (
        f"(SELECT feature_a, feature_b, interaction FROM (SELECT {columns}, unnest(__m) AS interaction, "
        f"unnest(range({len(pairs)})) AS __sqlml_place FROM (SELECT [{', '.join(means)}] AS __m FROM ({row}) AS __sqlml_parts) "
        "AS __sqlml_means) AS __sqlml_pairs ORDER BY interaction DESC, __sqlml_place)"
    )


def mean_sizes(model: Model, step: int, used: int | None = None) -> list[str]:
    """The mean absolute value of each of the first cells ``__c`` of an output, over rows and outputs."""
    outputs = model.forest.outputs
    return [
        f"avg(({' + '.join(f'abs(__c[{k * step + index}])' for k in range(outputs))}) / {outputs}){_average(model)}"
        for index in range(1, (used or step) + 1)
    ]


def difference_table_sql(
    scored: Scored, sources: tuple[str, str], mappings: tuple[Mapping[str, str], Mapping[str, str]]
) -> str:
    """The derived table of ML.EXPLAIN_DIFFERENCE: each feature's mean attribution in both queries and their difference.

    The differences sum to that of the mean raw scores, for every output.
    """
    model = scored.model
    outputs, step = model.forest.outputs, len(model.features) + 1
    means = [f"avg(__c[{k * step + index}]){_average(model)}" for k in range(outputs) for index in range(1, step)]
    a, b = (_aggregated(scored, s, m, means) for s, m in zip(sources, mappings, strict=True))
    names = f"flatten(list_transform(range({outputs}), lambda __k: {_names(model)}))"
    classes, label = "", ""
    if outputs > 1:
        listed = ", ".join(class_literal(model.label, k) for k in range(outputs) for _ in model.features)
        classes, label = f"unnest([{listed}]) AS class, ", "class, "
    return (
        f"(SELECT {label}feature, mean_a, mean_b, mean_b - mean_a AS difference FROM (SELECT {classes}"
        f"unnest({names}) AS feature, unnest(__sqlml_a.__m) AS mean_a, unnest(__sqlml_b.__m) AS mean_b, "
        f"unnest(range({len(means)})) AS __sqlml_place FROM ({a}) AS __sqlml_a, ({b}) AS __sqlml_b) AS __sqlml_means "
        "ORDER BY abs(difference) DESC, __sqlml_place)"
    )


def _aggregated(
    scored: Scored, source: str, mapping: Mapping[str, str], means: Sequence[str], segments: Sequence[str] = ()
) -> str:
    """The means over all rows, or a row of means a segment."""
    contributions = scored.call("contribs", scored.row(mapping))
    groups = "".join(f"{scored.quote(name)}, " for name in segments)
    parts = f"SELECT {groups}{contributions} AS __c FROM ({source}) AS __sqlml_rows"
    grouped = f" GROUP BY {groups.removesuffix(', ')}" if segments else ""
    return f"SELECT {groups}[{', '.join(means)}] AS __m FROM ({parts}) AS __sqlml_parts{grouped}"
