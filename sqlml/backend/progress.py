"""Progress of a training as notices: one at the start of a phase, then one every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlml.training.progress import Progress

QUIET = 2.0  # seconds; a training that is over by then says nothing
INTERVAL = 5.0


class ProgressNotices:
    """Called with each event of a training."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._next = time.monotonic() + QUIET

    def __call__(self, event: Progress) -> None:
        now = time.monotonic()
        if now >= self._next and event.phase != "finished":
            self._next = now + INTERVAL
            self._tell(shown(event))


def shown(event: Progress) -> str:
    """An event as one line."""
    if event.phase == "training":
        metric = "" if event.value is None else f", {event.metric} {event.value:.6g}"
        done = f"iteration {event.iteration} of {event.iterations}{metric}"
    else:
        total = f" of {event.rows_total:,}" if event.rows_total else ""
        done = f"{event.rows:,}{total} rows"
    left = "" if event.eta is None else f", about {event.eta:.0f} s left"
    return f"{event.phase}: {done}, {event.seconds:.0f} s{left}"
