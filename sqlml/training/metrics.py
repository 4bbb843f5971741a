"""Metrics of predictions against labels, named as in BigQuery ML, defined as in scikit-learn.

Weights, where given, count a row so many times. Labels are class indices or values; probabilities are float64[classes, rows], of
the positive class alone for a binary model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntegerArray = npt.NDArray[np.int64]

CLIP = 1e-15
DEFAULT_THRESHOLD = 0.5
CURVE_POINTS = 100


def regression_metrics(label: FloatArray, predicted: FloatArray, weight: FloatArray | None = None) -> dict[str, float]:
    """Of a regression; ``mean_squared_log_error`` is left out where a value is not above -1, r2 where the label is constant."""
    error = label - predicted
    metrics = {
        "mean_absolute_error": _mean(np.abs(error), weight),
        "mean_squared_error": _mean(error * error, weight),
    }
    if label.min() > -1 and predicted.min() > -1:
        logs = np.log1p(label) - np.log1p(predicted)
        metrics["mean_squared_log_error"] = _mean(logs * logs, weight)
    metrics["median_absolute_error"] = _median(np.abs(error), weight)
    spread = _mean((label - _mean(label, weight)) ** 2, weight)
    if spread > 0:
        metrics["r2_score"] = 1.0 - metrics["mean_squared_error"] / spread
        metrics["explained_variance"] = 1.0 - _mean((error - _mean(error, weight)) ** 2, weight) / spread
    return metrics


def binary_metrics(
    label: IntegerArray, probability: FloatArray, weight: FloatArray | None = None, ranking: Ranking | None = None
) -> dict[str, float]:
    """Of a binary classifier: the positive class is 1, predicted where its probability is above the threshold.

    ``ranking`` is that of the rows with their weights, where it is known already.
    """
    matrix = confusion_matrix(label, (probability > DEFAULT_THRESHOLD).astype(np.int64), 2, weight)
    (_, false_positive), (false_negative, true_positive) = matrix
    metrics = {
        "precision": _ratio(true_positive, true_positive + false_positive),
        "recall": _ratio(true_positive, true_positive + false_negative),
        "accuracy": _ratio(matrix.trace(), matrix.sum()),
        "f1_score": _ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative),
        "log_loss": _log_loss(np.where(label == 1, probability, 1.0 - probability), weight),
    }
    area = roc_auc(ranking or rank_scores(label == 1, probability, weight))
    return metrics if area is None else {**metrics, "roc_auc": area}


def multiclass_metrics(
    label: IntegerArray, probabilities: FloatArray, weight: FloatArray | None = None
) -> dict[str, float]:
    """Of a classifier of several classes; precision, recall, f1_score and roc_auc are plain means over the classes seen."""
    classes = len(probabilities)
    matrix = confusion_matrix(label, probabilities.argmax(axis=0), classes, weight)
    hits, actual, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    seen = (actual + predicted) > 0
    metrics = {
        "precision": float(np.mean([_ratio(h, p) for h, p in zip(hits[seen], predicted[seen], strict=True)])),
        "recall": float(np.mean([_ratio(h, a) for h, a in zip(hits[seen], actual[seen], strict=True)])),
        "accuracy": _ratio(matrix.trace(), matrix.sum()),
        "f1_score": float(
            np.mean([_ratio(2 * h, a + p) for h, a, p in zip(hits[seen], actual[seen], predicted[seen], strict=True)])
        ),
        "log_loss": _log_loss(probabilities[label, np.arange(len(label))], weight),
    }
    areas = [roc_auc(rank_scores(label == index, probabilities[index], weight)) for index in range(classes)]
    known = [area for area in areas if area is not None]
    return {**metrics, "roc_auc": float(np.mean(known))} if known else metrics


def confusion_matrix(
    label: IntegerArray, predicted: IntegerArray, classes: int, weight: FloatArray | None = None
) -> FloatArray:
    """Rows by expected class, columns by predicted class."""
    counts = np.bincount(label * classes + predicted, weight, classes * classes)
    return counts.astype(np.float64).reshape(classes, classes)


@dataclass(frozen=True)
class Ranking:
    """Distinct scores from high to low, and how much of each class lies at or above each."""

    thresholds: FloatArray
    true_positives: FloatArray
    false_positives: FloatArray


def rank_scores(positive: npt.NDArray[np.bool_], score: FloatArray, weight: FloatArray | None = None) -> Ranking:
    """Scores are 0 or more."""
    if weight is not None:
        order = np.argsort(score)[::-1]
        score, positive, weight = score[order], positive[order], weight[order]
        gained, lost = np.where(positive, weight, 0.0), np.where(positive, 0.0, weight)
        last = _last_of_equals(score)
        return Ranking(score[last], np.cumsum(gained)[last], np.cumsum(lost)[last])
    # The sign of such a double is free: with the class as last bit one sort of numbers does, five times as fast as by places.
    keys = (score.view(np.uint64) << np.uint64(1)) | positive
    keys.sort()
    keys = keys[::-1]
    hits = np.cumsum(keys & np.uint64(1), dtype=np.float64)
    score = (keys >> np.uint64(1)).view(np.float64)
    last = _last_of_equals(score)
    hits = hits[last]
    return Ranking(score[last], hits, (last + 1) - hits)


def _last_of_equals(values: FloatArray) -> IntegerArray:
    """Where the next value is another one, or there is none."""
    return np.flatnonzero(np.append(values[1:] != values[:-1], [True] * (len(values) > 0)))


def roc_auc(ranking: Ranking) -> float | None:
    """Area under the ROC curve, ties counted half; None where one class has no rows."""
    heights, widths = ranking.true_positives, ranking.false_positives
    if not len(heights) or heights[-1] == 0 or widths[-1] == 0:
        return None
    twice = heights[0] * widths[0] + np.sum(np.diff(widths) * (heights[1:] + heights[:-1]))
    return float(twice / heights[-1] / widths[-1] / 2)


def roc_curve(ranking: Ranking, points: int = CURVE_POINTS) -> list[dict[str, Any]]:
    """At most ``points`` points from the strictest threshold to the loosest, at percentiles of the scores, as ML.ROC_CURVE shows."""
    true_positives, false_positives = ranking.true_positives, ranking.false_positives
    if not len(true_positives):
        return []
    positives, negatives = true_positives[-1], false_positives[-1]
    ranks = np.unique(np.linspace(0, positives + negatives - 1, points).round())
    places = np.unique(np.searchsorted(true_positives + false_positives, ranks + 1))
    return [
        {
            "threshold": float(ranking.thresholds[place]),
            "recall": _ratio(true_positives[place], positives),
            "false_positive_rate": _ratio(false_positives[place], negatives),
            "true_positives": int(true_positives[place]),
            "false_positives": int(false_positives[place]),
            "true_negatives": int(negatives - false_positives[place]),
            "false_negatives": int(positives - true_positives[place]),
        }
        for place in places
    ]


def _mean(values: FloatArray, weight: FloatArray | None) -> float:
    return float(np.average(values, weights=weight))


def _median(values: FloatArray, weight: FloatArray | None) -> float:
    """The middle value; with weights, the mean of the lower and the upper weighted median."""
    if weight is None:
        return float(np.median(values))
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weight[order])
    half = total[-1] / 2
    lower = np.searchsorted(total, half, side="left")
    upper = min(np.searchsorted(total, half, side="right"), len(values) - 1)
    return float((values[order[lower]] + values[order[upper]]) / 2)


def _log_loss(likelihood: FloatArray, weight: FloatArray | None) -> float:
    return _mean(-np.log(np.clip(likelihood, CLIP, 1.0)), weight)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def metric_names(task: str) -> Sequence[str]:
    """The columns of ML.EVALUATE for a task, in BigQuery ML's order."""
    if task == "regression":
        return (
            "mean_absolute_error",
            "mean_squared_error",
            "mean_squared_log_error",
            "median_absolute_error",
            "r2_score",
            "explained_variance",
        )
    return ("precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc")
