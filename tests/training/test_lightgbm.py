"""The thin layer over LightGBM's C interface, on matrices."""

from __future__ import annotations

import subprocess
import sys

import lightgbm as oracle
import numpy as np
import pytest

from sqlml.errors import TrainingError
from sqlml.training.lightgbm import Booster, Dataset, feature_names, version

PARAMETERS = {
    "verbosity": -1,
    "num_threads": 1,
    "objective": "regression",
    "min_data_in_leaf": 5,
    "force_col_wise": True,
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(2_000, 3))
    return matrix, (matrix[:, 0] * 2 + matrix[:, 1] ** 2).astype(np.float32)


def dataset(matrix, label, step=300):
    found = Dataset.from_sample(matrix.T.copy(), len(matrix), PARAMETERS)
    for start in range(0, len(matrix), step):
        found.push(np.ascontiguousarray(matrix[start : start + step]))
    found.finish(label)
    return found


def test_pushed_rows_train_as_a_whole_matrix(data):
    booster = Booster(dataset(*data), PARAMETERS)
    assert all(booster.update() for _ in range(10))
    expected = oracle.train(PARAMETERS, oracle.Dataset(*data), 10)
    assert booster.iterations() == 10
    assert booster.text().split("parameters:")[0] == expected.model_to_string().split("parameters:")[0]
    assert booster.predictions(0)[0] == pytest.approx(expected.predict(data[0]), rel=1e-12)
    assert booster.metric_names() == ["l2"]
    assert booster.evaluate(0, 1)[0] == pytest.approx(((expected.predict(data[0]) - data[1]) ** 2).mean(), rel=1e-6)


def test_held_out_rows_use_the_same_bins(data):
    matrix, label = data
    training = dataset(matrix[:1500], label[:1500])
    held_out = Dataset.like(training, 500)
    held_out.push(np.ascontiguousarray(matrix[1500:]))
    held_out.finish(label[1500:])
    booster = Booster(training, PARAMETERS)
    booster.watch(held_out)
    for _ in range(5):
        booster.update()
    booster.update()
    booster.roll_back()
    expected = oracle.Booster(model_str=booster.text()).predict(matrix[1500:])
    assert booster.predictions(1)[0] == pytest.approx(expected, rel=1e-12)


def test_text_of_the_first_iterations(data):
    booster = Booster(dataset(*data), PARAMETERS)
    for _ in range(5):
        booster.update()
    assert oracle.Booster(model_str=booster.text(2)).num_trees() == 2


def test_misuse_is_an_error(data, capfd):
    matrix, label = data
    unfinished = Dataset.from_sample(matrix.T.copy(), 10, PARAMETERS)
    with pytest.raises(TrainingError, match="0 rows were pushed into a dataset made for 10"):
        unfinished.finish(label[:10])
    with pytest.raises(TrainingError, match="more rows or other features were pushed"):
        unfinished.push(matrix[:11])
    with pytest.raises(TrainingError, match=r"LightGBM failed: .*nonsense"):
        Booster(dataset(*data), {**PARAMETERS, "objective": "nonsense"})


def test_names_are_made_fit_for_the_text():
    assert feature_names(["a", "a b", "a_b", 'x"y', "", "\n", "é"]) == ["a", "a_b", "a_b_2", "x_y", "_", "__2", "é"]


def test_the_python_package_of_lightgbm_is_not_imported():
    """It brings pandas, SciPy and scikit-learn with it."""
    program = """
import sys
from sqlml.training.lightgbm import library, version
library()
assert version()
print(sorted({"lightgbm", "pandas", "scipy", "sklearn"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert version() == oracle.__version__
