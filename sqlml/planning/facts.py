"""What is known of a stored version, as tables of constants: feature importances, feature statistics, learning curve, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sqlml.catalog.records import FeatureStatistics, MetricRow, VersionRecord
from udfs.model import Feature, Model

Table = tuple[list[tuple[str, str]], list[tuple[object, ...]]]
"""Columns with their SQL types, and rows."""


@dataclass(frozen=True)
class VersionFacts:
    """A version with all that is stored beside its artifact."""

    version: VersionRecord
    model: Model
    metrics: Sequence[MetricRow]
    statistics: Sequence[FeatureStatistics]


def feature_importance(facts: VersionFacts) -> Table:
    """``importance_weight`` counts splits, ``importance_gain`` sums their gains (LightGBM's importance types split and gain),
    ``importance_cover`` is the mean number of training rows a split; the greatest gain first."""
    count = len(facts.model.features)
    weight, gain, cover = np.zeros(count, np.int64), np.zeros(count), np.zeros(count)
    for tree in facts.model.forest.trees:
        # LightGBM counts only the splits that gained something; forced ones may not have.
        real = tree.split_gain > 0
        np.add.at(weight, tree.split_feature[real], 1)
        np.add.at(gain, tree.split_feature[real], tree.split_gain[real].astype(np.float64))
        np.add.at(cover, tree.split_feature[real], tree.internal_count[real].astype(np.float64))
    order = sorted(range(count), key=lambda i: (-gain[i], -weight[i], i))
    rows: list[tuple[object, ...]] = [
        (facts.model.features[i].name, int(weight[i]), float(gain[i]), float(cover[i] / max(weight[i], 1)))
        for i in order
    ]
    kinds = ("VARCHAR", "BIGINT", "DOUBLE", "DOUBLE")
    names = ("feature", "importance_weight", "importance_gain", "importance_cover")
    return list(zip(names, kinds, strict=True)), rows


def feature_info(facts: VersionFacts) -> Table:
    """A row an input: kind, statistics of the training data, levels, and how the model scores a NULL of it."""
    columns = [
        ("input", "VARCHAR"),
        ("kind", "VARCHAR"),
        ("sql_type", "VARCHAR"),
        ("min", "VARCHAR"),
        ("max", "VARCHAR"),
        ("mean", "DOUBLE"),
        ("stddev", "DOUBLE"),
        ("median", "DOUBLE"),
        ("category_count", "BIGINT"),
        ("null_count", "BIGINT"),
        ("null_scores_as", "VARCHAR"),
        ("features", "VARCHAR"),
    ]
    statistics = {item.name: item for item in facts.statistics}
    rows: list[tuple[object, ...]] = []
    for item in facts.model.inputs:
        seen = statistics.get(item.name)
        features = [feature for feature in facts.model.features if (feature.source or feature.name) == item.name]
        rows.append(
            (
                item.name,
                item.kind,
                item.sql_type,
                seen.minimum if seen else None,
                seen.maximum if seen else None,
                seen.mean if seen else None,
                seen.stddev if seen else None,
                seen.quantiles[len(seen.quantiles) // 2] if seen and seen.quantiles else None,
                seen.distinct_count if seen else None,
                seen.null_count if seen else None,
                _null_meaning(features),
                ", ".join(feature.name for feature in features),
            )
        )
    return columns, rows


def scores_null_as_zero(model: Model) -> list[str]:
    """The numeric features in which training saw no NULL, so that LightGBM scores one as 0."""
    return [feature.name for feature in model.features if not feature.categorical and not feature.has_missing]


def _null_meaning(features: Sequence[Feature]) -> str | None:
    if not features:
        return None
    if all(feature.categorical for feature in features):
        return "level" if any(None in feature.levels for feature in features) else "unseen"
    return "missing" if all(feature.has_missing or feature.categorical for feature in features) else "zero"


def training_info(facts: VersionFacts) -> Table:
    """The learning curve: ``loss`` on the training rows (where computed) and ``eval_loss`` on the held-out ones, an iteration a row.

    Before it, a row for each phase of the training with the time that it took, and no iteration.
    """
    curve: dict[int, dict[tuple[str, str], float]] = {}
    for row in facts.metrics:
        if row.iteration is not None:
            curve.setdefault(row.iteration, {})[row.split, row.metric] = row.value
    info = facts.version.training_info
    rate = info.get("learning_rate")
    rows: list[tuple[object, ...]] = [
        (0, None, None, None, None, None, phase, 1000 * seconds) for phase, seconds in info.get("durations", {}).items()
    ]
    for iteration in sorted(curve):
        values = curve[iteration]
        metric = next((name for split, name in values), None)
        loss = next((value for (split, _), value in values.items() if split == "training"), None)
        held_out = next((value for (split, _), value in values.items() if split == "evaluation"), None)
        rows.append((0, iteration, metric, loss, held_out, rate, None, None))
    columns = [
        ("training_run", "BIGINT"),
        ("iteration", "BIGINT"),
        ("metric", "VARCHAR"),
        ("loss", "DOUBLE"),
        ("eval_loss", "DOUBLE"),
        ("learning_rate", "DOUBLE"),
        ("phase", "VARCHAR"),
        ("duration_ms", "DOUBLE"),
    ]
    return columns, rows


def metrics(facts: VersionFacts) -> Table:
    """The final metrics stored with the version, a row a split and metric."""
    rows: list[tuple[object, ...]] = [
        (facts.version.version, row.split, row.metric, row.value) for row in facts.metrics if row.iteration is None
    ]
    return [("version", "BIGINT"), ("split", "VARCHAR"), ("metric", "VARCHAR"), ("value", "DOUBLE")], rows
