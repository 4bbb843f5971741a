"""ML.BUCKETIZE(x, [points] [, exclude_boundaries] [, output_format]): the bucket that x falls in, as a category.

    code(x) = the number of points <= x          bucket k is [point k-1, point k), its name bin_<k+1>; missing stays missing

ML.QUANTILE_BUCKETIZE(x, buckets [, output_format]) learns the points: the quantiles 1/k, 2/k, ... (exact, linear interpolation),
equal ones once.
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt

from udfs.forest import vectors as lanes
from udfs.jit import cgutils, intrinsic, types, view
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

FEW_POINTS = 40  # that are all compared; more are searched
FORMATS = ("bucket_names", "bucket_ranges", "bucket_ranges_json")


@intrinsic
def count_points(typing_context, points, count, values, codes, n):
    """For every eight of ``n`` values how many of the points are not above them: compared with all, which no branch has to foretell."""

    def codegen(context, builder, signature, arguments):
        points, count, values, codes, n = arguments
        with cgutils.for_range(builder, builder.lshr(n, lanes.word(3))) as part:
            value = lanes.load(builder, lanes.plus(builder, values, part.index, 64), lanes.DOUBLES, 8)
            is_missing = builder.fcmp_unordered("uno", value, value)
            one, none = lanes.vector(lanes.F64, 1.0), lanes.vector(lanes.F64, 0.0)
            first = builder.select(is_missing, lanes.vector(lanes.F64, math.nan), none)
            total = cgutils.alloca_once_value(builder, first)
            with cgutils.for_range(builder, count) as each:
                point = lanes.load(builder, lanes.plus(builder, points, each.index, 8), lanes.F64, 8)
                is_passed = builder.fcmp_ordered("<=", lanes.splat(builder, point), value)
                builder.store(builder.fadd(builder.load(total), builder.select(is_passed, one, none)), total)
            lanes.store(builder, builder.load(total), lanes.plus(builder, codes, part.index, 64), 8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def bucketize(params, rows, n):
    """``params``: count, points; ``rows``: x, out."""
    count = view(params, np.int64, 1)[0]
    points = view(params + 8, np.float64, count)
    row = view(rows, np.int64, 2)
    x = view(row[0], np.float64, n)
    out = view(row[1], np.float64, n)
    counted = n & ~7 if count <= FEW_POINTS else 0
    count_points(params + 8, count, row[0], row[1], np.int64(counted))
    for i in range(counted, n):
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
