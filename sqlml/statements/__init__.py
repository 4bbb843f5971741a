"""The statements of the dialect by their class: session, statement and its text in, a local result out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlml.errors import NotSupportedYetError
from sqlml.language import statements as s
from sqlml.statements.alter import alter_model, drop_model
from sqlml.statements.grant import grant_model
from sqlml.statements.show import describe_model, show_create_model, show_model_versions, show_models

if TYPE_CHECKING:
    from sqlml.results import LocalResult
    from sqlml.session import Session

Handler = Callable[["Session", Any, str], "LocalResult"]


# What trains or reads files is loaded when it is wanted: most processes only score.
def _create(session: Session, statement: s.CreateModel, text: str) -> LocalResult:
    from sqlml.statements.create import create_model  # noqa: PLC0415

    return create_model(session, statement, text)


def _export(session: Session, statement: s.ExportModel, text: str) -> LocalResult:
    from sqlml.statements.transfer import export_model  # noqa: PLC0415

    return export_model(session, statement, text)


def _import(session: Session, statement: s.ImportModel, text: str) -> LocalResult:
    from sqlml.statements.transfer import import_model  # noqa: PLC0415

    return import_model(session, statement, text)


def _later(session: Session, statement: s.LaterStatement | s.RefreshModel, text: str) -> LocalResult:
    what = statement.what if isinstance(statement, s.LaterStatement) else "REFRESH MODEL"
    raise NotSupportedYetError(
        f"{what} is not supported yet",
        hint="Use CREATE OR REPLACE MODEL for a new version." if isinstance(statement, s.RefreshModel) else None,
        position=statement.span.start,
    )


HANDLERS: dict[type, Handler] = {
    s.CreateModel: _create,
    s.DropModel: drop_model,
    s.AlterModel: alter_model,
    s.RefreshModel: _later,
    s.ShowModels: show_models,
    s.DescribeModel: describe_model,
    s.ShowCreateModel: show_create_model,
    s.ShowModelVersions: show_model_versions,
    s.ExportModel: _export,
    s.ImportModel: _import,
    s.GrantModel: grant_model,
    s.LaterStatement: _later,
}
