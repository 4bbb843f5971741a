"""Runs statements for people: results to one stream, everything said about them to another, errors as text."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

from sqlml.cli.progress import ProgressLine
from sqlml.cli.render import Format, TableLimits, write_csv, write_json, write_parquet, write_table
from sqlml.cli.script import Piece, split_script
from sqlml.engines.duckdb_errors import engine_error
from sqlml.errors import SqlmlError
from sqlml.language.errors import render

if TYPE_CHECKING:
    from sqlml.connection import Connection


SECONDS_TO_STOP = 0.5


@dataclass
class Output:
    """Where results and messages go and how they look; ``path`` of None is standard output."""

    format: Format = "table"
    path: Path | None = None
    limits: TableLimits = field(default_factory=TableLimits)
    quiet: bool = False
    timing: bool = False
    results: TextIO = field(default_factory=lambda: sys.stdout)
    messages: TextIO = field(default_factory=lambda: sys.stderr)


class StatementError(Exception):
    """A statement failed; ``text`` is what to show. Carried from the worker thread to whoever decides about going on."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class InterruptedStatementError(StatementError):
    """The user stopped a statement with Ctrl-C."""

    def __init__(self) -> None:
        super().__init__("interrupted")


class Runner:
    """One connection, one output. Statements run in a thread of their own, so that Ctrl-C can always stop them."""

    def __init__(self, connection: Connection, output: Output) -> None:
        self.connection = connection
        self.output = output
        self._worker = ThreadPoolExecutor(1, "sqlml-statement")
        self._progress = ProgressLine(output.messages, quiet=output.quiet)
        connection.on_progress = self._progress.update
        connection.on_notice = self._notice

    def run_script(self, text: str, name: str | None = None) -> None:
        """Run statement by statement; the first error ends it, prefixed with file and line where there is a file."""
        for piece in split_script(text):
            if piece.blank:
                continue
            try:
                self.run(piece.text.strip())
            except InterruptedStatementError:
                raise
            except StatementError as error:
                where = f"{name}:{_first_line(text, piece)}: " if name else ""
                raise StatementError(where + error.text) from error

    def run(self, statement: str) -> None:
        """Run one statement, show its result, then what there is to say about it."""
        started = time.perf_counter()
        rows = self.guard(lambda: self._execute(statement), statement)
        words = [self._outcome(statement)] if rows is None else []
        notes = [] if rows is None or self.output.format != "table" else [f"{rows:,} row{'' if rows == 1 else 's'}"]
        if self.output.timing:
            notes.append(f"{time.perf_counter() - started:.3f} s")
        self.say(" ".join(words + ([f"({', '.join(notes)})"] if notes else [])))

    def guard(self, work: Callable[[], Any], sql: str = "") -> Any:
        """The value of ``work``, done in the worker thread; its errors as StatementError. Ctrl-C interrupts the statement."""
        future = None
        interrupted = False
        while True:
            try:
                future = future or self._worker.submit(work)
                return future.result(SECONDS_TO_STOP if interrupted else None)
            except KeyboardInterrupt:
                interrupted = True
                self.connection.interrupt()
            except FutureTimeoutError:
                # The engine forgets an interrupt that comes just before a statement starts.
                if future is not None and future.done():
                    raise
                self.connection.interrupt()
            except BrokenPipeError:
                raise
            except Exception as error:
                if interrupted:
                    raise InterruptedStatementError from error
                raise StatementError(error_text(error, sql)) from error
            finally:
                self._progress.clear()

    def say(self, text: str) -> None:
        """A message beside the results."""
        if text and not self.output.quiet:
            self.output.results.flush()
            print(text, file=self.output.messages, flush=True)

    def close(self) -> None:
        self._worker.shutdown()
        self.connection.close()

    def _notice(self, text: str) -> None:
        self._progress.clear()
        self.say(f"NOTICE:  {text}")

    def _execute(self, statement: str) -> int | None:
        """Run and write the result; None where there is none to show."""
        self.connection.execute(statement)
        if not has_rows(self.connection, statement):
            return None
        reader = self.connection.arrow_reader()
        return self.write(reader, reader.schema)

    def write(self, batches: Any, schema: Any) -> int:
        """Write a result in the chosen format to the chosen place."""
        output = self.output
        if output.path is not None:
            mode, encoding = ("wb", None) if output.format == "parquet" else ("w", "utf-8")
            with output.path.open(mode, encoding=encoding) as out:
                return self._write_to(out, batches, schema)
        out = cast("Any", output.results).buffer if output.format == "parquet" else output.results
        return self._write_to(out, batches, schema)

    def _write_to(self, out: Any, batches: Any, schema: Any) -> int:
        match self.output.format:
            case "csv":
                return write_csv(batches, schema, cast("TextIO", out))
            case "json":
                return write_json(batches, schema, cast("TextIO", out))
            case "parquet":
                return write_parquet(batches, schema, cast("BinaryIO", out))
            case "table":
                return write_table(batches, schema, cast("TextIO", out), self.output.limits)

    def _outcome(self, statement: str) -> str:
        """What a statement without rows did, as far as it is known."""
        if self.connection.status:
            return self.connection.status
        words = first_words(statement)
        if [column[0] for column in self.connection.description or []] == ["Count"]:
            row = self.connection.fetchone()
            if row is not None and words[:1] != ["CREATE"]:
                return f"{words[0]} {row[0]:,}"
        return " ".join(words[:2] if words[:1] in (["CREATE"], ["DROP"], ["ALTER"]) else words[:1])


