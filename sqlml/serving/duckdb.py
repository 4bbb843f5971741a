"""Models on DuckDB: loaded into the registry of the database instance, by which every connection of the process scores."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from sqlml.catalog.store import Store
from sqlml.errors import EngineError

if TYPE_CHECKING:
    from sqlml.catalog.records import NewVersion, VersionRecord
    from sqlml.engines.engine import Engine
    from sqlml.planning.postgres.outside import Given
    from udfs.duckdb.references import Names
    from udfs.duckdb.registry import Instance
    from udfs.model import Model


class DuckDBServing:
    """The Serving contract on an instance's registry; what is committed is published, what is not is seen by its session only."""

    def __init__(self, engine: Engine, instance: Instance) -> None:
        self._engine = engine
        self._store = Store(engine)
        self._instance = instance
        self._unpublished: set[str] = set()  # databases whose models were changed in a transaction that is still open

    @property
    def settled(self) -> bool:
        return not self._unpublished

    def state(self) -> Hashable:
        """The registry's generation; None while a transaction has models of its own."""
        return self._instance.generation if self.settled else None

    def model(self, version: VersionRecord) -> Model:
        """Loaded into the registry under its hash."""
        if not version.has_artifact or not self._instance.has(version.artifact_hash):
            self._instance.put(version.artifact_hash, self._store.artifact(version))
        return self._instance.model(version.artifact_hash)

    def scorer_of(self, version: VersionRecord, model: Model) -> str:
        """``native`` or ``arrow``, for all models alike."""
        return self._instance.scorer

    def follow(self, version: NewVersion | None = None) -> None:
        """Every scorer reads the artifacts themselves."""

    def stored_reference(self, version: VersionRecord, reference: str, *, pinned: bool, alias: str | None) -> str:
        """The name in full, which the registry knows."""
        return reference

    def changed(self, database: str) -> None:
        """Published at once, or remembered until the transaction is over."""
        if self._engine.in_transaction():
            self._unpublished.add(database)
        else:
            self._publish(database)

    def settle(self) -> None:
        """Publish what a transaction changed once it is over."""
        if self._unpublished and not self._engine.in_transaction():
            self._publish(*self._unpublished)

    def moved(self) -> None:
        """The names of databases that came, without those of databases that went."""
        attached = set(self._store.databases())
        known = set(self._instance.published())
        self._publish(*(attached ^ known))

    @contextmanager
    def seeing_own(self) -> Iterator[None]:
        """Names as this session's transaction has them, where it changed any."""
        if self.settled:
            yield
            return
        with self._overlaid(*self._unpublished):
            yield

    @contextmanager
    def seeing_names_of(self, database: str) -> Iterator[None]:
        with self._overlaid(database):
            yield

    def name_tables(self) -> tuple[str, str]:
        raise NotImplementedError  # invariant: DuckDB scores every model itself

    def score_outside(self, model: Model, given: Given, functions: Iterable[str]) -> None:
        raise NotImplementedError  # invariant: see above

    def tidy(self) -> None:
        """There is nothing to drop."""

    def restrict(self, models: Callable[[], Container[tuple[str, str, str]]] | None) -> None:
        self._instance.restrict(models)

    def duplicate(self, engine: Engine) -> Self:
        return type(self)(engine, self._instance)

    @contextmanager
    def _overlaid(self, *databases: str) -> Iterator[None]:
        try:
            names = {database: self._loaded_names(database) for database in databases}
        except EngineError:
            names = {}  # an aborted transaction reads nothing, and runs nothing either
        with self._instance.overlaid(names):
            yield

    def _publish(self, *databases: str) -> None:
        """Let all connections of the process score by what is committed; of two sessions the later one reads later, too."""
        for database in databases:
            with self._instance.publishing:
                if self._engine.has_database(database):
                    self._instance.publish(database, self._loaded_names(database))
                else:
                    self._instance.withdraw(database)
        self._unpublished.difference_update(databases)

    def _loaded_names(self, database: str) -> Names:
        names = self._store.serving(database)
        for artifact_hash in {found for versions in names.values() for found in versions.values()}:
            if not self._instance.has(artifact_hash):
                self._instance.put(artifact_hash, self._store.artifact_body(database, artifact_hash))
        return names
