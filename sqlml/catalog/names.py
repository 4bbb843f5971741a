"""Names of models: the parts a user wrote to the places they may mean, and the nearest names for a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml.errors import ReadOnlyError, UnknownModelError

if TYPE_CHECKING:
    from sqlml.engines.engine import Engine
    from sqlml.language.statements import ModelName


CATALOG_SCHEMA = "sqlml"


@dataclass(frozen=True)
class Place:
    """Where a model is, or would be."""

    database: str
    schema: str
    name: str


def parts_of(name: ModelName | Sequence[str]) -> tuple[str, ...]:
    """The parts of a parsed name, or of one that is parts already."""
    parts: Sequence[str] = getattr(name, "parts", name)  # type: ignore[arg-type]
    return tuple(parts)


def position_of(name: ModelName | Sequence[str]) -> int | None:
    """Where a parsed name stands in the user's text."""
    span = getattr(name, "span", None)
    return None if span is None else int(span.start)


def key(name: str) -> str:
    """What names are compared by: their case does not matter."""
    return name.casefold()


def possible_places(engine: Engine, parts: tuple[str, ...]) -> list[Place]:
    """Where a model of that name would be found, in order: ``a.b`` is schema a of the current database, then database a."""
    name = parts[-1]
    if len(parts) == 3:
        return [Place(parts[0], parts[1], name)] if engine.has_database(parts[0]) else []
    database, search_path = engine.surroundings()
    if len(parts) == 1:
        return [Place(database, schema, name) for schema in search_path]
    places = [Place(database, parts[0], name)]
    if engine.has_database(parts[0]):
        places.insert(0 if _is_catalog(parts[0]) else 1, Place(parts[0], "main", name))
    return places


def _is_catalog(schema: str) -> bool:
    """Whether a schema is our own, which holds no models of its name: a database called so is meant first."""
    return key(schema) == CATALOG_SCHEMA


def place_for_new(engine: Engine, name: ModelName | Sequence[str]) -> Place:
    """Where a new model of that name goes; raises UnknownModelError where the database or schema does not exist."""
    parts = parts_of(name)
    if len(parts) > 3:
        raise UnknownModelError(
            f'"{".".join(parts)}" is no name of a model',
            hint="Write [[database.]schema.]name.",
            position=position_of(name),
        )
    if len(parts) == 2 and _is_catalog(parts[0]) and engine.has_database(parts[0]):
        parts = (parts[0], "main", parts[1])
    place = Place(*engine.place(parts))
    if not engine.has_database(place.database):
        close = nearest(place.database, engine.databases())
        raise UnknownModelError(
            f'database "{place.database}" does not exist',
            hint=f'Did you mean "{close}"?' if close else f"There are: {', '.join(engine.databases())}.",
            position=position_of(name),
        )
    if key(place.database) in ("temp", "system"):
        raise ReadOnlyError(
            f'database "{place.database}" cannot hold models',
            hint="Create the model in the database of its tables; there are no temporary models.",
            position=position_of(name),
        )
    if not engine.schema_exists(place.database, place.schema):
        raise UnknownModelError(
            f'schema "{place.schema}" does not exist in database "{place.database}"',
            hint=f'CREATE SCHEMA "{place.schema}" first.',
            position=position_of(name),
        )
    return place


def unknown_model(name: ModelName | Sequence[str], known: Iterable[str]) -> UnknownModelError:
    """The error for a name that no model has, with the nearest one that a model has."""
    written = ".".join(parts_of(name))
    close = nearest(written, known)
    return UnknownModelError(
        f'model "{written}" does not exist',
        hint=f'Did you mean "{close}"?' if close else "SHOW MODELS lists the models there are.",
        position=position_of(name),
    )


def nearest(written: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like what was written, if any does; case does not count."""
    by_key = {key(item): item for item in known}
    # The last part alone counts as well: whoever forgets the schema writes the name right.
    for attempt in (key(written), key(written).rpartition(".")[2]):
        candidates = {**{k.rpartition(".")[2]: v for k, v in by_key.items()}, **by_key}
        close = difflib.get_close_matches(attempt, candidates, 1, 0.6)
        if close:
            return candidates[close[0]]
    return None
