"""What a session's user may do, judged by what the engine itself says a statement is and by the plan it makes of it.

role      statements                                                 models
reader    queries, in READ ONLY transactions                         those granted
writer    also changes of data, tables, views and models             those granted, and their own
admin     everything the server's engine allows, GRANT, files        all
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlml.errors import EngineError, PermissionDeniedError
from sqlml.language.parser import parse
from sqlml.language.statements import (
    AlterModel,
    CreateModel,
    DescribeModel,
    DropModel,
    GrantModel,
    RefreshModel,
    ShowCreateModel,
    ShowModels,
    ShowModelVersions,
)

if TYPE_CHECKING:
    from sqlml.server.client import Client
    from sqlml.server.roles import Roles
    from sqlml.server.statements import Piece

_READING = frozenset({"select", "explain", "relation"})
_WRITING = _READING | {"insert", "update", "delete", "create", "create_func", "drop", "alter", "merge_into", "analyze"}
_LOOKING_AT_MODELS = (ShowModels, DescribeModel, ShowCreateModel, ShowModelVersions)
_CHANGING_MODELS = (*_LOOKING_AT_MODELS, CreateModel, AlterModel, DropModel, RefreshModel)
_ALLOWED = {"reader": (_READING, _LOOKING_AT_MODELS), "writer": (_WRITING, _CHANGING_MODELS)}
_TABLES = re.compile(r'"Table": "((?:[^"\\]|\\.)*)"')
# Raw values: artifacts hold dictionaries, feature statistics the most frequent values.
_SECRET = re.compile(r'(?i)(?:^|\.)"?sqlml"?\."?(artifacts|_\w+)"?$')
_OPEN = frozenset({"_models", "_metrics", "_aliases", "_views", "_events", "_catalog"})


class Policy:
    """Asked before each statement of the engine's or about models."""

    def __init__(self, roles: Roles | None) -> None:
        self._roles = roles

    def begin(self, client: Client) -> None:
        """Of a session, on its own thread: the scorers of models that were not granted refuse."""
        serving = client.executor.session.serving
        serving.restrict(None if client.account.is_admin else lambda: self._models(client))

    def _models(self, client: Client) -> frozenset[tuple[str, str, str]]:
        granted = self._roles.models_of(client.account) if self._roles is not None else frozenset()
        return frozenset((database, schema, name) for database, schema, name in (key.split("\0") for key in granted))

    def allow(self, client: Client, piece: Piece) -> None:
        """Raises PermissionDeniedError."""
        if client.account.is_admin:
            return
        kinds, models = _ALLOWED[client.account.role]
        bound = client.executor.bound(piece)
        if bound is None:
            self._allow_model_statement(client, piece, models)
            return
        if bound.kind not in kinds or (bound.writes and client.read_only):
            raise PermissionDeniedError(
                f"permission denied for {bound.kind.replace('_', ' ').upper()}",
                hint=f'The user "{client.user}" is a {client.account.role}.',
            )
        self._refuse_secrets(client, piece, len(bound.parameters))

    def _allow_model_statement(self, client: Client, piece: Piece, allowed: tuple[type, ...]) -> None:
        (statement,) = parse(piece.text, "duckdb", lambda _: False)
        if not isinstance(statement, allowed):
            raise PermissionDeniedError(
                f"permission denied for {' '.join(piece.words[:2])}",
                hint=f'The user "{client.user}" is a {client.account.role}.',
            )

    def _refuse_secrets(self, client: Client, piece: Piece, parameters: int) -> None:
        """The plan names the tables that a statement reads, by whatever views and macros it comes to them."""
        for table in _TABLES.findall(client.executor.plan(piece, parameters)):
            match = _SECRET.search(table)
            if match and match[1].lower() not in _OPEN:
                raise PermissionDeniedError(f"permission denied for table {match[1]}")

    def grant(self, client: Client, piece: Piece) -> str | None:
        """GRANT and REVOKE of a model; None for what is none. Gives the tag."""
        (statement,) = parse(piece.text, "duckdb", lambda _: False)
        if not isinstance(statement, GrantModel):
            return None
        if not client.account.is_admin:
            raise PermissionDeniedError("permission denied to grant models", hint="Only an admin can.")
        if self._roles is None:
            raise EngineError("this server has no users to grant to")
        model = client.executor.session.store.find(statement.name)
        for role in statement.roles:
            self._roles.grant(role, _key(model), revokes=statement.revokes)
        return "REVOKE" if statement.revokes else "GRANT"

    def created(self, client: Client, piece: Piece) -> None:
        """Whoever makes a model may use it."""
        if client.account.is_admin or self._roles is None:
            return
        (statement,) = parse(piece.text, "duckdb", lambda _: False)
        if isinstance(statement, CreateModel) and self._roles.find(client.user) is not None:
            self._roles.grant(client.user, _key(client.executor.session.store.find(statement.name)), revokes=False)


def _key(model: Any) -> str:
    return "\0".join(part.lower() for part in (model.database, model.schema, model.name))
