"""What a session needs of the scorers of its database: one contract, met by a file an engine."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol, Self

from sqlml.catalog.records import NewVersion, VersionRecord
from sqlml.engines.engine import Engine
from sqlml.planning.postgres.outside import Given
from udfs.model import Model


class Serving(Protocol):
    """The loaded models of one session."""

    def state(self) -> Hashable:
        """Differs after any change of models that this session may see; None where that cannot be told."""

    def model(self, version: VersionRecord) -> Model:
        """The content of a version's artifact, ready to be scored by the SQL that names its hash."""

    def scorer_of(self, version: VersionRecord, model: Model) -> str:
        """What scores a model in SQL: a name that the planning of calls and EXPLAIN know."""

    def follow(self, version: NewVersion | None = None) -> None:
        """In the transaction that changed models, or stored ``version``: change what has to change with them."""

    def stored_reference(self, version: VersionRecord, reference: str, *, pinned: bool, alias: str | None) -> str:
        """What a stored text says instead of a hash; ``reference`` is the model's name in full."""

    def changed(self, database: str) -> None:
        """Models of a database were changed: others see them now, or after the user's COMMIT."""

    def settle(self) -> None:
        """Tell others what a transaction changed if it is over, by whatever means."""

    def moved(self) -> None:
        """Databases were attached or detached."""

    def seeing_own(self) -> AbstractContextManager[None]:
        """Stored texts run within the block see the models of the transaction that is open."""

    def seeing_names_of(self, database: str) -> AbstractContextManager[None]:
        """Stored texts written within the block are bound against one database's names as the transaction has them."""

    def name_tables(self) -> tuple[str, str]:
        """Names for two temporary tables."""

    def score_outside(self, model: Model, given: Given, functions: Iterable[str]) -> None:
        """Fill the tables that stand for rows given to a model that the server cannot score."""

    def tidy(self) -> None:
        """The statement is over: drop such tables."""

    def restrict(self, models: Callable[[], Container[tuple[str, str, str]]] | None) -> None:
        """Let statements of this thread use no models but these, as (database, schema, name) in lower case; None: all."""

    def duplicate(self, engine: Engine) -> Self:
        """The same for another connection to the database."""
