"""GRANT USAGE ON MODEL and REVOKE: who may score with a model, where the database has roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.results import LocalResult

if TYPE_CHECKING:
    from sqlml.language.statements import GrantModel
    from sqlml.session import Session


def grant_model(session: Session, statement: GrantModel, text: str) -> LocalResult:
    """In the user's transaction, or in one of its own; for the model's owner."""
    with session.transaction():
        model = session.store.find(statement.name)
        session.store.grant(model, statement.roles, revokes=statement.revokes)
    return LocalResult.of([], [], "REVOKE" if statement.revokes else "GRANT")
