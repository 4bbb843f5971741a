"""The command line as its users have it: a process with pipes, or a process on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import sqlml

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "sqlml.cli.main"]
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


@pytest.fixture
def program():
    """The words that start the command."""
    return COMMAND


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm"}


@pytest.fixture
def run(tmp_path, environment):
    """Run the command in a folder of its own; returns the finished process."""

    def run_command(*arguments, text="", binary=False, path=None):
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=text.encode() if binary else text,
            capture_output=True,
            text=not binary,
            cwd=tmp_path,
            env=environment if path is None else {**environment, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"},
            timeout=300,
            check=False,
        )

    return run_command


@dataclass
class Terminal:
    """A process on a pseudo terminal: type, and read what appears until a mark does."""

    process: int
    screen: int
    seen: str = ""

    def until(self, mark, seconds=20):
        """What appeared up to the mark, without control sequences."""
        end = time.monotonic() + seconds
        while mark not in self.seen:
            ready, _, _ = select.select([self.screen], [], [], 0.2)
            if ready:
                self._read()
            assert time.monotonic() < end, f"no {mark!r} in {self.seen!r}"
        before, _, self.seen = self.seen.partition(mark)
        return before

    def _read(self):
        data = os.read(self.screen, 65536)
        if b"\x1b[6n" in data:  # the shell asks where the cursor is
            os.write(self.screen, b"\x1b[1;1R")
        self.seen += CONTROL.sub("", data.decode(errors="replace"))

    def type(self, text):
        os.write(self.screen, text.encode())

    def enter(self, text):
        """Type a line once the prompt stands there and nothing moves any more."""
        self.until("sqlml>")
        while select.select([self.screen], [], [], 0.3)[0]:
            self._read()
        self.seen = ""
        self.type(text + "\r")

    def wait(self):
        """The exit code, once the process has ended."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            ready, _, _ = select.select([self.screen], [], [], 0.2)
            try:
                if ready:
                    self._read()
            except OSError:  # Linux reports the closed terminal so
                break
        while time.monotonic() < end:
            ended, status = os.waitpid(self.process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        raise AssertionError(f"the process goes on: {self.seen!r}")


@pytest.fixture
def open_terminal(tmp_path, environment):
    """Start the command on a terminal of its own."""
    opened = []

    def start(*arguments):
        process, screen = pty.fork()
        if process == 0:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)  # whoever started the tests may have switched them off
            os.chdir(tmp_path)
            os.execve(COMMAND[0], [*COMMAND, *map(str, arguments)], {**environment, "COLUMNS": "100", "LINES": "40"})
        opened.append(screen)
        return Terminal(process, screen)

    yield start
    for screen in opened:
        os.close(screen)


@pytest.fixture
def database(tmp_path):
    """A file with a table ``points`` and a model ``sign`` on it."""
    path = tmp_path / "points.duckdb"
    with sqlml.connect(str(path)) as connection:
        connection.execute("CREATE TABLE points AS SELECT i AS x, i % 7 AS z, i > 250 AS y FROM range(500) AS r(i)")
        connection.execute("CREATE MODEL sign OPTIONS (input_label_cols = ['y'], max_iterations = 5) AS TABLE points")
    return path
