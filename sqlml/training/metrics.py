"""Metrics of predictions against labels, named as in BigQuery ML, defined as in scikit-learn.

Weights, where given, count a row so many times. Labels are class indices or values; probabilities are float64[classes, rows], of
the positive class alone for a binary model.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    label: IntegerArray, probability: FloatArray, weight: FloatArray | None = None, threshold: float = DEFAULT_THRESHOLD
) -> dict[str, float]:
    """Of a binary classifier: the positive class is 1, predicted where its probability is above the threshold."""
    matrix = confusion_matrix(label, (probability > threshold).astype(np.int64), 2, weight)
    (_, false_positive), (false_negative, true_positive) = matrix
    metrics = {
        "precision": _ratio(true_positive, true_positive + false_positive),
        "recall": _ratio(true_positive, true_positive + false_negative),
        "accuracy": _ratio(matrix.trace(), matrix.sum()),
        "f1_score": _ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative),
        "log_loss": _log_loss(np.where(label == 1, probability, 1.0 - probability), weight),
    }
    area = roc_auc(label == 1, probability, weight)
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
    areas = [roc_auc(label == index, probabilities[index], weight) for index in range(classes)]
    known = [area for area in areas if area is not None]
    return {**metrics, "roc_auc": float(np.mean(known))} if known else metrics


def confusion_matrix(
    label: IntegerArray, predicted: IntegerArray, classes: int, weight: FloatArray | None = None
) -> FloatArray:
    """Rows by expected class, columns by predicted class."""
    counts = np.bincount(label * classes + predicted, weight, classes * classes)
    return counts.astype(np.float64).reshape(classes, classes)


def roc_auc(positive: npt.NDArray[np.bool_], score: FloatArray, weight: FloatArray | None = None) -> float | None:
    """Area under the ROC curve, ties counted half; None where one class has no rows."""
    _, true_positives, false_positives = _cumulative(positive, score, weight)
    if not len(true_positives) or true_positives[-1] == 0 or false_positives[-1] == 0:
        return None
    heights = np.concatenate([[0.0], true_positives / true_positives[-1]])
    widths = np.concatenate([[0.0], false_positives / false_positives[-1]])
    return float(np.sum(np.diff(widths) * (heights[1:] + heights[:-1]) / 2))


def roc_curve(label: IntegerArray, probability: FloatArray, points: int = CURVE_POINTS) -> list[dict[str, Any]]:
    """At most ``points`` points from the strictest threshold to the loosest, at percentiles of the scores, as ML.ROC_CURVE shows."""
    thresholds, true_positives, false_positives = _cumulative(label == 1, probability, None)
    if not len(thresholds):
        return []
    ranks = np.unique(np.linspace(0, len(probability) - 1, points).round().astype(np.int64))
    places = np.unique(np.searchsorted(true_positives + false_positives, ranks + 1))
    positives, negatives = true_positives[-1], false_positives[-1]
    return [
        {
            "threshold": float(thresholds[place]),
            "recall": _ratio(true_positives[place], positives),
            "false_positive_rate": _ratio(false_positives[place], negatives),
            "true_positives": int(true_positives[place]),
            "false_positives": int(false_positives[place]),
            "true_negatives": int(negatives - false_positives[place]),
            "false_negatives": int(positives - true_positives[place]),
        }
        for place in places
    ]


def _cumulative(
    positive: npt.NDArray[np.bool_], score: FloatArray, weight: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distinct scores from high to low, and how much of each class lies at or above each."""
    small = np.int32 if len(score) < 2**31 else np.int64
    order = np.argsort(score)[::-1].astype(small)
    score, positive = score[order], positive[order]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], [True] * (len(score) > 0)))
    if weight is None:
        hits = np.cumsum(positive, dtype=small)[last].astype(np.float64)
        return score[last], hits, (last + 1).astype(np.float64) - hits
    weight = weight[order]
    hits = np.cumsum(np.where(positive, weight, 0.0), dtype=np.float64)[last]
    return score[last], hits, np.cumsum(np.where(positive, 0.0, weight), dtype=np.float64)[last]


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
