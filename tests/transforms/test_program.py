"""The program's interpreter: registers, aliases, blocks; and the refusal of programs that could touch foreign memory."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from udfs.columns import RawBlock, raw_block
from udfs.errors import ArtifactError
from udfs.model import Argument, Feature, Step
from udfs.transforms import (
    OPERATORS,
    Pipeline,
    apply_image,
    apply_program,
    build_program_image,
    check_steps,
    is_plain,
    plain_rows,
    start_fit,
)
from udfs.transforms.dictionary import texts

NUMBERS = (Argument("a", "number"), Argument("b", "number"), Argument("s", "text"), Argument("t", "timestamp"))


def numbers_block(rows):
    rng = np.random.default_rng(rows)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    s = pa.array(rng.choice(["x", "y", "a longer one", ""], rows).tolist(), pa.string())
    t = pa.array(rng.integers(-(10**15), 10**15, rows), pa.timestamp("us"))
    batch = pa.record_batch([pa.array(a), pa.array(b), s, t], ["a", "b", "s", "t"])
    return a, b, raw_block(batch, NUMBERS)


def add(left, right, out):
    return Step("arithmetic", (left, right), (out,), {"function": "add"})


@pytest.mark.parametrize("rows", [0, 1, 2_047, 2_048, 2_049, 10_000])
def test_blocks_of_any_length(rows):
    a, b, block = numbers_block(rows)
    program = Pipeline(NUMBERS, (add("a", "b", "c"), add("c", "c", "d")), (Feature("d"), Feature("a"), Feature("c")))
    np.testing.assert_array_equal(apply_program(program, block), np.array([2 * (a + b), a, a + b]))


def test_names_can_be_bound_again_and_exchanged():
    a, b, block = numbers_block(100)
    steps = (
        Step("copy", ("a",), ("old",)),
        Step("copy", ("b",), ("a",)),
        Step("copy", ("old",), ("b",)),
        add("a", "a", "a"),
    )
    program = Pipeline(NUMBERS, steps, (Feature("a"), Feature("b"), Feature("b")))
    # an image never holds a feature twice under one name, but a register may serve several
    np.testing.assert_array_equal(apply_program(program, block), np.array([2 * b, a, a]))


def test_scratch_rows_are_used_again():
    a, b, block = numbers_block(50)
    names = ["a", *(f"r{i}" for i in range(300))]
    steps = tuple(add(left, "b", right) for left, right in pairwise(names))
    program = Pipeline(NUMBERS, steps, (Feature("r299"),))
    want = a.copy()
    for _ in range(300):
        want = want + b
    np.testing.assert_array_equal(apply_program(program, block)[0], want)
    assert build_program_image(program)[4] <= 2


def test_plain_programs_are_recognised():
    assert is_plain(Pipeline(NUMBERS, (Step("copy", ("b",), ("c",)),), (Feature("c"), Feature("a"))))
    rows = plain_rows(Pipeline(NUMBERS, (), (Feature("b"), Feature("a"))))
    assert rows is not None
    assert rows.tolist() == [1, 0]
    assert not is_plain(Pipeline(NUMBERS, (add("a", "b", "c"),), (Feature("c"),)))


def test_image_refuses_another_block():
    _, _, block = numbers_block(5)
    image = build_program_image(Pipeline(NUMBERS[:1], (), (Feature("a"),)))
    with pytest.raises(ArtifactError, match="raw block does not fit the transform program"):
        apply_image(image, block, 1)
    assert isinstance(block, RawBlock)


LEVELS = {**texts("levels", ["x", "y"]), "null_code": -1}


@pytest.mark.parametrize(
    ("step", "match"),
    [
        (Step("no_such", ("a",), ("z",)), 'unknown operator "no_such"'),
        (add("a", "zz", "c"), "reads a register that is not defined"),
        (add("a", "s", "c"), r"inputs are \(number, text\)"),
        (add("a", "t", "c"), r"inputs are \(number, time\)"),
        (Step("arithmetic", ("a", "b"), ("c", "d"), {"function": "add"}), "wrong number of outputs"),
        (Step("arithmetic", ("a", "b"), ("c",), {"function": "own"}), "unknown function"),
        (Step("arithmetic", ("a", "b"), (), {"function": "add"}), "outputs are not distinct"),
        (Step("dictionary", ("s",), ("c",)), 'parameter "levels" is missing'),
        (Step("dictionary", ("s",), ("c",), {**LEVELS, "null_code": 7}), "NULL code is out of range"),
        (Step("dictionary", ("s",), ("c",), {**LEVELS, "levels_offsets": np.array([0, 9])}), "do not add up"),
        (Step("dictionary", ("s",), ("c",), {**LEVELS, "levels_offsets": np.array([0, 3, 1, 2])}), "run backwards"),
        (Step("dictionary", ("s",), ("c",), {**LEVELS, "levels_offsets": np.array([-4, 1, 2])}), "do not add up"),
        (Step("dictionary", ("a",), ("c",), LEVELS), "inputs are"),
        (Step("calendar", ("t",), ("c",), {"parts": ["eon"]}), "unknown calendar part"),
        (Step("calendar", ("t",), ("c", "d"), {"parts": ["year"]}), "one output a part"),
        (Step("calendar", ("t",), ("c",), {"parts": ["year"], "shifts": np.zeros(3, np.int64)}), "transitions"),
        (Step("standard_scaler", ("a",), ("c",)), "not fitted"),
        (Step("standard_scaler", ("a",), ("c",), {"scaling": np.zeros(3)}), "four numbers"),
        (Step("bucketize", ("a",), ("c",), {"points": np.array([2.0, 1.0])}), "not ascending"),
        (Step("one_hot_encoder", ("s",), ("c",), texts("vocabulary", ["x", "y"])), "one output a category"),
        (
            Step("polynomial_expand", ("a",), ("c",), {"sizes": np.array([1]), "terms": np.array([5])}),
            "names an input that is not there",
        ),
        (
            Step("polynomial_expand", ("a",), ("c",), {"sizes": np.array([3]), "terms": np.array([0])}),
            "terms do not add up",
        ),
        (
            Step("target_encoder", ("s",), ("c",), {"encodings": np.zeros(2), **texts("levels", ["x"])}),
            "right type and length",
        ),
        (Step("time_floor", ("t",), ("c",), {"unit": 0}), "unit is out of range"),
        (Step("hash_bucketize", ("s",), ("c",), {"buckets": 0}), "number of buckets"),
        (Step("number_constant", (), ("c",), {"value": 10**400}), "malformed"),
    ],
)
def test_malformed_steps_are_refused(step, match):
    features = (Feature(step.outputs[0]),) if step.outputs else ()
    with pytest.raises(ArtifactError, match=match):
        check_steps(Pipeline(NUMBERS, (step,), features))


def test_features_must_be_numbers():
    for name in ("s", "t", "nowhere"):
        with pytest.raises(ArtifactError, match="not a numeric register"):
            check_steps(Pipeline(NUMBERS, (), (Feature(name),)))


def mutations(rng, value):
    """Values a hostile artifact might hold in place of a parameter."""
    wild = [None, -1, 2**62, 3.5, "x", [], [1], {}, True, np.zeros(0), np.array([2**60, -(2**60)]), np.arange(5.0)]
    if isinstance(value, np.ndarray) and value.size and rng.random() < 0.7:
        changed = value.copy()
        place = rng.randrange(value.size)
        if changed.dtype == np.float64:
            changed[place] = rng.choice([np.nan, np.inf, -1e300, 2.0**60])
        elif changed.dtype == np.uint8:
            changed[place] = rng.randrange(256)
        else:
            changed[place] = rng.choice([-1, 2**62, -(2**62), 7, 10**6])
        return rng.choice([changed, value[:-1], np.concatenate([value, value]), np.zeros(value.size, np.int32)])
    return rng.choice(wild)


def test_mutated_programs_are_refused_or_harmless(fit_transform):
    """No mutation of parameters or registers may crash: it is refused, or it computes something of the right shape."""
    rng = random.Random(5)
    table = pa.table(
        {
            "x": [1.0, 2.5, None, 4.0] * 25,
            "y": [3, 1, 2, 0] * 25,
            "s": ["a", "b", None, "c d"] * 25,
            "u": ["x", "y", "z", "x y z"] * 25,
            "t": pa.array([0, 10**15, None, -(10**15)] * 25, pa.timestamp("us")),
        }
    )
    fitted = fit_transform(
        table,
        """*, ML.STANDARD_SCALER(x) OVER() AS a, ML.QUANTILE_BUCKETIZE(y, 3) OVER() AS b, ML.ONE_HOT_ENCODER(s) OVER() AS c,
        ML.FEATURE_CROSS(STRUCT(s, u)) AS d, ML.POLYNOMIAL_EXPAND(STRUCT(x, y)) AS e, ML.BAG_OF_WORDS(u) OVER() AS f,
        ML.LABEL_ENCODER(u) OVER() AS g, CASE WHEN s = 'a' OR u IN ('x', 'y') THEN round(x, 1) ELSE y END AS h, coalesce(s, u) AS i,
        ML.IMPUTER(x, 'median') OVER() AS j, ML.NORMALIZER([x, y]) AS k, ML.HASH_BUCKETIZE(u, 9) AS l, date_diff('day', t, TIMESTAMP '2020-01-01') AS m""",
    )
    block = next(iter(fitted.blocks(None, 1_000)))[0]
    refused = 0
    for _ in range(1_500):
        steps = list(fitted.steps)
        place = rng.randrange(len(steps))
        step = steps[place]
        kind = rng.random()
        if kind < 0.7 and step.params:
            name = rng.choice(list(step.params))
            step = replace(step, params={**step.params, name: mutations(rng, step.params[name])})
        elif kind < 0.8:
            step = replace(step, inputs=tuple(rng.choice(["x", "s", "t", "nowhere", "$3"]) for _ in step.inputs))
        elif kind < 0.9:
            step = replace(step, op=rng.choice(list(OPERATORS)))
        else:
            step = replace(step, outputs=step.outputs[:-1] or ("z",))
        steps[place] = step
        program = replace(fitted.program, steps=tuple(steps))
        try:
            check_steps(program)
        except ArtifactError:
            refused += 1
            continue
        assert apply_program(program, block).shape == (len(fitted.features), block.rows)
    assert 500 < refused < 1_500


def test_fit_refuses_to_learn_from_what_was_learned():
    steps = (Step("standard_scaler", ("a",), ("c",)), Step("min_max_scaler", ("c",), ("d",)))
    with pytest.raises(ArtifactError, match="would learn from what another step has learned"):
        start_fit(Pipeline(NUMBERS, steps, (Feature("d"),)))
