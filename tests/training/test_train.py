"""CREATE MODEL's work end to end on DuckDB, LightGBM the oracle."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from udfs.forest.text import format_lightgbm

ROWS = 3_000


@pytest.fixture
def numbers(connection):
    """A table of numbers with NULLs and a label, and the same as a matrix."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(ROWS, 4))
    matrix[:, 1] = np.where(rng.random(ROWS) < 0.2, np.nan, matrix[:, 1])
    matrix[:, 2] = np.where(rng.random(ROWS) < 0.7, 0.0, matrix[:, 2])
    matrix[:, 3] = rng.integers(0, 9, ROWS)
    value = matrix[:, 0] + np.nan_to_num(matrix[:, 1]) + matrix[:, 3] % 3
    connection.execute("CREATE TABLE t (a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE, y DOUBLE)")
    rows = [[None if np.isnan(x) else float(x) for x in row] + [float(v)] for row, v in zip(matrix, value, strict=True)]
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    return matrix, value


def trees(text):
    return text[text.index("Tree=0") : text.index("end of trees")]


def oracle(matrix, label, iterations=20, categorical=(), weight=None, **parameters):
    data = lightgbm.Dataset(matrix, label, weight=weight, categorical_feature=list(categorical))
    settings = {"verbosity": -1, "deterministic": True, "force_col_wise": True, **parameters}
    return lightgbm.train(settings, data, iterations)


def test_regression_equals_lightgbm(numbers, fit, model_of):
    matrix, value = numbers
    version = fit("FROM t", label="y", max_iterations=20, data_split_method="no_split")
    expected = oracle(matrix, value, objective="regression")
    booster = lightgbm.Booster(model_str=format_lightgbm(model_of(version).forest))
    assert trees(booster.model_to_string()) == trees(expected.model_to_string())
    assert (booster.predict(matrix) == expected.predict(matrix)).all()
