"""Machine code that comes with the package: it is used as it is while the sources are those it was made from, and never otherwise."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

import udfs
from udfs import levels, machine_code, processor, ship
from udfs.jit import Routine

PACKAGE = Path(udfs.__file__).parent

SHIP = """
import sys
from pathlib import Path
from udfs import machine_code, ship
from udfs.forest import objective, walk

folder = Path(sys.argv[1])
ship.ship_level(folder, sys.argv[2], [walk.coded_walk, objective.sigmoid])
(folder / machine_code.STAMP).write_text(machine_code.stamp())
"""

SCORE = """
import ctypes
import sys
from pathlib import Path
import numpy as np
from udfs.forest import image
from udfs.forest.nodes import build_forest_image
from udfs.forest.text import parse_lightgbm

folder = Path(sys.argv[1])
rows, wanted = np.load(folder / "rows.npy"), np.load(folder / "wanted.npy")
built = build_forest_image(parse_lightgbm((folder / "model.txt").read_text()), rows.shape[1])
features, out = np.ascontiguousarray(rows.T), np.empty(len(rows))
word = ctypes.c_int64
walk = ctypes.CFUNCTYPE(None, *[word] * 6)(int(built[image.WALK]))
walk(built.ctypes.data, features.ctypes.data, features.strides[0], len(rows), out.ctypes.data, out.nbytes)
convert = ctypes.CFUNCTYPE(None, *[word] * 4)(int(built[image.CONVERT]))
convert(built.ctypes.data, out.ctypes.data, out.nbytes, len(rows))
print((out == wanted).all(), "numba" in sys.modules)
"""


def run(program, *arguments, package, level):
    environment = {**os.environ, **levels.compiler_settings(level), "SQLML_KERNEL_CACHE": "off"}
    environment["PYTHONPATH"] = os.pathsep.join([str(package.parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Rows with NaN and categories, a model of them, and LightGBM's own probabilities."""
    folder = tmp_path_factory.mktemp("scored")
    generator = np.random.default_rng(5)
    rows = generator.standard_normal((1_500, 6))
    rows[:, 5] = generator.integers(0, 40, len(rows))
    rows[generator.random(rows.shape) < 0.1] = np.nan
    label = np.nan_to_num(rows[:, 0]) + (np.nan_to_num(rows[:, 5]) % 3 == 1) > 0.5
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lgb.train(parameters, lgb.Dataset(rows, label, categorical_feature=[5]), 20)
    np.save(folder / "rows.npy", rows)
    np.save(folder / "wanted.npy", booster.predict(rows, num_threads=1))
    booster.save_model(str(folder / "model.txt"))
    return folder


@pytest.mark.slow
@pytest.mark.skipif(levels.best_level(processor.features()) is None, reason="no level of x86-64 fits this CPU")
def test_shipped_code_scores_without_a_compiler_until_a_source_changes(tmp_path, scored):
    package = tmp_path / "udfs"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", machine_code.SHIPPED))
    best = levels.best_level(processor.features())
    for level in {"x86-64-v2": None, best: None}:
        run(SHIP, package / machine_code.SHIPPED, level, package=package, level=level)
        assert run(SCORE, scored, package=package, level=level) == ["True", "False"]
    with (package / "errors.py").open("a") as source:
        source.write("# changed\n")
    assert run(SCORE, scored, package=package, level=best) == ["True", "True"]


def test_a_level_is_chosen_by_what_the_cpu_has_and_how_images_are_laid_out():
    v2, v3, v4 = levels.LEVELS.values()
    assert levels.best_level(v4) == "x86-64-v4"
    assert levels.best_level({*v4, "avx512fp16", "gfni"}) == "x86-64-v4"
    assert levels.best_level(set(v4) - {"avx512vbmi"}) == "x86-64-v3"
    assert levels.best_level(v3) == "x86-64-v3"
    assert levels.best_level(set(v3) - {"fma"}) == "x86-64-v2"
    assert levels.best_level(v2[1:]) is None
    # Images would be made for permutes, which the code of no lesser level reads.
    assert levels.best_level(set(v4) - {"movbe"}) is None


def test_how_many_bytes_a_shuffle_looks_up():
    wanted = {"x86-64-v2": 16, "x86-64-v3": 32, "x86-64-v4": 32}
    assert {level: levels.shuffle_bytes(features) for level, features in levels.LEVELS.items()} == wanted
    assert levels.shuffle_bytes({"sse4.2", "avx"}) == 16  # which include SSSE3, named or not
    assert levels.shuffle_bytes({"sse3", "neon"}) == 0


def test_every_declared_routine_is_shipped():
    shipped = ship.routines()
    assert len(shipped) > 60
    declared = [
        value for value in gc.get_objects() if type(value) is Routine
    ]  # isinstance asks weak references for what they refer to
    names = {value.name for value in declared if machine_code.is_ours(value.function.__code__.co_filename)}
    assert names <= shipped.keys()
