"""The `sqlml` command: arguments to a shell, a script, a list of models or the demo, and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from sqlml.cli.render import FORMATS, TableLimits
from sqlml.cli.runner import InterruptedStatementError, Output, Runner, StatementError, error_text
from sqlml.errors import SqlmlError
from sqlml.language.errors import render

if TYPE_CHECKING:
    from sqlml.connection import Connection

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
ROWS_ON_A_TERMINAL = 50

COMMANDS = """\
commands:
  sqlml [DATABASE]           the interactive shell; SQL on standard input is run as a script
  sqlml models [DATABASE]    list the models
  sqlml demo                 a five-minute tour on real flights (needs: pip install 'sqlml[demo]')
  sqlml serve [DATABASE]     let every client of Postgres use a database (--help tells more)
  sqlml user add NAME        who may use such a server
  sqlml install DSN          put sqlml into a Postgres server (--help tells more)
  sqlml uninstall DSN        take it out again

exit codes: 0 success, 1 a statement failed, 2 wrong arguments, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    run = COMMAND_WORDS.get(words[0] if words else "")
    try:
        return run(words[1:]) if run else _sql(words)
    except InterruptedStatementError as error:
        _fail(error.text)
        return INTERRUPTED
    except StatementError as error:
        return _fail(error.text)
    except SqlmlError as error:
        return _fail(render(error))
    except KeyboardInterrupt:
        _fail("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _sql(words: Sequence[str]) -> int:
    arguments = _parser().parse_args(words)
    output = _output(arguments)
    runner = Runner(connect(arguments.database, read_only=arguments.read_only), output)
    try:
        scripts = _scripts(arguments)
        if scripts is None:
            from sqlml.cli.shell import Shell  # noqa: PLC0415 - 0.1 s of prompt_toolkit that scripts need not pay

            output.timing = True
            Shell(runner).run(program_version(), arguments.database)
        for name, text in scripts or ():
            runner.run_script(text, name)
    finally:
        runner.close()
    return OK


def _models(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("sqlml models", description="List the models of a database.")
    _add_common(parser)
    arguments = parser.parse_args(words)
    runner = Runner(connect(arguments.database, read_only=True), _output(arguments))
    try:
        runner.run("SHOW MODELS")
    finally:
        runner.close()
    return OK


def _demo(words: Sequence[str]) -> int:
    from sqlml.cli.demo import run_demo  # noqa: PLC0415 - nobody else needs it

    parser = argparse.ArgumentParser(
        "sqlml demo", description="A tour of the dialect on the flights out of New York in 2013."
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--database", default="demo.duckdb", type=Path, help="the file to make (default: %(default)s)")
    where.add_argument("--postgres", action="store_true", help="take the tour in a private PostgreSQL server instead")
    arguments = parser.parse_args(words)
    if arguments.postgres:
        from sqlml.cli.demo_postgres import run_postgres_demo  # noqa: PLC0415 - needs a server's programs

        run_postgres_demo()
    else:
        run_demo(arguments.database)
    return OK


def _install(words: Sequence[str]) -> int:
    from sqlml.cli.install import run_install  # noqa: PLC0415 - nobody else needs a driver for Postgres

    return run_install(words)


def _uninstall(words: Sequence[str]) -> int:
    from sqlml.cli.install import run_uninstall  # noqa: PLC0415

    return run_uninstall(words)


def _serve(words: Sequence[str]) -> int:
    from sqlml.cli.serve import run_serve  # noqa: PLC0415 - nobody else needs the server

    return run_serve(words)


def _user(words: Sequence[str]) -> int:
    from sqlml.cli.users import run_user  # noqa: PLC0415

    return run_user(words)


COMMAND_WORDS = {
    "demo": _demo,
    "models": _models,
    "serve": _serve,
    "user": _user,
    "install": _install,
    "uninstall": _uninstall,
}


def connect(database: str, *, read_only: bool = False) -> Connection:
    """Open a database for the command line: whatever goes wrong is one message."""
    import sqlml  # noqa: PLC0415 - --help and --version do not need the engine

    if database == ":memory:":
        read_only = False
    elif read_only and "://" not in database and not Path(database).exists():
        raise StatementError(f'ERROR:  there is no database "{database}"')
    try:
        return sqlml.connect(database, read_only=read_only)
    except Exception as error:
        raise StatementError(error_text(error)) from error


def program_version() -> str:
    """The installed version; a checkout that was never installed has none."""
    try:
        return version("sqlml")
    except PackageNotFoundError:
        return "(not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sqlml",
        description="Machine learning inside the database: CREATE MODEL, PREDICT and EVALUATE in SQL.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_common(parser)
    parser.add_argument(
        "-c", "--command", metavar="SQL", action="append", default=[], help="run this and leave; may be repeated"
    )
    parser.add_argument(
        "-f", "--file", metavar="FILE", action="append", default=[], help="run a file and leave; - is standard input"
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write results to a file")
    parser.add_argument("-q", "--quiet", action="store_true", help="results only: no progress, notices, row counts")
    parser.add_argument("--timing", action="store_true", help="show how long each statement took")
    parser.add_argument("--read-only", action="store_true", help="open the database for reading only")
    parser.add_argument("--version", action="version", version=f"sqlml {program_version()}")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "database", nargs="?", default=":memory:", metavar="DATABASE", help="a DuckDB file (default: in memory)"
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="how results look (default: %(default)s)")


def _output(arguments: argparse.Namespace) -> Output:
    path = getattr(arguments, "output", None)
    on_terminal = path is None and sys.stdout.isatty()
    if arguments.format == "parquet" and on_terminal:
        raise StatementError("ERROR:  Parquet is not for a terminal\nHINT:  Give a file: --output result.parquet")
    return Output(
        format=arguments.format,
        path=path,
        limits=TableLimits(ROWS_ON_A_TERMINAL, get_terminal_size().columns) if on_terminal else TableLimits(),
        quiet=getattr(arguments, "quiet", False),
        timing=getattr(arguments, "timing", False),
    )


def _scripts(arguments: argparse.Namespace) -> list[tuple[str | None, str]] | None:
    """Names and texts to run, -f first; None where a person sits at the terminal."""
    scripts = [("<stdin>", sys.stdin.read()) if name == "-" else (name, _read(name)) for name in arguments.file]
    scripts += [(None, text) for text in arguments.command]
    if scripts:
        return scripts
    return None if sys.stdin.isatty() and sys.stdout.isatty() else [("<stdin>", sys.stdin.read())]


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise StatementError(f"ERROR:  cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StatementError(f"ERROR:  cannot read {name}: it is not UTF-8 text") from error


def _fail(text: str) -> int:
    sys.stdout.flush()
    print(text, file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
