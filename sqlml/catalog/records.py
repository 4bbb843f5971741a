"""Catalog rows as plain data: models, versions, and what is stored beside an artifact."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ModelRecord:
    """A model's row: where it lives and which version answers to its bare name."""

    database: str
    schema: str
    name: str
    model_id: str  # a random UUID: survives RENAME
    default_version: int | None
    options: dict[str, Any] = field(default_factory=dict)  # of ALTER MODEL SET OPTIONS, e.g. description, threshold
    created_at: datetime | None = None


@dataclass(frozen=True)
class MetricRow:
    """One number about a version. ``split`` is training or evaluation; ``iteration`` None for the final model."""

    split: str
    metric: str
    value: float
    iteration: int | None = None


@dataclass(frozen=True)
class FeatureStatistics:
    """What training saw of a raw column; ``quantiles`` and ``top_values`` are for drift checks."""

    name: str
    kind: str
    row_count: int
    null_count: int
    minimum: str | None = None
    maximum: str | None = None
    mean: float | None = None
    stddev: float | None = None
    distinct_count: int | None = None
    top_values: tuple[tuple[str | None, int], ...] = ()
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True)
class Fingerprint:
    """Of the training data; ``content_hash`` does not depend on the order of rows."""

    row_count: int
    schema: tuple[tuple[str, str], ...]
    content_hash: str


@dataclass(frozen=True)
class NewVersion:
    """All that training leaves behind, ready to be stored as one immutable version."""

    artifact: bytes
    artifact_hash: str  # sha256 of the artifact, 64 hexadecimal digits: the version's identity
    task: str
    statement: str  # the CREATE MODEL statement as written, for SHOW CREATE MODEL and REFRESH
    options: dict[str, Any]  # as given, by canonical name
    label: str
    label_type: str
    signature: tuple[tuple[str, str], ...]  # (raw input, kind) in order
    engine: str
    engine_version: str
    library_versions: dict[str, str]
    fingerprint: Fingerprint | None  # None for an imported model
    seed: int | None
    reproducible: bool
    metrics: tuple[MetricRow, ...] = ()
    feature_statistics: tuple[FeatureStatistics, ...] = ()
    evaluation: dict[str, Any] = field(
        default_factory=dict
    )  # confusion matrix, ROC points... of the held-out split, as JSON
    training_info: dict[str, Any] = field(default_factory=dict)  # rows, durations by phase, iterations: not in the hash
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class VersionRecord:
    """A stored version, without its artifact."""

    model: ModelRecord
    version: int
    artifact_hash: str
    task: str
    statement: str
    options: dict[str, Any]
    label: str
    label_type: str
    signature: tuple[tuple[str, str], ...]
    engine: str
    engine_version: str
    library_versions: dict[str, str]
    fingerprint: Fingerprint | None
    seed: int | None
    reproducible: bool
    created_at: datetime
    evaluation: dict[str, Any]
    training_info: dict[str, Any]
    has_artifact: bool  # False once KEEP n VERSIONS freed it


@dataclass(frozen=True)
class RecordedView:
    """A view or macro whose text calls a model: by its bare name (``version`` None) or a pinned version."""

    kind: str  # view or macro
    database: str
    schema: str
    name: str
    version: int | None
    statement: str  # as the user wrote it, for REBUILD VIEWS
    alias: str | None = None  # where the text says name@alias