# The engine answers statements without rows with one column of these names; a query may use them too, so the words decide.
_ROWS = {
    "SELECT",
    "FROM",
    "WITH",
    "VALUES",
    "TABLE",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "SUMMARIZE",
    "EXPLAIN",
    "CALL",
    "PIVOT",
    "UNPIVOT",
}


def has_rows(connection: Connection, statement: str) -> bool:
    """Whether the last result is one to show."""
    if connection.status or not connection.description:
        return False
    names = [column[0] for column in connection.description]
    if names not in (["Count"], ["Success"]):
        return True
    return not set(first_words(statement)[:1]).isdisjoint(_ROWS) or statement.lstrip().startswith("(")


def first_words(statement: str) -> list[str]:
    """The first two words behind comments, in upper case, without what may stand between CREATE and the kind."""
    lines = [line for line in statement.splitlines() if not line.lstrip().startswith("--")]
    words = " ".join(lines).upper().split(maxsplit=8)
    return [word for word in words if word not in {"OR", "REPLACE", "TEMP", "TEMPORARY"}][:2]


def error_text(error: Exception, sql: str = "") -> str:
    """An error as people read it. Anything that is neither ours nor the engine's is a bug, and says so."""
    if isinstance(error, SqlmlError):
        return render(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"ERROR:  cannot write {error.filename or 'the result'}: {error.strerror}"
    module = type(error).__module__.partition(".")[0]
    if module == "psycopg":
        return render(_postgres_error(error, sql))
    # Errors of a result that is still streaming come through Arrow, as an OSError without a number.
    if module in {"duckdb", "_duckdb"} or isinstance(error, OSError):
        return render(engine_error(error, sql))
    if "SQLML_TRACEBACK" in os.environ:
        raise error
    hint = "This is a bug of sqlml. With SQLML_TRACEBACK=1 in the environment it shows where."
    return f"ERROR:  internal error: {type(error).__name__}: {error}\nHINT:  {hint}"


def _postgres_error(error: Any, sql: str) -> SqlmlError:
    from sqlml.engines.postgres_errors import engine_error as postgres_error  # noqa: PLC0415 - an optional dependency

    return postgres_error(error, sql)


def _first_line(text: str, piece: Piece) -> int:
    skipped = len(piece.text) - len(piece.text.lstrip())
    return text.count("\n", 0, piece.start + skipped) + 1
