"""Metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as oracle

from sqlml.training.metrics import (
    binary_metrics,
    confusion_matrix,
    metric_names,
    multiclass_metrics,
    rank_scores,
    regression_metrics,
    roc_auc,
    roc_curve,
)

ROWS = 500


def weights(rng, kind):
    return {"none": None, "ones": np.ones(ROWS), "random": rng.random(ROWS) + 0.1}[kind]


@pytest.mark.parametrize("kind", ["none", "ones", "random"])
def test_regression(kind):
    rng = np.random.default_rng(1)
    label = rng.gamma(2, size=ROWS)
    predicted = label + rng.normal(size=ROWS) / 10 + 0.2
    weight = weights(rng, kind)
    found = regression_metrics(label, predicted, weight)
    expected = {
        "mean_absolute_error": oracle.mean_absolute_error(label, predicted, sample_weight=weight),
        "mean_squared_error": oracle.mean_squared_error(label, predicted, sample_weight=weight),
        "mean_squared_log_error": oracle.mean_squared_log_error(label, predicted.clip(0), sample_weight=weight),
        "median_absolute_error": oracle.median_absolute_error(label, predicted, sample_weight=weight),
        "r2_score": oracle.r2_score(label, predicted, sample_weight=weight),
        "explained_variance": oracle.explained_variance_score(label, predicted, sample_weight=weight),
    }
    assert tuple(found) == metric_names("regression")
    assert found == pytest.approx(expected, rel=1e-12)


def test_regression_leaves_out_what_is_not_defined():
    found = regression_metrics(np.array([-2.0, 1.0]), np.array([0.0, 1.0]))
    assert "mean_squared_log_error" not in found
    assert "r2_score" not in regression_metrics(np.ones(3), np.array([0.0, 1.0, 2.0]))


@pytest.mark.parametrize("kind", ["none", "ones", "random"])
@pytest.mark.parametrize("ties", [False, True])
def test_binary(kind, ties):
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, ROWS)
    probability = np.clip(label * 0.3 + rng.random(ROWS) * 0.7, 0, 1)
    if ties:
        probability = probability.round(1)
    weight = weights(rng, kind)
    chosen = probability > 0.5
    expected = {
        "precision": oracle.precision_score(label, chosen, sample_weight=weight),
        "recall": oracle.recall_score(label, chosen, sample_weight=weight),
        "accuracy": oracle.accuracy_score(label, chosen, sample_weight=weight),
        "f1_score": oracle.f1_score(label, chosen, sample_weight=weight),
        "log_loss": oracle.log_loss(label, probability.clip(1e-15, 1 - 1e-15), sample_weight=weight),
        "roc_auc": oracle.roc_auc_score(label, probability, sample_weight=weight),
    }
    found = binary_metrics(label, probability, weight)
    assert tuple(found) == metric_names("binary")
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["none", "ones", "random"])
def test_multiclass(kind):
    rng = np.random.default_rng(3)
    label = rng.integers(0, 3, ROWS)
    scores = rng.random((4, ROWS)) + np.eye(4)[label].T  # a fourth class that no row has and some are given
    probabilities = scores / scores.sum(axis=0)
    weight = weights(rng, kind)
    chosen = probabilities.argmax(axis=0)
    given = {"average": "macro", "zero_division": 0, "sample_weight": weight}
    areas = [oracle.roc_auc_score(label == k, probabilities[k], sample_weight=weight) for k in range(3)]
    expected = {
        "precision": oracle.precision_score(label, chosen, **given),
        "recall": oracle.recall_score(label, chosen, **given),
        "accuracy": oracle.accuracy_score(label, chosen, sample_weight=weight),
        "f1_score": oracle.f1_score(label, chosen, **given),
        "log_loss": oracle.log_loss(label, probabilities.T, labels=range(4), sample_weight=weight),
        "roc_auc": np.mean(areas),
    }
    found = multiclass_metrics(label, probabilities, weight)
    assert found == pytest.approx(expected, rel=1e-12)


def test_no_roc_of_one_class():
    assert roc_auc(rank_scores(np.ones(3, bool), np.array([0.1, 0.2, 0.3]))) is None
    assert "roc_auc" not in binary_metrics(np.ones(3, int), np.array([0.1, 0.2, 0.3]))


def test_confusion_matrix():
    rng = np.random.default_rng(4)
    label, chosen = rng.integers(0, 5, ROWS), rng.integers(0, 5, ROWS)
    assert (confusion_matrix(label, chosen, 5) == oracle.confusion_matrix(label, chosen)).all()


def test_ranking_by_one_sort_is_that_by_places():
    rng = np.random.default_rng(6)
    score = np.concatenate([rng.random(ROWS).round(2), [0.0, 1.0, 5e-324, 1e300]])
    positive = rng.random(len(score)) < score
    found, expected = rank_scores(positive, score), rank_scores(positive, score, np.ones(len(score)))
    for name in ("thresholds", "true_positives", "false_positives"):
        assert (getattr(found, name) == getattr(expected, name)).all()


@pytest.mark.parametrize("digits", [1, 9])
def test_roc_curve_points_lie_on_the_whole_curve(digits):
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, ROWS)
    probability = (label * 0.3 + rng.random(ROWS) * 0.7).round(digits)
    false_rate, true_rate, thresholds = oracle.roc_curve(label, probability, drop_intermediate=False)
    whole = {t: (f, r) for t, f, r in zip(thresholds, false_rate, true_rate, strict=True)}
    points = roc_curve(rank_scores(label == 1, probability))
    assert 0 < len(points) <= 100
    assert [p["threshold"] for p in points] == sorted((p["threshold"] for p in points), reverse=True)
    for point in points:
        assert (point["false_positive_rate"], point["recall"]) == pytest.approx(whole[point["threshold"]])
        assert sum(point[k] for k in point if "_positives" in k or "_negatives" in k) == ROWS
    assert points[-1]["recall"] == points[-1]["false_positive_rate"] == 1.0
