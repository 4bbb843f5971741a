"""ML.BUCKETIZE(x, [points] [, exclude_boundaries] [, output_format]): the bucket that x falls in, as a category.

    code(x) = the number of points <= x          bucket k is [point k-1, point k), its name bin_<k+1>; missing stays missing

ML.QUANTILE_BUCKETIZE(x, buckets [, output_format]) learns the points: the quantiles 1/k, 2/k, ... (exact, linear interpolation),
equal ones once.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.counts import NumberCounter
from udfs.transforms.number_dictionary import level_text
from udfs.transforms.operator import (
    Batch,
    Learned,
    Operator,
    Output,
    Shape,
    Words,
    array_param,
    require,
    require_shapes,
    words,
)

FORMATS = ("bucket_names", "bucket_ranges", "bucket_ranges_json")


def bucketize(params, rows, n):
    """``params``: count, points; ``rows``: x, out."""
    count = view(params, np.int64, 1)[0]
    points = view(params + 8, np.float64, count)
    row = view(rows, np.int64, 2)
    x = view(row[0], np.float64, n)
    out = view(row[1], np.float64, n)
    for i in range(n):
        value = x[i]
        low = 0
        high = count
        while low < high:
            middle = (low + high) >> 1
            if points[middle] <= value:
                low = middle + 1
            else:
                high = middle
        out[i] = np.nan if np.isnan(value) else np.float64(low)


def bucketize_reference(x: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numpy twin."""
    return np.where(np.isnan(x), np.nan, np.searchsorted(points, x, side="right"))


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("number",))
    points = array_param(step, "points", np.float64)
    require(bool((np.diff(points) > 0).all()) and not np.isnan(points).any(), step, "its points are not ascending")
    require(step.params.get("format", FORMATS[0]) in FORMATS, step, "its output format is unknown")
    return ("number",)


def _unfitted_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    if "points" in step.params:
        return _shapes(step, inputs)
    require_shapes(step, inputs, ("number",))
    return ("number",)


def _encode(step: Step) -> Words:
    points = array_param(step, "points", np.float64)
    return words(len(points), points)


def _describe(step: Step) -> tuple[Output, ...]:
    points = step.params["points"].tolist()
    kind = step.params.get("format", FORMATS[0])
    edges = [-np.inf, *points, np.inf]
    levels = []
    for k in range(len(points) + 1):
        low, high = edges[k], edges[k + 1]
        if kind == "bucket_names":
            levels.append(f"bin_{k + 1}")
        elif kind == "bucket_ranges":
            left = "(-inf" if k == 0 else f"[{level_text(low)}"
            levels.append(f"{left}, {'inf' if k == len(points) else level_text(high)})")
        else:
            ends = {"start": "-Infinity" if k == 0 else level_text(low)}
            levels.append(json.dumps({**ends, "end": "Infinity" if k == len(points) else level_text(high)}))
    return (Output(categorical=True, levels=tuple(levels)),)


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._settings = step.params
        self._counter = NumberCounter()

    def update(self, batch: Batch) -> None:
        self._counter.update(batch.values[0])

    def finish(self) -> Learned:
        buckets = self._settings["buckets"]
        fractions = np.arange(1, buckets) / buckets
        points = np.unique(self._counter.quantiles(fractions))
        points = points[~np.isnan(points)]
        return Learned({"points": points, "format": self._settings.get("format", FORMATS[0])})


BUCKETIZE = Operator(_shapes, _encode, bucketize, None, _describe)
QUANTILE_BUCKETIZE = Operator(_unfitted_shapes, _encode, bucketize, _Fitter, _describe)
