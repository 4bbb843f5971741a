"""Kernels are cached by content, in a private place, by many processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from udfs import jit
from udfs.jit import callback, kernel, routine, view

_PROGRAM = """
import numpy as np
from udfs.jit import kernel, callback, cache_directory
from numba import types
from udfs.forest import walk, objective
print(cache_directory())
walk.coded_walk.address, objective.sigmoid.address
print("done")
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
        directory, done = finish(process)
        assert Path(directory) == Path(place) / jit.source_hash()
        assert done == "done"
    files = sorted(Path(directory).iterdir())
    assert [path.name.split("-")[0] for path in files] == ["objective.sigmoid", "walk.coded_walk"]
    before = [path.stat().st_mtime_ns for path in files]
    finish(start(SQLML_KERNEL_CACHE=place))
    assert [path.stat().st_mtime_ns for path in files] == before


def test_damaged_cache_files_are_compiled_again(tmp_path):
    place = str(tmp_path)
    directory, _ = finish(start(SQLML_KERNEL_CACHE=place))
    for path in Path(directory).iterdir():
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    assert finish(start(SQLML_KERNEL_CACHE=place))[1] == "done"


def test_no_cache_where_others_can_write(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLML_KERNEL_CACHE", str(tmp_path))
    jit.cache_directory.cache_clear()
    try:
        directory = jit.cache_directory()
        Path(directory).chmod(0o777)
        jit.cache_directory.cache_clear()
        assert jit.cache_directory() is None
        monkeypatch.setenv("SQLML_KERNEL_CACHE", "off")
        jit.cache_directory.cache_clear()
        assert jit.cache_directory() is None
    finally:
        monkeypatch.undo()
        jit.cache_directory.cache_clear()


def test_views_kernels_callbacks_and_routines():
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
    compiled = callback("void(int64, int64)")(double)
    compiled.ctypes(numbers.ctypes.data, 4)
    assert numbers.tolist() == [0, 2, 4, 6, 4]
    declared = routine(double)
    address = declared.address

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
        "import sys, udfs, udfs.model, udfs.errors, udfs.forest.text, udfs.forest.check; print('numba' in sys.modules)"
    )
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "False"
    assert time.perf_counter() - started < 30
