"""Interactions equal their definition, and sum to LightGBM's ``pred_contrib``."""

from __future__ import annotations

from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udfs.forest.shap_image import build_shap_image
from udfs.forest.shap_interactions import interaction_cells, interactions
from udfs.forest.shap_reference import interactions_reference
from udfs.forest.text import parse_lightgbm


def found_for(forest, rows):
    """``[outputs * cells, n]``."""
    return interactions(build_shap_image(forest, rows.shape[1]), np.ascontiguousarray(rows.T))


def attributions(cells, features, outputs):
    """What each feature is given in all, ``[n, outputs, features]``: its own cell and half of its pairs'."""
    upper = np.triu_indices(features)
    matrix = np.zeros((outputs, features, features, cells.shape[1]))
    matrix[:, upper[0], upper[1]] = cells.reshape(outputs, -1, cells.shape[1]) / 2
    return (matrix + matrix.swapaxes(1, 2)).sum(axis=2).transpose(2, 0, 1)


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * max(1.0, np.abs(wanted).max(initial=0.0)))


def test_a_features_cells_sum_to_its_attribution(kind, trained, hard_rows):
    booster, _ = trained(kind)
    forest, rows = parse_lightgbm(booster.model_to_string()), hard_rows(kind)[::12]
    wanted = booster.predict(rows, pred_contrib=True, num_threads=1).reshape(len(rows), forest.outputs, -1)
    assert_close(attributions(found_for(forest, rows), rows.shape[1], forest.outputs), wanted[:, :, :-1])


@pytest.mark.parametrize(
    "kind", ["regression", "categories", "zero as missing", "multiclass forest", "random forest", "stumps", "one leaf"]
)
def test_equals_the_definition(kind, trained, hard_rows):
    booster, _ = trained(kind)
    forest = parse_lightgbm(booster.model_to_string())
    forest, rows = replace(forest, trees=forest.trees[:3]), hard_rows(kind)[::700]
    assert_close(found_for(forest, rows), interactions_reference(forest, np.ascontiguousarray(rows.T)))


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 512, 513])
def test_any_number_of_rows(trained, hard_rows, count):
    booster, _ = trained("multiclass")
    forest, rows = parse_lightgbm(booster.model_to_string()), hard_rows("multiclass")[:600]
    found = found_for(forest, rows[:count])
    assert found.shape == (5 * interaction_cells(8), count)
    assert (found == found_for(forest, rows)[:, :count]).all()


def test_many_features_take_smaller_blocks():
    rng = np.random.default_rng(8)
    rows = rng.standard_normal((300, 120))
    parameters = {"verbose": -1, "num_threads": 1, "objective": "multiclass", "num_class": 3, "num_leaves": 7}
    booster = lgb.train(parameters, lgb.Dataset(rows, rng.integers(0, 3, 300)), 2)
    found = found_for(parse_lightgbm(booster.model_to_string()), rows)
    wanted = booster.predict(rows, pred_contrib=True, num_threads=1).reshape(300, 3, -1)
    assert_close(attributions(found, 120, 3), wanted[:, :, :-1])


def test_a_sum_has_no_interactions():
    """Of two features that are added by stumps, no pair gives anything together; of a product's, both do."""
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((2000, 2))
    parameters = {"verbose": -1, "num_threads": 1, "num_leaves": 2, "objective": "regression"}
    stumps = lgb.train(parameters, lgb.Dataset(rows, rows.sum(axis=1)), 20)
    assert not found_for(parse_lightgbm(stumps.model_to_string()), rows[:50])[1].any()
    product = lgb.train({**parameters, "num_leaves": 16}, lgb.Dataset(rows, rows[:, 0] * rows[:, 1]), 20)
    alone, pair, other = np.abs(found_for(parse_lightgbm(product.model_to_string()), rows)).mean(axis=1)
    assert pair > 3 * max(alone, other)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    table=st.lists(
        st.lists(st.integers(-3, 3).map(float) | st.just(np.nan), min_size=4, max_size=4), min_size=20, max_size=40
    ),
    leaves=st.integers(2, 10),
)
def test_any_small_table(table, leaves):
    rows = np.array(table)
    parameters = {
        "verbose": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0, "min_data_in_bin": 1,
        "num_leaves": leaves, "feature_pre_filter": False, "objective": "regression",
    }  # fmt: skip
    booster = lgb.train(parameters, lgb.Dataset(rows, np.arange(len(rows)) * 1.7 % 3, params=parameters), 2)
    forest = parse_lightgbm(booster.model_to_string())
    assert_close(found_for(forest, rows[:4]), interactions_reference(forest, np.ascontiguousarray(rows[:4].T)))
