"""Every kernel against its plain twin, on ordinary and on hostile values, from no row to more than a block."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from udfs.columns import raw_block
from udfs.model import Argument, Feature, Step
from udfs.transforms import (
    OPERATORS,
    Pipeline,
    apply_program,
    arithmetic,
    bag_of_words,
    bucketize,
    choice,
    comparison,
    dictionary,
    durations,
    elementwise,
    feature_cross,
    imputer,
    label_encoder,
    logic,
    membership,
    normalizer,
    number_dictionary,
    one_hot_encoder,
    polynomial_expand,
    scaling,
    target_encoder,
)
from udfs.transforms.dictionary import texts

ARGUMENTS = (
    Argument("a", "number"),
    Argument("b", "number"),
    Argument("k", "boolean"),
    Argument("l", "boolean"),
    Argument("s", "text"),
    Argument("u", "text"),
    Argument("t", "timestamp"),
    Argument("v", "timestamp"),
)
HOSTILE = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    np.nan,
    np.inf,
    -np.inf,
    1e300,
    -1e300,
    5e-324,
    2.0**53,
    7.0,
    -3.0,
]
TEXTS = ["", "a", "b", None, "abcdefgh", "abcdefgi", "żółć", "b a", "a b a", "0123456789abcdefg", "0123456789abcdefh"]


class Data:
    """Random columns, as arrays and as a raw block."""

    def __init__(self, rows):
        rng = np.random.default_rng(rows + 1)
        pick = rng.choice(HOSTILE, (2, rows))
        smooth = rng.normal(0, 10, (2, rows))
        self.a, self.b = np.where(rng.random((2, rows)) < 0.5, pick, smooth)
        self.k, self.l = rng.choice([0.0, 1.0, np.nan], (2, rows))
        self.s, self.u = (list(rng.choice(np.array(TEXTS, object), rows)) for _ in range(2))
        self.t, self.v = rng.integers(-(10**16), 10**16, (2, rows))
        times = [pa.array(x, pa.timestamp("us")) for x in (self.t, self.v)]
        flags = [pa.array([None if np.isnan(v) else bool(v) for v in x], pa.bool_()) for x in (self.k, self.l)]
        words = [pa.array(x, pa.string()) for x in (self.s, self.u)]
        arrays = [pa.array(self.a), pa.array(self.b), *flags, *words, *times]
        self.block = raw_block(pa.record_batch(arrays, [x.name for x in ARGUMENTS]), ARGUMENTS)

    def run(self, op, inputs, outputs=1, **params):
        names = tuple(f"o{i}" for i in range(outputs))
        step = Step(op, tuple(inputs), names, params)
        result = apply_program(Pipeline(ARGUMENTS, (step,), tuple(Feature(n) for n in names)), self.block)
        return result[0] if outputs == 1 else result


@pytest.fixture(scope="module", params=[0, 1, 2_500])
def data(request):
    return Data(request.param)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-15, atol=0, equal_nan=True)


def same(got, want):
    np.testing.assert_array_equal(got, np.array(want, np.float64).reshape(np.shape(got)))


@pytest.mark.parametrize("function", arithmetic.FUNCTIONS)
def test_arithmetic(data, function):
    with np.errstate(all="ignore"):
        close(
            data.run("arithmetic", "ab", function=function), arithmetic.arithmetic_reference(function, data.a, data.b)
        )


@pytest.mark.parametrize("function", elementwise.FUNCTIONS)
def test_elementwise(data, function):
    got = data.run("elementwise", "a", function=function, factor=100.0)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, elementwise.elementwise_reference(function, data.a, 100.0), rtol=4e-16)


@pytest.mark.parametrize("function", comparison.FUNCTIONS)
@pytest.mark.parametrize("shape", ["number", "text"])
def test_comparison(data, function, shape):
    pairs = zip(data.a, data.b, strict=True) if shape == "number" else zip(data.s, data.u, strict=True)
    want = []
    for left, right in pairs:
        a, b = (None if v is None or v != v else v.encode() if isinstance(v, str) else v for v in (left, right))
        result = comparison.comparison_reference(function, a, b)
        want.append(np.nan if result is None else result)
    same(data.run(f"{shape}_comparison", "ab" if shape == "number" else "su", function=function), want)


def test_time_comparison_and_difference(data):
    same(data.run("time_comparison", "tv", function="lt"), data.t < data.v)
    day = 86_400_000_000
    same(data.run("time_difference", "tv", unit=day), durations.time_difference_reference(data.t, data.v, day))


@pytest.mark.parametrize("function", logic.BINARY)
def test_logic(data, function):
    same(data.run("logic", "kl", function=function), logic.logic_reference(function, data.k, data.l))


@pytest.mark.parametrize("function", logic.UNARY)
def test_truth(data, function):
    same(data.run("truth", "k", function=function), logic.truth_reference(function, data.k))


def test_choice(data):
    same(data.run("number_choice", "kab"), choice.choice_reference(data.k, data.a, data.b))


@pytest.mark.parametrize("has_null", [True, False])
def test_membership(data, has_null):
    values = np.array([0.0, 1.5, np.inf])
    want = membership.number_membership_reference(data.a, values, has_null=has_null)
    same(data.run("number_membership", "a", values=values, has_null=has_null), want)


def test_dictionaries(data):
    levels = ["b", "żółć", "", "0123456789abcdefg", "abcdefgi"]
    got = data.run("dictionary", "s", **texts("levels", levels), null_code=5)
    same(got, dictionary.dictionary_reference(data.s, levels, 5))
    values, codes = np.array([-3.0, 0.0, 1.5, np.inf]), np.array([2, 0, 3, 1])
    got = data.run("number_dictionary", "a", values=values, codes=codes, null_code=4)
    same(got, number_dictionary.number_dictionary_reference(data.a, values, codes, 4))


def test_encoders(data):
    words = ["", "a", "abcdefgh", "żółć"]
    got = data.run("one_hot_encoder", "s", 4, **texts("vocabulary", words))
    same(got, one_hot_encoder.one_hot_reference(data.s, words))
    got = data.run("label_encoder", "s", **texts("vocabulary", words))
    same(got, label_encoder.label_encode_reference(data.s, words))
    encodings = np.arange(12.0)
    got = data.run("target_encoder", "s", 2, encodings=encodings, **texts("levels", words))
    same(got, target_encoder.target_encode_reference(data.s, words, encodings))


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 3), (2, 2)])
def test_bag_of_words(data, low, high):
    words = ["a", "b", "b a", "a b a", "nothing"]
    cut = {"separator": " ", "low": low, "high": high}
    got = data.run("bag_of_words", "s", 5, **texts("vocabulary", words), **cut)
    same(got, bag_of_words.bag_of_words_reference(data.s, words, " ", low, high))
    got = data.run("multi_hot_encoder", "s", 5, **texts("vocabulary", words), **cut)
    same(got, np.minimum(bag_of_words.bag_of_words_reference(data.s, words, " ", low, high), 1))


def test_feature_cross(data):
    parts = [["", "a", "żółć"], ["a", "b"]]
    keys, codes = np.array([0, 3, 4]), np.array([1, 2, 0])
    by_code = [("żółć", "a"), ("", "a"), ("a", "b")]
    params = {**texts("part_0", parts[0]), **texts("part_1", parts[1]), "keys": keys, "codes": codes}
    same(data.run("feature_cross", "su", **params), feature_cross.feature_cross_reference([data.s, data.u], by_code))


def test_numbers_of_preprocessors(data):
    with np.errstate(all="ignore"):
        got = data.run("standard_scaler", "a", scaling=np.array([1.0, 3.0, -2.0, 2.0]))
        close(got, scaling.scale_reference(data.a, 1.0, 3.0, -2.0, 2.0))
        same(data.run("imputer", "a", value=4.5), imputer.impute_reference(data.a, 4.5))
        points = np.array([-3.0, 0.0, 1.5])
        same(data.run("bucketize", "a", points=points), bucketize.bucketize_reference(data.a, points))
        terms = polynomial_expand.polynomial_terms(2, 2)
        flat, sizes = np.array([f for term in terms for f in term]), np.array([len(term) for term in terms])
        got = data.run("polynomial_expand", "ab", len(terms), sizes=sizes, terms=flat)
        close(got, polynomial_expand.polynomial_reference(np.array([data.a, data.b]), 2))


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, np.inf])
def test_normalizer(p):
    x = np.random.default_rng(1).normal(size=(2, 100))
    x[:, :3] = [[0, np.nan, 1], [0, 2, 0]]
    arguments = ARGUMENTS[:2]
    block = raw_block(pa.record_batch(list(map(pa.array, x)), ["a", "b"]), arguments)
    step = Step("normalizer", ("a", "b"), ("c", "d"), {"p": p})
    got = apply_program(Pipeline(arguments, (step,), (Feature("c"), Feature("d"))), block)
    want = normalizer.normalize_reference(x, p)
    want[:, 1] = np.nan  # numpy counts NaN as not zero, and compares it
    np.testing.assert_allclose(got, want, rtol=1e-15)


def test_every_operator_has_a_test():
    """The registry's keys are what stored models depend on: none may go, none may come without a test."""
    tested = {
        *("copy", "text_slots", "number_constant", "time_constant", "text_constant"),  # test_program, test_expressions
        *("dictionary", "number_dictionary", "calendar", "arithmetic", "elementwise", "logic", "truth"),
        *("number_comparison", "time_comparison", "text_comparison", "time_is_null", "text_is_null"),
        *("number_choice", "time_choice", "text_choice", "number_membership", "text_membership"),
        *("time_difference", "time_floor", "standard_scaler", "min_max_scaler", "max_abs_scaler", "robust_scaler"),
        *("normalizer", "imputer", "bucketize", "quantile_bucketize", "one_hot_encoder", "multi_hot_encoder"),
        *("label_encoder", "target_encoder", "feature_cross", "polynomial_expand", "hash_bucketize", "bag_of_words"),
    }
    assert set(OPERATORS) == tested
