"""SQL text of explanations in Postgres: attributions of a model's features to raw scores, as arrays that SQL cuts and sorts.

The columns and their meaning are those of ``sqlml.planning.explaining``; lists of features are jsonb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

from sqlml.planning.explaining import ExplainSettings, explain_columns, mean_sizes
from sqlml.planning.postgres.scoring import (
    class_index_sql,
    class_literal,
    label_sql,
    primary,
    probability_of,
    scored_source,
)
from sqlml.planning.postgres.tables import array, derived, literal
from sqlml.planning.scoring import Scored, refuse_collision
from udfs.model import Model

_SCORES = "__sqlml_scores."


def explain_table_sql(
    scored: Scored, source: str, columns: Sequence[str], mapping: Mapping[str, str], settings: ExplainSettings
) -> str:
    """The derived table of ML.EXPLAIN_PREDICT: all input columns, then BigQuery ML's."""
    model, quote, row = scored.model, scored.quote, scored.row(mapping)
    names = explain_columns(model)
    refuse_collision(names, columns, model)
    score = f"{_SCORES}__p"
    index = class_index_sql(model, score, settings.threshold)
    output = index if model.forest.outputs > 1 else "0"
    step = len(model.features) + 1
    part = f"({_SCORES}__all)[{output} * {step} + 1 : {output} * {step} + {step}]"
    values = [
        label_sql(model, score, settings.threshold),
        *([_probability_of_class(model, score, index)] if model.label.classes else []),
        _top_features(model, part, settings.top_k_features),
        f"({part})[{step}]{_average(model)}",
        f"({_SCORES}__raw)[{output} + 1]{_average(model)}",
        "CAST(0 AS double precision)",  # the attributions are exact
    ]
    listed = ", ".join(f"{sql} AS {quote(name)}" for name, sql in zip(names, values, strict=True))
    calls = {"__p": primary(scored, row), "__raw": scored.call("raw", row), "__all": scored.call("contribs", row)}
    return derived(f"SELECT {scored.all_columns(columns)}, {listed} FROM {scored_source(scored, source, row, calls)}")


def _probability_of_class(model: Model, score: str, index: str) -> str:
    if model.task == "multiclass":
        return f"({score})[{index} + 1]"
    return f"CASE {index} WHEN 1 THEN {probability_of(model, score, 1)} ELSE {probability_of(model, score, 0)} END"


def _top_features(model: Model, part: str, count: int) -> str:
    """The features with the greatest attributions, the first of equals first."""
    return (
        "(SELECT jsonb_agg(jsonb_build_object('feature', __n, 'attribution', __v) ORDER BY abs(__v) DESC, __i) FROM "
        f"(SELECT __n, __v{_average(model)} AS __v, __i FROM unnest({_names(model)}, {part}) WITH ORDINALITY "
        f"AS __u(__n, __v, __i) WHERE __n IS NOT NULL ORDER BY abs(__v) DESC, __i LIMIT {count}) AS __top)"
    )


def _names(model: Model) -> str:
    return array([literal(feature.name) for feature in model.features], "text")


def _average(model: Model) -> str:
    """What turns a sum of trees into what the model predicts from."""
    forest = model.forest
    return f" / {len(forest.trees) // forest.outputs}" if forest.average_output else ""


def explain_sql(scored: Scored, row: str) -> str:
    """A jsonb object with the attribution of every feature, of the output that ``explain_table_sql`` explains."""
    model = scored.model
    step = len(model.features) + 1
    calls = [f"{scored.call('contribs', row)} AS __c"]
    offset = "0"
    if model.forest.outputs > 1:
        calls.append(f"{class_index_sql(model, primary(scored, row), None)} AS __k")
        offset = f"__x.__k * {step}"
    pairs = f"jsonb_object_agg(__n, (__x.__c)[{offset} + __i]{_average(model)})"
    names = f"unnest({_names(model)}) WITH ORDINALITY AS __u(__n, __i)"
    return f"(SELECT {pairs} FROM (SELECT {', '.join(calls)} OFFSET 0) AS __x, {names} GROUP BY ())"


