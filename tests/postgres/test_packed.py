"""Columns as Postgres packs them: machine code against its plain twin, and every type against values written by hand."""

import math
import struct
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.errors import SqlmlError
from udfs.postgres.packed import (
    FEW,
    HEADER,
    PACKINGS,
    split_fixed_reference,
    split_variable_reference,
    unpack,
)
from udfs.postgres.splitting import split_fixed, split_variable


def packed(elements):
    """What array_send gives for elements that are bytes, or None."""
    body = b"".join(struct.pack(">i", -1) if e is None else struct.pack(">i", len(e)) + e for e in elements)
    return struct.pack(">iiIii", 1, 1, 701, len(elements), 1) + body


@settings(deadline=None)  # the first call loads machine code
@given(st.lists(st.none() | st.binary(max_size=40), max_size=60))
def test_texts_split_as_by_the_twin(elements):
    data = np.frombuffer(packed(elements), np.uint8, offset=HEADER)
    results = []
    for split in (split_variable, split_variable_reference):
        offsets, valid = np.zeros(len(elements) + 1, np.int32), np.zeros(len(elements), np.uint8)
        content = np.zeros(sum(len(e or b"") for e in elements), np.uint8)
        split(data, offsets, content, valid)
        results.append((offsets.tolist(), content.tobytes(), valid.tolist()))
    assert results[0] == results[1]
    assert results[0][1] == b"".join(e or b"" for e in elements)


@settings(deadline=None)  # the first call loads machine code
@given(st.lists(st.none() | st.floats(), max_size=60))
def test_numbers_split_as_by_the_twin(values):
    data = np.frombuffer(packed([None if v is None else struct.pack(">d", v) for v in values]), np.uint8, offset=HEADER)
    results = []
    for split in (split_fixed, split_fixed_reference):
        out, valid = np.zeros(8 * len(values), np.uint8), np.zeros(len(values), np.uint8)
        split(data, 8, out, valid)
        results.append((out.tobytes(), valid.tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize("count", [1, 5, FEW + 1, 4 * FEW])
@pytest.mark.parametrize("every", [1, 3, 10**6], ids=["all NULL", "some NULL", "no NULL"])
def test_doubles(count, every):
    values = [None if i % every == 0 and every < 10**6 else v for i, v in enumerate([math.pi, math.inf, -0.0] * count)]
    array = unpack(
        packed([None if v is None else struct.pack(">d", v) for v in values]), PACKINGS["float8"], len(values)
    )
    assert array.to_pylist() == values
    array.validate(full=True)


CASES = {
    "boolean": (b"\1", True),
    "int2": (struct.pack(">h", -2), -2),
    "int4": (struct.pack(">i", -3), -3),
    "int8": (struct.pack(">q", -4), -4),
    "float4": (struct.pack(">f", 0.5), 0.5),
    "date": (struct.pack(">i", -1), date(1999, 12, 31)),
    "timestamp": (struct.pack(">q", 1), datetime(2000, 1, 1, 0, 0, 0, 1)),
    "text": ("ü".encode(), "ü"),
    "bytea": (b"\0\xff", b"\0\xff"),
}


@pytest.mark.parametrize("name", CASES)
def test_types(name):
    data, value = CASES[name]
    array = unpack(packed([data, None, data]), PACKINGS[name], 3)
    assert array.to_pylist() == [value, None, value]
    assert array.type == PACKINGS[name].arrow
    array.validate(full=True)


@pytest.mark.parametrize(
    ("name", "width", "form"), [("date", 32, ">i"), ("timestamp", 64, ">q"), ("timestamptz", 64, ">q")]
)
def test_infinite_times_stay_at_the_ends(name, width, form):
    ends = [2 ** (width - 1) - 1, -(2 ** (width - 1)), 2 ** (width - 1) - 2]
    array = unpack(packed([struct.pack(form, end) for end in ends]), PACKINGS[name], 3)
    kept = array.cast(pa.int32() if width == 32 else pa.int64()).to_pylist()
    assert kept == [ends[0], ends[1], ends[0]]


def test_nothing_and_the_wrong_number():
    assert len(unpack(None, PACKINGS["float8"], 0)) == 0
    with pytest.raises(SqlmlError, match="holds 1 elements, wanted 2"):
        unpack(packed([b"12345678"]), PACKINGS["float8"], 2)
