"""Which objectives are read, and that their numbers at the ends of the range are LightGBM's (test_walk has the middle)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from udfs.errors import UnsupportedModelError
from udfs.forest.image import CONVERT, OUTPUTS, PARAMETER, ImageWriter
from udfs.forest.objective import apply_objective, parse_objective


def converted(line, scores):
    scores = np.atleast_2d(np.array(scores, np.float64)).copy()
    routine, parameter = parse_objective(line, len(scores))
    writer = ImageWriter()
    writer.add(20, np.zeros(1))
    writer.head[OUTPUTS] = len(scores)
    writer.head[PARAMETER] = np.float64(parameter).view(np.int64)
    writer.head[CONVERT] = routine.address if routine else 0
    image = writer.finish()
    apply_objective(image.ctypes.data, scores, scores.shape[1])
    return scores


_EXTREMES = [0.0, -0.0, 1.0, -1.0, 36.7, -36.7, 709.0, -709.0, 750.0, -750.0, 1e300, -1e300, np.inf, -np.inf]


def test_extremes():
    def exp(x):
        return math.exp(x) if x < 709.78 else math.inf

    for line, function in (
        ("binary sigmoid:1", lambda x: 1 / (1 + exp(-x))),
        ("cross_entropy", lambda x: 1 / (1 + exp(-x))),
        ("poisson", exp),
        ("cross_entropy_lambda", lambda x: math.log1p(exp(x))),
        ("regression sqrt", lambda x: math.copysign(1, x) * x * x if x else 0.0),
        ("regression", lambda x: x),
        ("", lambda x: x),
    ):
        assert converted(line, _EXTREMES).tolist() == [[function(x) for x in _EXTREMES]], line


def test_softmax_does_not_overflow():
    result = converted("multiclass num_class:3", [[1e4, -1e4, 0.0], [0.0, -1e4, 0.0], [-1e4, -1e4, 0.0]])
    assert result[:, 0].tolist() == [1.0, 0.0, 0.0]
    assert np.allclose(result[:, 1:], 1 / 3)


@pytest.mark.parametrize(
    "name", ["l2", "rmse", "mae", "mape", "xentropy", "xendcg", "none", "custom", "quantile alpha:0.5"]
)
def test_aliases(name):
    parse_objective(name, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("absolute_zero", 'objective "absolute_zero" is not supported'),
        ("binary sigmoid:-1", 'objective "binary sigmoid:-1" has a sigmoid that is not a positive number'),
        ("binary sigmoid:x", "has a sigmoid that is not a positive number"),
        ("multiclassova num_class:1 sigmoid:nan", "has a sigmoid that is not a positive number"),
        ("multiclass num_class:4", 'objective "multiclass num_class:4" does not fit a forest of 1 outputs'),
    ],
)
def test_unknown_objectives_are_refused(line, message):
    with pytest.raises(UnsupportedModelError, match=message):
        parse_objective(line, 1)
