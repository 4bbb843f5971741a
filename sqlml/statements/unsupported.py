"""Statements that are understood and not offered yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.errors import NotSupportedYetError
from sqlml.language.statements import LaterStatement, RefreshModel

if TYPE_CHECKING:
    from sqlml.results import LocalResult
    from sqlml.session import Session


def refuse(session: Session, statement: LaterStatement | RefreshModel, text: str) -> LocalResult:
    """Say so, and what can be done instead."""
    what = statement.what if isinstance(statement, LaterStatement) else "REFRESH MODEL"
    raise NotSupportedYetError(
        f"{what} is not supported yet",
        hint="Use CREATE OR REPLACE MODEL for a new version." if isinstance(statement, RefreshModel) else None,
        position=statement.span.start,
    )
