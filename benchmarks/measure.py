"""Clocks and scales: medians of contestants that take turns, the peak memory of child processes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, ours and the rival's number, and how many times better ours is."""

    what: str
    rival: str
    ours: str
    theirs: str
    ratio: str
    goal: str


def take_turns(
    contestants: Mapping[str, Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The median seconds of each, every round running all of them once, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            began = clock()
            run()
            if number:
                times[name].append(clock() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def cpu_turns(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The same by the CPU time of all threads, which other work on the machine hardly touches."""
    return take_turns(contestants, rounds, time.process_time)


@dataclass(frozen=True)
class Cost:
    """What one contestant needed: seconds, and bytes of memory at the peak over its idle process; perhaps what the seconds went for."""

    seconds: float
    bytes: int
    phases: dict[str, float] = field(default_factory=dict)


def in_child(module: str, *arguments: str) -> Cost:
    """Run a contestant in a process of its own; it prints its Cost as JSON on its last line."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{done.stderr}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def median_cost(module: str, *arguments: str, rounds: int) -> Cost:
    """The median seconds and the median peak of several processes."""
    costs = [in_child(module, *arguments) for _ in range(rounds)]
    phases = sorted(costs, key=lambda cost: cost.seconds)[len(costs) // 2].phases
    return Cost(statistics.median(c.seconds for c in costs), int(statistics.median(c.bytes for c in costs)), phases)


class Scale:
    """Seconds and peak memory of a block; begin when the process is idle. Linux only: the kernel keeps the high water mark."""

    def __enter__(self) -> Self:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the mark
        self._idle = memory("VmRSS")
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self.bytes = memory("VmHWM") - self._idle

    def print(self, phases: Mapping[str, float] | None = None) -> None:
        """The last line of a contestant's output."""
        print(json.dumps({"seconds": self.seconds, "bytes": self.bytes, "phases": dict(phases or {})}))


def memory(field: str) -> int:
    """A figure of this process's memory in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def seconds(value: float) -> str:
    """For people: seconds, milliseconds or microseconds with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.2g} µs"


def megabytes(value: float) -> str:
    return f"{value / 2**20:,.0f} MiB"
