"""SHOW and DESCRIBE statements: catalog rows in, a local result out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pyarrow as pa

from sqlml.results import LocalResult

if TYPE_CHECKING:
    from sqlml.catalog.records import VersionRecord
    from sqlml.language.statements import DescribeModel, ShowCreateModel, ShowModels, ShowModelVersions
    from sqlml.session import Session

TEXT, INTEGER, BOOLEAN, TIME = pa.string(), pa.int64(), pa.bool_(), pa.timestamp("us", tz="UTC")


def show_models(session: Session, statement: ShowModels, text: str) -> LocalResult:
    """A row a model of the current database."""
    pattern = like_pattern(statement.like) if statement.like is not None else None
    rows = []
    for model in session.store.list_models():
        if pattern is not None and not pattern.fullmatch(model.name):
            continue
        default = session.store.default_version(model)
        rows.append(
            (
                model.database,
                model.schema,
                model.name,
                default.task if default else None,
                default.label if default else None,
                model.default_version,
                len(session.store.list_versions(model)),
                model.created_at,
                model.options.get("description"),
            )
        )
    columns = [
        ("database", TEXT),
        ("schema", TEXT),
        ("name", TEXT),
        ("task", TEXT),
        ("label", TEXT),
        ("default_version", INTEGER),
        ("versions", INTEGER),
        ("created_at", TIME),
        ("description", TEXT),
    ]
    return LocalResult.of(columns, rows)


def like_pattern(like: str) -> re.Pattern[str]:
    """SQL's LIKE pattern as a regular expression: % any text, _ one character, backslash escapes; case does not matter."""
    pieces = []
    escaped = False
    for character in like:
        if escaped:
            pieces.append(re.escape(character))
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            pieces.append({"%": ".*", "_": "."}.get(character, re.escape(character)))
    return re.compile("".join(pieces), re.IGNORECASE | re.DOTALL)


def show_model_versions(session: Session, statement: ShowModelVersions, text: str) -> LocalResult:
    """A row a version, the newest first."""
    model = session.store.find(statement.name)
    aliases = session.store.aliases(model)
    rows = []
    for version in reversed(session.store.list_versions(model)):
        metrics = version.evaluation.get("metrics") or {}
        rows.append(
            (
                version.version,
                version.version == model.default_version,
                ", ".join(sorted(alias for alias, number in aliases.items() if number == version.version)) or None,
                version.task,
                json.dumps(metrics) if metrics else None,
                version.fingerprint.row_count if version.fingerprint else None,
                version.reproducible,
                version.has_artifact,
                version.artifact_hash,
                version.created_at,
            )
        )
    columns = [
        ("version", INTEGER),
        ("is_default", BOOLEAN),
        ("aliases", TEXT),
        ("task", TEXT),
        ("metrics", TEXT),
        ("training_rows", INTEGER),
        ("reproducible", BOOLEAN),
        ("has_artifact", BOOLEAN),
        ("artifact_hash", TEXT),
        ("created_at", TIME),
    ]
    return LocalResult.of(columns, rows)


def show_create_model(session: Session, statement: ShowCreateModel, text: str) -> LocalResult:
    """The statement that made the version, as it was written."""
    version = session.store.resolve(statement.name)
    return LocalResult.of([("name", TEXT), ("statement", TEXT)], [(version.model.name, version.statement)])


def describe_model(session: Session, statement: DescribeModel, text: str) -> LocalResult:
    """Properties of a version, a row each; then its inputs and its output."""
    version = session.store.resolve(statement.name)
    rows = [(name, _text(value)) for name, value in _properties(version)]
    rows += [(f"option {key}", _text(value)) for key, value in {**version.options, **version.model.options}.items()]
    rows += [(f"metric {key}", _text(value)) for key, value in (version.evaluation.get("metrics") or {}).items()]
    rows += [(f"input {name}", kind) for name, kind in version.signature]
    rows.append((f"output predicted_{version.label}", version.label_type))
    return LocalResult.of([("property", TEXT), ("value", TEXT)], rows)


def _properties(version: VersionRecord) -> list[tuple[str, object]]:
    model, fingerprint = version.model, version.fingerprint
    return [
        ("model", f"{model.database}.{model.schema}.{model.name}"),
        ("version", version.version),
        ("default version", model.default_version),
        ("task", version.task),
        ("label", version.label),
        ("created at", version.created_at),
        ("training rows", fingerprint.row_count if fingerprint else None),
        ("data fingerprint", fingerprint.content_hash if fingerprint else None),
        ("reproducible", version.reproducible),
        ("seed", version.seed),
        ("engine", f"{version.engine} {version.engine_version}"),
        ("libraries", ", ".join(f"{name} {number}" for name, number in sorted(version.library_versions.items()))),
        ("artifact", version.artifact_hash if version.has_artifact else "freed by KEEP VERSIONS"),
    ]


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | list | tuple | dict) else str(value)
