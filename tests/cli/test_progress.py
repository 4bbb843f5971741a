"""The line of progress: on a terminal it is written over and wiped, elsewhere it does not exist."""

from __future__ import annotations

import io
import os
import pty

import pytest

from sqlml.cli.progress import ProgressLine, describe
from sqlml.training.progress import Progress


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Progress("reading", rows=1_000_000), "reading rows  1,000,000 rows"),
        (Progress("binning", rows=5, rows_total=10, eta=0.2), "binning  ████████████░░░░░░░░░░░░  5/10 rows"),
        (
            Progress("training", iteration=100, iterations=100, metric="auc", value=0.712345678, eta=75.0),
            "growing trees  ████████████████████████  100/100 trees  auc 0.71235  1:15 left",
        ),
    ],
)
def test_describes_the_event(event, expected):
    assert describe(event) == expected


def test_a_pipe_stays_clean():
    out = io.StringIO()
    line = ProgressLine(out)
    line.update(Progress("reading", rows=5))
    line.clear()
    assert out.getvalue() == ""


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as out:
        yield out, ours
    os.close(ours)


def test_a_terminal_is_left_as_it_was(terminal):
    out, screen = terminal
    line = ProgressLine(out)
    line.update(Progress("reading", rows=5))
    line.update(Progress("reading", rows=6))  # too soon after the first: not drawn
    line.update(Progress("finished"))
    out.write("end")
    out.flush()
    shown = b""
    while not shown.endswith(b"end"):  # a terminal hands over in pieces
        shown += os.read(screen, 1000)
    assert shown.decode() == "\r\x1b[Kreading rows  5 rows\r\x1b[Kend"


def test_quiet_means_quiet(terminal):
    out, _ = terminal
    assert not ProgressLine(out, quiet=True).active
