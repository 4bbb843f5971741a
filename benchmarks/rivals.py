"""Tree scoring against the rivals at their best settings, on one thread: time a row by the size of the batch.

python -m benchmarks.rivals [--quick] [--models NAME ...] [--contestants NAME ...] [--page]

Every contestant runs in a process of its own (``benchmarks.contest``), in the environment that it needs, for a limited time: one that does not
install, fails or does not come to an end leaves a line that says so. First everything is made that is made once a model, then all is
measured, and kept in ``.bench/rivals.json``, so that a part can be measured again; in the end the page is written from there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS
from benchmarks.environments import NotInstalledError, python_of
from benchmarks.forests import BENCH, FORESTS, forest_folder
from benchmarks.measure import seconds
from benchmarks.rivals_page import QUIET, write_pages

RESULTS = BENCH / "rivals.json"
SIZES, QUICK_SIZES = (1, 100, 10_000, 1_000_000), (1, 100, 10_000)
PREPARING, MEASURING = 300, 120  # seconds of CPU time that a contestant may take for a model
SETTLING = 60  # seconds, at most, between preparing and measuring
PATIENCE = 8  # how many times as long that may take beside other work
UNDONE = "not done after"
Result = dict[str, Any]


def contest(name: str, folder: Path, sizes: tuple[int, ...], limit: float, **settings: float) -> Result:
    """What a contestant's process said, as far as it came, and why it went no further. The limit is of CPU time, which nobody else takes."""
    found: Result = {"sizes": {}}
    options = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    try:
        python = python_of(CONTESTANTS[name].environment)
    except (NotInstalledError, OSError, subprocess.CalledProcessError) as error:
        return {**found, "failed": f"not installed: {error}"[:200]}
    chosen = ["--sizes", ",".join(map(str, sizes)), *options]
    command = [str(python), "-m", "benchmarks.contest", name, str(folder), *chosen]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(BENCH.parent)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=BENCH.parent) as process:
        out, err = heard(process, limit)
    for line in out.splitlines():
        said = json.loads(line) if line.startswith("{") else {}
        found |= {key: said[key] for key in ("versions", "python", "load") if key in said}
        if "size" in said:
            found["sizes"][str(said["size"])] = said
    if process.returncode == -signal.SIGKILL:
        found["failed"] = f"{UNDONE} {limit:.0f} s"
    elif process.returncode:
        last = (err.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        found["failed"] = last.removeprefix("RuntimeError: ")[:200]
    return found


def heard(process: subprocess.Popen[str], limit: float) -> tuple[str, str]:
    """All that a process says until it ends, or has taken this much CPU time and is killed.

    It is asked from outside: RLIMIT_CPU makes Linux count the time of the process by ticks, too coarse to measure a row with.
    """
    deadline = time.monotonic() + PATIENCE * limit  # for one that waits for ever and takes no time at all
    while True:
        try:
            return process.communicate(timeout=min(limit, 1.0))
        except subprocess.TimeoutExpired:
            fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks = sum(map(int, fields[11:15]))  # its own, the system's for it, and both of its children that ended
            if ticks / os.sysconf("SC_CLK_TCK") >= limit or time.monotonic() > deadline:
                process.kill()


def told(found: Result) -> str:
    """A result in a line, for whoever watches."""
    parts = [f"{size}: {seconds(said['cpu'])}" for size, said in found["sizes"].items() if "cpu" in said]
    return ", ".join([*parts, *([f"FAILED {found['failed']}"] if "failed" in found else [])])


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks.rivals")
    parser.add_argument("--quick", action="store_true", help="less time for each figure, no batches of a million")
    parser.add_argument("--models", nargs="+", choices=FORESTS, default=list(FORESTS))
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--prepare", action="store_true", help="only make what is made once")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    arguments = parser.parse_args()
    if not arguments.page:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for environment in {CONTESTANTS[name].environment for name in arguments.contestants}:
                pool.submit(python_of, environment)  # what goes wrong there is told by contest
            folders = {model: forest_folder(model) for model in arguments.models}
        prepare(folders, arguments.contestants)
    if not arguments.page and not arguments.prepare:
        measure(folders, arguments.contestants, quick=arguments.quick)
    if not arguments.prepare:
        write_pages(json.loads(RESULTS.read_text(encoding="utf-8")))


def prepared(name: str, folder: Path) -> Path:
    """Where it is kept that a contestant's part that is made once a model is done, and how it failed."""
    return folder / f"prepared-{re.sub('[^a-z0-9]+', '-', name.lower())}"


def prepare(folders: dict[str, Path], names: list[str]) -> None:
    """Compile and convert, as many at a time as there are cores: what takes minutes once a model must not be in a measured time."""
    missing = [
        (name, folder)
        for name in names
        for folder in reversed(folders.values())  # the large ones are not the last to begin
        if CONTESTANTS[name].compiles and not prepared(name, folder).exists()
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda pair: prepare_one(*pair), missing))
    if missing:
        settle()


def settle() -> None:
    """Wait until the load average has forgotten what was just prepared, so that it tells of others only."""
    for _ in range(SETTLING):
        if os.getloadavg()[0] < QUIET / 2:
            break
        time.sleep(1)


def prepare_one(name: str, folder: Path) -> None:
    began = time.perf_counter()
    found = contest(name, folder, (1,), PREPARING, least=0)
    print(f"prepared {name} for {folder.name} in {time.perf_counter() - began:.0f} s", told(found), flush=True)
    failed = found.get("failed", "")
    prepared(name, folder).write_text(failed if failed.startswith(UNDONE) else "", encoding="utf-8")


def measured(name: str, folder: Path, *, quick: bool) -> Result:
    """A contestant's result; one that never was ready is not waited for again."""
    if CONTESTANTS[name].compiles and (failed := prepared(name, folder).read_text(encoding="utf-8")):
        return {"sizes": {}, "failed": f"{failed} of making it ready"}
    sizes, least = (QUICK_SIZES, 0.05) if quick else (SIZES, 0.3)
    return contest(name, folder, sizes, MEASURING, least=least)


def measure(folders: dict[str, Path], names: list[str], *, quick: bool) -> None:
    """Run all, keep each result as soon as it is there."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for model, folder in folders.items():
        print(f"\n{model}", flush=True)
        for name in names:
            began = time.perf_counter()
            found = measured(name, folder, quick=quick)
            kept.setdefault(model, {})[name] = found
            RESULTS.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            print(f"{name} in {time.perf_counter() - began:.0f} s: {told(found)}", flush=True)


if __name__ == "__main__":
    main()
