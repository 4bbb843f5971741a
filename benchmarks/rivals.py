"""Tree scoring against the rivals at their best settings, on one thread: CPU time a row by the size of the batch.

python -m benchmarks.rivals [--quick]     writes benchmarks/README.md and its pictures; needs the extra ``rivals``

Every contestant gets rows as it likes them best, ready in memory: row-major doubles, or floats where it takes no doubles, an Arrow table,
column-major doubles for the kernel, a table in DuckDB for those that run there. XGBoost predicts with a model of its own of the same size.
All others must give LightGBM's scores, to 1e-5 where they compute in floats; sqlml's kernel must give them bit for bit.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import lightgbm
import numpy as np

from benchmarks.contestants import CONTESTANTS, Data
from benchmarks.explaining import synthetic
from benchmarks.measure import seconds
from benchmarks.pictures import bars

HERE = Path(__file__).parent
README = HERE / "README.md"
SIZES = (1, 100, 10_000, 1_000_000)
MODELS = {(100, 31, 10): SIZES, (500, 63, 20): SIZES[:3]}  # a million rows of the larger model take LightGBM minutes
PICTURED = 10_000
PACKAGES = ("lightgbm", "treelite", "tl2cgen", "onnxruntime", "onnxmltools", "xgboost-cpu", "duckdb", "numba")


@dataclass
class Line:
    """A contestant's seconds a row by the size of the batch; None where it does not play, with the reason."""

    name: str
    seconds: dict[int, float | None]
    note: str = ""


def cpu_time(run: Callable[[], Any], least: float) -> float:
    """The median CPU time of a call, all threads of the process included, over as many calls as fill ``least`` seconds."""
    began = time.process_time()
    run()
    first = time.process_time() - began
    if first > 1.0:  # long enough to need no warm-up
        return first
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        repeats = 1 if not times or times[0] > 1e-3 else 200
        began = time.process_time()
        for _ in range(repeats):
            run()
        times.append((time.process_time() - began) / repeats)
        if sum(times) > 10 * least:
            break
    return median(times)


def compare(
    booster: lightgbm.Booster, rows: np.ndarray[Any, Any], sizes: tuple[int, ...], least: float
) -> Iterator[Line]:
    """One line a contestant; whoever cannot be imported or built is named with the reason."""
    for name, prepare in CONTESTANTS.items():
        line = Line(name, {})
        for size in sizes:
            data = Data(booster, np.tile(rows, (-(-size // len(rows)), 1))[:size])
            try:
                run = prepare(data)
            except Exception as error:  # noqa: BLE001 - a rival that does not install or does not know a size is left out, and said to be
                line.note = f"{type(error).__name__}: {error}".split("\n")[0][:100]
                break
            line.seconds[size] = None if run is None else cpu_time(run, least) / size
        print(name, {size: value and seconds(value) for size, value in line.seconds.items()}, line.note, flush=True)
        yield line


def table(lines: list[Line], sizes: tuple[int, ...]) -> str:
    """Markdown: microseconds or nanoseconds a row, the fastest of each size in bold."""
    best = {s: min((v for line in lines if (v := line.seconds.get(s)) is not None), default=0.0) for s in sizes}
    head = "| time a row, in batches of | " + " | ".join(f"{size:,}" for size in sizes) + " |"
    rows = [head, "|---|" + "---:|" * len(sizes)]
    for line in lines:
        if line.note:
            continue
        cells = []
        for size in sizes:
            value = line.seconds.get(size)
            text = "" if value is None else f"{value * 1e6:.3g} µs" if value >= 1e-6 else f"{value * 1e9:.0f} ns"
            cells.append(f"**{text}**" if value is not None and value == best[size] else text)
        rows.append(f"| {line.name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks.rivals")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, and nothing is written")
    quick = parser.parse_args().quick
    parts = []
    for (trees, leaves, features), sizes in MODELS.items():
        name = f"{trees} trees x {leaves} leaves x {features} features"
        print(name, flush=True)
        booster, _ = synthetic(trees, leaves, features)
        rows = np.random.default_rng(2).standard_normal((10_000, features))
        lines = list(compare(booster, rows, sizes, 0.05 if quick else 0.2))
        absent = "".join(f"\nNot measured: {line.name} ({line.note}).\n" for line in lines if line.note)
        picture = f"rivals-{trees}x{leaves}x{features}.svg"
        parts.append(f"## {name}\n\n{table(lines, sizes)}\n{absent}\n![{name}]({picture})\n")
        if not quick:
            values = {line.name: value for line in lines if (value := line.seconds.get(PICTURED)) is not None}
            (HERE / picture).write_text(bars(f"{name}: time a row, batches of {PICTURED:,}", values), encoding="utf-8")
    if quick:
        print("\n".join(parts))
        return
    before, _, _ = README.read_text(encoding="utf-8").partition("<!-- rivals -->")
    README.write_text(f"{before}<!-- rivals -->\n\n{machine()}\n\n{chr(10).join(parts)}", encoding="utf-8")


def machine() -> str:
    """What it was measured on."""
    from benchmarks.__main__ import processor

    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except ImportError:
            continue
    return f"Measured on {processor()}, one thread, Python {platform.python_version()}, {', '.join(found)}."


if __name__ == "__main__":
    main()
