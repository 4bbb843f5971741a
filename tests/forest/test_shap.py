"""Attributions equal LightGBM's ``pred_contrib``, and the definition of Shapley values, for every kind of model and value."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udfs.forest.nodes import build_forest_image
from udfs.forest.shap import contributions
from udfs.forest.shap_image import build_shap_image, quadrature
from udfs.forest.shap_reference import contributions_reference
from udfs.forest.text import parse_lightgbm
from udfs.forest.walk import raw_scores


def attributed(forest, rows):
    """``[n, outputs * (features + 1)]``, as LightGBM shapes them."""
    return contributions(build_shap_image(forest, rows.shape[1]), np.ascontiguousarray(rows.T)).T


def of_lightgbm(booster, rows):
    return booster.predict(rows, pred_contrib=True, num_threads=1).reshape(len(rows), -1)


def assert_close(found, wanted):
    """Equal to 1e-9 of the greatest, which is far wider than what rounding does."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * max(1.0, np.abs(wanted).max(initial=0.0)))


def test_equals_lightgbm(kind, trained, hard_rows):
    booster, _ = trained(kind)
    rows = hard_rows(kind)[::6]
    assert_close(attributed(parse_lightgbm(booster.model_to_string()), rows), of_lightgbm(booster, rows))


def test_rows_sum_to_the_raw_score(kind, trained, hard_rows):
    booster, x = trained(kind)
    forest, rows = parse_lightgbm(booster.model_to_string()), hard_rows(kind)[::6]
    raw = np.empty((forest.outputs, len(rows)))
    image = build_forest_image(forest, x.shape[1])
    raw_scores(image.ctypes.data, np.ascontiguousarray(rows.T), len(rows), raw)
    sums = attributed(forest, rows).reshape(len(rows), forest.outputs, -1).sum(axis=2)
    assert_close(sums, raw.T)


@pytest.mark.parametrize("kind", ["categories", "zero as missing", "multiclass forest", "random forest", "one leaf"])
def test_equals_the_definition(kind, trained, hard_rows):
    booster, _ = trained(kind)
    forest, rows = parse_lightgbm(booster.model_to_string()), hard_rows(kind)[::400]
    wanted = contributions_reference(replace(forest, trees=forest.trees[:6]), np.ascontiguousarray(rows.T)).T
    assert_close(attributed(replace(forest, trees=forest.trees[:6]), rows), wanted)


@pytest.mark.parametrize("count", [0, 1, 7, 31, 32, 33, 64, 511, 512, 513, 1100])
@pytest.mark.parametrize("kind", ["categories", "multiclass"])
def test_any_number_of_rows(kind, trained, hard_rows, count):
    booster, _ = trained(kind)
    forest, rows = parse_lightgbm(booster.model_to_string()), hard_rows(kind)[:1100]
    whole = attributed(forest, rows)
    found = attributed(forest, rows[:count])
    assert found.shape == (count, whole.shape[1])
    assert (found == whole[:count]).all()


def test_a_path_of_many_features():
    rows = np.triu(np.ones((71, 70)))[np.repeat(np.arange(71), 3)]
    parameters = {
        "verbose": -1, "num_threads": 1, "num_leaves": 71, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0,
        "min_data_in_bin": 1, "objective": "regression", "boost_from_average": False,
    }  # fmt: skip
    booster = lgb.train(parameters, lgb.Dataset(rows, np.repeat(2.0 ** np.arange(71, 0, -1), 3)), 2)
    forest = parse_lightgbm(booster.model_to_string())
    mixed = np.concatenate((rows[::3], (np.random.default_rng(3).random((20, 70)) < 0.9).astype(float)))
    wanted = contributions_reference(forest, np.ascontiguousarray(mixed.T)).T
    assert_close(attributed(forest, mixed), wanted)


def test_many_features_and_outputs_take_smaller_blocks():
    rng = np.random.default_rng(8)
    rows = rng.standard_normal((400, 3000))
    parameters = {"verbose": -1, "num_threads": 1, "objective": "multiclass", "num_class": 3, "num_leaves": 7}
    booster = lgb.train(parameters, lgb.Dataset(rows, rng.integers(0, 3, 400)), 2)
    found = attributed(parse_lightgbm(booster.model_to_string()), rows[:150])
    assert_close(found, of_lightgbm(booster, rows[:150]))


def test_nodes_that_training_counted_no_rows_for(trained):
    booster, x = trained("regression")
    forest = parse_lightgbm(booster.model_to_string())
    trees = [replace(t, internal_count=t.internal_count * 0, leaf_count=t.leaf_count * 0) for t in forest.trees]
    found = attributed(replace(forest, trees=tuple(trees)), x[:50])
    np.testing.assert_allclose(found.sum(axis=1), booster.predict(x[:50], raw_score=True), rtol=1e-9)


@pytest.mark.parametrize("points", [1, 2, 5, 20, 64])
def test_quadrature_gives_the_weights_of_subsets(points):
    t, rest, weights = quadrature(points)
    others = 2 * points - 1
    total = sum(np.sum(weights * t**k * rest ** (others - k)) * _ways(others, k) for k in range(others + 1))
    assert total == pytest.approx(1.0, rel=1e-12)
    assert np.sum(weights * rest**others) == pytest.approx(1 / (others + 1), rel=1e-12)


def _ways(n, k):
    return float(np.prod([(n - i) / (i + 1) for i in range(k)]))


_VALUES = st.one_of(
    st.floats(width=64), st.sampled_from([0.0, -0.0, np.nan, np.inf, 1e-35, 5e-324]), st.integers(-3, 3).map(float)
)


@st.composite
def _tables(draw):
    rows, columns = draw(st.integers(20, 50)), draw(st.integers(1, 4))
    return np.array(draw(st.lists(_VALUES, min_size=rows * columns, max_size=rows * columns))).reshape(rows, columns)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    table=_tables(),
    zero_as_missing=st.booleans(),
    leaves=st.integers(2, 12),
    classes=st.sampled_from([1, 3]),
    categorical=st.booleans(),
)
def test_any_small_table(table, zero_as_missing, leaves, classes, categorical):
    if categorical:
        table[:, 0] = np.clip(np.nan_to_num(np.trunc(table[:, 0])), 0, 9)
    parameters = {
        "verbose": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0, "min_data_in_bin": 1,
        "num_leaves": leaves, "zero_as_missing": zero_as_missing, "feature_pre_filter": False, "min_data_per_group": 1,
        "objective": "multiclass" if classes > 1 else "regression", "num_class": classes, "cat_smooth": 0,
    }  # fmt: skip
    columns = [0] if categorical else []
    data = lgb.Dataset(table, np.arange(len(table)) % 3, params=parameters, categorical_feature=columns)
    booster = lgb.train(parameters, data, 3)
    assert_close(attributed(parse_lightgbm(booster.model_to_string()), table), of_lightgbm(booster, table))


@pytest.mark.slow
@pytest.mark.parametrize("features", ["", "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2"])
def test_other_instruction_sets_give_the_same_bits(features, trained, hard_rows, tmp_path):
    arrays = {}
    for number, kind in enumerate(["categories", "multiclass", "zero as missing"]):
        booster, _ = trained(kind)
        text = booster.model_to_string()
        Path(tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
        arrays[f"rows{number}"] = hard_rows(kind)[::6]
        arrays[f"wanted{number}"] = attributed(parse_lightgbm(text), hard_rows(kind)[::6])
    np.savez(tmp_path / "arrays.npz", **arrays)
    program = Path(__file__).with_name("attribute_elsewhere.py")
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": features,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, str(program), str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["True"] * 3, result.stderr
