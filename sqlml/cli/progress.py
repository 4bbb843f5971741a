"""The progress of training on one line of a terminal; nothing at all elsewhere."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from sqlml.training.progress import ProgressEvent

SECONDS_BETWEEN = 0.1
BAR = 24


class ProgressLine:
    """A line that is written over. Updates come from the thread that trains; ``clear`` leaves the terminal as it was."""

    def __init__(self, out: TextIO, *, quiet: bool = False) -> None:
        self._out = out
        self._shown = False
        self._last = 0.0
        self.active = not quiet and out.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def update(self, event: ProgressEvent) -> None:
        """Show the event, at most ten times a second."""
        now = time.monotonic()
        if not self.active or now - self._last < SECONDS_BETWEEN:
            return
        self._last = now
        self._shown = True
        self._out.write("\r\x1b[K" + describe(event)[: self._width() - 1])
        self._out.flush()

    def clear(self) -> None:
        """Wipe the line."""
        if self._shown:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._shown = False

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._out.fileno()).columns or 80
        except OSError:
            return 80


def describe(event: ProgressEvent) -> str:
    """One line: phase, bar, numbers, time left."""
    raise NotImplementedError
