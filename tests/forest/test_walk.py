"""Raw scores and predictions equal LightGBM's bit for bit, for every kind of model and every kind of value."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udfs.forest import slice_tables
from udfs.forest.image import FEATURE_COUNT, TEST_BYTES, WALK
from udfs.forest.nodes import build_forest_image
from udfs.forest.objective import apply_objective
from udfs.forest.reference import predictions_reference, raw_scores_reference
from udfs.forest.text import parse_lightgbm
from udfs.forest.walk import MANY_ROWS, raw_scores


def scored(forest, rows, **how):
    """Raw scores and predictions of rows, as LightGBM shapes them: ``[outputs, n]``."""
    image = build_forest_image(forest, rows.shape[1], **how)
    features = np.ascontiguousarray(rows.T)
    raw = np.full((forest.outputs, len(rows)), 99.0)
    raw_scores(image.ctypes.data, features, len(rows), raw)
    predictions = raw.copy()
    apply_objective(image.ctypes.data, predictions, len(rows))
    return raw, predictions


def same_bits(left, right):
    return left.shape == right.shape and (left.view(np.int64) == right.view(np.int64)).all()


def of_lightgbm(booster, rows, **how):
    return np.ascontiguousarray(booster.predict(rows, num_threads=1, **how).reshape(len(rows), -1).T)


@pytest.mark.parametrize("allow_coded", [True, False])
def test_equals_lightgbm(kind, trained, hard_rows, allow_coded):
    booster, _ = trained(kind)
    rows = hard_rows(kind)
    raw, predictions = scored(parse_lightgbm(booster.model_to_string()), rows, allow_coded=allow_coded)
    assert same_bits(raw, of_lightgbm(booster, rows, raw_score=True))
    assert same_bits(predictions, of_lightgbm(booster, rows))


def test_takes_the_coded_walk_unless_no_tree_splits(kinds, trained):
    for kind in kinds:
        booster, x = trained(kind)
        forest = parse_lightgbm(booster.model_to_string())
        is_coded = build_forest_image(forest, x.shape[1])[FEATURE_COUNT] > 0
        leaves = [len(tree.leaf_value) for tree in forest.trees]
        assert is_coded == (max(leaves) > 1), kind


def test_goes_by_bits_where_trees_are_large_and_share_tests(trained):
    for kind, is_by_bits in {
        "regression": True, "categories": True, "200 leaves": True, "400 leaves": False, "stumps": False,
    }.items():  # fmt: skip
        booster, x = trained(kind)
        image = build_forest_image(parse_lightgbm(booster.model_to_string()), x.shape[1])
        assert (image[TEST_BYTES] > 0) == is_by_bits, kind


@pytest.mark.parametrize("kind", ["categories", "many thresholds", "256 leaves", "multiclass"])
def test_whole_blocks_by_bytes(kind, trained, hard_rows, monkeypatch):
    monkeypatch.setattr(slice_tables, "MAX_TEST_BYTES", 0)
    booster, x = trained(kind)
    forest = parse_lightgbm(booster.model_to_string())
    assert build_forest_image(forest, x.shape[1])[TEST_BYTES] == 0
    raw, _ = scored(forest, hard_rows(kind))
    assert same_bits(raw, of_lightgbm(booster, hard_rows(kind), raw_score=True))


def test_deep_and_other_trees_together(trained, hard_rows):
    first, x = trained("400 leaves")
    parameters = {"objective": "regression", "verbose": -1, "num_threads": 1, "num_leaves": 100, "min_data_in_leaf": 2}
    label = np.nan_to_num(x).sum(axis=1)
    data = lgb.Dataset(x, label, categorical_feature=[5, 6, 7], params={"verbose": -1}, free_raw_data=False)
    booster = lgb.train(parameters, data, 12, init_model=first)
    forest = parse_lightgbm(booster.model_to_string())
    leaves = [len(tree.leaf_value) for tree in forest.trees]
    assert min(leaves) <= 100
    assert max(leaves) > 256
    assert build_forest_image(forest, x.shape[1])[TEST_BYTES] > 0
    raw, _ = scored(forest, hard_rows("400 leaves"))
    assert same_bits(raw, of_lightgbm(booster, hard_rows("400 leaves"), raw_score=True))


def test_trees_of_one_leaf_among_others(trained, hard_rows):
    _, x = trained("multiclass")
    label = (np.nan_to_num(x).sum(axis=1) > 0).astype(float)  # there are no rows of the third class
    parameters = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    booster = lgb.train(parameters, lgb.Dataset(x, label), 12)
    forest = parse_lightgbm(booster.model_to_string())
    assert {len(tree.leaf_value) for tree in forest.trees} >= {1, 31}
    assert build_forest_image(forest, x.shape[1])[TEST_BYTES] > 0
    raw, _ = scored(forest, hard_rows("multiclass"))
    assert same_bits(raw, of_lightgbm(booster, hard_rows("multiclass"), raw_score=True))


@pytest.mark.parametrize(
    "count", [0, 1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 128, 129, 256, 257, 511, 512, 513, 1025, 2048]
)
@pytest.mark.parametrize("kind", ["categories", "multiclass", "many thresholds", "400 leaves"])
def test_any_number_of_rows(kind, trained, hard_rows, count):
    booster, _ = trained(kind)
    rows = hard_rows(kind)[:count]
    forest = parse_lightgbm(booster.model_to_string())
    wanted = of_lightgbm(booster, hard_rows(kind), raw_score=True)[:, :count]
    raw, _ = scored(forest, rows)
    assert same_bits(raw, np.ascontiguousarray(wanted))


def test_few_rows(kind, trained, hard_rows):
    """Up to eight rows take another way: each goes down eight trees at a time."""
    booster, _ = trained(kind)
    rows = hard_rows(kind)[::19]
    forest = parse_lightgbm(booster.model_to_string())
    wanted = of_lightgbm(booster, rows, raw_score=True)
    start = 0
    for count in [1, 2, 3, 4, 5, 6, 7, 8] * 5:
        raw, _ = scored(forest, rows[start : start + count])
        assert same_bits(raw, np.ascontiguousarray(wanted[:, start : start + count]))
        start += count


@pytest.mark.parametrize(
    "kind", ["categories", "zero as missing", "multiclass forest", "random forest", "tweedie", "one leaf"]
)
def test_equals_the_reference(kind, trained, hard_rows):
    booster, _ = trained(kind)
    rows = hard_rows(kind)[::23]
    forest = parse_lightgbm(booster.model_to_string())
    raw, predictions = scored(forest, rows)
    twin = raw_scores_reference(forest, np.ascontiguousarray(rows.T))
    assert same_bits(raw, twin)
    assert same_bits(predictions, predictions_reference(forest, twin))


def test_does_not_write_beyond_n(trained):
    booster, x = trained("multiclass")
    forest = parse_lightgbm(booster.model_to_string())
    image = build_forest_image(forest, x.shape[1])
    out = np.full((forest.outputs, 64), 99.0)
    raw_scores(image.ctypes.data, np.ascontiguousarray(x[:64].T), 13, out)
    apply_objective(image.ctypes.data, out, 13)
    assert (out[:, 13:] == 99.0).all()
    assert same_bits(np.ascontiguousarray(out[:, :13]), of_lightgbm(booster, x[:13]))


_VALUES = st.one_of(
    st.floats(width=64),
    st.sampled_from([0.0, -0.0, np.nan, 1.0, 2.0, 3.0, 1e-35, -1e-35, 5e-324]),
    st.integers(-3, 3).map(float),
)


@st.composite
def _tables(draw):
    rows = draw(st.integers(20, 60))
    columns = draw(st.integers(1, 4))
    values = draw(st.lists(_VALUES, min_size=rows * columns, max_size=rows * columns))
    return np.array(values).reshape(rows, columns)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    table=_tables(),
    zero_as_missing=st.booleans(),
    use_missing=st.booleans(),
    leaves=st.integers(2, 12),
    classes=st.sampled_from([1, 3]),
    max_bin=st.sampled_from([3, 255]),
)
def test_any_small_table(table, zero_as_missing, use_missing, leaves, classes, max_bin):
    label = np.arange(len(table)) % 3
    parameters = {
        "verbose": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0, "min_data_in_bin": 1,
        "num_leaves": leaves, "max_bin": max_bin, "zero_as_missing": zero_as_missing, "use_missing": use_missing,
        "objective": "multiclass" if classes > 1 else "regression", "num_class": classes, "feature_pre_filter": False,
    }  # fmt: skip
    booster = lgb.train(parameters, lgb.Dataset(table, label, params=parameters), 3)
    forest = parse_lightgbm(booster.model_to_string())
    for allow_coded in (True, False):
        raw, predictions = scored(forest, table, allow_coded=allow_coded)
        assert same_bits(raw, of_lightgbm(booster, table, raw_score=True))
        assert same_bits(predictions, of_lightgbm(booster, table))
    many = np.resize(table, (MANY_ROWS, table.shape[1]))
    assert same_bits(scored(forest, many)[0], of_lightgbm(booster, many, raw_score=True))


def edges(booster, columns, count, seed=3):
    """Rows of the model's own thresholds, their neighbours and the ends of the line of doubles."""
    rng = np.random.default_rng(seed)
    found = booster.trees_to_dataframe()["threshold"].dropna().to_numpy(float)
    found = rng.choice(found, min(len(found), 2000), replace=False)
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -5e-324, 2.2e-308, 1.7e308, -1.7e308]
    pool = np.concatenate((special, found, np.nextafter(found, np.inf), np.nextafter(found, -np.inf)))
    return rng.choice(pool, (count, columns))


