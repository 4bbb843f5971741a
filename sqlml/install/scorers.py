"""The scorers that can be installed in a server: what each demands of it, and the SQL that each brings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlml.errors import NotSupportedYetError
from sqlml.install.facts import ServerFacts
from sqlml.sqltext import read_sql


@dataclass(frozen=True)
class Scorer:
    """A scorer as the installation sees it; ``store_image`` is PL/pgSQL that runs whenever an artifact is stored."""

    require: Callable[[ServerFacts], None]
    steps: Callable[[ServerFacts], list[tuple[str, str]]]
    store_image: str = ""


def _nothing(facts: ServerFacts) -> None:
    """PL/pgSQL is everywhere."""


def _require_python(facts: ServerFacts) -> None:
    if not facts.can_train:
        raise NotSupportedYetError(
            f"the PL/Python scorer cannot be installed: {facts.why_not_train()}",
            hint="Name a Python of the same version with --python, or install with --scorer sql.",
        )


def _python_steps(facts: ServerFacts) -> list[tuple[str, str]]:
    return [("the PL/Python scorer", read_sql("postgres/scoring_plpython.sql"))]


def _no_steps(facts: ServerFacts) -> list[tuple[str, str]]:
    return []


SCORERS: dict[str, Scorer] = {
    "plpython": Scorer(_require_python, _python_steps),
    "sql": Scorer(_nothing, _no_steps),
}
