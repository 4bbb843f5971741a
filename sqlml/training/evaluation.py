"""What is stored about a new version's quality: metrics of the held-out rows, the confusion matrix, the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.catalog.records import MetricRow
from sqlml.training.gather import Part
from sqlml.training.labels import Labels
from sqlml.training.metrics import (
    DEFAULT_THRESHOLD,
    binary_metrics,
    confusion_matrix,
    multiclass_metrics,
    rank_scores,
    regression_metrics,
    roc_curve,
)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """``details`` is JSON: split, rows, metrics, threshold, classes, confusion_matrix (rows by expected class), roc_curve."""

    metrics: tuple[MetricRow, ...]
    details: dict[str, Any]


def evaluate(labels: Labels, part: Part, predictions: FloatArray, split: str) -> Evaluation:
    """Of predictions, float64[classes or 1, rows], for the rows of a part; ``split`` is evaluation or training."""
    weight = part.weight()
    own = None if weight is None else weight.astype(np.float64)
    label = part.label().astype(np.float64)
    details: dict[str, Any] = {"split": split, "rows": part.row_count}
    if labels.task == "regression":
        found = regression_metrics(label, predictions[0], own)
    else:
        found = _evaluate_classes(labels, label.astype(np.int64), predictions, own, details)
    details["metrics"] = found
    return Evaluation(tuple(MetricRow(split, name, value) for name, value in found.items()), details)


def _evaluate_classes(
    labels: Labels,
    label: npt.NDArray[np.int64],
    predictions: FloatArray,
    weight: FloatArray | None,
    details: dict[str, Any],
) -> dict[str, float]:
    if labels.task == "binary":
        probability = predictions[0]
        chosen = (probability > DEFAULT_THRESHOLD).astype(np.int64)
        details["threshold"] = DEFAULT_THRESHOLD
        ranking = rank_scores(label == 1, probability)
        details["roc_curve"] = roc_curve(ranking)
        found = binary_metrics(label, probability, weight, ranking if weight is None else None)
    else:
        chosen = predictions.argmax(axis=0)
        found = multiclass_metrics(label, predictions, weight)
    details["classes"] = list(labels.label.classes)
    matrix = confusion_matrix(label, chosen, labels.class_count)
    details["confusion_matrix"] = [[int(count) for count in row] for row in matrix]
    return found
