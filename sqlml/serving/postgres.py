"""Models on Postgres: their contents kept here by hash, their scores computed in the server by what is installed there.

installed    scorer     made when a version is stored
native       native     the image that the machine code loads
plpython     plpython   nothing
(nothing)    sql        functions in PL/pgSQL, named by the artifact's hash; stored texts call others, named by the model,
                        that are made anew when the default or an alias moves
(nothing)    outside    nothing: for a model that SQL cannot score sanely, the client scores
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Self

from sqlml.catalog.names import CATALOG_SCHEMA
from sqlml.catalog.store import Store
from sqlml.errors import EngineError

if TYPE_CHECKING:
    from sqlml.catalog.records import NewVersion, VersionRecord
    from sqlml.engines.engine import Engine
    from sqlml.planning.postgres.outside import Given
    from sqlml.serving.postgres_functions import SqlFunctions
    from udfs.model import Model

KEPT_MODELS = 64
_MODELS: OrderedDict[str, Model] = OrderedDict()  # by hash, which is the content: any session may use another's
_LOCK = Lock()


class PostgresServing:
    """The Serving contract for a server; other sessions learn of changes from the catalog itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = Store(engine)
        self._installed: str | None = None
        self._given: list[Given] = []
        self._tables = 0
        self._has_catalog = False  # seen once outside of a transaction, it is not asked for again

    @cached_property
    def _functions(self) -> SqlFunctions:
        from sqlml.serving.postgres_functions import SqlFunctions  # noqa: PLC0415 - a compiler, where nothing is installed

        return SqlFunctions(self._engine, self._store)

    def state(self) -> Hashable:
        """What the catalog says of all its models: whoever changed one, it has another revision; and what finds them by name."""
        if not self._has_catalog:
            if not self._engine.relation_exists((CATALOG_SCHEMA, "_models")):
                return None
            self._has_catalog = not self._engine.in_transaction()  # which could have made it, and be rolled back
        table = self._engine.quote(CATALOG_SCHEMA, "_models")
        query = (
            "SELECT pg_catalog.md5(pg_catalog.string_agg(m.model_id || ':' || m.revision, ',' ORDER BY m.model_id)), "
            f"pg_catalog.current_setting('search_path'), current_user::pg_catalog.text FROM {table} AS m"
        )
        return self._engine.rows(query)[0]

    def model(self, version: VersionRecord) -> Model:
        """Read once in a process, by whichever session has the right to."""
        with _LOCK:
            if version.artifact_hash in _MODELS and version.has_artifact:
                _MODELS.move_to_end(version.artifact_hash)
                return _MODELS[version.artifact_hash]
        return self._read(version.artifact_hash, self._store.artifact(version))

    @staticmethod
    def _read(artifact_hash: str, artifact: bytes) -> Model:
        from udfs.artifact import read_artifact  # noqa: PLC0415 - numba, needed by whoever uses a model

        model = read_artifact(artifact)
        with _LOCK:
            _MODELS[artifact_hash] = model
            if len(_MODELS) > KEPT_MODELS:
                _MODELS.popitem(last=False)
        return model

    def scorer_of(self, version: VersionRecord, model: Model) -> str:
        """What is installed in the server, else what the model allows."""
        installed = self._installed_scorer()
        if installed is not None:
            return installed
        return "sql" if self._functions.refusal(model) is None else "outside"

    def _installed_scorer(self) -> str | None:
        if self._installed is None:
            self._installed = ""
            if self._engine.relation_exists((CATALOG_SCHEMA, "_installation")):
                table = self._engine.quote(CATALOG_SCHEMA, "_installation")
                rows = self._engine.rows(f"SELECT scorer FROM {table}")
                self._installed = rows[0][0] if rows and rows[0][0] != "sql" else ""
        return self._installed or None

    def follow(self, version: NewVersion | None = None) -> None:
        """Make what the server's scorer needs of a new version, and lead the names in stored texts where they belong now."""
        installed = self._installed_scorer()
        if installed is not None:
            if version is not None and installed == "native":
                self._store_image(version)
            return
        if version is not None:
            self._functions.make(version.artifact_hash, self._read(version.artifact_hash, version.artifact))
        self._functions.follow()

    def _store_image(self, version: NewVersion) -> None:
        """What machine code loads, where no PL/Python has made it in the server when the artifact was stored."""
        ((makes_it,),) = self._engine.rows("SELECT pg_catalog.to_regprocedure('sqlml._image_of(bytea)') IS NOT NULL")
        if makes_it:
            return
        from udfs.postgres.image import build_server_image  # noqa: PLC0415 - the native scorer's only

        image = build_server_image(self._read(version.artifact_hash, version.artifact))
        table = self._engine.quote(CATALOG_SCHEMA, "_images")
        self._engine.run(
            f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT (artifact_hash) DO NOTHING", [version.artifact_hash, image]
        )

    def stored_reference(self, version: VersionRecord, reference: str, *, pinned: bool, alias: str | None) -> str:
        """The name by which a stored text finds its model."""
        if self._installed_scorer() is not None:
            return reference
        return self._functions.named(version, pinned=pinned, alias=alias)

    def changed(self, database: str) -> None:
        """Other sessions learn of changes from the catalog itself."""

    def settle(self) -> None:
        """Postgres lets nobody see what is not committed."""

    def moved(self) -> None:
        """There are no databases to attach."""

    @contextmanager
    def seeing_own(self) -> Iterator[None]:
        """The server shows a transaction what it did."""
        yield

    @contextmanager
    def seeing_names_of(self, database: str) -> Iterator[None]:
        yield

    def name_tables(self) -> tuple[str, str]:
        """Names that no other call of this session has."""
        self._tables += 1
        return f'pg_temp."__sqlml_rows_{self._tables}"', f'pg_temp."__sqlml_scores_{self._tables}"'

    def score_outside(self, model: Model, given: Given, functions: Iterable[str]) -> None:
        """Rows stay in the server; their arguments come here, and scores go back."""
        from sqlml.serving.outside import score_outside  # noqa: PLC0415 - kernels, which other scorers do not need here

        self._given.append(given)
        score_outside(self._engine, model, given, functions)

    def tidy(self) -> None:
        """Drop the tables of the statement, unless an error has aborted the transaction and dropped them."""
        while self._given:
            given = self._given.pop()
            with suppress(EngineError):
                self._engine.run(f"DROP TABLE IF EXISTS {given.rows}, {given.scores}")

    def restrict(self, models: Callable[[], Container[tuple[str, str, str]]] | None) -> None:
        """The server itself knows who may use what."""

    def duplicate(self, engine: Engine) -> Self:
        return type(self)(engine)
