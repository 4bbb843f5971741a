"""The shadow: a real Postgres that holds empty copies of the tables and views, kept like the served database's schema.

Only what has changed since the last look is made anew, so that object ids stay what clients have seen. DuckDB's schema main
appears as public; of sqlml's own schema only what is meant to be looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlml.errors import EngineError
from sqlml.language.touched import is_about_catalogue
from sqlml.server import messages as m
from sqlml.server.types import declared_type
from sqlml.server.upstream import Upstream

if TYPE_CHECKING:
    from sqlml.engines.engine import Engine
    from sqlml.server.statements import Piece
    from sqlml.server.upstream import UpstreamStream

OWNER = "postgres"
_COLUMNS = """
    SELECT c.schema_name, c.table_name, t.kind, t.comment, c.column_name, c.data_type, c.is_nullable, c.comment, t.key
    FROM system.main.duckdb_columns() AS c JOIN (
        SELECT database_name, schema_name, table_name, 'TABLE' AS kind, comment,
            (SELECT list(k.constraint_column_names ORDER BY k.constraint_index)[1] FROM system.main.duckdb_constraints() AS k
             WHERE k.table_oid = o.table_oid AND k.database_name = o.database_name AND k.constraint_type = 'PRIMARY KEY') AS key
        FROM system.main.duckdb_tables() AS o WHERE NOT internal AND NOT temporary
        UNION ALL
        SELECT database_name, schema_name, view_name, 'VIEW', comment, NULL FROM system.main.duckdb_views()
        WHERE NOT internal AND NOT temporary
    ) AS t USING (database_name, schema_name, table_name)
    WHERE c.database_name = system.main.current_database()
    ORDER BY c.schema_name, c.table_name, c.column_index
