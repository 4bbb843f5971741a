"""Models and versions in the database: the catalog's verbs, each in the transaction that is open or in one of its own.

A version, once written, never changes; what changes is the model's row (default version, options, name), its aliases, and
whether a version's artifact is still kept. Every change first increments the model's revision, so that of two sessions
changing one model at the same time one gets ConflictError and nothing is mixed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from sqlml.catalog.dependents import Dependents
from sqlml.catalog.documents import to_json
from sqlml.catalog.layout import Layout
from sqlml.catalog.lookup import Lookup
from sqlml.catalog.names import Place, key, parts_of, place_for_new, position_of
from sqlml.catalog.rows import MODEL_COLUMNS, feature_values, metric_values, model_record, now, version_values
from sqlml.errors import (
    ConflictError,
    DependencyError,
    ModelExistsError,
    NotSupportedYetError,
    OptionValueError,
    SqlmlError,
)

if TYPE_CHECKING:
    from sqlml.catalog.records import ModelRecord, NewVersion, RecordedView, VersionRecord
    from sqlml.engines.engine import Engine
    from sqlml.language.statements import ModelName


class Store(Lookup):
    """The models of the databases that one connection sees."""

    def __init__(self, engine: Engine) -> None:
        layout = Layout(engine)
        super().__init__(layout)
        self._dependents = Dependents(layout)

    def transaction(self) -> AbstractContextManager[None]:
        """The user's transaction where one is open, else one around the block."""
        return self._layout.transaction()

    # -- versions ------------------------------------------------------------------------------------------------------------

    def require_writable(self, name: ModelName | Sequence[str]) -> None:
        """Raise what would make storing a model of that name fail for certain: before rows are read, not an hour later."""
        place = self._place(name)
        self._layout.require_writable(place.database)
        self._layout.require_creation(place)

    def reserve(self, name: ModelName | Sequence[str]) -> ModelRecord:
        """Write the model's row before training, so that a conflict with another session shows first.

        A new model stays invisible until its first version is added.
        """
        place = self._place(name)
        with self._layout.transaction():
            self._layout.prepare_write(place.database)
            self._layout.require_creation(place)
            table = self._layout.table(place.database, "_models")
            schema_key, model_key = key(place.schema), key(place.name)
            self._layout.write(
                f"UPDATE {table} SET revision = revision + 1 WHERE schema_key = ? AND model_key = ?",
                [schema_key, model_key],
            )
            query = f"SELECT {MODEL_COLUMNS} FROM {table} AS m WHERE m.schema_key = ? AND m.model_key = ?"
            rows = self._engine.rows(query, [schema_key, model_key])
            if not rows:
                self._layout.write(
                    f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, NULL, 0, 0, '{{}}', ?)",
                    [str(uuid.uuid4()), place.schema, place.name, schema_key, model_key, now()],
                )
                rows = self._engine.rows(query, [schema_key, model_key])
            return model_record(place.database, rows[0])

    def add_version(
        self, name: ModelName | Sequence[str], version: NewVersion, *, make_default: bool = True
    ) -> VersionRecord:
        """Store a version and make it the default.

        Where recorded views use the bare name and the signature is another one, the old default stays: the record's
        ``model.default_version`` tells.
        """
        began = time.monotonic()
        with self._layout.transaction():
            model = self.reserve(name)
            ((last,),) = self._engine.rows(
                f"SELECT last_version FROM {self._table(model, '_models')} WHERE model_id = ?", [model.model_id]
            )
            number = last + 1
            self._put_artifact(model.database, version)
            self._insert_facts(model, number, version)
            self._insert_version(model, number, version, began)
            current = self.default_version(model)
            blocked = self._dependents.blocking(model, version, current)
            becomes_default = current is None or (make_default and not blocked)
            self._update(model, "last_version", number)
            if becomes_default:
                self._update(model, "default_version", number)
            self._event(model, "create version", number, {"artifact_hash": version.artifact_hash})
            return self.version(self._again(model), version=number)

    def _put_artifact(self, database: str, version: NewVersion) -> None:
        if self._layout.is_installed(database):
            self._layout.write("SELECT sqlml._store_artifact(?)", [version.artifact])
            return
        table = self._layout.table(database, "artifacts")
        query = f"SELECT 1 FROM {table} WHERE artifact_hash = ?"
        if self._engine.rows(query, [version.artifact_hash]):
            self._claim_artifact(database, version.artifact_hash)
            # Where claiming waited for another session, that one may have freed it.
            if self._engine.rows(query, [version.artifact_hash]):
                return
        values = [version.artifact_hash, version.artifact, len(version.artifact)]
        self._layout.write(f"INSERT INTO {table} VALUES (?, ?, ?, 0)", values)

    def _claim_artifact(self, database: str, artifact_hash: str) -> None:
        """Conflict with any session that begins to share the artifact, or frees it, at this moment.

        Both do this: to DuckDB, an update and a deletion of one row do not conflict, only two updates do.
        """
        table = self._layout.table(database, "artifacts")
        self._layout.write(f"UPDATE {table} SET revision = revision + 1 WHERE artifact_hash = ?", [artifact_hash])

    def _insert_version(self, model: ModelRecord, number: int, version: NewVersion, began: float) -> None:
        values = version_values(model.model_id, number, version, time.monotonic() - began)
        marks = ", ".join("?" * len(values))
        self._layout.write(f"INSERT INTO {self._table(model, '_versions')} VALUES ({marks})", values)

    def _insert_facts(self, model: ModelRecord, number: int, version: NewVersion) -> None:
        if version.metrics:
            self._layout.write(
                f"INSERT INTO {self._table(model, '_metrics')} SELECT ?::UUID, ?::INTEGER, unnest(?::VARCHAR[]), unnest(?::INTEGER[]), "
                "unnest(?::VARCHAR[]), unnest(?::FLOAT8[])",
                [model.model_id, number, *metric_values(version.metrics)],
            )
        for position, item in enumerate(version.feature_statistics):
            values = feature_values(model.model_id, number, position, item)
            marks = ", ".join("?" * len(values))
            self._layout.write(f"INSERT INTO {self._table(model, '_features')} VALUES ({marks})", values)

    # -- changes of a model --------------------------------------------------------------------------------------------------

    def set_default(self, model: ModelRecord, version: VersionRecord, *, rebuild_views: bool = False) -> None:
        """Let the bare name mean that version; refused while recorded views rely on another signature."""
        with self._changing(model) as current:
            self._require_artifact(version)
            if not rebuild_views:
                self._dependents.refuse_signature(current, version, self.default_version(current))
            self._update(current, "default_version", version.version)
            self._event(current, "set default", version.version, {"before": current.default_version})

    def set_alias(self, model: ModelRecord, alias: str, version: VersionRecord) -> None:
        """Let ``name@alias`` mean that version, whatever it meant before."""
        if not alias or alias.isdecimal():
            raise OptionValueError(f'"{alias}" cannot be an alias', hint="An alias is a name, such as champion.")
        with self._changing(model) as current:
            self._require_artifact(version)
            before = next((n for name, n in self.aliases(current).items() if key(name) == key(alias)), None)
            if before is not None:
                self._dependents.refuse_signature(current, version, self.version(current, version=before), alias=alias)
            table = self._table(current, "_aliases")
            self._layout.write(
                f"DELETE FROM {table} WHERE model_id = ? AND alias_key = ?", [model.model_id, key(alias)]
            )
            self._layout.write(
                f"INSERT INTO {table} VALUES (?, ?, ?, ?)", [model.model_id, alias, key(alias), version.version]
            )
            self._event(current, "set alias", version.version, {"alias": alias, "before": before})

    def drop_alias(self, model: ModelRecord, alias: str) -> None:
        """Forget an alias; refused while a recorded view uses it."""
        with self._changing(model) as current:
            number = self._aliased(current, alias, None)
            users = [v for v in self._dependents.of(current) if v.alias is not None and key(v.alias) == key(alias)]
            self._dependents.refuse(
                users, f'drop alias "{alias}" of model "{model.name}"', "Drop these views or set the alias anew."
            )
            self._delete(current, "_aliases", "alias_key = ?", key(alias))
            self._event(current, "drop alias", number, {"alias": alias})

    def set_options(self, model: ModelRecord, options: dict[str, Any]) -> None:
        """Replace the options of the model itself, such as its description and threshold."""
        with self._changing(model) as current:
            self._update(current, "options", to_json(options))
            self._event(current, "set options", None, options)

    def rename(self, model: ModelRecord, new_name: ModelName | Sequence[str]) -> None:
        """Give a model another name, or schema; refused while recorded views call it by its present one."""
        parts = parts_of(new_name)
        place = (
            Place(model.database, model.schema, parts[-1]) if len(parts) == 1 else place_for_new(self._engine, new_name)
        )
        if key(place.database) != key(model.database):
            raise SqlmlError(
                "a model cannot move to another database",
                hint="EXPORT MODEL writes a file that IMPORT MODEL reads there.",
                position=position_of(new_name),
            )
        taken = self.find_or_none((model.database, place.schema, place.name))
        if taken is not None and taken.model_id != model.model_id:
            raise ModelExistsError(
                f'model "{place.name}" already exists',
                hint="Choose another name, or DROP MODEL that one first.",
                position=position_of(new_name),
            )
        with self._changing(model) as current:
            users = self._dependents.of(current)
            self._dependents.refuse(
                users, f'rename model "{model.name}"', "Drop these views first, and create them anew."
            )
            self._event(current, "rename", None, {"schema": place.schema, "name": place.name})
            self._layout.write(
                f"UPDATE {self._table(current, '_models')} SET schema_name = ?, model_name = ?, schema_key = ?, "
                "model_key = ? WHERE model_id = ?",
                [place.schema, place.name, key(place.schema), key(place.name), model.model_id],
            )

    def keep(self, model: ModelRecord, count: int) -> int:
        """Free the artifacts of all but the newest ``count`` versions; how many were freed.

        The default version, aliased ones, and those that views pin keep theirs.
        """
        if count < 1:
            raise OptionValueError(f"cannot keep {count} versions", hint="KEEP takes a number from 1.")
        with self._changing(model) as current:
            versions = [version for version in self.list_versions(current) if version.has_artifact]
            kept = {version.version for version in versions[-count:]} | {current.default_version}
            kept |= set(self.aliases(current).values()) | {view.version for view in self._dependents.of(current)}
            freed = [version for version in versions if version.version not in kept]
            for version in freed:
                self._layout.write(
                    f"UPDATE {self._table(current, '_versions')} SET freed = TRUE WHERE model_id = ? AND version = ?",
                    [model.model_id, version.version],
                )
            self._remove_artifacts(current.database, freed)
            if freed:
                numbers = [version.version for version in freed]
                self._event(current, "free artifacts", None, {"versions": numbers})
        return len(freed)

    def grant(self, model: ModelRecord, roles: Sequence[str], *, revokes: bool = False) -> None:
        """Let roles use a model, or no longer; raises NotSupportedYetError where the database knows no roles of ours."""
        function = "_revoke_usage" if revokes else "_grant_usage"
        if not self._layout.has_grants(model.database):
            raise NotSupportedYetError(
                "privileges on models need sqlml installed in a Postgres server",
                hint="A superuser installs it: sqlml install postgresql://...; DuckDB has no roles.",
            )
        with self._changing(model) as current:
            for role in roles:
                self._engine.rows(f"SELECT sqlml.{function}(?, ?)", [current.model_id, role])
            self._event(current, "revoke" if revokes else "grant", None, {"roles": list(roles)})

    # -- removal -------------------------------------------------------------------------------------------------------------

    def drop(self, model: ModelRecord, *, version: int | None = None, cascade: bool = False) -> None:
        """Remove a model, or one version; refused while something uses it, unless ``cascade`` removes that as well."""
        with self._changing(model) as current:
            if version is None:
                self._drop_model(current, cascade=cascade)
            else:
                self._drop_version(current, self.version(current, version=version), cascade=cascade)

    def _drop_model(self, model: ModelRecord, *, cascade: bool) -> None:
        views = self._dependents.of(model)
        if not cascade:
            hint = f"DROP MODEL {model.name} CASCADE drops these as well."
            self._dependents.refuse(views, f'drop model "{model.name}"', hint)
        self._dependents.drop(views)
        versions = self.list_versions(model)
        for table in ("_versions", "_metrics", "_features", "_aliases", "_views", "_models"):
            self._delete(model, table)
        self._remove_artifacts(model.database, versions)
        self._event(model, "drop model", None, {"views": [f"{view.schema}.{view.name}" for view in views]})

    def _drop_version(self, model: ModelRecord, version: VersionRecord, *, cascade: bool) -> None:
        others = [item for item in self.list_versions(model) if item.version != version.version]
        successors = [item for item in others if item.has_artifact]
        if not successors:
            raise DependencyError(
                f'version {version.version} is the only one of model "{model.name}"',
                hint=f"DROP MODEL {model.name} drops the model.",
            )
        views = [view for view in self._dependents.of(model) if view.version == version.version]
        aliases = [alias for alias, number in self.aliases(model).items() if number == version.version]
        is_default = model.default_version == version.version
        if not cascade:
            self._refuse_version(model, version, views, aliases, is_default=is_default)
        if is_default:
            self._dependents.refuse_signature(model, successors[-1], version)
            self._update(model, "default_version", successors[-1].version)
        self._dependents.drop(views)
        for table in ("_versions", "_metrics", "_features", "_aliases"):
            self._delete(model, table, "version = ?", version.version)
        self._remove_artifacts(model.database, [version])
        self._event(model, "drop version", version.version, {"aliases": aliases})

    def _refuse_version(
        self,
        model: ModelRecord,
        version: VersionRecord,
        views: list[RecordedView],
        aliases: list[str],
        *,
        is_default: bool,
    ) -> None:
        what = f'drop version {version.version} of model "{model.name}"'
        hint = f"DROP MODEL {model.name} VERSION {version.version} CASCADE drops it all the same."
        if is_default:
            raise DependencyError(
                f"cannot {what} because it is the default version",
                hint=f"SET DEFAULT VERSION to another one first. {hint}",
            )
        if aliases:
            raise DependencyError(f"cannot {what} because aliases name it", detail=f"{', '.join(aliases)}.", hint=hint)
        self._dependents.refuse(views, what, hint)

    def _remove_artifacts(self, database: str, versions: Sequence[VersionRecord]) -> None:
        """Delete the artifacts of versions that are gone or freed, save those that another version shares."""
        artifacts, table = self._layout.table(database, "artifacts"), self._layout.table(database, "_versions")
        for artifact_hash in {version.artifact_hash for version in versions}:
            self._claim_artifact(database, artifact_hash)
            users = f"SELECT 1 FROM {table} WHERE artifact_hash = ? AND NOT freed LIMIT 1"
            if not self._engine.rows(users, [artifact_hash]):
                self._layout.write(f"DELETE FROM {artifacts} WHERE artifact_hash = ?", [artifact_hash])

    # -- views ---------------------------------------------------------------------------------------------------------------

    def record_view(self, model: ModelRecord, view: RecordedView) -> None:
        """Remember that a view or macro calls the model, in the transaction that creates it.

        A view of another database is not recorded: a transaction writes to one database only.
        """
        if key(view.database) != key(model.database):
            return
        with self._changing(model) as current:
            self._dependents.record(current, view)

    def forget_view(self, database: str, schema: str, name: str) -> None:
        """Forget a view that was dropped, or is about to be replaced."""
        if self._layout.state(database) == "current" and not self._engine.is_read_only(database):
            self._dependents.forget(database, schema, name)

    def views_of(self, model: ModelRecord) -> list[RecordedView]:
        """The recorded views and macros of a model that still exist and still call it."""
        self._layout.require_current(model.database)
        return self._dependents.of(model)

    # -- inner ---------------------------------------------------------------------------------------------------------------

    def _place(self, name: ModelName | Sequence[str]) -> Place:
        """Where a new version goes: as with tables, wherever a new model would, and not to one elsewhere on the search path."""
        model = self.find_at(place := place_for_new(self._engine, name))
        return place if model is None else Place(model.database, model.schema, model.name)

    @contextmanager
    def _changing(self, model: ModelRecord) -> Iterator[ModelRecord]:
        """A transaction in which the model is ours alone; gives its row as it is now."""
        with self._layout.transaction():
            self._layout.prepare_write(model.database)
            self._layout.require_owner(model.database, model.model_id)
            self._layout.write(
                f"UPDATE {self._table(model, '_models')} SET revision = revision + 1 WHERE model_id = ?",
                [model.model_id],
            )
            yield self._again(model)

    def _again(self, model: ModelRecord) -> ModelRecord:
        query = f"SELECT {MODEL_COLUMNS} FROM {self._table(model, '_models')} AS m WHERE m.model_id = ?"
        rows = self._engine.rows(query, [model.model_id])
        if not rows:
            raise ConflictError(f'model "{model.name}" was dropped by another session', hint="Run the statement again.")
        return model_record(model.database, rows[0])

    def _update(self, model: ModelRecord, column: str, value: Any) -> None:
        self._layout.write(
            f"UPDATE {self._table(model, '_models')} SET {column} = ? WHERE model_id = ?", [value, model.model_id]
        )

    def _delete(self, model: ModelRecord, table: str, condition: str = "TRUE", *values: Any) -> None:
        self._layout.write(
            f"DELETE FROM {self._table(model, table)} WHERE model_id = ? AND {condition}", [model.model_id, *values]
        )

    def _event(self, model: ModelRecord, event: str, version: int | None, detail: dict[str, Any]) -> None:
        values = [now(), event, model.model_id, model.schema, model.name, version, to_json(detail)]
        self._layout.write(f"INSERT INTO {self._table(model, '_events')} VALUES (?, ?, ?, ?, ?, ?, ?)", values)
