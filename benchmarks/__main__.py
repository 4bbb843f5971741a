"""Measures what is asked for, prints the table and writes it into the README.

python -m benchmarks [scoring] [engine] [explaining] [training] [beyond_memory] [first_score] [latency] [postgres_training] [postgres_scoring] [wire] [--rounds N] [--no-write]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    beyond_memory,
    engine,
    explaining,
    first_score,
    latency,
    postgres_scoring,
    postgres_training,
    scoring,
    training,
    wire,
)
from benchmarks.measure import Figure
from udfs.levels import best_level
from udfs.processor import features

BENCHMARKS = {
    "scoring": scoring.measure,
    "engine": engine.measure,
    "explaining": explaining.measure,
    "training": training.measure,
    "beyond_memory": beyond_memory.measure,
    "first_score": first_score.measure,
    "latency": latency.measure,
    "postgres_training": postgres_training.measure,
    "postgres_scoring": postgres_scoring.measure,
    "wire": wire.measure,
}
VECTORS = {"x86-64-v4": "AVX-512", "x86-64-v3": "AVX2, no AVX-512", "x86-64-v2": "no AVX2"}
README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks", description="Measure the promises about speed and memory.")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], default=[], metavar="|".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant runs (default: %(default)s)")
    parser.add_argument("--no-write", action="store_true", help="leave the README as it is")
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    figures: list[Figure] = []
    for name in arguments.names or BENCHMARKS:
        print(f"{name} ...", flush=True)
        figures += BENCHMARKS[name](threads, arguments.rounds)
    text = table(figures, threads, arguments.rounds)
    print("\n" + text)
    if not arguments.no_write and not arguments.names:
        write_readme(text)


def table(figures: list[Figure], threads: int, rounds: int) -> str:
    """Markdown, with the machine it was measured on."""
    lines = ["| what | rival | sqlml | rival | sqlml is | goal |", "|---|---|---:|---:|---:|---:|"]
    lines += [
        f"| {f.what} | {f.rival} | {f.ours} | {f.theirs} | {f.ratio and f'**{f.ratio}**'} | {f.goal} |" for f in figures
    ]
    versions = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "lightgbm", "numba", "pandas", "pyarrow"))
    lines += [
        "",
        f"Medians of {rounds} on {processor()}, {threads} threads, Python {platform.python_version()}, {versions}.",
    ]
    return "\n".join(lines)


def processor() -> str:
    """The processor's name, as Linux knows it, and the vectors that kernels find there."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    name = found[1].strip() if found else platform.processor() or platform.machine()
    return f"{name} ({VECTORS.get(best_level(features()), 'no known vectors')})"


def write_readme(text: str) -> None:
    """Replace what stands between the markers."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
