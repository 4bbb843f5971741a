"""Rows that agree in features: coded once a block, scored as LightGBM scores them; and the forest that is left for them."""

from __future__ import annotations

import numpy as np
import pytest

from udfs.forest.fold import folded, node_count
from udfs.forest.nodes import build_forest_image
from udfs.forest.reference import raw_scores_reference
from udfs.forest.text import parse_lightgbm
from udfs.forest.walk import raw_scores

COLUMNS = 8


def scores(forest, rows):
    image = build_forest_image(forest, rows.shape[1])
    out = np.full((forest.outputs, len(rows)), 99.0)
    raw_scores(image.ctypes.data, np.ascontiguousarray(rows.T), len(rows), out)
    return out


def wanted(booster, rows):
    return np.ascontiguousarray(booster.predict(rows, num_threads=1, raw_score=True).reshape(len(rows), -1).T)


def same_bits(left, right):
    return left.shape == right.shape and (left.view(np.int64) == right.view(np.int64)).all()


def agreeing(rng, pool, count, columns, choices):
    """Rows of the pool, in some columns of which only a few values occur; and these values."""
    rows = pool[rng.integers(0, len(pool), count)].copy()
    values = {int(column): rng.choice(pool[:, column], choices) for column in columns}
    for column, few in values.items():
        rows[:, column] = np.concatenate((few, rng.choice(few, count - len(few))))
    return rows, values


def test_columns_with_one_value(kind, trained, hard_rows):
    booster, _ = trained(kind)
    forest, pool = parse_lightgbm(booster.model_to_string()), hard_rows(kind)
    rng = np.random.default_rng(1)
    for count in (5, 9, 70, 257, 512, 513, 2048):
        columns = rng.choice(COLUMNS, rng.integers(2, COLUMNS + 1), replace=False)
        rows, _ = agreeing(rng, pool, count, columns, 1)
        assert same_bits(scores(forest, rows), wanted(booster, rows))


@pytest.mark.parametrize("kind", ["categories", "many thresholds", "multiclass", "400 leaves"])
def test_columns_with_one_value_for_a_while(kind, trained, hard_rows):
    booster, _ = trained(kind)
    forest, pool = parse_lightgbm(booster.model_to_string()), hard_rows(kind)
    rng = np.random.default_rng(9)
    parts = [agreeing(rng, pool, int(rng.integers(1, 1400)), [0, 1, 2, 5, 6, 7], 1)[0] for _ in range(5)]
    almost = agreeing(rng, pool, 700, range(COLUMNS), 1)[0]
    almost[-1] = pool[0]  # the last row of a block differs
    rows = np.concatenate((*parts, almost))
    assert same_bits(scores(forest, rows), wanted(booster, rows))


@pytest.mark.parametrize("choices", [1, 2, 3])
@pytest.mark.parametrize(
    "kind", ["categories", "many thresholds", "zero as missing", "multiclass", "200 leaves", "stumps"]
)
def test_the_folded_forest_gives_such_rows_the_same_sums(kind, trained, hard_rows, choices):
    booster, _ = trained(kind)
    forest, pool = parse_lightgbm(booster.model_to_string()), hard_rows(kind)
    rng = np.random.default_rng(4)
    for columns in ([0, 6], [1, 2, 7], range(COLUMNS)):
        rows, values = agreeing(rng, pool, 300, columns, choices)
        left = folded(forest, values)
        assert same_bits(scores(left, rows), wanted(booster, rows))
        assert same_bits(raw_scores_reference(left, rows[::50].T), raw_scores_reference(forest, rows[::50].T))
        assert node_count(left) <= node_count(forest)
    if choices == 1:
        assert node_count(left) == 0  # every feature is known: a leaf a tree
