"""The statements of the dialect by their class: session, statement and its text in, a local result out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlml.language import statements as s

if TYPE_CHECKING:
    from sqlml.results import LocalResult
    from sqlml.session import Session

Handler = Callable[["Session", Any, str], "LocalResult"]

# Module and function: what trains, reads files or lists models is loaded when it is wanted, as most processes only score.
HANDLERS: dict[type, tuple[str, str]] = {
    s.CreateModel: ("create", "create_model"),
    s.DropModel: ("alter", "drop_model"),
    s.AlterModel: ("alter", "alter_model"),
    s.RefreshModel: ("unsupported", "refuse"),
    s.ShowModels: ("show", "show_models"),
    s.DescribeModel: ("show", "describe_model"),
    s.ShowCreateModel: ("show", "show_create_model"),
    s.ShowModelVersions: ("show", "show_model_versions"),
    s.ExportModel: ("transfer", "export_model"),
    s.ImportModel: ("transfer", "import_model"),
    s.GrantModel: ("grant", "grant_model"),
    s.LaterStatement: ("unsupported", "refuse"),
}


def handler_of(statement: object) -> Handler:
    """What runs a statement of the dialect."""
    module, name = HANDLERS[type(statement)]
    handler: Handler = getattr(import_module(f"sqlml.statements.{module}"), name)
    return handler
