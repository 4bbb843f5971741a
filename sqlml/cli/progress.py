"""The progress of training on one line of a terminal; nothing at all elsewhere."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from sqlml.training.progress import Progress

SECONDS_BETWEEN = 0.1
BAR = 24


class ProgressLine:
    """A line that is written over. Updates come from the thread that trains; ``clear`` leaves the terminal as it was."""

    def __init__(self, out: TextIO, *, quiet: bool = False) -> None:
        self._out = out
        self._shown = False
        self._last = 0.0
        self.active = not quiet and out.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def update(self, event: Progress) -> None:
        """Show the event, at most ten times a second."""
        if event.phase == "finished":
            self.clear()
            return
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


def describe(event: Progress) -> str:
    """One line: what is being done, a bar where the end is known, the numbers, the time left."""
    words = [_WORDS[event.phase]]
    done, total = (event.iteration, event.iterations) if event.phase == "training" else (event.rows, event.rows_total)
    unit = "trees" if event.phase == "training" else "rows"
    if total:
        filled = min(BAR, BAR * done // total)
        words.append("█" * filled + "░" * (BAR - filled))
        words.append(f"{done:,}/{total:,} {unit}")
    elif done:
        words.append(f"{done:,} {unit}")
    if event.metric is not None and event.value is not None:
        words.append(f"{event.metric} {event.value:.5g}")
    if event.eta is not None and event.eta >= 1:
        words.append(f"{_clock(event.eta)} left")
    return "  ".join(words)


_WORDS = {
    "reading": "reading rows",
    "learning": "preparing features",
    "binning": "binning",
    "training": "growing trees",
    "finished": "done",
}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"
