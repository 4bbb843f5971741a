"""A finished version into the catalog: in the user's transaction, or in a short one of its own that is tried again."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sqlml.catalog.names import place_for_new
from sqlml.errors import ConflictError, ModelExistsError
from sqlml.results import LocalResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.catalog.records import NewVersion, VersionRecord
    from sqlml.language.statements import CreateModel, ImportModel
    from sqlml.session import Session

ATTEMPTS = 8
FIRST_PAUSE = 0.01  # seconds at most; each further one is twice as long


def exists_already(session: Session, statement: CreateModel | ImportModel) -> bool:
    """Whether there is nothing to do; raises ModelExistsError where the statement says neither OR REPLACE nor IF NOT EXISTS.

    As with tables, a model of that name in another schema of the search path is in nobody's way.
    """
    model = session.store.find_at(place_for_new(session.engine, statement.name))
    if model is None or statement.or_replace:
        return False
    if statement.if_not_exists:
        session.notice(f'model "{model.name}" already exists, skipping')
        return True
    kind = type(statement).__name__.removesuffix("Model").upper()
    raise ModelExistsError(
        f'model "{model.name}" already exists',
        hint=f"Use {kind} OR REPLACE MODEL to add a version, or {kind} MODEL IF NOT EXISTS.",
        position=statement.name.span.start,
    )


def skipped(statement: CreateModel | ImportModel) -> LocalResult:
    """What IF NOT EXISTS gives where the model exists."""
    kind = type(statement).__name__.removesuffix("Model").upper()
    return LocalResult.of([], [], f"{kind} MODEL: skipped")


def store_version(
    session: Session,
    statement: CreateModel | ImportModel,
    version: NewVersion,
    status: str,
    model_options: dict[str, Any] | None = None,
) -> LocalResult:
    """Store it and make it the default; what the user sees is one row about it.

    Where recorded views rely on another signature the version is stored all the same, and the old default stays.
    """
    for notice in version.notices:
        session.notice(notice)
    stored = _store(session, statement, version, model_options or {})
    if stored.model.default_version != stored.version:
        session.notice(
            f"version {stored.version} has another signature than version {stored.model.default_version}, which stays the "
            f"default because views use it; ALTER MODEL {stored.model.name} SET DEFAULT VERSION {stored.version} REBUILD VIEWS "
            "makes it the default"
        )
    session.changed(stored.model.database)
    return LocalResult.of(*_summary(stored, version), status)


def _store(
    session: Session, statement: CreateModel | ImportModel, version: NewVersion, model_options: dict[str, Any]
) -> VersionRecord:
    def add() -> VersionRecord:
        stored = session.store.add_version(statement.name, version)
        if model_options:
            session.store.set_options(stored.model, {**stored.model.options, **model_options})
        session.serving.follow(version)
        return stored

    if session.engine.in_transaction():
        return add()
    for attempt in range(ATTEMPTS - 1):
        try:
            return _store_once(session, statement, add)
        except ConflictError:  # another session was faster: the next number is free
            time.sleep(random.uniform(0, FIRST_PAUSE * 2**attempt))  # noqa: S311 - so that two do not meet again
    return _store_once(session, statement, add)


def _store_once(
    session: Session, statement: CreateModel | ImportModel, add: Callable[[], VersionRecord]
) -> VersionRecord:
    with session.transaction():
        place = place_for_new(session.engine, statement.name)
        if not statement.or_replace and session.store.find_at(place) is not None:
            raise ModelExistsError(
                f'model "{statement.name.parts[-1]}" was created by another session meanwhile',
                hint="Run the statement again with OR REPLACE to add a version.",
                position=statement.name.span.start,
            )
        return add()


def _summary(
    stored: VersionRecord, version: NewVersion
) -> tuple[list[tuple[str, pa.DataType]], list[tuple[object, ...]]]:
    info = version.training_info
    metric, value = next(iter((version.evaluation.get("metrics") or {}).items()), (None, None))
    columns = [
        ("model", pa.string()),
        ("version", pa.int64()),
        ("task", pa.string()),
        ("training_rows", pa.int64()),
        ("evaluation_rows", pa.int64()),
        ("iterations", pa.int64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("seconds", pa.float64()),
    ]
    row = (
        stored.model.name,
        stored.version,
        stored.task,
        info.get("training_rows"),
        info.get("held_out_rows"),
        info.get("iterations"),
        metric,
        value,
        sum(info.get("durations", {}).values()) or None,
    )
    return columns, [row]
