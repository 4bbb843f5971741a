"""What any connection to Postgres can ask the server about itself, whichever way its queries travel."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from sqlml.engines.engine import Result
from sqlml.errors import EngineError

_PARAMETER = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\?")
_COLLATED = ("text", "character varying", "character", "name", "citext")
_MEMORY_SHARE = 0.8  # of the machine's, which the database does not know


def numbered(sql: str) -> str:
    """Our own SQL with ``$1``, ``$2``... in place of its question marks."""
    count = 0

    def number(match: re.Match[str]) -> str:
        nonlocal count
        if match[0] != "?":
            return match[0]
        count += 1
        return f"${count}"

    return _PARAMETER.sub(number, sql)


class PostgresFacts:
    """The part of the Engine contract that is plain catalog queries; ``rows`` runs them on the user's connection."""

    dialect = "postgres"
    main_schema = "public"
    row_place = "ctid"
    training_cap = 0
    reads_again = False  # every row is made into a message and back
    _database: str | None = None

    def rows(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        raise NotImplementedError

    @property
    def result(self) -> Result:
        """The result of the last statement of the user's."""
        raise NotImplementedError

    def copy_binary(self, table: str, blocks: Iterable[bytes]) -> None:
        """Append tuples of the binary COPY format to a table."""
        raise NotImplementedError

    def explained(self, lines: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        """The plan's lines; one that is a document in JSON, XML or YAML stays whole."""
        plan = [row[0] if isinstance(row[0], str) else json.dumps(row[0], indent=2) for row in self.result.fetchall()]
        if plan[0].startswith(("[", "<", "- ")):
            return ["QUERY PLAN"], [(text,) for text in plan]
        return ["QUERY PLAN"], [(text,) for text in (*plan, *(f"sqlml: {line.strip()}" for line in lines))]

    def repeats_reads(self) -> bool:
        """Under the default isolation level every statement has a snapshot of its own."""
        ((level,),) = self.rows("SELECT pg_catalog.current_setting('transaction_isolation')")
        return level in ("repeatable read", "serializable")

    def current_database(self) -> str:
        """The database that the connection is to."""
        if self._database is None:
            ((name,),) = self.rows("SELECT pg_catalog.current_database()")
            self._database = str(name)
        return self._database

    def current_schema(self) -> str:
        """The schema that unqualified names are created in."""
        ((schema,),) = self.rows("SELECT pg_catalog.current_schema()")
        if schema is None:
            error = EngineError("no schema of the search path exists", hint="Set search_path, or qualify the name.")
            error.sqlstate = "3F000"
            raise error
        return str(schema)

    def has_database(self, database: str) -> bool:
        """Only the current one can be reached."""
        return database.casefold() == self.current_database().casefold()

    def databases(self) -> list[str]:
        """The current one."""
        return [self.current_database()]

    def surroundings(self) -> tuple[str, list[str]]:
        """The current database and the schemas of its search path."""
        ((path,),) = self.rows("SELECT pg_catalog.current_schemas(false)::pg_catalog.text[]")
        return self.current_database(), path

    def place(self, parts: tuple[str, ...]) -> tuple[str, str, str]:
        """The database, schema and name that a name given to CREATE stands for."""
        *qualifiers, name = parts
        if len(qualifiers) >= 2:
            return qualifiers[0], self._schema_like(qualifiers[1]), name
        database = self.current_database()
        return database, self._schema_like(qualifiers[0]) if qualifiers else self.current_schema(), name

    def _schema_like(self, schema: str) -> str:
        """The schema of that name, else the only one that differs in case; unquoted names are not folded before."""
        query = "SELECT nspname::pg_catalog.text FROM pg_catalog.pg_namespace WHERE pg_catalog.lower(nspname) = pg_catalog.lower(?)"
        found = [name for (name,) in self.rows(query, [schema])]
        return schema if schema in found or len(found) != 1 else found[0]

    def is_read_only(self, database: str) -> bool:
        """Whether the transaction may not write: on a standby, or because it was opened so."""
        ((answer,),) = self.rows("SELECT pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool")
        return bool(answer)

    def schema_exists(self, database: str, schema: str) -> bool:
        """Whether the current database has the schema."""
        query = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ?"
        return self.has_database(database) and bool(self.rows(query, [schema]))

    def relation_exists(self, parts: tuple[str, ...]) -> bool:
        """Whether a name, qualified or found on the search path, is a table or view."""
        if len(parts) == 3 and not self.has_database(parts[0]):
            return False
        ((found,),) = self.rows("SELECT pg_catalog.to_regclass(?) IS NOT NULL", [self.quote(*parts[-2:])])
        return bool(found)

    def stored_text(self, kind: str, parts: tuple[str, ...]) -> tuple[str, str] | None:
        """Of a view: what DROP calls it, and its text; None where there is none."""
        found = self._view(parts)
        return None if found is None else found[:2]

    def _view(self, parts: tuple[str, ...]) -> tuple[str, str, str] | None:
        """What DROP calls a view, its text, and its name: as given, else the only one that differs in case."""
        query = (
            "SELECT CASE relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, pg_catalog.pg_get_viewdef(c.oid), "
            "relname::pg_catalog.text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE relkind IN ('v', 'm') AND nspname = ? AND pg_catalog.lower(relname) = pg_catalog.lower(?)"
        )
        found = self.rows(query, list(parts[1:]))
        exact = [row for row in found if row[2] == parts[-1]] or (found if len(found) == 1 else [])
        return exact[0] if exact else None

    def drop_statement(self, kind: str, *parts: str) -> str:
        """The statement that drops a view."""
        kind, _, name = self._view(parts) or ("VIEW", "", parts[-1])
        return f"DROP {kind} IF EXISTS {self.quote(*parts[1:-1], name)}"

    def knows_predict(self) -> bool:
        """Whether the user has a function of their own called predict or predict_proba, or a schema ml."""
        query = (
            "SELECT 1 FROM pg_catalog.pg_proc WHERE proname IN ('predict', 'predict_proba') AND "
            "pg_catalog.pg_function_is_visible(oid) UNION ALL SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'ml'"
        )
        return bool(self.rows(query))

    def memory_limit(self) -> int:
        """Most of the memory of the machine that trains, which is the client's."""
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _MEMORY_SHARE)

    def time_zone(self) -> str:
        """The session's time zone."""
        return str(self.rows("SELECT pg_catalog.current_setting('TimeZone')")[0][0])

    def require_files(self, right: str) -> None:
        """A client's files are the user's own."""

    def quote(self, *parts: str) -> str:
        """A quoted, qualified identifier; the database goes without saying."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts[-2:])

    def sort_key(self, column: str, sql_type: str) -> str:
        """Texts by their bytes; what has no order of its own, such as json, by its text."""
        name = sql_type.partition("(")[0]
        if name in _COLLATED:
            return f'{column} COLLATE "C"'
        return f'{column}::pg_catalog.text COLLATE "C"' if name in ("json", "xml", "point") else column

    def quote_schema(self, database: str, schema: str) -> str:
        """A schema's name: there is one database."""
        return self.quote(schema)
