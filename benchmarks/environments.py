"""The environments of the rivals, made by pip under ``.bench``: none of them is needed by sqlml, and some exclude each other."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.forests import BENCH

ENVIRONMENTS = {
    "rivals": ("--editable", ".[rivals]"),
    "lleaves": ("lleaves==1.3.0", "llvmlite==0.43.0"),  # the last release whose pass managers it knows
    "hummingbird": ("hummingbird-ml>=0.4.12", "torch", "lightgbm"),
}


class NotInstalledError(Exception):
    """An environment that pip could not make."""


@cache
def python_of(name: str) -> Path:
    """The interpreter of an environment, which is made if it is not there yet."""
    folder = BENCH / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.exists():
        print(f"installing {' '.join(ENVIRONMENTS[name])} into {folder} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *ENVIRONMENTS[name]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=BENCH.parent)
        if done.returncode:
            raise NotInstalledError(done.stderr.strip().splitlines()[-1])
        stamp.touch()
    return python
