"""Loaded models: one registry a database instance, keyed by the hash of the artifact, and the names that are committed there.

A session puts an artifact before it emits its hash into SQL, and publishes names after COMMIT; plain connections see what was
committed when the database was opened and what sessions published since. Nothing here keeps a connection or a database open.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from udfs.duckdb.references import Names, Reference, find_hash
from udfs.errors import ArtifactError, ModelReferenceError, SqlmlError

if TYPE_CHECKING:
    from udfs.model import Model
    from udfs.scorer import Scorer

UNNAMED_KEPT = 64  # artifacts that no published name refers to: put by sessions whose transactions are not over
SCORERS_KEPT = 32  # scorers that no running plan uses, so that the next statement need not lay them out again

_LOCK = threading.RLock()
_CHANGES = itertools.count(1)
_last_change = 0
_NUMBERS = itertools.count(1)
_INSTANCES: dict[int, Instance] = {}
_SCORERS: WeakValueDictionary[str, Scorer] = WeakValueDictionary()
_RECENT: OrderedDict[str, Scorer] = OrderedDict()


class Instance:
    """The models of one open database instance; ``id`` is what ``__sqlml_instance()`` returns on its connections."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.scorer = "native"
        self._artifacts: OrderedDict[str, bytes] = OrderedDict()
        self._models: dict[str, Model] = {}
        self._names: dict[str, Names] = {}
        self._overlay = threading.local()  # binding happens on the thread that runs the statement
        self.publishing = threading.RLock()  # held from reading names until they are published
        self.generation = 0  # counts changes of the names: what was planned with an older one may name another version

    def put(self, artifact_hash: str, artifact: bytes) -> None:
        """Make an artifact known by its hash; it is read, and verified, when first used."""
        with _LOCK:
            self._artifacts[artifact_hash] = artifact
            self._artifacts.move_to_end(artifact_hash)
            self._forget()

    def has(self, artifact_hash: str) -> bool:
        """Whether an artifact is known; marks it as recently used."""
        with _LOCK:
            if artifact_hash not in self._artifacts:
                return False
            self._artifacts.move_to_end(artifact_hash)
            return True

    def model(self, artifact_hash: str) -> Model:
        """The model of a known artifact; raises ModelReferenceError or ArtifactError."""
        with _LOCK:
            model = self._models.get(artifact_hash)
            artifact = self._artifacts.get(artifact_hash)
        if model is not None:
            return model
        if artifact is None:
            raise ModelReferenceError(f'model version "sha256:{artifact_hash}" is not loaded in this database')
        model = _read(artifact_hash, artifact)
        with _LOCK:
            if artifact_hash in self._artifacts:
                self._models[artifact_hash] = model
        return model

    def scorer_of(self, artifact_hash: str) -> Scorer:
        """The scorer of a known artifact, laid out once in a process."""
        with _LOCK:
            scorer = _SCORERS.get(artifact_hash) if artifact_hash in self._artifacts else None
        if scorer is None:
            from udfs.scorer import build_scorer  # noqa: PLC0415 - loads numba

            scorer = build_scorer(self.model(artifact_hash))
        with _LOCK:
            scorer = _SCORERS.setdefault(artifact_hash, scorer)
            _RECENT[artifact_hash] = scorer
            _RECENT.move_to_end(artifact_hash)
            while len(_RECENT) > SCORERS_KEPT:
                _RECENT.popitem(last=False)
        return scorer

    def publish(self, database: str, names: Names) -> None:
        """Replace the committed names of a database: ``{(schema, name): {None: hash, 3: hash, 'alias': hash}}``.

        None stands for the default version. The first database published is the one that bare names are looked up in first.
        """
        with _LOCK:
            self._names[database] = {key: dict(versions) for key, versions in names.items()}
            self.generation += 1
            _note_change()
            self._forget()

    def withdraw(self, database: str) -> None:
        """Forget the names of a detached database."""
        with _LOCK:
            self._names.pop(database, None)
            self.generation += 1
            _note_change()
            self._forget()

    def published(self) -> Mapping[str, Names]:
        """The committed names by database."""
        with _LOCK:
            return dict(self._names)

    def resolve(self, reference: Reference) -> str:
        """The hash that a reference stands for; raises ModelReferenceError."""
        found = reference.hash or find_hash(reference, {**self.published(), **self._uncommitted()})
        self.require_use(found)
        return found

    def restrict(self, models: Callable[[], Container[tuple[str, str, str]]] | None) -> None:
        """Let statements of this thread use no models but these, as (database, schema, name) in lower case; None: all."""
        self._overlay.models = models

    def require_use(self, artifact_hash: str) -> None:
        """Raises where this thread may not use any model that has the artifact."""
        models = getattr(self._overlay, "models", None)
        if models is None:
            return
        allowed = models()
        for database, names in {**self.published(), **self._uncommitted()}.items():
            for (schema, name), versions in names.items():
                key = (database.lower(), schema.lower(), name.lower())
                if key in allowed and artifact_hash in versions.values():
                    return
        raise ModelReferenceError("permission denied for model", hint="An administrator can GRANT USAGE ON MODEL.")

    @contextmanager
    def overlaid(self, names: Mapping[str, Names]) -> Iterator[None]:
        """Let this thread see uncommitted names of databases in place of the published ones, for statements of its transaction."""
        before = self._uncommitted()
        self._overlay.names = {**before, **names}
        try:
            yield
        finally:
            self._overlay.names = before

    def sees_uncommitted(self) -> bool:
        """Whether this thread resolves names otherwise than others do."""
        return bool(self._uncommitted())

    def _uncommitted(self) -> Mapping[str, Names]:
        return getattr(self._overlay, "names", {})

    def _forget(self) -> None:
        """Drop artifacts without a name, the least recently used first, and what was made of them."""
        named = {h for names in self._names.values() for versions in names.values() for h in versions.values()}
        unnamed = [h for h in self._artifacts if h not in named]
        for artifact_hash in unnamed[: max(0, len(unnamed) - UNNAMED_KEPT)]:
            _note_change()
            del self._artifacts[artifact_hash]
            self._models.pop(artifact_hash, None)
            if not any(other.knows(artifact_hash) for other in _INSTANCES.values()):
                _RECENT.pop(artifact_hash, None)

    def knows(self, artifact_hash: str) -> bool:
        """Whether an artifact is known, without marking it as used."""
        return artifact_hash in self._artifacts


