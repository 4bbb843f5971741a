"""The build backend: setuptools' own, except that wheels bring machine code along (``udfs.ship``), for which they are built with numba.

An editable installation gets none, as it would be out of date with the first change of a source; nor does a wheel that is built where
the compiler is missing (``--no-build-isolation``). Both compile what they need when they first need it.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

_SETUPTOOLS: Any = importlib.import_module("setuptools.build_meta")
build_sdist = _SETUPTOOLS.build_sdist
build_editable = _SETUPTOOLS.build_editable
get_requires_for_build_sdist = _SETUPTOOLS.get_requires_for_build_sdist
get_requires_for_build_editable = _SETUPTOOLS.get_requires_for_build_editable
prepare_metadata_for_build_wheel = _SETUPTOOLS.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = _SETUPTOOLS.prepare_metadata_for_build_editable

_PACKAGE = Path(__file__).resolve().parent
_NEEDED = ("numba", "numpy", "pyarrow", "duckdb")  # of the package's dependencies, what its kernels are compiled with


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What setuptools wants, and the compiler."""
    project = tomllib.loads((_PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    compiler = [text for text in project["dependencies"] if text.startswith(_NEEDED)]
    return [*_SETUPTOOLS.get_requires_for_build_wheel(config_settings), *compiler]


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """A wheel with the machine code in it; the source tree is left as it was."""
    folder = _PACKAGE / "shipped"
    shutil.rmtree(folder, ignore_errors=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_PACKAGE.parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "udfs.ship", str(folder)]
    try:
        if subprocess.run(command, env=environment, check=False).returncode:  # noqa: S603 - ourselves
            shutil.rmtree(folder, ignore_errors=True)
            print("warning: this wheel brings no machine code, its kernels are compiled at their first use")  # noqa: T201
        return str(_SETUPTOOLS.build_wheel(wheel_directory, config_settings, metadata_directory))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
