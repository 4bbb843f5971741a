"""Facts about a server and what is wanted of it to the SQL that installs sqlml, or removes it, step by step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sqlml.catalog.names import CATALOG_SCHEMA
from sqlml.errors import NotSupportedYetError, SqlmlError
from sqlml.install.facts import ServerFacts
from sqlml.install.scorers import SCORERS, Scorer
from sqlml.sqltext import read_sql

OLDEST = 150_000  # views that read as their caller came with 15
ScorerName = Literal["native", "plpython", "sql"]
_LOAD = re.compile(r"\{load ([\w.]+)\}")
# How a function in the server gets at a module of ours. Threads that a library starts while it is loaded must not get the
# server's signals; the folders stand in the text, since any setting could be a caller's.
_LOADER = """\
import sys
module = sys.modules.get("{module}")
if module is None:
    import importlib, os, signal
    held = ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [getattr(signal, name) for name in held])
    try:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        sys.path[:0] = [folder for folder in {folders} if folder not in sys.path]
        module = importlib.import_module("{module}")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)"""


@dataclass(frozen=True)
class Step:
    """A part of the installation: what it is for, and its SQL."""

    title: str
    sql: str


# Names mean what they mean here, whatever schemas and operators the database has.
_OWN_SETTINGS = Step(
    "settings of this transaction",
    "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL standard_conforming_strings = on; SET LOCAL row_security = off",
)


def plan_installation(facts: ServerFacts, scorer: ScorerName, version: str) -> list[Step]:
    """All that an installation, or an upgrade, runs in one transaction. Raises SqlmlError where it cannot work."""
    require_server(facts)
    chosen = SCORERS[scorer]
    chosen.require(facts)
    steps = [_OWN_SETTINGS]
    if not facts.has_catalog:
        catalog = read_sql("catalog/postgres.sql").replace("{schema}", f'"{CATALOG_SCHEMA}"')
        steps.append(Step("tables of the catalog", catalog))
    steps += [
        Step("roles sqlml_reader and sqlml_trainer", read_sql("postgres/roles.sql")),
        Step("ownership", read_sql("postgres/installation.sql")),
        Step("who may use which model", read_sql("postgres/access.sql")),
        Step("what a restore leaves to be done", read_sql("postgres/restored.sql")),
        Step("references to models", read_sql("postgres/resolve.sql")),
    ]
    if facts.can_train:
        steps += _python_steps(facts, chosen)
    steps.append(Step("what depends on versions", read_sql("postgres/dependents.sql")))
    steps += [Step(title, with_loader(sql, facts.folders)) for title, sql in chosen.steps(facts)]
    steps += [
        Step("scores on arrival", read_sql("postgres/arrival.sql")),
        Step("privileges", read_sql("postgres/privileges.sql")),
        Step("what is installed", _record(facts, scorer, version)),
    ]
    return steps


def _python_steps(facts: ServerFacts, scorer: Scorer) -> list[Step]:
    store = read_sql("postgres/store.sql").replace("{build_image}", scorer.store_image)
    return [
        Step("PL/Python", "CREATE EXTENSION IF NOT EXISTS plpython3u"),
        Step("cursors", read_sql("postgres/cursors.sql")),
        Step("storing of artifacts", with_loader(store, facts.folders)),
        Step("statements of the dialect", with_loader(read_sql("postgres/execute.sql"), facts.folders)),
    ]


def with_loader(sql: str, folders: tuple[str, ...]) -> str:
    """The SQL with the lines that import a module of ours, once a backend, in place of ``{load module}``."""
    lines = _LOADER.replace("{folders}", repr(list(folders)))
    return _LOAD.sub(lambda match: lines.replace("{module}", match[1]), sql)


def require_server(facts: ServerFacts) -> None:
    """Refuse what can never work, before anything is changed."""
    if facts.version < OLDEST:
        raise NotSupportedYetError(
            f"sqlml needs PostgreSQL {OLDEST // 10_000} or newer in the server, got {facts.version // 10_000}",
            hint='Use it from outside: sqlml.connect("postgresql://...") works with this server.',
        )
    require_superuser(facts)


def require_primary(facts: ServerFacts) -> None:
    """Refuse a standby, which has the functions from its primary, but not the file of machine code."""
    if facts.is_standby:
        error = SqlmlError(
            "cannot install on a standby: it reads only",
            hint="Install on the primary. For the native scorer, run sqlml install --library-only on each standby as well.",
        )
        error.sqlstate = "25006"
        raise error


def require_superuser(facts: ServerFacts) -> None:
    """Refuse whoever may not create functions in languages that are not trusted."""
    if not facts.is_superuser:
        error = SqlmlError(
            "sqlml is installed by a superuser",
            hint="The functions in the server need languages that only a superuser may use.",
        )
        error.sqlstate = "42501"
        raise error


def _record(facts: ServerFacts, scorer: ScorerName, version: str) -> str:
    folders = ", ".join("'" + folder.replace("'", "''") + "'" for folder in facts.folders)
    return (
        "INSERT INTO sqlml._installation (version, scorer, python, server_version) "
        f"VALUES ('{version}', '{scorer}', ARRAY[{folders}]::text[], {facts.version})"
    )


def plan_removal(*, drop_models: bool, cascade: bool) -> list[Step]:
    """What takes the functions, rules and, where asked for, the models out of a database."""
    sql = read_sql("postgres/uninstall.sql").replace("{cascade}", "CASCADE" if cascade else "RESTRICT")
    steps = [_OWN_SETTINGS, Step("functions, policies and tables of the installation", sql)]
    if drop_models:
        steps.append(Step("the models", f'DROP SCHEMA "{CATALOG_SCHEMA}" {"CASCADE" if cascade else "RESTRICT"}'))
    return steps
