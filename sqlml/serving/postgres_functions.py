"""The functions in PL/pgSQL by which a server without an installation scores: made, led to other versions, and dropped.

    "m_<hash>..."            compute; named by the artifact, so they never change
    "n_<model>[_<mark>]..."  what stored texts call: one line of SQL that calls the functions of the version that the name means

All of it happens in the transaction that changes the models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml.catalog.names import CATALOG_SCHEMA
from sqlml.planning.postgres.scoring import function_stem
from udfs.postgres.plsql import plsql_functions, plsql_refusal

if TYPE_CHECKING:
    from sqlml.catalog.records import ModelRecord, VersionRecord
    from sqlml.catalog.store import Store
    from sqlml.engines.engine import Engine
    from udfs.model import Model

_NAME = re.compile(r"n_([0-9a-f]{32})(?:_(v\d+|a[0-9a-f]+))?")
_LIST = (
    "SELECT p.proname::pg_catalog.text, pg_catalog.pg_get_function_identity_arguments(p.oid), "
    "pg_catalog.pg_get_function_result(p.oid), p.pronargs, p.prosrc FROM pg_catalog.pg_proc AS p "
    "JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = ? AND p.proname ^@ ?"
)


@dataclass(frozen=True)
class Function:
    """A function of ours as the server has it."""

    name: str
    arguments: str
    result: str
    count: int
    body: str


class SqlFunctions:
    """The functions of one database; ``store`` tells which versions there are."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._refusals: dict[int, str | None] = {}

    def refusal(self, model: Model) -> str | None:
        """Why SQL cannot score a model, if it cannot."""
        if id(model) not in self._refusals:
            self._refusals = {id(model): plsql_refusal(model)}
        return self._refusals[id(model)]

    def make(self, artifact_hash: str, model: Model) -> None:
        """Create the functions of a model that are not there yet."""
        stem = function_stem(f"sha256:{artifact_hash}")
        if self.refusal(model) is None and not self._functions(stem):
            for statement in plsql_functions(model, CATALOG_SCHEMA, stem):
                self._engine.run(statement)

    def make_all(self) -> None:
        """Create the functions of all models that were stored while another scorer was installed."""
        from udfs.artifact import read_artifact  # noqa: PLC0415 - numba, only where there are models

        for model in self._store.list_models():
            for version in self._store.list_versions(model):
                stem = function_stem(f"sha256:{version.artifact_hash}")
                if version.has_artifact and not self._functions(stem):
                    self.make(version.artifact_hash, read_artifact(self._store.artifact(version)))

    def named(self, version: VersionRecord, *, pinned: bool, alias: str | None) -> str:
        """The stem of the functions that stored texts call for a name; they are made if they are not there."""
        mark = f"_v{version.version}" if pinned and alias is None else f"_a{alias.encode().hex()}" if alias else ""
        stem = f"n_{version.model.model_id.replace('-', '')}{mark}"
        self._lead(stem, version)
        return stem

    def follow(self) -> None:
        """Lead every name to the version that it means now, and drop the functions of models and versions that are gone."""
        models = {model.model_id.replace("-", ""): model for model in self._store.list_models()}
        for stem in {match[0] for function in self._functions("n_") if (match := _NAME.match(function.name))}:
            match = _NAME.fullmatch(stem)
            version = self._meant(models.get(match[1]), match[2]) if match else None
            if version is None:
                self._drop(self._called(stem))
            else:
                self._lead(stem, version)
        hashes = {v.artifact_hash for m in models.values() for v in self._store.list_versions(m) if v.has_artifact}
        stems = tuple(function_stem(f"sha256:{artifact_hash}") for artifact_hash in hashes)
        self._drop([function for function in self._functions("m_") if not function.name.startswith(stems)])

    def _meant(self, model: ModelRecord | None, mark: str | None) -> VersionRecord | None:
        if model is None:
            return None
        if mark is None:
            return self._store.default_version(model)
        wanted = int(mark[1:]) if mark[0] == "v" else None
        if mark[0] == "a":
            alias = bytes.fromhex(mark[1:]).decode()
            wanted = next((n for name, n in self._store.aliases(model).items() if name == alias), None)
        return next((v for v in self._store.list_versions(model) if v.version == wanted and v.has_artifact), None)

    def _lead(self, stem: str, version: VersionRecord) -> None:
        """Make a name's functions call those of a version; functions with other arguments are in nobody's way but the planner's."""
        target = function_stem(f"sha256:{version.artifact_hash}")
        own = {function.name: function for function in self._functions(target)}
        there = self._called(stem)
        stale = [
            function
            for function in there
            if function.arguments != own.get(target + function.name.removeprefix(stem), function).arguments
        ]
        self._drop(stale)
        quote, leading = self._engine.quote, {function.name: function.body for function in there}
        for function in own.values():
            name = stem + function.name.removeprefix(target)
            given = ", ".join(f"${place}" for place in range(1, function.count + 1))
            body = f"SELECT {quote(CATALOG_SCHEMA, function.name)}({given})"
            # One that leads there already stays: of two sessions that replace a function at once, the server fails one.
            if leading.get(name) != body:
                self._engine.run(
                    f"CREATE OR REPLACE FUNCTION {quote(CATALOG_SCHEMA, name)}({function.arguments}) "
                    f"RETURNS {function.result} LANGUAGE sql STABLE PARALLEL SAFE AS '{body}'"
                )

    def _called(self, stem: str) -> list[Function]:
        """The functions of one name: that of version 10 begins as that of version 1 does."""
        return [f for f in self._functions(stem) if (match := _NAME.match(f.name)) and match[0] == stem]

    def _functions(self, start: str) -> list[Function]:
        return [Function(*row) for row in self._engine.rows(_LIST, [CATALOG_SCHEMA, start])]

    def _drop(self, functions: list[Function]) -> None:
        for function in functions:
            self._engine.run(f"DROP FUNCTION {self._engine.quote(CATALOG_SCHEMA, function.name)}({function.arguments})")
