"""Finds models and versions by the names users write, and reads all that is stored about them.

Reads go to the tables themselves by their full names: neither a temporary table nor a search path can come in between. Catalogs
of another version, where they cannot be migrated, are read through their ``serving`` view alone (see ``foreign``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlml.catalog import foreign
from sqlml.catalog.layout import Layout
from sqlml.catalog.names import Place, key, nearest, parts_of, position_of, possible_places, unknown_model
from sqlml.catalog.records import FeatureStatistics, MetricRow, ModelRecord, VersionRecord
from sqlml.catalog.rows import (
    FEATURE_COLUMNS,
    METRIC_COLUMNS,
    MODEL_COLUMNS,
    VERSION_COLUMNS,
    feature_statistics,
    metric_row,
    model_record,
    version_record,
)
from sqlml.errors import ArtifactError, UnknownModelError

if TYPE_CHECKING:
    from sqlml.engines.engine import Engine
    from sqlml.language.statements import ModelName

Names = dict[tuple[str, str], dict[int | str | None, str]]


class Lookup:
    """Reading the catalogs of the databases that one connection sees, in its own transaction."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._engine: Engine = layout.engine

    # -- names ---------------------------------------------------------------------------------------------------------------

    def find_or_none(self, name: ModelName | Sequence[str]) -> ModelRecord | None:
        """The model of that name, on the search path where it is a bare one; None if there is none."""
        places = possible_places(self._engine, parts_of(name))
        for database in dict.fromkeys(place.database for place in places):
            for place in self._present(database, [place for place in places if place.database == database]):
                return place
        return None

    def find_at(self, place: Place) -> ModelRecord | None:
        """The model that lies exactly there, whatever the search path has before or behind it."""
        return next(iter(self._present(place.database, [place])), None)

    def find(self, name: ModelName | Sequence[str]) -> ModelRecord:
        """The model of that name; raises UnknownModelError with the nearest one."""
        model = self.find_or_none(name)
        if model is None:
            raise self.unknown(name)
        return model

    def unknown(self, name: ModelName | Sequence[str]) -> UnknownModelError:
        """The error for a name that no model has."""
        known = [
            model.name if model.schema == self._engine.main_schema else f"{model.schema}.{model.name}"
            for model in self.list_models()
        ]
        return unknown_model(name, known)

    def resolve(self, name: ModelName) -> VersionRecord:
        """The version that a name means: ``name@3``, ``name@alias``, or the default one."""
        model = self.find(name)
        return self.version(model, version=name.version, alias=name.alias, position=position_of(name))

    def version(
        self, model: ModelRecord, *, version: int | None = None, alias: str | None = None, position: int | None = None
    ) -> VersionRecord:
        """A version by its number or alias, else the default one; raises UnknownModelError."""
        if alias is not None:
            version = self._aliased(model, alias, position)
        number = model.default_version if version is None else version
        found = self._versions(model, number)
        if not found:
            numbers = ", ".join(str(item.version) for item in self.list_versions(model))
            raise UnknownModelError(
                f'model "{model.name}" has no version {number}', hint=f"It has: {numbers}.", position=position
            )
        return found[0]

    def _aliased(self, model: ModelRecord, alias: str, position: int | None) -> int:
        aliases = self.aliases(model)
        for name, number in aliases.items():
            if key(name) == key(alias):
                return number
        close = nearest(alias, aliases)
        hint = (
            f'Did you mean "{close}"?'
            if close
            else f"It has: {', '.join(aliases)}."
            if aliases
            else "It has no aliases."
        )
        raise UnknownModelError(f'model "{model.name}" has no alias "{alias}"', hint=hint, position=position)

    # -- lists ---------------------------------------------------------------------------------------------------------------

    def databases(self) -> list[str]:
        """The attached databases that hold models, the current one first."""
        return [name for name in self._engine.databases() if self._layout.version(name) is not None]

    def list_models(self, database: str | None = None) -> list[ModelRecord]:
        """The models of a database (the current one), by schema and name."""
        database = database or self._engine.current_database()
        readable = self._layout.is_readable(database)
        if readable is None:
            return []
        if not readable:
            return foreign.models(self._layout, database)
        query = (
            f"SELECT {MODEL_COLUMNS} FROM {self._layout.table(database, '_models')} AS m WHERE m.last_version > 0 "
            "ORDER BY m.schema_key, m.model_key"
        )
        return [model_record(database, row) for row in self._engine.rows(query)]

    def list_versions(self, model: ModelRecord) -> list[VersionRecord]:
        """All versions of a model, the oldest first."""
        return self._versions(model, None)

    def default_version(self, model: ModelRecord) -> VersionRecord | None:
        """The version that the bare name means; None for a model that is only reserved."""
        if model.default_version is None:
            return None
        return self.version(model, version=model.default_version)

    def aliases(self, model: ModelRecord) -> dict[str, int]:
        """Version numbers by alias."""
        if not self._layout.is_readable(model.database):
            return foreign.aliases(self._layout, model)
        query = f"SELECT alias, version FROM {self._table(model, '_aliases')} WHERE model_id = ? ORDER BY alias_key"
        return dict(self._engine.rows(query, [model.model_id]))

    # -- what is stored with a version ---------------------------------------------------------------------------------------

    def artifact(self, version: VersionRecord) -> bytes:
        """The artifact of a version; raises UnknownModelError once KEEP n VERSIONS freed it."""
        self._require_artifact(version)
        return self.artifact_body(version.model.database, version.artifact_hash)

    def artifact_body(self, database: str, artifact_hash: str) -> bytes:
        """The artifact of that hash; raises ArtifactError where the catalog has lost it."""
        query = f"SELECT body FROM {self._layout.table(database, 'artifacts')} WHERE artifact_hash = ?"
        rows = self._engine.rows(query, [artifact_hash])
        if not rows:
            raise ArtifactError(f'the catalog of database "{database}" has no artifact {artifact_hash}')
        return bytes(rows[0][0])

    def metrics(self, version: VersionRecord) -> list[MetricRow]:
        """Its metrics: those of the final model first, then the learning curve."""
        query = (
            f"SELECT {METRIC_COLUMNS} FROM {self._checked(version, '_metrics')} WHERE model_id = ? AND version = ? "
            f"ORDER BY iteration NULLS FIRST, {self._engine.row_place}"
        )
        return [metric_row(row) for row in self._engine.rows(query, [version.model.model_id, version.version])]

    def feature_statistics(self, version: VersionRecord) -> list[FeatureStatistics]:
        """What training saw of each raw column, in their order."""
        query = (
            f"SELECT {FEATURE_COLUMNS} FROM {self._checked(version, '_features')} WHERE model_id = ? AND version = ? "
            "ORDER BY position"
        )
        return [feature_statistics(row) for row in self._engine.rows(query, [version.model.model_id, version.version])]

    def serving(self, database: str) -> Names:
        """The hashes that names stand for: by schema and name, then None for the default, a number, or an alias."""
        if self._layout.version(database) is None:
            return {}
        names: Names = {}
        view = self._layout.table(database, "serving")
        query = f"SELECT schema_name, model_name, version, alias, is_default, artifact_hash FROM {view}"
        for schema, name, version, alias, is_default, artifact_hash in self._engine.rows(query):
            versions = names.setdefault((schema, name), {})
            versions[version if alias is None else alias] = artifact_hash
            if is_default:
                versions[None] = artifact_hash
        return names

    # -- inner ---------------------------------------------------------------------------------------------------------------

    def _present(self, database: str, places: list[Place]) -> list[ModelRecord]:
        """The models of one database that lie at these places, in their order."""
        readable = self._layout.is_readable(database)
        if readable is None:
            return []
        wanted = [(key(place.schema), key(place.name)) for place in places]
        if readable:
            marks = ", ".join("?" * len(places))
            query = (
                f"SELECT {MODEL_COLUMNS} FROM {self._layout.table(database, '_models')} AS m "
                f"WHERE m.model_key = ? AND m.schema_key IN ({marks}) AND m.last_version > 0"
            )
            rows = self._engine.rows(query, [wanted[0][1], *(schema for schema, _ in wanted)])
            models = [model_record(database, row) for row in rows]
        else:
            models = foreign.models(self._layout, database)
        by_place = {(key(model.schema), key(model.name)): model for model in models}
        return [by_place[place] for place in wanted if place in by_place]

    def _versions(self, model: ModelRecord, number: int | None) -> list[VersionRecord]:
        if not self._layout.is_readable(model.database):
            return foreign.versions(self._layout, model, number)
        query = (
            f"SELECT {VERSION_COLUMNS} FROM {self._table(model, '_versions')} AS v "
            "WHERE v.model_id = ? AND v.version = coalesce(?, v.version) ORDER BY v.version"
        )
        return [version_record(model, row) for row in self._engine.rows(query, [model.model_id, number])]

    def _require_artifact(self, version: VersionRecord) -> None:
        if not version.has_artifact:
            kept = [str(item.version) for item in self.list_versions(version.model) if item.has_artifact]
            raise UnknownModelError(
                f'the artifact of version {version.version} of model "{version.model.name}" was freed',
                hint=f"Versions with an artifact: {', '.join(kept)}.",
            )

    def _checked(self, version: VersionRecord, table: str) -> str:
        self._layout.require_current(version.model.database)
        return self._table(version.model, table)

    def _table(self, model: ModelRecord, name: str) -> str:
        return self._layout.table(model.database, name)
