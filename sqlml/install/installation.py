"""The installation itself: a server's address in; sqlml in the server, or out of it, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version

from sqlml.engines.engine import Engine
from sqlml.engines.postgres import PostgresEngine, open_connection
from sqlml.errors import EngineError, SqlmlError
from sqlml.install.facts import ServerFacts, read_facts
from sqlml.install.functions import make_functions
from sqlml.install.native import can_have_native, library_step, require_native
from sqlml.install.plan import (
    ScorerName,
    Step,
    plan_installation,
    plan_removal,
    require_primary,
    require_server,
    require_superuser,
)
from sqlml.install.scorers import SCORERS

Tell = Callable[[str], None]


def install(
    dsn: str, scorer: ScorerName | None = None, *, python: str | None = None, dry_run: bool = False, tell: Tell = print
) -> None:
    """Install or upgrade; ``dry_run`` tells the SQL and changes nothing. Without a scorer the best one that works is taken."""
    engine = PostgresEngine(open_connection(dsn))
    try:
        facts = read_facts(engine, python)
        require_server(facts)
        require_primary(facts)
        chosen = scorer or best_scorer(facts)
        steps = plan_installation(facts, chosen, program_version())
        if not facts.can_train:
            tell(f"without sqlml.execute and training in the server: {facts.why_not_train()}")
        if dry_run:
            tell(script(steps))
            return
        run_steps(engine, steps, SCORERS[chosen].finish)
        done = "installed" if facts.installed is None else f"upgraded from {facts.installed}"
        tell(f"sqlml {program_version()} {done} in database {engine.current_database()} with the {chosen} scorer")
    finally:
        engine.close()


def install_library(dsn: str, *, dry_run: bool = False, tell: Tell = print) -> None:
    """Write the native scorer's library for a server and change nothing in its databases: for a standby, or before a restore."""
    engine = PostgresEngine(open_connection(dsn))
    try:
        facts = read_facts(engine, None)
        require_superuser(facts)
        require_native(facts)
        step = Step("the library of the native scorer", library_step(facts))
        if dry_run:
            tell(f"-- {step.title}\n{step.sql};")
            return
        _run(engine, step)
        tell(f"the library of the native scorer is in {facts.data_directory}")
    finally:
        engine.close()


def uninstall(
    dsn: str, *, drop_models: bool = False, cascade: bool = False, dry_run: bool = False, tell: Tell = print
) -> None:
    """Take the functions and rules out; the models stay unless they are to be dropped as well."""
    engine = PostgresEngine(open_connection(dsn))
    try:
        if not engine.schema_exists(engine.current_database(), "sqlml"):
            tell(f"sqlml is not installed in database {engine.current_database()}")
            return
        steps = plan_removal(drop_models=drop_models, cascade=cascade)
        if dry_run:
            tell(script(steps))
            return
        run_steps(engine, steps, None if drop_models else make_functions)
        tell(f"sqlml was removed from database {engine.current_database()}; roles and the extension plpython3u stay")
    finally:
        engine.close()


def best_scorer(facts: ServerFacts) -> ScorerName:
    """The fastest scorer that the server can have."""
    if can_have_native(facts):
        return "native"
    return "plpython" if facts.can_train else "sql"


def script(steps: Sequence[Step]) -> str:
    """All steps as one text that psql would run to the same effect."""
    parts = [f"-- {step.title}\n{step.sql.strip().rstrip(';')};" for step in steps]
    return "\n\n".join(["BEGIN;", *parts, "COMMIT;"])


def run_steps(engine: PostgresEngine, steps: Sequence[Step], finish: Callable[[Engine], None] | None = None) -> None:
    """All steps or none of them."""
    engine.begin()
    try:
        for step in steps:
            _run(engine, step)
        if finish is not None:
            finish(engine)
        engine.commit()
    except BaseException:
        engine.rollback()
        raise


def _run(engine: PostgresEngine, step: Step) -> None:
    try:
        engine.run(step.sql)
    except EngineError as error:
        failed = SqlmlError(
            f"{step.title}: {error.message}", detail=error.detail, hint=error.hint or "Nothing was changed."
        )
        failed.sqlstate = error.sqlstate
        raise failed from error


def program_version() -> str:
    """The version of this package; a checkout that was never installed has none."""
    try:
        return distribution_version("sqlml")
    except PackageNotFoundError:
        return "unknown"
