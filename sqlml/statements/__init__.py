"""The statements of the dialect by their class: session, statement and its text in, a local result out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlml.errors import NotSupportedYetError
from sqlml.language import statements as s
from sqlml.statements.alter import alter_model, drop_model
from sqlml.statements.create import create_model
from sqlml.statements.grant import grant_model
from sqlml.statements.show import describe_model, show_create_model, show_model_versions, show_models
from sqlml.statements.transfer import export_model, import_model

if TYPE_CHECKING:
    from sqlml.results import LocalResult
    from sqlml.session import Session

Handler = Callable[["Session", Any, str], "LocalResult"]


def _later(session: Session, statement: s.LaterStatement | s.RefreshModel, text: str) -> LocalResult:
    what = statement.what if isinstance(statement, s.LaterStatement) else "REFRESH MODEL"
    raise NotSupportedYetError(
        f"{what} is not supported yet",
        hint="Use CREATE OR REPLACE MODEL for a new version." if isinstance(statement, s.RefreshModel) else None,
        position=statement.span.start,
    )


HANDLERS: dict[type, Handler] = {
    s.CreateModel: create_model,
    s.DropModel: drop_model,
    s.AlterModel: alter_model,
    s.RefreshModel: _later,
    s.ShowModels: show_models,
    s.DescribeModel: describe_model,
    s.ShowCreateModel: show_create_model,
    s.ShowModelVersions: show_model_versions,
    s.ExportModel: export_model,
    s.ImportModel: import_model,
    s.GrantModel: grant_model,
    s.LaterStatement: _later,
}