def _read(artifact_hash: str, artifact: bytes) -> Model:
    from udfs.artifact import read_artifact  # noqa: PLC0415 - loads numba and numpy

    try:
        return read_artifact(artifact)
    except SqlmlError as error:
        raise ArtifactError(
            f'model version "sha256:{artifact_hash}" cannot be used: {error.message}', hint=error.hint
        ) from error


def _note_change() -> None:
    global _last_change  # noqa: PLW0603 - one counter a process
    _last_change = next(_CHANGES)


def last_change() -> int:
    """Differs after anything was published, withdrawn or forgotten: what was understood of calls before may be out of date."""
    return _last_change


def new_instance() -> Instance:
    """Register a database instance that is being opened."""
    with _LOCK:
        created = Instance(next(_NUMBERS))
        _INSTANCES[created.id] = created
        return created


def instance(instance_id: int) -> Instance:
    """The registry of an open instance, by the id that ``__sqlml_instance()`` returned."""
    try:
        return _INSTANCES[instance_id]
    except KeyError:
        raise ModelReferenceError(f"database instance {instance_id} is not open in this process") from None


def close_instance(instance_id: int) -> None:
    """Forget an instance whose database was closed, and the scorers that nothing else uses."""
    with _LOCK:
        _INSTANCES.pop(instance_id, None)
        _note_change()
        for artifact_hash in [h for h in _RECENT if not any(other.knows(h) for other in _INSTANCES.values())]:
            del _RECENT[artifact_hash]


def scorer_name(of: Instance | int) -> str:
    """``native`` or ``arrow``: how an instance's functions score."""
    return (of if isinstance(of, Instance) else instance(of)).scorer
