"""The estimators: scikit-learn's own checks, and LightGBM's scikit-learn classes for what they predict."""

from __future__ import annotations

import pickle

import duckdb
import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

import sqlml
from sqlml.sklearn import SqlmlClassifier, SqlmlRegressor

# What LightGBM itself, and its own estimators, do not promise.
NOT_EQUIVALENT = "bins and the minimum of rows a leaf count rows, not weights, so a weight of 2 is not the row twice"
EXPECTED = {
    "check_sample_weight_equivalence_on_sparse_data": NOT_EQUIVALENT,
}


@parametrize_with_checks(
    [SqlmlClassifier(max_iterations=20), SqlmlRegressor(max_iterations=20)], expected_failed_checks=lambda _: EXPECTED
)
def test_scikit_learn_accepts_the_estimators(estimator, check):
    check(estimator)


@pytest.mark.parametrize("classes", [2, 4])
def test_classifier_predicts_what_lightgbm_predicts(classes):
    rows, labels = make_classification(800, 6, n_informative=5, n_redundant=0, n_classes=classes, random_state=1)
    names = np.array(["d", "a", "c", "b"])[labels]
    # The rows in the order in which a deterministic training reads them, so that both see the same sequence.
    order = np.lexsort([names, *rows.T[::-1]])
    ours = SqlmlClassifier().fit(rows[order], names[order])
    theirs = lightgbm.LGBMClassifier(verbose=-1).fit(rows[order], names[order])
    assert list(ours.classes_) == list(theirs.classes_)
    np.testing.assert_array_equal(ours.predict_proba(rows), theirs.predict_proba(rows))
    np.testing.assert_array_equal(ours.predict(rows), theirs.predict(rows))


def test_regressor_predicts_what_lightgbm_predicts():
    rows, values = make_regression(800, 6, noise=1, random_state=1)
    values = values.astype(np.float32).astype(float)
    ours = SqlmlRegressor(num_leaves=15).fit(rows, values)
    theirs = lightgbm.LGBMRegressor(num_leaves=15, verbose=-1).fit(rows, values)
    np.testing.assert_allclose(ours.predict(rows), theirs.predict(rows), rtol=1e-9)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_keep_their_types(frame):
    rows = frame({"plan": ["basic", "pro", None, "pro"] * 50, "age": [20.0, None, 30.0, 40.0] * 50})
    labels = ["stays", "goes", "goes", "goes"] * 50
    model = SqlmlClassifier(min_data_in_leaf=5).fit(rows, labels)
    assert list(model.feature_names_in_) == ["plan", "age"]
    assert list(model.predict(rows)) == labels


def test_pickle_predicts_the_same_and_needs_no_database():
    rows, labels = make_classification(200, 4, random_state=0)
    model = SqlmlClassifier(max_iterations=5).fit(rows, labels)
    before = model.predict_proba(rows)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(rows), before)


def test_database_keeps_each_fit_as_a_version(tmp_path):
    rows, labels = make_classification(200, 3, n_informative=3, n_redundant=0, random_state=0)
    path = str(tmp_path / "models.duckdb")
    for leaves in (4, 8):
        model = SqlmlClassifier(max_iterations=5, num_leaves=leaves, database=path, model_name="kept").fit(rows, labels)
    frame = pd.DataFrame(rows, columns=["x0", "x1", "x2"])
    with sqlml.connect(path) as connection:
        assert len(connection.execute("SHOW MODEL VERSIONS kept").fetchall()) == 2
        connection.register("frame", frame)
        scores = connection.execute("SELECT PREDICT_PROBA(kept, *) AS p FROM frame").arrow()["p"].to_numpy()
    np.testing.assert_array_equal(scores, model.predict_proba(rows)[:, 1])
    with duckdb.connect(path) as plain:
        plain.register("frame", frame)
        assert plain.sql("SELECT count(ml_predict('kept', frame)) FROM frame").fetchall() == [(200,)]


def test_works_inside_scikit_learn():
    rows, labels = make_classification(300, 5, random_state=0)
    search = GridSearchCV(SqlmlClassifier(max_iterations=10), {"num_leaves": [4, 16]}, cv=2).fit(rows, labels)
    assert search.best_score_ > 0.7
    assert cross_val_score(SqlmlRegressor(max_iterations=10), rows, labels, cv=2).shape == (2,)


def test_options_reach_create_model():
    rows, labels = make_classification(300, 5, random_state=0)
    forest = SqlmlClassifier(max_iterations=3, options={"l2_reg": 1e6}).fit(rows, labels)
    assert np.ptp(forest.predict_proba(rows)[:, 1]) < 0.01
    with pytest.raises(sqlml.errors.OptionError, match="learn_rat"):
        SqlmlClassifier(options={"learn_rat": 1}).fit(rows, labels)
