"""The kernels that lay out rows against their twin in plain Python."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlml.server.values import fixed, texts
from udfs.wire.rows import encode_lines, encode_rows, reference_rows

TEXTS = st.lists(st.none() | st.text(max_size=20), max_size=50)


@settings(deadline=None)
@given(TEXTS)
def test_texts_equal_their_twin(values):
    column = texts(pa.array(values, type=pa.string()))
    expected = reference_rows([[None if value is None else value.encode()] for value in values])
    assert encode_rows([column], len(values)).tobytes() == expected


@settings(deadline=None)
@given(TEXTS, st.integers(0, 5))
def test_slices_of_an_array_equal_their_twin(values, start):
    array = pa.array(values, type=pa.large_string()).slice(start)
    expected = reference_rows([[None if value is None else value.encode()] for value in values[start:]])
    assert encode_rows([texts(array)], len(array)).tobytes() == expected


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "float32", "float64"])
def test_numbers_equal_their_twin(dtype):
    values = np.array([0, 1, -1, 7, np.iinfo("int16").max], dtype=dtype)
    valid = [True, False, True, True, True]
    array = pa.array(values, mask=~np.array(valid))
    big = values.astype(values.dtype.newbyteorder(">"))
    expected = reference_rows([[big[i : i + 1].tobytes() if there else None] for i, there in enumerate(valid)])
    assert encode_rows([fixed(array, values)], len(values)).tobytes() == expected


def test_columns_stand_side_by_side():
    columns = [texts(pa.array(["a", None])), texts(pa.array(["", "bc"]))]
    expected = reference_rows([[b"a", b""], [None, b"bc"]], b"d")
    assert encode_rows(columns, 2, b"d").tobytes() == expected


def test_no_rows_and_no_columns():
    assert encode_rows([texts(pa.array([], type=pa.string()))], 0).tobytes() == b""
    assert encode_rows([], 2).tobytes() == reference_rows([[], []])


def test_lines():
    lines = texts(pa.array(["a\n", "", "bcd\n"]))
    assert encode_lines(lines.offsets, lines.data).tobytes() == b"d\0\0\0\x06a\nd\0\0\0\x04d\0\0\0\x08bcd\n"
