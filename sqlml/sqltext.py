"""The texts of the project's ``sql`` folder: a file's name in, its SQL out."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlml.errors import SqlmlError

# The wheel carries the folder inside the package; in a checkout it lies beside it.
_FOLDERS = (Path(__file__).parent / "sql", Path(__file__).parent.parent / "sql")


@cache
def read_sql(name: str) -> str:
    """The text of ``sql/<name>``, such as ``catalog/duckdb.sql``."""
    for folder in _FOLDERS:
        path = folder / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise SqlmlError(f'this installation has no SQL file "{name}"', hint="Install sqlml again.")
