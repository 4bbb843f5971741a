"""ALTER MODEL and DROP MODEL: the model's row, its aliases, its default version, its life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.planning.options import parse_model_options
from sqlml.results import LocalResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.catalog.records import ModelRecord
    from sqlml.language.statements import AlterModel, DropModel
    from sqlml.session import Session


def alter_model(session: Session, statement: AlterModel, text: str) -> LocalResult:
    """Change a model in the user's transaction, or in one of its own."""
    if statement.if_exists and session.store.find_or_none(statement.name) is None:
        session.notice(f'model "{statement.name.parts[-1]}" does not exist, skipping')
        return LocalResult.of([], [], "ALTER MODEL: skipped")
    with session.transaction():
        model = session.store.find(statement.name)
        _ACTIONS[statement.action](session, model, statement)
        session.serving.follow()
    session.changed(model.database)
    return LocalResult.of([], [], "ALTER MODEL")


def _set_default(session: Session, model: ModelRecord, statement: AlterModel) -> None:
    version = session.store.version(model, version=statement.version, alias=statement.alias)
    session.store.set_default(model, version, rebuild_views=statement.rebuild_views)
    if statement.rebuild_views:
        session.rebuild_views(model)


def _set_alias(session: Session, model: ModelRecord, statement: AlterModel) -> None:
    version = session.store.version(model, version=statement.version, alias=None)
    session.store.set_alias(model, statement.alias or "", version)


def _drop_alias(session: Session, model: ModelRecord, statement: AlterModel) -> None:
    session.store.drop_alias(model, statement.alias or "")


def _set_options(session: Session, model: ModelRecord, statement: AlterModel) -> None:
    options = {**model.options, **parse_model_options(statement.options)}
    session.store.set_options(model, {name: value for name, value in options.items() if value is not None})


def _rename(session: Session, model: ModelRecord, statement: AlterModel) -> None:
    if statement.new_name is not None:
        session.store.rename(model, statement.new_name)


def _keep(session: Session, model: ModelRecord, statement: AlterModel) -> None:
    freed = session.store.keep(model, statement.version or 1)
    session.notice(f"artifacts of {freed} version{'s' * (freed != 1)} freed")


_ACTIONS: dict[str, Callable[[Session, ModelRecord, AlterModel], None]] = {
    "set_default": _set_default,
    "set_alias": _set_alias,
    "drop_alias": _drop_alias,
    "set_options": _set_options,
    "rename": _rename,
    "keep": _keep,
}


def drop_model(session: Session, statement: DropModel, text: str) -> LocalResult:
    """Drop a model, or one version of it; refused while views, aliases or the default need it, unless CASCADE."""
    if statement.if_exists and session.store.find_or_none(statement.name) is None:
        session.notice(f'model "{statement.name.parts[-1]}" does not exist, skipping')
        return LocalResult.of([], [], "DROP MODEL: skipped")
    with session.transaction():
        model = session.store.find(statement.name)
        session.store.drop(model, version=statement.version, cascade=statement.cascade)
        session.serving.follow()
    session.changed(model.database)
    return LocalResult.of([], [], "DROP MODEL")