"""
Definition = tuple[str, ...]  # statements that make one relation


class Shadow:
    """The one shadow of a server. ``open_stream`` connects to it; ``engine`` looks at the served database."""

    def __init__(self, open_stream: Callable[[], UpstreamStream], engine: Engine) -> None:
        self._open = open_stream
        self._engine = engine
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], tuple[str, Definition]] = {}
        self._roles: dict[str, str] = {}  # of users of the server
        self.database = engine.current_database()
        with_admin = Upstream(open_stream(), OWNER, "postgres")
        list(with_admin.simple(f"CREATE DATABASE {quote(self.database)}"))
        with_admin.close()
        self._admin = Upstream(open_stream(), OWNER, self.database)
        self.known = frozenset(
            name for (name,) in self._admin.rows(
                "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')"
            ) if name is not None
        )  # fmt: skip

    def session(self, user: str) -> ShadowSession:
        """For one client."""
        return ShadowSession(self, user)

    def connect(self, user: str) -> Upstream:
        """A session of a role of that name, which is made if need be."""
        with self._lock:
            if user not in self._roles:
                self._roles[user] = self._role_for(user)
        return Upstream(self._open(), self._roles[user], self.database)

    def _role_for(self, user: str) -> str:
        """Never one who may do everything, such as read files: who is called so is another one here."""
        found = self._admin.rows(f"SELECT rolsuper FROM pg_roles WHERE rolname = {_literal(user)}")
        if found == [["t"]]:
            return self._role_for(f"{user}_")
        if not found:
            list(self._admin.simple(f"CREATE ROLE {quote(user)} LOGIN"))
        return user

    def sync(self) -> None:
        """Make the copies what the relations are now."""
        with self._lock:
            wanted = self._wanted()
            if wanted == self._made:
                return
            gone = [key for key, made in self._made.items() if wanted.get(key) != made]
            fresh = [key for key, definition in wanted.items() if self._made.get(key) != definition]
            schemas = sorted({schema for schema, _ in fresh})
            statements = [f"DROP {self._made[key][0]} {quote(*key)} CASCADE" for key in gone]
            for schema in schemas:
                statements += [
                    f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}",
                    f"GRANT USAGE ON SCHEMA {quote(schema)} TO PUBLIC",
                ]
            statements += [statement for key in fresh for statement in wanted[key][1]]
            try:
                list(self._admin.simple("BEGIN;" + ";".join(statements) + ";COMMIT"))
            except EngineError:
                list(self._admin.simple("ROLLBACK"))
                raise
            self._made = wanted

    def _wanted(self) -> dict[tuple[str, str], tuple[str, Definition]]:
        found: dict[tuple[str, str, str, str | None], list[Any]] = {}
        for schema, name, kind, comment, *column in self._engine.rows(_COLUMNS):
            if schema != "sqlml" or (kind == "VIEW" and not name.startswith("_")):
                shown = "public" if schema == "main" else schema
                found.setdefault((shown, name, kind, comment), []).append(column)
        return {
            (schema, name): (kind, _definition(quote(schema, name), kind, comment, columns))
            for (schema, name, kind, comment), columns in found.items()
        }

    def close(self) -> None:
        self._admin.close()


def _definition(name: str, kind: str, comment: str | None, columns: list[Any]) -> Definition:
    if kind == "TABLE":
        parts = [
            f"{quote(column)} {declared_type(sql_type)}{'' if nullable else ' NOT NULL'}"
            for column, sql_type, nullable, _, _ in columns
        ]
        key = columns[0][4]
        parts += [f"PRIMARY KEY ({', '.join(quote(column) for column in key)})"] if key else []
        made = f"CREATE TABLE {name} ({', '.join(parts)})"
    else:
        items = [f"CAST(NULL AS {declared_type(sql_type)}) AS {quote(column)}" for column, sql_type, *_ in columns]
        made = f"CREATE VIEW {name} AS SELECT {', '.join(items)} WHERE false"
    statements = [made, f"GRANT SELECT ON {name} TO PUBLIC"]
    statements += [f"COMMENT ON {kind} {name} IS {_literal(comment)}"] if comment else []
    statements += [
        f"COMMENT ON COLUMN {name}.{quote(column)} IS {_literal(text)}" for column, _, _, text, _ in columns if text
    ]
    return tuple(statements)


def quote(*parts: str) -> str:
    """A quoted name."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _literal(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class ShadowSession:
    """The Catalogue contract (see ``catalogue``) for one client, whose session in the shadow opens with its first question."""

    def __init__(self, shadow: Shadow, user: str) -> None:
        self._shadow = shadow
        self._user = user
        self._upstream: Upstream | None = None
        self._rows: dict[int, list[tuple[bytes, bytes]]] = {}  # of portals that have begun

    def takes(self, piece: Piece) -> bool:
        """Whether a statement touches nothing but the catalogue."""
        return is_about_catalogue(piece.written, self._shadow.known)

    def simple(self, text: str, stream: Any) -> None:
        """Run one statement and write all that it gives but ReadyForQuery."""
        for tag, body in self._ready().simple(text):
            stream.write(m.make(tag, body))

    def describe(self, parse: m.Parse, bind: m.Bind | None, stream: Any) -> None:
        """What Describe gives, of a statement or, with ``bind``, of a portal."""
        if bind is None:
            for tag, body in self._ready().describe(parse):
                stream.write(m.make(tag, body))
            return
        answers = self._begun(parse, bind)
        stream.write(next((m.make(tag, body) for tag, body in answers if tag in b"Tn"), m.NO_DATA))

    def execute(self, parse: m.Parse, bind: m.Bind, limit: int, stream: Any) -> None:
        """What Execute gives."""
        answers = [answer for answer in self._begun(parse, bind) if answer[0] not in b"Tn"]
        rows = [answer for answer in answers if answer[0] == b"D"]
        now = answers
        if 0 < limit < len(rows):
            now = rows[:limit]
            self._rows[id(bind)] = answers[limit:]
        else:
            self._rows.pop(id(bind), None)
        for tag, body in now:
            stream.write(m.make(tag, body))
        if now is not answers:
            stream.write(m.PORTAL_SUSPENDED)

    def _begun(self, parse: m.Parse, bind: m.Bind) -> list[tuple[bytes, bytes]]:
        if id(bind) not in self._rows:
            if len(self._rows) > 64:
                self._rows.clear()
            self._rows[id(bind)] = self._ready().run(parse, bind)
        return self._rows[id(bind)]

    def _ready(self) -> Upstream:
        self._shadow.sync()
        if self._upstream is None:
            self._upstream = self._shadow.connect(self._user)
        return self._upstream

    def close(self) -> None:
        """The client is gone."""
        if self._upstream is not None:
            self._upstream.close()
