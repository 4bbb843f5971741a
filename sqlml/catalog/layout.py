"""Where the catalog lies in a database: its schema, tables and version; creates it, migrates it, or says why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from sqlml.catalog.names import CATALOG_SCHEMA, Place
from sqlml.engines.failures import write_failure
from sqlml.errors import CatalogVersionError, EngineError, ReadOnlyError
from sqlml.sqltext import read_sql

if TYPE_CHECKING:
    from sqlml.engines.engine import Engine

SCHEMA_VERSION = 1  # what sql/catalog/<dialect>.sql creates; <dialect>_<n>.sql leads from version n to n + 1

State = Literal["absent", "older", "current", "newer"]


class Layout:
    """The catalogs of the databases that one connection sees. Everything runs in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def table(self, database: str, name: str) -> str:
        """The quoted full name of a catalog table, whatever the database is called."""
        return self.engine.quote(database, CATALOG_SCHEMA, name)

    def version(self, database: str) -> int | None:
        """The version of a database's catalog; None where it has none."""
        # Not asked by a failing SELECT: an error would abort the user's transaction.
        if not self.engine.relation_exists((database, CATALOG_SCHEMA, "_catalog")):
            return None
        ((version,),) = self.engine.rows(f"SELECT max(schema_version) FROM {self.table(database, '_catalog')}")
        return int(version)

    def state(self, database: str) -> State:
        """How this release can use a database's catalog."""
        version = self.version(database)
        if version is None:
            return "absent"
        if version == SCHEMA_VERSION:
            return "current"
        return "older" if version < SCHEMA_VERSION else "newer"

    def is_readable(self, database: str) -> bool | None:
        """Whether the tables are those this release knows; None where there are none. Migrates an older catalog if it may.

        In the user's transaction nothing is migrated for the sake of reading, since that would be a write of theirs.
        """
        state = self.state(database)
        if state == "older" and not self.engine.is_read_only(database) and not self.engine.in_transaction():
            with self.transaction():
                self.prepare_write(database)
            return True
        return None if state == "absent" else state == "current"

    def require_current(self, database: str) -> None:
        """Raise CatalogVersionError where the tables are of another version and cannot be migrated here and now."""
        if self.is_readable(database) is False:
            raise self._wrong_version(database, self.state(database))

    def require_writable(self, database: str) -> None:
        """Raise what would make a write fail for certain."""
        if self.engine.is_read_only(database):
            raise ReadOnlyError(
                f'cannot store models in database "{database}": it is open for reading only',
                hint="Open or attach it without read_only.",
            )
        state = self.state(database)
        if state == "newer":
            raise self._wrong_version(database, state)

    def is_installed(self, database: str) -> bool:
        """Whether functions in the server guard the catalog: who may change a model, and what may be stored."""
        return self._has_function(database, "_store_artifact(pg_catalog.bytea)")

    def has_grants(self, database: str) -> bool:
        """Whether models can be granted to roles."""
        return self._has_function(database, "_grant_usage(pg_catalog.uuid, pg_catalog.text)")

    def _has_function(self, database: str, name: str) -> bool:
        if self.engine.dialect != "postgres" or not self.engine.has_database(database):
            return False
        query = "SELECT pg_catalog.to_regprocedure(?) IS NOT NULL"
        return bool(self.engine.rows(query, [f"{CATALOG_SCHEMA}.{name}"])[0][0])

    def require_creation(self, place: Place) -> None:
        """Raise where the user may neither create a model of that name nor add a version to the one there is."""
        if self.state(place.database) == "absent":
            return
        self._require_functions(place.database)
        if self.is_installed(place.database):
            self.engine.rows("SELECT sqlml._require_creation(?, ?)", [place.schema, place.name])

    def _require_functions(self, database: str) -> None:
        """Raise where the SQL scorer is installed and the user may not create its functions, one set a model."""
        if not self._has_function(database, "_resolve(pg_catalog.text)"):
            return
        query = (
            "SELECT i.scorer, pg_catalog.has_schema_privilege(n.oid, 'CREATE'), n.nspowner::pg_catalog.regrole::pg_catalog.text "
            f"FROM {self.engine.quote(CATALOG_SCHEMA, '_installation')} AS i, pg_catalog.pg_namespace AS n "
            "WHERE n.nspname OPERATOR(pg_catalog.=) 'sqlml'::pg_catalog.name"
        )
        for scorer, may_create, owner in self.engine.rows(query):
            if scorer == "sql" and not may_create:
                error = EngineError(
                    "permission denied for schema sqlml, where the SQL scorer has functions for each model",
                    hint=f"Role {owner} can train here; with the native or the PL/Python scorer every sqlml_trainer can.",
                )
                error.sqlstate = "42501"
                raise error

    def require_owner(self, database: str, model_id: str) -> None:
        """Raise where the user may not change a model; rows that are not theirs would just stay as they are."""
        if self.is_installed(database):
            self.engine.rows("SELECT sqlml._require_owner(?)", [model_id])

    def prepare_write(self, database: str) -> None:
        """Make sure that the tables are there and current: created or migrated in the transaction that is open."""
        self.require_writable(database)
        state = self.state(database)
        if state == "absent":
            self._run_script(database, f"catalog/{self.engine.dialect}.sql")
        if state == "older":
            for version in range(self.version(database) or 0, SCHEMA_VERSION):
                self._run_script(database, f"catalog/{self.engine.dialect}_{version}.sql")

    def write(self, sql: str, parameters: Sequence[Any] | None = None) -> None:
        """Run a statement that changes the catalog; a failure tells whether another session, a file or a disk was in the way."""
        try:
            self.engine.run(sql, parameters)
        except EngineError as error:
            raise write_failure(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """The user's transaction where one is open, else one around the block."""
        if self.engine.in_transaction():
            yield
            return
        self.engine.begin()
        try:
            yield
            self.engine.commit()
        except BaseException:
            self.engine.rollback()
            raise

    def _run_script(self, database: str, name: str) -> None:
        self.write(read_sql(name).replace("{schema}", self.engine.quote_schema(database, CATALOG_SCHEMA)))

    def _wrong_version(self, database: str, state: State) -> CatalogVersionError:
        found = self.version(database)
        message = (
            f'the catalog of models in database "{database}" has version {found}, this release has {SCHEMA_VERSION}'
        )
        if state == "newer":
            hint = "It was written by a newer release of sqlml: install that one. Scoring works all the same."
        elif self.engine.is_read_only(database):
            hint = "Open the database once for writing, so that it is migrated. Scoring works all the same."
        else:
            hint = "End the transaction, so that the catalog can be migrated in one of its own."
        return CatalogVersionError(message, hint=hint)
