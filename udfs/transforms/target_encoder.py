"""ML.TARGET_ENCODER(text [, smooth] [, folds]): the mean label of the rows with that text, drawn towards the mean of all rows.

    encoding = (sum of labels + smooth * mean of all) / (count + smooth)

As scikit-learn's TargetEncoder: smooth 'auto' (the default) is an empirical Bayes estimate,

    lambda = variance of all * count / (variance of all * count + variance within),  encoding = lambda * own mean + (1 - lambda) * mean

Training rows are encoded out of fold, by what the rows of the other folds say; texts not seen there, and at prediction texts not
seen at all, get the mean. NULL is a text of its own. A classifier of more than two classes gets one feature a class, the share of
that class; ``classes`` says how many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from udfs.errors import ArtifactError
from udfs.jit import kernel, view
from udfs.later import Later
from udfs.model import Step
from udfs.transforms.dictionary import texts, texts_param
from udfs.transforms.operator import (
    Batch,
    Learned,
    Operator,
    Params,
    Shape,
    Words,
    array_param,
    numbers,
    require,
    require_shapes,
    words,
)
from udfs.transforms.scaling import two_square, two_sum
from udfs.transforms.text import find_text, text_table

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Later("pyarrow")

FloatArray = npt.NDArray[np.float64]


def target_encode(params, rows, n):
    """``params``: mask, levels, outputs, encodings (an output's levels, then its NULL and other), table; ``rows``: text, outs."""
    head = view(params, np.int64, 3)
    mask, levels, outputs = head[0], head[1], head[2]
    width = levels + 2
    table = params + 24 + 8 * outputs * width
    blob = table + (mask + 1) * 32
    row = view(rows, np.int64, 3 + outputs)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    for i in range(n):
        place = levels
        if nulls[i] == 0:
            place = find_text(table, mask, blob, addresses[i], lengths[i])
            if place < 0:
                place = levels + 1
        for k in range(outputs):
            encodings = view(params + 24 + 8 * k * width, np.float64, width)
            out = view(row[3 + k], np.float64, n)
            out[i] = encodings[place]


def target_encode_reference(values: list[str | None], levels: list[str], encodings: FloatArray) -> FloatArray:
    """The twin in plain Python: one row an output."""
    places = {level: place for place, level in enumerate(levels)}
    chosen = [len(levels) if v is None else places.get(v, len(levels) + 1) for v in values]
    return np.asarray(encodings.reshape(-1, len(levels) + 2)[:, chosen])


@kernel
def accumulate_labels(codes, label, fold, klass, sums):
    """Add labels by fold and code, in row order, in double-double: count, sum, error, squares, error."""
    for i in range(len(codes)):
        y = label[i] if klass < 0 else np.float64(label[i] == klass)
        if np.isnan(label[i]):
            continue
        cell = sums[fold[i] + 1, codes[i]]
        cell[0] += 1.0
        cell[1], error = two_sum(cell[1], y)
        cell[2] += error
        square, square_error = two_square(y)
        cell[3], error = two_sum(cell[3], square)
        cell[4] += error + square_error


class _Fitter:
    """Sums by class, fold (0 = none) and code (0 = NULL)."""

    def __init__(self, step: Step) -> None:
        self._settings = step.params
        self._codes: dict[str | None, int] = {None: 0}
        classes = int(step.params.get("classes", 0))
        self._classes = list(range(classes)) if classes > 2 else [-1]
        self._sums = np.zeros((len(self._classes), 1, 16, 5))

    def update(self, batch: Batch) -> None:
        if batch.label is None:
            raise ArtifactError("target encoding needs the label to learn from")
        codes = self._encode(batch.values[0])
        fold = np.full(len(codes), -1, np.int8) if batch.fold is None else batch.fold
        self._grow(int(fold.max(initial=-1)) + 2, len(self._codes))
        for k, klass in enumerate(self._classes):
            accumulate_labels(codes, batch.label, fold, klass, self._sums[k])

    def _encode(self, array: Any) -> npt.NDArray[np.int64]:
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        mapping = [self._codes.setdefault(text, len(self._codes)) for text in encoded.dictionary.to_pylist()]
        places = np.array([*mapping, 0], np.int64)
        indices = encoded.indices.fill_null(len(mapping)).to_numpy(zero_copy_only=False)
        return np.asarray(places[indices.astype(np.int64)])

    def _grow(self, folds: int, codes: int) -> None:
        _, had_folds, had_codes, _ = self._sums.shape
        if folds > had_folds or codes > had_codes:
            shape = (len(self._classes), max(folds, had_folds), had_codes, 5)
            if codes > had_codes:
                shape = (shape[0], shape[1], max(codes, 2 * had_codes), 5)
            larger = np.zeros(shape)
            larger[:, :had_folds, :had_codes] = self._sums
            self._sums = larger

    def finish(self) -> Learned:
        folds = range(self._sums.shape[1])
        many = len(self._classes) > 1
        return Learned(self._params(folds), tuple(f"class_{k}" for k in self._classes) if many else None)

    def fold_params(self) -> dict[int, Params]:
        """Parameters for the rows of each fold, learned from all others."""
        count = self._sums.shape[1]
        return {fold - 1: self._params([f for f in range(count) if f != fold]) for fold in range(1, count)}

    def _params(self, folds: Any) -> Params:
        levels = [text for text in self._codes if text is not None]
        order = sorted(range(len(levels)), key=lambda k: levels[k].encode("utf-8", "surrogateescape"))
        rows = []
        for k in range(len(self._classes)):
            encodings, mean = self._encodings(k, list(folds))
            rows.append(np.concatenate([encodings[1:][order], encodings[:1], [mean]]))
        return {
            "smooth": self._settings.get("smooth", "auto"),
            "encodings": np.concatenate(rows),
            **texts("levels", [levels[k] for k in order]),
        }

    def _encodings(self, k: int, folds: list[int]) -> tuple[FloatArray, float]:
        """By code, and the mean of all; folds are added in their order."""
        cells = self._sums[k, :, : len(self._codes)]
        count = sum(cells[fold, :, 0] for fold in folds) + np.zeros(len(self._codes))
        total = sum(cells[fold, :, 1] + cells[fold, :, 2] for fold in folds) + np.zeros(len(self._codes))
        squares = sum(cells[fold, :, 3] + cells[fold, :, 4] for fold in folds) + np.zeros(len(self._codes))
        rows = count.sum()
        if rows == 0:
            return np.zeros(len(count)), 0.0
        mean = float(total.sum() / rows)
        smooth = self._settings.get("smooth", "auto")
        with np.errstate(invalid="ignore", divide="ignore"):
            if smooth != "auto":
                encodings = (total + smooth * mean) / (count + smooth)
            else:
                own = total / count
                within = np.maximum(squares / count - own * own, 0.0)
                spread = max(float(squares.sum() / rows - mean * mean), 0.0)
                weight = spread * count / (spread * count + within)
                encodings = weight * own + (1 - weight) * mean
        return np.where((count > 0) & np.isfinite(encodings), encodings, mean), mean


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("text",))
    if "encodings" in step.params:
        _, offsets = texts_param(step, "levels")
        array_param(step, "encodings", np.float64, len(step.outputs) * (len(offsets) + 1))
    return numbers(len(step.outputs))


def _encode(step: Step) -> Words:
    blob, offsets = texts_param(step, "levels")
    require("encodings" in step.params, step, "it is not fitted")
    mask, table = text_table(blob, offsets)
    return words(mask, len(offsets) - 1, len(step.outputs), step.params["encodings"], table)


TARGET_ENCODER = Operator(_shapes, _encode, target_encode, _Fitter)
