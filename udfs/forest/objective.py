"""What LightGBM's objectives make of a raw score, bit for bit: the same operations in the same order, with libm's exp."""

from __future__ import annotations

import math

import numpy as np

from udfs.errors import UnsupportedModelError
from udfs.jit import kernel, view

IDENTITY, EXPONENTIAL, SIGMOID, SOFTMAX, SIGNED_SQUARE, LOG1P_EXP = range(6)
# Words of the forest image's head (udfs.forest.nodes), which this kernel reads.
_OUTPUTS, _DIVISOR, _OBJECTIVE, _PARAMETER = 2, 4, 5, 6
_IDENTITIES = {"", "none", "custom", "huber", "lambdarank", "rank_xendcg"}
_SQUARES = {"regression", "regression_l1", "quantile", "mape", "fair"}
_FIXED = {
    "poisson": (EXPONENTIAL, 0.0),
    "gamma": (EXPONENTIAL, 0.0),
    "tweedie": (EXPONENTIAL, 0.0),
    "cross_entropy": (SIGMOID, 1.0),
    "cross_entropy_lambda": (LOG1P_EXP, 0.0),
}
# LightGBM reads these names in a model file as well (config.h, ParseObjectiveAlias).
_ALIASES = {
    "regression_l2": "regression", "mean_squared_error": "regression", "mse": "regression", "l2": "regression",
    "l2_root": "regression", "root_mean_squared_error": "regression", "rmse": "regression",
    "l1": "regression_l1", "mean_absolute_error": "regression_l1", "mae": "regression_l1",
    "mean_absolute_percentage_error": "mape", "softmax": "multiclass", "multiclass_ova": "multiclassova",
    "ova": "multiclassova", "ovr": "multiclassova", "xentropy": "cross_entropy", "xentlambda": "cross_entropy_lambda",
    "xendcg": "rank_xendcg", "xe_ndcg": "rank_xendcg", "xe_ndcg_mart": "rank_xendcg", "xendcg_mart": "rank_xendcg",
    "null": "none", "na": "none",
}  # fmt: skip


def parse_objective(line: str, outputs: int) -> tuple[int, float]:
    """The operation and its parameter for LightGBM's objective line, such as ``binary sigmoid:1``."""
    words = line.split()
    name = _ALIASES.get(words[0], words[0]) if words else ""
    settings = dict(word.split(":", 1) for word in words[1:] if ":" in word)
    if name in _IDENTITIES:
        return IDENTITY, 0.0
    if name in _SQUARES:
        return (SIGNED_SQUARE, 0.0) if "sqrt" in words[1:] else (IDENTITY, 0.0)
    if name in _FIXED:
        return _FIXED[name]
    if name in {"binary", "multiclassova"}:
        return SIGMOID, _sigmoid(line, settings)
    if name == "multiclass":
        if settings.get("num_class", str(outputs)) != str(outputs):
            raise UnsupportedModelError(f'objective "{line}" does not fit a forest of {outputs} outputs')
        return SOFTMAX, 0.0
    raise UnsupportedModelError(f'objective "{name}" is not supported')


def _sigmoid(line: str, settings: dict[str, str]) -> float:
    try:
        value = float(settings.get("sigmoid", "1"))
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise UnsupportedModelError(f'objective "{line}" has a sigmoid that is not a positive number')
    return value


@kernel
def apply_objective(image_address, out, n):
    """Turn raw scores into predictions in place, for the first ``n`` columns of ``out[outputs, stride]``.

    The averaging of a random forest happens here and not in the raw score, because LightGBM has it so.
    """
    head = view(image_address, np.int64, 16)
    outputs = head[_OUTPUTS]
    objective = head[_OBJECTIVE]
    parameter = view(image_address + 8 * _PARAMETER, np.float64, 1)[0]
    if head[_DIVISOR]:
        for k in range(outputs):
            for i in range(n):
                out[k, i] /= head[_DIVISOR]
    if objective == SOFTMAX:
        for i in range(n):
            softmax(out, outputs, i)
        return
    for k in range(outputs):
        for i in range(n):
            x = out[k, i]
            if objective == SIGMOID:
                out[k, i] = 1.0 / (1.0 + math.exp(-parameter * x))
            elif objective == EXPONENTIAL:
                out[k, i] = math.exp(x)
            elif objective == SIGNED_SQUARE:
                sign = np.float64(int(x > 0.0) - int(x < 0.0))
                out[k, i] = sign * x * x
            elif objective == LOG1P_EXP:
                out[k, i] = math.log1p(math.exp(x))


@kernel
def softmax(out, outputs, i):
    """One row's softmax: exponentials of the distance from the largest score, divided by their sum."""
    largest = out[0, i]
    for k in range(1, outputs):
        largest = max(out[k, i], largest)
    total = 0.0
    for k in range(outputs):
        out[k, i] = math.exp(out[k, i] - largest)
        total += out[k, i]
    for k in range(outputs):
        out[k, i] /= total
