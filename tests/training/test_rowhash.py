"""Row hashes: equal values alike, nothing else alike, no dependence on order, cuts or machine."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.columns import raw_block
from udfs.model import Argument
from udfs.rowhash import Content, Occurrences, draw, extend_hashes, row_hashes

KINDS = {"x": "number", "s": "text", "t": "timestamp"}
ARGUMENTS = tuple(Argument(name, kind) for name, kind in KINDS.items())


def batch(x, s, t):
    return pa.record_batch(
        {"x": pa.array(x, pa.float64()), "s": pa.array(s, pa.string()), "t": pa.array(t, pa.timestamp("us"))}
    )


def hashes(x, s, t):
    return row_hashes(raw_block(batch(x, s, t), ARGUMENTS), ARGUMENTS)


def test_equal_values_hash_alike():
    zero = hashes([0.0, -0.0], ["a", "a"], [5, 5])
    assert zero[0] == zero[1]
    missing = hashes([None, float("nan")], ["a", "a"], [5, 5])
    assert missing[0] == missing[1]


def test_different_values_hash_apart():
    rows = [
        (x, s, t)
        for x in (None, 0.0, 1.0, -1.0, 5e-324, float("inf"))
        for s in (None, "", "a", "b", "ab", "a\0", "abcdefgh", "abcdefgha", "ü")
        for t in (None, 0, 1, -1)
    ]
    found = hashes(*map(list, zip(*rows, strict=True)))
    assert len(set(found.tolist())) == len(rows)


def test_the_order_of_columns_matters():
    both = tuple(Argument(name, "number") for name in "ab")
    forth = row_hashes(raw_block(pa.record_batch({"a": [1.0], "b": [2.0]}), both), both)
    back = row_hashes(raw_block(pa.record_batch({"a": [2.0], "b": [1.0]}), both), both)
    assert forth[0] != back[0]


def test_hashes_are_fixed_for_ever():
    """A change of these numbers changes every split and fingerprint: think twice."""
    found = hashes([1.5, None], ["abc", None], [1_000_000, None])
    extend_hashes(found, np.array([2.0, np.nan]))
    assert found.tolist() == FIXED
    assert draw(found, np.array([0, 1]), 7).tolist() == DRAWN


FIXED = [7827338691681615681, 13300677280744100824]
DRAWN = [1953416189921322375, 16669607727162800322]


@given(st.lists(st.tuples(st.floats(), st.none() | st.text(max_size=20)), min_size=1, max_size=40), st.randoms())
def test_content_does_not_depend_on_order_or_cuts(rows, random):
    def content(rows, step):
        result = Content()
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            result.add(hashes([x for x, _ in part], [s for _, s in part], [0] * len(part)))
        assert result.row_count == len(rows)
        return result.hexadecimal()

    shuffled = random.sample(rows, len(rows))
    assert content(rows, 7) == content(shuffled, 3)
    assert content(rows, 7) != content([*rows, rows[0]], 7)


def test_occurrences_count_copies():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 3_000, 20_000).astype(np.uint64)
    occurrences = Occurrences()
    found = np.concatenate([occurrences.number(part) for part in np.array_split(values, 13)])
    seen: Counter[int] = Counter()
    for value, number in zip(values.tolist(), found.tolist(), strict=True):
        assert number == seen[value]
        seen[value] += 1


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_draws_are_uniform(seed):
    rows = 20_000
    found = hashes(list(map(float, range(rows))), ["k"] * rows, [0] * rows)
    fraction = draw(found, np.zeros(rows, np.int64), seed) / 2.0**64
    assert abs(fraction.mean() - 0.5) < 5 / np.sqrt(12 * rows)
    counts, _ = np.histogram(fraction, 16, (0, 1))
    assert ((counts - rows / 16) ** 2 / (rows / 16)).sum() < 45  # chi-squared, 15 degrees: 1 in 10,000


def test_copies_of_one_row_are_spread():
    copies = np.zeros(10_000, np.uint64)
    numbers = Occurrences().number(copies)
    assert 0.17 < (draw(copies, numbers, 0) < np.uint64(0.2 * 2**64)).mean() < 0.23
