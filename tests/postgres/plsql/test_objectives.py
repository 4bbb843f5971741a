"""What objectives make of raw scores in PL/pgSQL equals the kernels' bit for bit, to both ends of the range of doubles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from udfs.forest.objective import _ALIASES, _FIXED, _IDENTITIES, _SQUARES
from udfs.model import Argument, Feature, Input, Label, Model, Step
from udfs.postgres import plsql, plsql_guards

LINES = [
    *(("binary sigmoid:1", 1), ("binary sigmoid:2.5", 1), ("binary sigmoid:0.3", 1), ("binary sigmoid:1e-300", 1)),
    *(("binary sigmoid:1e300", 1), ("cross_entropy", 1), ("poisson", 1), ("gamma", 1)),
    *(("tweedie", 1), ("regression", 1), ("regression sqrt", 1), ("huber", 1), ("lambdarank", 1), ("", 1)),
    *(("multiclass num_class:3", 3), ("multiclassova num_class:3 sigmoid:0.7", 3)),
]


def extremes():
    rng = np.random.default_rng(1)
    ends = [plsql_guards.EXP_HIGH, plsql_guards.EXP_LOW, plsql_guards.SQUARE_LOW, plsql_guards.SQUARE_HIGH]
    near = [value for end in ends for value in (end, np.nextafter(end, np.inf), np.nextafter(end, -np.inf))]
    plain = [0.0, -0.0, 1.0, -1.0, 36.7, 709.0, 708.5, 740.0, 743.7, 744.5, 750.0, 1e3, 1e154, 1e300, 5e-324, 1e-310]
    small = [1e-17, 1e-9, 2.0**-29, 2.0**-54, -20.1, -37.5, -0.8814, -0.8813, 36.7368, 1e-162, 1e-170]
    values = np.array([*near, *plain, *small])
    return np.concatenate(
        (values, -values, rng.normal(0, 1, 2000), rng.normal(0, 100, 2000), rng.uniform(-746, 710, 2000))
    )


def model_of(line, outputs, *, average=False, trees=0):
    """A model whose raw scores can be set: the sum of a tree is replaced by its feature below."""
    names = [f"x{i}" for i in range(outputs)]
    from udfs.model import Forest

    return Model(
        "multiclass" if outputs > 1 else "regression",
        Label("y", "float8", tuple(range(outputs)) if outputs > 1 else ()),
        tuple(Input(name, "number", "float8") for name in names),
        tuple(Argument(name, "number") for name in names),
        (),
        tuple(Feature(name) for name in names),
        Forest((), outputs, line, average, tuple(names)),
    )


@pytest.mark.parametrize(("line", "outputs"), LINES, ids=[line for line, _ in LINES])
def test_extremes(line, outputs, twins, monkeypatch):
    """The forest's sums are replaced by the row's own numbers, on both sides."""
    values = extremes()
    rows = np.stack([np.roll(values, 7 * k) for k in range(outputs)])
    monkeypatch.setattr(plsql, "_sums", lambda model, scope: [f"a{k}" for k in range(outputs)])
    pair = twins(model_of(line, outputs))
    pair.load(rows.tolist())
    want = rows.copy()
    from udfs.forest.objective import apply_objective

    apply_objective(pair.scorer._forest.ctypes.data, want, want.shape[1])
    pair.check_bits(pair.call(), want)


def test_averages(twins, monkeypatch):
    """A random forest divides by its iterations, also where the quotient vanishes."""
    values = extremes()
    monkeypatch.setattr(plsql, "_sums", lambda model, scope: ["a0"])
    model = model_of("regression", 1, average=True)
    tree = one_leaf()
    pair = twins(replace(model, forest=replace(model.forest, trees=(tree,) * 3)))
    pair.load([values.tolist()])
    pair.check_bits(pair.call(), (values / 3)[None])


def one_leaf():
    from udfs.model import Tree

    none = {"split_feature": np.int32, "left_child": np.int32, "right_child": np.int32, "internal_count": np.int32}
    floats = {"threshold": np.float64, "internal_value": np.float64, "internal_weight": np.float64}
    rest = {"decision_type": np.int8, "split_gain": np.float32, "cat_boundaries": np.int32, "cat_threshold": np.uint32}
    empty = {name: np.zeros(0, kind) for name, kind in {**none, **floats, **rest}.items()}
    one = np.ones(1)
    return Tree(**empty, leaf_value=one, leaf_weight=one, leaf_count=np.ones(1, np.int32))


def test_limits_are_the_last_doubles():
    assert math.exp(plsql_guards.EXP_HIGH) < math.inf
    with pytest.raises(OverflowError):
        math.exp(np.nextafter(plsql_guards.EXP_HIGH, np.inf))
    assert math.exp(plsql_guards.EXP_LOW) > 0 == math.exp(np.nextafter(plsql_guards.EXP_LOW, -np.inf))
    low, high = plsql_guards.SQUARE_LOW, plsql_guards.SQUARE_HIGH
    assert low * low == 0 < np.nextafter(low, 1) ** 2
    assert high * high < math.inf


def test_every_objective_is_covered():
    """Each name that the kernels read has been scored above, or is an identity or a square like one that was."""
    scored = {line.partition(" ")[0] for line, _ in LINES}
    assert set(_FIXED) - {"cross_entropy_lambda"} | {"binary", "multiclass", "multiclassova"} <= scored
    assert set(_ALIASES.values()) <= scored | _IDENTITIES | _SQUARES | {"cross_entropy_lambda"}
    reason = 'objective "cross_entropy_lambda" needs log1p, which PostgreSQL does not have'
    assert plsql.plsql_refusal(model_of("cross_entropy_lambda", 1)) == reason


def test_unused_arguments_are_not_computed(twins):
    """A forest without trees looks at nothing, whatever the steps are."""
    model = model_of("regression", 1)
    step = Step("elementwise", ("x0",), ("y0",), {"function": "exp"})
    pair = twins(replace(model, steps=(step,)))
    pair.load([[1.0, None]])
    assert pair.call("_raw").tolist() == [[0.0, 0.0]]
    assert pa.record_batch([pa.array([1.0])], ["x0"]).num_rows == 1
