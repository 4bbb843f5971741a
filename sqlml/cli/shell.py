"""The interactive shell: lines typed to statements run, with history, completion and colours."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from sqlml.cli.backslash import Quit, run_command
from sqlml.cli.completion import Names, SqlCompleter
from sqlml.cli.runner import Runner, StatementError
from sqlml.cli.script import is_complete

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyPressEvent

WELCOME = """\
sqlml {version} on {database}
Type SQL and end it with a semicolon; \\? lists commands, \\h the statements of the dialect, Ctrl-D leaves."""


class Shell:
    """Reads until the user leaves. Errors are shown and the shell goes on."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._names = Names()
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            completer=ThreadedCompleter(SqlCompleter(self._names)),
            complete_while_typing=False,
            lexer=PygmentsLexer(SqlLexer),
            key_bindings=_bindings(),
            multiline=Condition(lambda: not _is_ready(self._session.default_buffer.text)),
            prompt_continuation=_continuation,
            enable_open_in_editor=True,
        )

    def run(self, version: str, database: str) -> None:
        """Greet, then read and run."""
        print(WELCOME.format(version=version, database=database))
        self._read_names()
        while True:
            try:
                text = self._session.prompt("sqlml> ")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            try:
                self._run(text)
            except Quit:
                return

    def _run(self, text: str) -> None:
        try:
            if text.lstrip().startswith("\\"):
                run_command(self._runner, text)
            else:
                self._runner.run_script(text)
        except StatementError as error:
            sys.stdout.flush()
            print(error.text, file=self._runner.output.messages, flush=True)
        self._read_names()

    def _read_names(self) -> None:
        try:
            self._runner.guard(lambda: self._names.read(self._runner.connection))
        except StatementError:
            return  # a failed transaction answers nothing; what was known will do


def _is_ready(text: str) -> bool:
    """Whether Enter runs what was typed: a command, or only whole statements."""
    return text.lstrip().startswith("\\") or is_complete(text)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        """Alt-Enter runs whatever stands there."""
        event.current_buffer.validate_and_handle()

    return bindings


def _continuation(width: int, number: int, wrapped: int) -> Any:
    return " " * max(0, width - 4) + "  > "[: max(0, width)]


def _history() -> History:
    """Kept in the user's state directory; in memory where that cannot be written."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = base / "sqlml" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
