"""What LightGBM's objectives make of a raw score, bit for bit: the same operations in the same order, with libm's exp."""

from __future__ import annotations

import math

import numpy as np

from udfs.errors import UnsupportedModelError
from udfs.forest.image import CONVERT, DIVISOR, HEAD_WORDS, OUTPUTS, PARAMETER
from udfs.jit import Routine, address_of, invoke, kernel, part, peek, poke, routine, view, word


@routine
def exponential(image_address, out, stride, n):
    """Poisson, gamma, tweedie."""
    values = view(out, np.float64, n)
    for i in range(n):
        values[i] = math.exp(values[i])


@routine
def sigmoid(image_address, out, stride, n):
    """Binary, one against all, cross-entropy: each output by itself."""
    head = view(image_address, np.int64, HEAD_WORDS)
    factor = view(image_address, np.float64, HEAD_WORDS)[PARAMETER]
    for k in range(head[OUTPUTS]):
        values = view(out + k * stride, np.float64, n)
        for i in range(n):
            values[i] = 1.0 / (1.0 + math.exp(-factor * values[i]))


@routine
def signed_square(image_address, out, stride, n):
    """Regression on the square root of the label."""
    values = view(out, np.float64, n)
    for i in range(n):
        x = values[i]
        sign = np.float64(int(x > 0.0) - int(x < 0.0))
        values[i] = sign * x * x


@routine
def log1p_exp(image_address, out, stride, n):
    """Cross-entropy with the intensity as its output."""
    values = view(out, np.float64, n)
    for i in range(n):
        values[i] = math.log1p(math.exp(values[i]))


@routine
def softmax(image_address, out, stride, n):
    """Multiclass: exponentials of the distance from the largest score, divided by their sum."""
    outputs = view(image_address, np.int64, HEAD_WORDS)[OUTPUTS]
    for i in range(n):
        scores = out + 8 * i
        largest = view(scores, np.float64, 1)[0]
        for k in range(1, outputs):
            largest = max(view(scores + k * stride, np.float64, 1)[0], largest)
        total = 0.0
        for k in range(outputs):
            score = view(scores + k * stride, np.float64, 1)
            score[0] = math.exp(score[0] - largest)
            total += score[0]
        for k in range(outputs):
            view(scores + k * stride, np.float64, 1)[0] /= total


@kernel
def apply_objective(image_address, out, n):
    """Turn raw scores into predictions in place, for the first ``n`` columns of ``out[outputs, stride]``."""
    convert_scores(image_address, address_of(out), out.strides[0], n)


@part
def convert_scores(image_address, out, stride, n):
    """The same for rows of scores that are ``stride`` bytes apart.

    The averaging of a random forest happens here and not in the raw score, because LightGBM has it so.
    """
    divisor = word(image_address, DIVISOR)
    if divisor:
        for k in range(word(image_address, OUTPUTS)):
            for i in range(n):
                poke(out + k * stride, np.float64, i, peek(out + k * stride, np.float64, i) / divisor)
    if word(image_address, CONVERT):
        invoke(word(image_address, CONVERT), (image_address, out, np.int64(stride), np.int64(n)))


_IDENTITIES = {"", "none", "custom", "huber", "lambdarank", "rank_xendcg"}
_SQUARES = {"regression", "regression_l1", "quantile", "mape", "fair"}
_FIXED: dict[str, tuple[Routine, float]] = {
    "poisson": (exponential, 0.0),
    "gamma": (exponential, 0.0),
    "tweedie": (exponential, 0.0),
    "cross_entropy": (sigmoid, 1.0),
    "cross_entropy_lambda": (log1p_exp, 0.0),
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


def parse_objective(line: str, outputs: int) -> tuple[Routine | None, float]:
    """The routine (None for the identity) and its parameter for LightGBM's objective line, such as ``binary sigmoid:1``."""
    words = line.split()
    name = _ALIASES.get(words[0], words[0]) if words else ""
    settings = dict(word.split(":", 1) for word in words[1:] if ":" in word)
    if name in _IDENTITIES:
        return None, 0.0
    if name in _SQUARES:
        return (signed_square if "sqrt" in words[1:] else None), 0.0
    if name in _FIXED:
        return _FIXED[name]
    if name in {"binary", "multiclassova"}:
        return sigmoid, _sigmoid(line, settings)
    if name == "multiclass":
        if settings.get("num_class", str(outputs)) != str(outputs):
            raise UnsupportedModelError(f'objective "{line}" does not fit a forest of {outputs} outputs')
        return softmax, 0.0
    raise UnsupportedModelError(f'objective "{name}" is not supported')


def _sigmoid(line: str, settings: dict[str, str]) -> float:
    try:
        value = float(settings.get("sigmoid", "1"))
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise UnsupportedModelError(f'objective "{line}" has a sigmoid that is not a positive number')
    return value
