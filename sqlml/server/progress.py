"""Progress of training to notices, not more often than somebody who waits wants to read them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlml.training.progress import Progress

EVERY = 1.0


def told_now_and_then(tell: Callable[[str], None]) -> Callable[[Progress], None]:
    """What to call with each step."""
    last = 0.0

    def progress(step: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < EVERY:
            return
        last = now
        tell(_worded(step))

    return progress


def _worded(progress: Progress) -> str:
    parts: list[str] = [progress.phase]
    if progress.iterations:
        parts.append(f"iteration {progress.iteration} of {progress.iterations}")
    elif progress.rows:
        parts.append(f"{progress.rows} rows")
    if progress.metric is not None and progress.value is not None:
        parts.append(f"{progress.metric} {progress.value:.6g}")
    if progress.eta is not None:
        parts.append(f"about {progress.eta:.0f} s left")
    return ", ".join(parts)
