"""One contestant on one model, in a process and an environment of its own: a line of JSON for every size of a batch.

python -m benchmarks.contest CONTESTANT FOLDER [--sizes 1,100] [--least SECONDS]

A line tells the CPU time and the time a row took, each the median over batches that hold different rows, and how the scores
compare with LightGBM's. Nothing but numpy is imported before a contestant asks for more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

BATCHES = {1: 500, 100: 5}  # how many batches of a size there are, one otherwise
MEMORY = 14 << 30  # a contestant that wants more fails by itself and takes nobody along
LONG = 3.0  # seconds that all batches may take if their scores are to be compared as well,
FEW = 100  # unless they are as small as this
CLOSE = 1e-5  # what counts as the same score where a contestant computes in single precision

Array = np.ndarray[Any, Any]


@dataclass
class Task:
    """A model and batches of rows to score with it."""

    folder: Path
    size: int

    @cached_property
    def text(self) -> str:
        return (self.folder / "model.txt").read_text(encoding="utf-8")

    @cached_property
    def booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    @cached_property
    def rows(self) -> Array:
        """All rows of all batches."""
        rows = np.load(self.folder / "rows.npy")
        count = self.size * BATCHES.get(self.size, 1)
        return np.ascontiguousarray(np.tile(rows, (-(-count // len(rows)), 1))[:count])

    @cached_property
    def batches(self) -> list[Array]:
        return [self.rows[start : start + self.size] for start in range(0, len(self.rows), self.size)]

    @cached_property
    def wanted(self) -> Array:
        """LightGBM's scores of the first rows."""
        return np.load(self.folder / "wanted.npy")[: len(self.rows)]

    def made_once(self, name: str, make: Callable[[Path], Any]) -> tuple[Path, float]:
        """A file that takes long to make, and the CPU time it took, compilers called included."""
        path, taken = self.folder / name, self.folder / (name + ".seconds")
        if not taken.exists():  # it is written last, so half a file is made again
            began = sum(os.times()[:4])
            make(path)
            taken.write_text(str(sum(os.times()[:4]) - began), encoding="ascii")
        return path, float(taken.read_text(encoding="ascii"))


@dataclass
class Ready:
    """A contestant ready to run: a call that scores batch ``k``; one that gives its scores, if the first does not.

    ``made_in`` is the CPU time that the model took to prepare, where that is done once a model.
    """

    run: Callable[[int], Any]
    scores: Callable[[int], Any] | None = None
    made_in: float | None = None
    own_model: bool = False
    batches: int | None = None  # fewer than the task's
    keeps: Any = None  # what must live as long as the calls


def timed(run: Callable[[int], Any], batches: int, least: float) -> tuple[float, float, int]:
    """The medians of the CPU time and of the time of a call, and how many times were taken."""
    repeats = 1
    samples: list[tuple[float, float]] = []
    number, spent = 0, 0.0
    while spent < least or len(samples) < 3:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(repeats):
            run(number % batches)
            number += 1
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        spent += wall
        if cpu < 2e-3 and not samples:  # too short for the clock: more calls a sample, and these do not count
            repeats *= 2
            continue
        samples.append((cpu / repeats, wall / repeats))
        if cpu > 1.0:  # long enough to be told from noise
            break
    return median(s[0] for s in samples), median(s[1] for s in samples), len(samples)


def compared(task: Task, ready: Ready) -> dict[str, Any]:
    """How far the scores are from LightGBM's."""
    if ready.own_model:
        return {}
    scores = ready.scores or ready.run
    count = ready.batches or len(task.batches)
    found = [np.array(scores(k), float) for k in range(count)]
    wanted = task.wanted[: count * task.size].reshape(-1)
    values = np.concatenate([part.reshape(-1) for part in found])[: len(wanted)]
    assert len(values) == len(wanted), f"{len(values)} scores, wanted {len(wanted)}"
    difference = np.abs(values - wanted)
    return {
        "difference": float(difference.max()),
        "close": float((difference <= CLOSE).mean()),
        "same_bits": bool((values.view(np.int64) == wanted.view(np.int64)).all()),
    }


def measure(prepare: Callable[[Task], Ready | None], task: Task, least: float, expected: float) -> dict[str, Any]:
    """What is said of one size, of which a batch is expected to take so many seconds."""
    few = task.size <= FEW
    ready = prepare(task)
    if ready is None:
        return {"size": task.size, "skipped": "not for batches"}
    batches = ready.batches or len(task.batches)
    if few or expected < LONG:
        ready.run(0)  # what only a first call does
    cpu, wall, samples = timed(ready.run, batches, least)
    said = {"size": task.size, "made_in": ready.made_in}
    if few or cpu * batches < LONG:
        said |= compared(task, ready)
    return {**said, "cpu": cpu / task.size, "wall": wall / task.size, "samples": samples}


def main() -> None:
    from benchmarks.contestants import CONTESTANTS

    parser = argparse.ArgumentParser("benchmarks.contest")
    parser.add_argument("contestant", choices=CONTESTANTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default="1,100,10000,1000000")
    parser.add_argument("--least", type=float, default=0.3, help="seconds that a figure is measured for")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    contestant = CONTESTANTS[arguments.contestant]
    versions = {name: version(name) for name in contestant.distributions}
    said = {"versions": versions, "python": platform.python_version(), "load": os.getloadavg()[0]}
    print(json.dumps(said), flush=True)
    last: dict[str, Any] = {}
    for size in map(int, arguments.sizes.split(",")):
        expected = last.get("cpu", 0.0) * size  # the CPU's, which other work does not lengthen
        if size > 10_000 and expected > contestant.longest:
            last = {"size": size, "skipped": "too long", "expected": expected}
        else:
            last = measure(contestant.prepare, Task(arguments.folder, size), arguments.least, expected)
        print(json.dumps(last), flush=True)


if __name__ == "__main__":
    main()