def global_table_sql(scored: Scored, source: str, mapping: Mapping[str, str], segments: Sequence[str] = ()) -> str:
    """The derived table of ML.GLOBAL_EXPLAIN: the mean absolute attribution of each feature over rows and outputs, by segments."""
    refuse_collision(("feature", "attribution"), segments, scored.model)
    groups = "".join(f"{scored.quote(name)}, " for name in segments)
    model = scored.model
    means = mean_sizes(model, len(model.features) + 1, len(model.features))
    return derived(
        f"SELECT {groups}feature, attribution FROM ({_aggregated(scored, source, mapping, means, segments)}) "
        f"AS __sqlml_means, unnest({_names(model)}, __m) WITH ORDINALITY AS __u(feature, attribution, __i) "
        f"ORDER BY {groups}attribution DESC, __i"
    )


def interactions_table_sql(scored: Scored, source: str, mapping: Mapping[str, str]) -> str:
    """The derived table of ML.INTERACTIONS: the mean absolute interaction of each pair of features over rows and outputs."""
    model, row = scored.model, scored.row(mapping)
    pairs = list(combinations_with_replacement([literal(feature.name) for feature in model.features], 2))
    means = array(mean_sizes(model, len(pairs)), "double precision")
    rows = scored_source(scored, source, row, {"__c": scored.call("interactions", row)})
    names = ", ".join(array(list(side), "text") for side in zip(*pairs, strict=True))
    return derived(
        f"SELECT feature_a, feature_b, interaction FROM (SELECT {means} AS __m FROM {rows}) AS __sqlml_means, "
        f"unnest({names}, __m) WITH ORDINALITY AS __u(feature_a, feature_b, interaction, __i) ORDER BY interaction DESC, __i"
    )


def difference_table_sql(
    scored: Scored, sources: tuple[str, str], mappings: tuple[Mapping[str, str], Mapping[str, str]]
) -> str:
    """The derived table of ML.EXPLAIN_DIFFERENCE: each feature's mean attribution in both queries and their difference."""
    model = scored.model
    outputs, step = model.forest.outputs, len(model.features) + 1
    means = [f"avg(__c[{k * step + index}]){_average(model)}" for k in range(outputs) for index in range(1, step)]
    a, b = (_aggregated(scored, s, m, means) for s, m in zip(sources, mappings, strict=True))
    names = array([literal(feature.name) for _ in range(outputs) for feature in model.features], "text")
    listed, label = [names, "__sqlml_a.__m", "__sqlml_b.__m"], ""
    if outputs > 1:
        classes = [class_literal(model.label, k) for k in range(outputs) for _ in model.features]
        listed.insert(0, array(classes, model.label.sql_type))
        label = "class, "
    return derived(
        f"SELECT {label}feature, mean_a, mean_b, mean_b - mean_a AS difference FROM ({a}) AS __sqlml_a, ({b}) AS __sqlml_b, "
        f"unnest({', '.join(listed)}) WITH ORDINALITY AS __u({label}feature, mean_a, mean_b, __i) "
        "ORDER BY abs(mean_b - mean_a) DESC, __i"
    )


def _aggregated(
    scored: Scored, source: str, mapping: Mapping[str, str], means: Sequence[str], segments: Sequence[str] = ()
) -> str:
    """The means over all rows, or a row of means a segment."""
    row = scored.row(mapping)
    rows = scored_source(scored, source, row, {"__c": scored.call("contribs", row)})
    names = [scored.quote(name) for name in segments]
    groups = "".join(f"{name}, " for name in names)
    parts = f"SELECT {''.join(f'__sqlml_rows.{name}, ' for name in names)}__sqlml_scores.__c FROM {rows}"
    grouped = f" GROUP BY {', '.join(names)}" if names else ""
    return f"SELECT {groups}{array(means, 'double precision')} AS __m FROM ({parts}) AS __sqlml_parts{grouped}"
