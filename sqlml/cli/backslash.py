"""The shell's own commands, which begin with a backslash as in psql: each one function, all in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sqlml.cli.render import FORMATS
from sqlml.cli.runner import Runner, StatementError
from sqlml.cli.syntax import STATEMENTS, topics_like
from sqlml.language.words import TABLE_FUNCTIONS


class Quit(Exception):  # noqa: N818 - a request, not an error
    """The user wants to leave."""


@dataclass(frozen=True)
class Command:
    """``takes`` is shown in the help: nothing, or what stands behind the name."""

    takes: str
    summary: str
    run: Callable[[Runner, str], None]


def run_command(runner: Runner, line: str) -> None:
    """Run one backslash command; raises StatementError for one that does not exist or fails."""
    name, _, argument = line.strip().rstrip(";").partition(" ")
    command = COMMANDS.get(ALIASES.get(name, name))
    if command is None:
        raise StatementError(f"ERROR:  unknown command {name}\nHINT:  \\? lists the commands.")
    command.run(runner, argument.strip())


def _help(runner: Runner, _: str) -> None:
    out = runner.output.results
    width = max(len(f"{name} {command.takes}") for name, command in COMMANDS.items())
    for name, command in COMMANDS.items():
        print(f"  {f'{name} {command.takes}':<{width}}  {command.summary}", file=out)
    print("\nEverything else is SQL and ends with a semicolon. Ctrl-C stops a statement, Ctrl-D leaves.", file=out)


def _syntax(runner: Runner, argument: str) -> None:
    out = runner.output.results
    if not argument:
        for name, topic in STATEMENTS.items():
            print(f"  {name:<22}  {topic.summary}", file=out)
        print("\n\\h CREATE MODEL shows the grammar of one.", file=out)
        return
    found = topics_like(argument)
    if not found:
        known = (
            "is not written down here" if f"ML.{argument.upper()}" in TABLE_FUNCTIONS else "is not part of the dialect"
        )
        raise StatementError(f"ERROR:  {argument.upper()} {known}\nHINT:  \\h lists what is.")
    for name, topic in found.items():
        print(f"{name}\n{topic.summary}\n\n{topic.grammar}\n", file=out)


def _describe(runner: Runner, argument: str) -> None:
    if argument:
        runner.run(f"DESCRIBE {argument}")
    else:
        runner.run(_RELATIONS.format(kinds="'BASE TABLE', 'VIEW'"))


def _tables(runner: Runner, _: str) -> None:
    runner.run(_RELATIONS.format(kinds="'BASE TABLE'"))


def _views(runner: Runner, _: str) -> None:
    runner.run(_RELATIONS.format(kinds="'VIEW'"))


_RELATIONS = (
    "SELECT table_catalog AS database, table_schema AS schema, table_name AS name, lower(table_type) AS kind "
    "FROM information_schema.tables WHERE table_type IN ({kinds}) AND table_schema <> 'sqlml' ORDER BY ALL"
)


def _models(runner: Runner, argument: str) -> None:
    if not argument:
        runner.run("SHOW MODELS")
        return
    runner.run(f"DESCRIBE MODEL {argument}")
    runner.run(f"SHOW MODEL VERSIONS {argument.partition('@')[0]}")


def _functions(runner: Runner, _: str) -> None:
    for name, topic in STATEMENTS.items():
        if name.startswith(("ML.", "PREDICT")):
            print(f"{topic.grammar}\n    {topic.summary}\n", file=runner.output.results)


def _include(runner: Runner, argument: str) -> None:
    path = Path(argument.strip("'\"")).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StatementError(f"ERROR:  cannot read {path}: {_reason(error)}") from error
    runner.run_script(text, str(path))


def _output(runner: Runner, argument: str) -> None:
    runner.output.path = Path(argument.strip("'\"")).expanduser() if argument else None
    runner.say(f"Results go to {argument}." if argument else "Results go to the screen.")


def _format(runner: Runner, argument: str) -> None:
    if argument not in FORMATS:
        raise StatementError(f'ERROR:  unknown format "{argument}"\nHINT:  Formats are {", ".join(FORMATS)}.')
    runner.output.format = next(name for name in FORMATS if name == argument)


def _rows(runner: Runner, argument: str) -> None:
    if argument and argument != "all" and not argument.isdecimal():
        raise StatementError(f'ERROR:  "{argument}" is not a number of rows\nHINT:  Write \\rows 100, or \\rows all.')
    limit = int(argument) if argument.isdecimal() else None
    runner.output.limits = replace(runner.output.limits, rows=limit)


def _timing(runner: Runner, argument: str) -> None:
    runner.output.timing = argument == "on" if argument else not runner.output.timing
    runner.say(f"Timing is {'on' if runner.output.timing else 'off'}.")


def _quit(runner: Runner, _: str) -> None:
    raise Quit


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "unknown reason" if isinstance(error, OSError) else "it is not UTF-8 text"


COMMANDS = {
    "\\?": Command("", "this list", _help),
    "\\h": Command("[NAME]", "grammar of a statement or function, such as \\h CREATE MODEL", _syntax),
    "\\d": Command("[TABLE]", "columns of a table; without one, tables and views", _describe),
    "\\dt": Command("", "tables", _tables),
    "\\dv": Command("", "views", _views),
    "\\dm": Command("[MODEL]", "models; with a name, that model and its versions", _models),
    "\\df": Command("", "functions of the dialect", _functions),
    "\\i": Command("FILE", "run the statements of a file", _include),
    "\\o": Command("[FILE]", "write each result to a file; without one, to the screen", _output),
    "\\format": Command("NAME", "how results look: " + ", ".join(FORMATS), _format),
    "\\rows": Command("[N]", "how many rows of a result are shown; without a number, all", _rows),
    "\\timing": Command("[on|off]", "show how long each statement took", _timing),
    "\\q": Command("", "leave", _quit),
}
ALIASES = {"\\help": "\\?", "\\quit": "\\q", "\\exit": "\\q", "\\models": "\\dm", "\\?;": "\\?"}
