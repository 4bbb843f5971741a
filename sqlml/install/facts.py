"""What a server is like, asked before anything is changed: version, rights, PL/Python and the packages it would find."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlml
from sqlml.engines.engine import Engine
from sqlml.errors import EngineError, SqlmlError

# What the functions in the server import, sqlml's own packages first.
NEEDED = ("sqlml", "udfs", "numpy", "pyarrow", "numba", "lightgbm", "sqlglot")

_PROBE = """
CREATE FUNCTION pg_temp.sqlml_probe(folders text[]) RETURNS text LANGUAGE plpython3u AS $python$
import importlib.util, json, sys
before = list(sys.path)
sys.path[:0] = [folder for folder in folders if folder not in sys.path]
try:
    missing = [name for name in %s if importlib.util.find_spec(name) is None]
finally:
    sys.path[:] = before
return json.dumps({"python": list(sys.version_info[:2]), "missing": missing})
$python$
"""


@dataclass(frozen=True)
class ServerFacts:
    """The server, and what is installed in the database by now."""

    version: int
    is_superuser: bool
    has_language: bool
    has_catalog: bool
    installed: str | None = None
    folders: tuple[str, ...] = ()
    python: tuple[int, int] | None = None
    missing: tuple[str, ...] = field(default=())
    cpu_flags: tuple[str, ...] = ()  # as /proc/cpuinfo has them on x86-64; empty elsewhere
    data_directory: str = ""
    is_standby: bool = False

    @property
    def can_train(self) -> bool:
        """Whether PL/Python is there and finds all it needs."""
        return self.has_language and not self.missing

    def why_not_train(self) -> str:
        """What keeps PL/Python from running sqlml."""
        if not self.has_language:
            package = f"postgresql-plpython3-{self.version // 10_000}"
            return f"the server has no plpython3u (on Debian: apt install {package})"
        shown = ".".join(map(str, self.python or ()))
        return f"PL/Python of the server is Python {shown} and does not find {', '.join(self.missing)}"


def read_facts(engine: Engine, python: str | None) -> ServerFacts:
    """Ask the server; what has to be created for that is undone."""
    ((version,),) = engine.rows("SELECT pg_catalog.current_setting('server_version_num')::int")
    ((superuser,),) = engine.rows("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    language = engine.rows("SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = 'plpython3u'")
    database = engine.current_database()
    has_catalog = engine.relation_exists((database, "sqlml", "_catalog"))
    installed = None
    if engine.relation_exists((database, "sqlml", "_installation")):
        installed = next((text for (text,) in engine.rows("SELECT version FROM sqlml._installation")), None)
    found = ServerFacts(version, bool(superuser), bool(language), has_catalog, installed)
    if not superuser:
        return found
    ((directory, standby),) = engine.rows(
        "SELECT pg_catalog.current_setting('data_directory'), pg_catalog.pg_is_in_recovery()"
    )
    found = replace(found, cpu_flags=_cpu_flags(engine), data_directory=directory, is_standby=bool(standby))
    if not language or standby:
        return found
    for folders in _candidates(python):
        answer = _probe(engine, folders)
        version_of = (answer["python"][0], answer["python"][1])
        found = replace(found, folders=folders, python=version_of, missing=tuple(answer["missing"]))
        if found.can_train:
            break
    return found


def _cpu_flags(engine: Engine) -> tuple[str, ...]:
    """What the server's processor can do, which need not be this machine's."""
    engine.run("BEGIN")
    try:
        ((text,),) = engine.rows("SELECT pg_catalog.pg_read_file('/proc/cpuinfo')")
    except EngineError:
        return ()
    finally:
        engine.run("ROLLBACK")
    found = re.search(r"^flags\s*:\s*(.+)$", text or "", re.MULTILINE)
    return tuple(found[1].split()) if found else ()


def _candidates(python: str | None) -> list[tuple[str, ...]]:
    """Folders to look for packages in: those asked for, else the server's own, else those of this process."""
    if python is not None:
        return [_folders_of(python)]
    here = dict.fromkeys([str(Path(sqlml.__file__).parent.parent), *_site_packages(sys.path)])
    return [(), tuple(here)]


def _folders_of(python: str) -> tuple[str, ...]:
    """The folders that an interpreter imports from, or the folder itself."""
    path = Path(python)
    if path.is_dir():
        return (str(path.resolve()),)
    ask = "import json, sqlml, sys; print(json.dumps([sqlml.__file__, *sys.path]))"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)  # noqa: S603 - asked for
    except (OSError, subprocess.CalledProcessError) as error:
        raise SqlmlError(
            f'"{python}" is no Python that can import sqlml', hint="Give an interpreter, or a folder of packages."
        ) from error
    module, *folders = json.loads(done.stdout)
    return tuple(dict.fromkeys([str(Path(module).parent.parent), *_site_packages(folders)]))


def _site_packages(folders: list[str]) -> list[str]:
    return [folder for folder in folders if Path(folder).name in ("site-packages", "dist-packages")]


def _probe(engine: Engine, folders: tuple[str, ...]) -> dict[str, Any]:
    engine.run("BEGIN")
    try:
        engine.run("CREATE EXTENSION IF NOT EXISTS plpython3u")
        engine.run(_PROBE % repr(NEEDED))
        ((text,),) = engine.rows("SELECT pg_temp.sqlml_probe(?::text[])", [list(folders)])
    except EngineError as error:
        return {"python": [0, 0], "missing": [f"anything: {error.message}"]}
    finally:
        engine.run("ROLLBACK")
    answer: dict[str, Any] = json.loads(text)
    return answer
