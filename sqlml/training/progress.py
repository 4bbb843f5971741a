"""How far a training is: events for whoever draws them, and the places where it can be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlml.errors import CancelledError

Phase = Literal["reading", "learning", "binning", "training", "evaluation", "finished"]
INTERVAL = 0.1  # seconds between two events of one phase


@dataclass(frozen=True)
class Progress:
    """One event. Rows count while data is read, iterations while trees grow; ``eta`` is in seconds, of this phase."""

    phase: Phase
    rows: int = 0
    rows_total: int | None = None
    iteration: int = 0
    iterations: int = 0
    metric: str | None = None
    value: float | None = None
    seconds: float = 0.0
    eta: float | None = None


class Watch:
    """Passes events on, not more than ten a second, and asks at each step whether to go on."""

    def __init__(
        self, progress: Callable[[Progress], None] | None = None, cancelled: Callable[[], bool] | None = None
    ) -> None:
        self._progress = progress
        self._cancelled = cancelled
        self._begin = time.monotonic()
        self._last_event = 0.0
        self._phase: Phase | None = None
        self._phase_begin = self._begin
        self.durations: dict[str, float] = {}

    def check(self) -> None:
        """Raises CancelledError when the user has asked to stop."""
        if self._cancelled is not None and self._cancelled():
            raise CancelledError("training was cancelled", hint="No model or version was stored.")

    def rows(self, phase: Phase, done: int, total: int | None = None) -> None:
        """Reports rows read so far in a phase."""
        self.enter(phase)
        self._report(phase, done, total, lambda seconds, eta: Progress(phase, done, total, seconds=seconds, eta=eta))

    def iteration(self, done: int, total: int, metric: str | None, value: float | None) -> None:
        """Reports a finished iteration."""
        self.enter("training")

        def event(seconds: float, eta: float | None) -> Progress:
            return Progress(
                "training", iteration=done, iterations=total, metric=metric, value=value, seconds=seconds, eta=eta
            )

        self._report("training", done, total, event)

    def finish(self) -> None:
        """The last event; ``durations`` is complete afterwards."""
        self.enter("finished")
        if self._progress is not None:
            self._progress(Progress("finished", seconds=time.monotonic() - self._begin))

    def enter(self, phase: Phase) -> None:
        """From now on time counts as this phase's."""
        if phase == self._phase:
            return
        now = time.monotonic()
        if self._phase is not None:
            spent = now - self._phase_begin
            self.durations[self._phase] = self.durations.get(self._phase, 0.0) + spent
        self._phase, self._phase_begin, self._last_event = phase, now, 0.0

    def _report(
        self, phase: Phase, done: int, total: int | None, event: Callable[[float, float | None], Progress]
    ) -> None:
        self.check()
        now = time.monotonic()
        if self._progress is None or (now - self._last_event < INTERVAL and done != total):
            return
        self._last_event = now
        spent = now - self._phase_begin
        eta = spent / done * (total - done) if total and 0 < done <= total else None
        self._progress(event(now - self._begin, eta))