LARGE = {
    # trees, leaves, rows to learn from
    "10,000 trees": (10_000, 4, 300),
    "4,096 leaves": (2, 4096, 12_000),
    "4,096 leaves in a chain": (2, 4096, 9_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LARGE))
def test_large_forests(name):
    trees, leaves, count = LARGE[name]
    rng = np.random.default_rng(1)
    x = rng.standard_normal((count, 5))
    x[rng.random(x.shape) < 0.1] = np.nan
    # With a label that grows exponentially every split cuts off the greatest few: the tree is as deep as LightGBM makes one.
    label = (
        np.exp(3 * np.nan_to_num(x[:, 0]))
        if "chain" in name
        else np.nan_to_num(x).sum(axis=1) + rng.standard_normal(count)
    )
    parameters = {
        "objective": "regression", "verbose": -1, "num_threads": 1, "num_leaves": leaves, "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 0, "max_bin": 6_000, "min_data_in_bin": 1, "learning_rate": 0.01,
    }  # fmt: skip
    booster = lgb.train(parameters, lgb.Dataset(x, label, params=parameters), trees)
    forest = parse_lightgbm(booster.model_to_string())
    assert (len(forest.trees), max(len(tree.leaf_value) for tree in forest.trees)) == (trees, leaves)
    rows = np.concatenate((x[:200], edges(booster, 5, 400)))
    wanted = of_lightgbm(booster, rows, raw_score=True)
    for allow_coded in (True, False):
        raw, _ = scored(forest, rows, allow_coded=allow_coded)
        assert same_bits(raw, wanted)
    for start in range(0, len(rows), 75):
        raw, _ = scored(forest, rows[start : start + 5])
        assert same_bits(raw, np.ascontiguousarray(wanted[:, start : start + 5]))
    assert same_bits(
        raw_scores_reference(forest, np.ascontiguousarray(rows[::29].T)), np.ascontiguousarray(wanted[:, ::29])
    )


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(), kind=st.sampled_from(["categories", "many thresholds", "zero as missing", "400 leaves", "stumps"])
)
def test_any_values(data, kind, trained):
    """Subnormals, infinities, NaN of any payload, thresholds and their neighbours, in any mixture."""
    booster, x = trained(kind)
    thresholds = [v for v in booster.trees_to_dataframe()["threshold"].dropna() if not isinstance(v, str)] or [0.0]
    value = st.one_of(
        st.floats(width=64),
        st.floats(min_value=-2.3e-308, max_value=2.3e-308, allow_subnormal=True),
        st.sampled_from(thresholds).map(float),
        st.sampled_from(thresholds).map(lambda t: float(np.nextafter(float(t), np.inf))),
        st.integers(-2, 4000).map(float),
    )
    values = data.draw(st.lists(value, min_size=x.shape[1], max_size=6 * x.shape[1]))
    rows = np.array(values[: len(values) // x.shape[1] * x.shape[1]]).reshape(-1, x.shape[1])
    forest = parse_lightgbm(booster.model_to_string())
    wanted = of_lightgbm(booster, rows, raw_score=True)
    for allow_coded in (True, False):
        assert same_bits(scored(forest, rows, allow_coded=allow_coded)[0], wanted)
    # So many rows go by bits, in blocks with all the values anywhere.
    many = np.resize(rows, (MANY_ROWS + 6, x.shape[1]))
    repeated = np.ascontiguousarray(np.resize(wanted.T, (len(many), len(wanted))).T)
    assert same_bits(scored(forest, many)[0], repeated)


@pytest.mark.parametrize("allow_coded", [True, False])
def test_rows_by_a_table_of_addresses(trained, hard_rows, allow_coded):
    booster, x = trained("categories")
    rows = hard_rows("categories")[:700]
    image = build_forest_image(parse_lightgbm(booster.model_to_string()), x.shape[1], allow_coded=allow_coded)
    columns = [np.ascontiguousarray(column) for column in rows.T]
    table = np.array([column.ctypes.data for column in columns], np.int64)
    raw = np.empty((1, len(rows)))
    walk = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)(int(image[WALK]))
    walk(image.ctypes.data, table.ctypes.data, 0, len(rows), raw.ctypes.data, raw.strides[0])
    assert same_bits(raw, of_lightgbm(booster, rows, raw_score=True))


_OTHER_CPUS = {
    "plain": ("generic", ""),
    "ssse3": ("generic", "+ssse3"),
    "avx2": ("generic", "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("cpu", list(_OTHER_CPUS))
def test_other_instruction_sets_give_the_same_bits(cpu, trained, hard_rows, tmp_path):
    name, features = _OTHER_CPUS[cpu]
    arrays = {}
    for number, kind in enumerate(["categories", "many thresholds", "multiclass", "400 leaves"]):
        booster, _ = trained(kind)
        Path(tmp_path / f"{number}.txt").write_text(booster.model_to_string(), encoding="utf-8")
        arrays[f"rows{number}"] = hard_rows(kind)
        arrays[f"wanted{number}"] = of_lightgbm(booster, hard_rows(kind), raw_score=True)
    np.savez(tmp_path / "arrays.npz", **arrays)
    program = Path(__file__).with_name("score_elsewhere.py")
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": features,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, str(program), str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["True"] * 8, result.stderr
    loops = Path(__file__).with_name("test_lanes.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(loops)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
