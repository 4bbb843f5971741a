"""The scorers that can be installed in a server: what each demands of it, and the SQL that each brings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlml.engines.engine import Engine
from sqlml.errors import NotSupportedYetError
from sqlml.install.facts import ServerFacts
from sqlml.install.functions import make_functions
from sqlml.install.native import STORE_IMAGE, make_images, native_steps, require_native
from sqlml.sqltext import read_sql


@dataclass(frozen=True)
class Scorer:
    """A scorer as the installation sees it; ``store_image`` is PL/pgSQL that runs whenever an artifact is stored."""

    require: Callable[[ServerFacts], None]
    steps: Callable[[ServerFacts], list[tuple[str, str]]]
    store_image: str = ""
    finish: Callable[[Engine], None] | None = None  # in the same transaction, with what no SQL can make


def _nothing(facts: ServerFacts) -> None:
    """PL/pgSQL is everywhere."""


def _require_python(facts: ServerFacts) -> None:
    if not facts.can_train:
        raise NotSupportedYetError(
            f"the PL/Python scorer cannot be installed: {facts.why_not_train()}",
            hint="Name a Python of the same version with --python, or install with --scorer sql.",
        )


# The public functions of each scorer by their signatures: calls would be ambiguous if two scorers had them. The internal ones may
# live side by side, so that views that were made for one scorer keep working.
PUBLIC = {
    "native": (
        'predict(text, VARIADIC "any")',
        "predict_label(text, record)",
        "predict_label(text, record, anyelement)",
        'predict_proba(text, text, VARIADIC "any")',
        'predict_version(text, int4, VARIADIC "any")',
    ),
    "plpython": (
        "predict(text, anyelement)",
        "predict(text, float8, float8, VARIADIC float8[])",
        "predict_label(text, anyelement)",
        "predict_label(text, anyelement, anycompatible)",
        "predict_proba(text, text, anyelement)",
        "predict_version(text, int4, VARIADIC float8[])",
    ),
    "sql": (),
}


def without_others(scorer: str) -> tuple[str, str]:
    """The step that drops the public functions of all other scorers; it fails where views use them."""
    drops = [
        f"DROP FUNCTION IF EXISTS sqlml.{function};"
        for other, functions in PUBLIC.items()
        if other != scorer
        for function in functions
    ]
    return "functions of another scorer", "\n".join(drops)


def _python_steps(facts: ServerFacts) -> list[tuple[str, str]]:
    return [
        without_others("plpython"),
        ("the PL/Python scorer", read_sql("postgres/scoring_plpython.sql")),
        ("explanations", read_sql("postgres/explain.sql")),
    ]


def _sql_steps(facts: ServerFacts) -> list[tuple[str, str]]:
    return [without_others("sql")]


def _native_steps(facts: ServerFacts) -> list[tuple[str, str]]:
    return [without_others("native"), *native_steps(facts)]


SCORERS: dict[str, Scorer] = {
    "native": Scorer(require_native, _native_steps, STORE_IMAGE, make_images),
    "plpython": Scorer(_require_python, _python_steps),
    "sql": Scorer(_nothing, _sql_steps, finish=make_functions),
}
