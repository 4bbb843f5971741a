"""Models of a catalog whose version is not ours: read from the two relations that are the same in every version.

``serving`` gives names, versions, aliases and hashes; the artifact tells the rest that scoring needs. So a read-only file of an
older release, or one that a newer release has written, still scores.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlml.catalog.records import ModelRecord, VersionRecord

if TYPE_CHECKING:
    from sqlml.catalog.layout import Layout

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def models(layout: Layout, database: str) -> list[ModelRecord]:
    """All models that the catalog serves; a name takes the place of the id."""
    query = (
        f"SELECT schema_name, model_name, max(version) FILTER (WHERE is_default) FROM {layout.table(database, 'serving')} "
        "GROUP BY schema_name, model_name ORDER BY schema_name, model_name"
    )
    return [
        ModelRecord(database=database, schema=schema, name=name, model_id=f"{schema}.{name}", default_version=default)
        for schema, name, default in layout.engine.rows(query)
    ]


def aliases(layout: Layout, model: ModelRecord) -> dict[str, int]:
    """Version numbers by alias."""
    return {alias: version for version, alias, _ in _served(layout, model) if alias is not None}


def versions(layout: Layout, model: ModelRecord, number: int | None) -> list[VersionRecord]:
    """The versions that can be scored, or the one of that number."""
    return [
        _record(layout, model, version, artifact_hash)
        for version, alias, artifact_hash in _served(layout, model)
        if alias is None and number in (None, version)
    ]


def _served(layout: Layout, model: ModelRecord) -> list[tuple[Any, ...]]:
    query = (
        f"SELECT version, alias, artifact_hash FROM {layout.table(model.database, 'serving')} "
        "WHERE schema_name = ? AND model_name = ? ORDER BY version, alias"
    )
    return layout.engine.rows(query, [model.schema, model.name])


def _record(layout: Layout, model: ModelRecord, version: int, artifact_hash: str) -> VersionRecord:
    from udfs.artifact import read_artifact  # noqa: PLC0415  numba, which listing models must not pay for

    query = f"SELECT body FROM {layout.table(model.database, 'artifacts')} WHERE artifact_hash = ?"
    content = read_artifact(bytes(layout.engine.rows(query, [artifact_hash])[0][0]))
    return VersionRecord(
        model=model,
        version=version,
        artifact_hash=artifact_hash,
        task=content.task,
        statement="",
        options={},
        label=content.label.name,
        label_type=content.label.sql_type,
        signature=tuple((item.name, item.kind) for item in content.inputs),
        engine=content.dialect,
        engine_version="",
        library_versions={},
        fingerprint=None,
        seed=None,
        reproducible=False,
        created_at=UNKNOWN_TIME,
        evaluation={},
        training_info={},
        has_artifact=True,
    )
