"""The environments of the rivals, made by pip under ``.bench``: none of them is needed by sqlml, and some exclude each other."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.forests import BENCH

ENVIRONMENTS = {
    "rivals": ("--editable", ".[rivals]"),
    "lleaves": ("lleaves==1.3.0", "llvmlite==0.43.0"),  # the last release whose pass managers it knows
    "orbital": (
        "orbital>=0.6",
        "onnxmltools>=1.16",
        "duckdb>=2.0.1",
        "lightgbm>=4.7.0",
        "pandas",
        "pyarrow",
    ),  # an older onnx
    "hummingbird": ("hummingbird-ml>=0.4.12", "torch", "lightgbm"),
}


class NotInstalledError(Exception):
    """An environment that pip could not make."""


def python_of(name: str) -> Path:
    """The interpreter of an environment, which is made if it is not there yet."""
    if why := _refused(name):
        raise NotInstalledError(why)
    return BENCH / name / "bin" / "python"


@cache  # so pip is not asked again for what it could not install
def _refused(name: str) -> str:
    """Make the environment if it is not there; what pip said if it could not, nothing otherwise."""
    folder = BENCH / name
    stamp = folder / "installed"
    if stamp.exists():
        return ""
    print(f"installing {' '.join(ENVIRONMENTS[name])} into {folder} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, *ENVIRONMENTS[name]]
    # Without PYTHONPATH: with it pip takes what it finds there for installed.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=BENCH.parent, env=environment)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    stamp.touch()
    return ""
