"""Catalog rows to records and back: the SELECT lists, and what the columns become."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlml.catalog.documents import from_json, to_json
from sqlml.catalog.records import (
    FeatureStatistics,
    Fingerprint,
    MetricRow,
    ModelRecord,
    NewVersion,
    RecordedView,
    VersionRecord,
)

Row = Sequence[Any]

MODEL_COLUMNS = "m.schema_name, m.model_name, m.model_id, m.default_version, m.options, m.created_at"
VERSION_COLUMNS = (
    "v.version, v.artifact_hash, v.task, v.statement, v.options, v.label, v.label_type, v.signature, v.engine, "
    "v.engine_version, v.library_versions, v.fingerprint, v.seed, v.reproducible, v.created_at, v.evaluation, "
    "v.training_info, NOT v.freed"
)
METRIC_COLUMNS = "split, metric, value, iteration"
FEATURE_COLUMNS = (
    "name, kind, row_count, null_count, minimum, maximum, mean, stddev, distinct_count, top_values, quantiles"
)
VIEW_COLUMNS = "kind, schema_name, view_name, version, statement, alias"


def now() -> datetime:
    """The time as the catalog keeps it: UTC, without a zone, which plain clients read without further packages."""
    return datetime.now(UTC).replace(tzinfo=None)


def model_record(database: str, row: Row) -> ModelRecord:
    """A row of MODEL_COLUMNS."""
    schema, name, model_id, default_version, options, created_at = row
    return ModelRecord(
        database=database,
        schema=schema,
        name=name,
        model_id=str(model_id),
        default_version=default_version,
        options=from_json(options),
        created_at=created_at.replace(tzinfo=UTC),
    )


def version_record(model: ModelRecord, row: Row) -> VersionRecord:
    """A row of VERSION_COLUMNS."""
    fingerprint = None if row[11] is None else from_json(row[11])
    return VersionRecord(
        model=model,
        version=row[0],
        artifact_hash=row[1],
        task=row[2],
        statement=row[3],
        options=from_json(row[4]),
        label=row[5],
        label_type=row[6],
        signature=_pairs(from_json(row[7])),
        engine=row[8],
        engine_version=row[9],
        library_versions=from_json(row[10]),
        fingerprint=fingerprint and Fingerprint(**{**fingerprint, "schema": _pairs(fingerprint["schema"])}),
        seed=row[12],
        reproducible=row[13],
        created_at=row[14].replace(tzinfo=UTC),
        evaluation=from_json(row[15]),
        training_info=from_json(row[16]),
        has_artifact=row[17],
    )


def _pairs(items: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, kind) for name, kind in items)


def version_values(model_id: str, number: int, version: NewVersion, storing: float) -> list[Any]:
    """A new version in the order of the columns of ``_versions``; storing all else took as many seconds as it says."""
    info = version.training_info
    if "durations" in info:  # not of a model that was imported
        info = {**info, "durations": {**info["durations"], "store": storing}}
    fingerprint = version.fingerprint
    return [
        model_id,
        number,
        version.artifact_hash,
        version.task,
        version.statement,
        to_json(version.options),
        version.label,
        version.label_type,
        to_json(version.signature),
        version.engine,
        version.engine_version,
        to_json(version.library_versions),
        None if fingerprint is None else to_json(vars(fingerprint)),
        version.seed,
        version.reproducible,
        now(),
        to_json(version.evaluation),
        to_json(info),
        to_json(version.notices),
        False,
    ]


def metric_values(metrics: Sequence[MetricRow]) -> list[list[Any]]:
    """Metrics column by column: split, iteration, metric, value."""
    return [
        [item.split for item in metrics],
        [item.iteration for item in metrics],
        [item.metric for item in metrics],
        [None if item.value is None else float(item.value) for item in metrics],
    ]


def metric_row(row: Row) -> MetricRow:
    """A row of METRIC_COLUMNS."""
    split, metric, value, iteration = row
    return MetricRow(split, metric, value, iteration)


def feature_values(model_id: str, number: int, position: int, item: FeatureStatistics) -> list[Any]:
    """A column's statistics in the order of the columns of ``_features``."""
    return [
        model_id,
        number,
        position,
        item.name,
        item.kind,
        item.row_count,
        item.null_count,
        item.minimum,
        item.maximum,
        item.mean,
        item.stddev,
        item.distinct_count,
        to_json(item.top_values),
        [float(value) for value in item.quantiles],
    ]


def feature_statistics(row: Row) -> FeatureStatistics:
    """A row of FEATURE_COLUMNS."""
    fields = dict(zip(FEATURE_COLUMNS.split(", "), row, strict=True))
    top_values = tuple((value, count) for value, count in from_json(fields.pop("top_values")))
    quantiles = tuple(fields.pop("quantiles"))
    return FeatureStatistics(**fields, top_values=top_values, quantiles=quantiles)


def recorded_view(database: str, row: Row) -> RecordedView:
    """A row of VIEW_COLUMNS."""
    kind, schema, name, version, statement, alias = row
    return RecordedView(
        kind=kind, database=database, schema=schema, name=name, version=version, statement=statement, alias=alias
    )
