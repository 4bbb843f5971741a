"""Where on this machine a PostgreSQL installation is, of which version, and whether it could run this Python's packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlml.errors import SqlmlError

INSTALLED_UNDER = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr/local/pgsql", "/usr")
PYTHON_OF = re.compile(rb"libpython3\.(\d+)|Python\.framework/Versions/3\.(\d+)")


@dataclass(frozen=True)
class PostgresPrograms:
    """The folder of ``postgres`` and ``initdb``; ``major`` is 15, 16, ..."""

    bin: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.bin / program)

    def plpython_reason(self, minor: int | None = sys.version_info.minor) -> str | None:
        """Why PL/Python of this installation cannot run packages for a Python 3.``minor``; None when it can.

        Without a minor version, those of any: whoever asks has packages for the Python it is.
        """
        library = self._plpython_library()
        if library is None:
            package = f"postgresql-plpython3-{self.major}"
            return f"PostgreSQL {self.major} has no plpython3u here; on Debian: apt install {package}"
        found = PYTHON_OF.search(library.read_bytes())
        its = int(found[1] or found[2]) if found else None
        if minor is not None and minor != its:
            return f"plpython3u runs Python 3.{its or '?'}, the packages are for 3.{minor}"
        return None

    def _plpython_library(self) -> Path | None:
        folders = [self.bin.parent / "lib", self.bin.parent / "lib" / "postgresql", self._library_folder()]
        names = ("plpython3.so", "plpython3.dylib")
        return next((folder / name for folder in folders if folder for name in names if (folder / name).exists()), None)

    def _library_folder(self) -> Path | None:
        return _ask_pg_config(self.path("pg_config"), "--pkglibdir")


def find_postgres(major: int | None = None) -> PostgresPrograms:
    """The installation to use: the one on the PATH, else the newest one; or one of the major version asked for."""
    found: dict[Path, PostgresPrograms] = {}
    for folder in _folders():
        programs = _look_into(folder)
        if programs and (major is None or programs.major == major):
            return programs
        if programs:
            found[programs.bin] = programs
    wanted = f"PostgreSQL {major}" if major else "PostgreSQL"
    others = ", ".join(sorted({str(programs.major) for programs in found.values()}))
    raise SqlmlError(
        f"{wanted} is not installed" + (f", only {others}" if others else ""),
        hint=f"On Debian or Ubuntu: apt install {f'postgresql-{major}' if major else 'postgresql'}.",
    )


def _folders() -> list[Path]:
    on_path = shutil.which("postgres")
    first = [Path(on_path).resolve().parent] if on_path else []
    versions = [
        path
        for root in INSTALLED_UNDER
        for path in sorted(Path(root).glob("*/bin"), key=_number_in, reverse=True)
        if (path / "postgres").exists()
    ]
    direct = [Path(root) / "bin" for root in INSTALLED_UNDER]
    asked = _ask_pg_config("pg_config", "--bindir")
    return [*first, *versions, *direct, *([asked] if asked else [])]


def _number_in(path: Path) -> int:
    found = re.search(r"\d+", path.parent.name)
    return int(found[0]) if found else 0


def _look_into(folder: Path) -> PostgresPrograms | None:
    if not all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb")):
        return None
    text = _output_of([str(folder / "postgres"), "--version"])
    found = re.search(r"\(PostgreSQL\) (\d+)", text or "")
    return PostgresPrograms(folder, int(found[1])) if found else None


def _ask_pg_config(program: str, question: str) -> Path | None:
    text = _output_of([program, question])
    return Path(text.strip()) if text else None


def _output_of(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - from fixed places and PATH
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
