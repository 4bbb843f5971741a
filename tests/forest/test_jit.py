"""Kernels are cached by content, in a private place, by many processes at once."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from udfs import jit, machine_code, processor
from udfs.jit import kernel, routine, view

_PROGRAM = """
import numpy as np
import sys
from udfs.machine_code import cache_directory
from udfs.forest import walk, objective
print(cache_directory())
walk.coded_walk.address, objective.sigmoid.address
print("compiled" if "numba" in sys.modules else "loaded")
"""


def start(**environment):
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert not err
    return out.split()


@pytest.mark.slow
def test_processes_share_a_cache(tmp_path):
    place = str(tmp_path / "kernels")
    together = [start(SQLML_KERNEL_CACHE=place) for _ in range(3)]
    for process in together:
        directory, how = finish(process)
        assert Path(directory) == Path(place) / machine_code.source_hash()
        assert how in {"compiled", "loaded"}
    files = sorted(Path(directory).iterdir())
    names = [
        f"{name}.-.{processor.identity()}.o"
        for name in ("udfs.forest.objective.sigmoid", "udfs.forest.walk.coded_walk")
    ]
    assert [path.name for path in files] == names
    before = [path.stat().st_mtime_ns for path in files]
    assert finish(start(SQLML_KERNEL_CACHE=place)) == [directory, "loaded"]
    assert [path.stat().st_mtime_ns for path in files] == before


def test_damaged_cache_files_are_compiled_again(tmp_path):
    place = str(tmp_path)
    directory, _ = finish(start(SQLML_KERNEL_CACHE=place))
    for path in Path(directory).iterdir():
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    assert finish(start(SQLML_KERNEL_CACHE=place))[1] == "compiled"


def test_no_cache_where_others_can_write(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLML_KERNEL_CACHE", str(tmp_path))
    machine_code.cache_directory.cache_clear()
    try:
        directory = machine_code.cache_directory()
        Path(directory).chmod(0o777)
        machine_code.cache_directory.cache_clear()
        assert machine_code.cache_directory() is None
        monkeypatch.setenv("SQLML_KERNEL_CACHE", "off")
        machine_code.cache_directory.cache_clear()
        assert machine_code.cache_directory() is None
    finally:
        monkeypatch.undo()
        machine_code.cache_directory.cache_clear()


def test_views_kernels_and_routines():
    @kernel
    def total(address, rows, columns):
        table = view(address, np.float64, (rows, columns))
        answer = 0.0
        for i in range(rows):
            answer += table[i, columns - 1] / table[i, 0]
        return answer

    data = np.array([[1.0, 2.0], [4.0, 2.0], [0.0, 1.0]])
    assert total(data.ctypes.data, 2, 2) == 2.5
    assert total(data.ctypes.data, 3, 2) == np.inf

    def double(address, n):
        values = view(address, np.int32, n)
        for i in range(n):
            values[i] *= 2

    numbers = np.arange(5, dtype=np.int32)
    declared = routine(double)
    address = declared.address
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(address)(numbers.ctypes.data, 4)
    assert numbers.tolist() == [0, 2, 4, 6, 4]

    @kernel
    def call(address, values, n):
        jit.invoke(address, (jit.address_of(values), np.int64(n)))

    call(address, numbers, 5)
    assert numbers.tolist() == [0, 4, 8, 12, 8]
    assert declared.address == address


def test_kernels_do_not_hold_the_lock():
    assert kernel(lambda x: x).targetoptions["nogil"]


def test_import_is_lazy():
    program = (
        "import sys, udfs.scorer, udfs.duckdb.plan, udfs.forest.shap, udfs.artifact; print('numba' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "False"
