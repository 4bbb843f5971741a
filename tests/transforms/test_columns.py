"""Raw blocks against DuckDB's own casts and against pyarrow, for every type that can be a feature."""

from __future__ import annotations

import datetime as dt

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from udfs.columns import raw_block, slot_offsets
from udfs.errors import InputMismatchError
from udfs.model import Argument, Feature
from udfs.transforms import Pipeline, apply_program


def block_of(array, kind):
    return raw_block(pa.record_batch([array], ["v"]), (Argument("v", kind),))


def texts_of(block):
    import ctypes

    rows = zip(block.raw[0].tolist(), block.raw[1].tolist(), block.nulls[0].tolist(), strict=True)
    return [None if null else ctypes.string_at(address, size).decode() for address, size, null in rows]


@pytest.mark.parametrize(
    "expression",
    [
        *(f"(i - 500)::{name}" for name in ("SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE")),
        *(f"(i // 8)::{name}" for name in ("TINYINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")),
        "(i - 500) * 9007199254740993",
        "((i - 500) / 7)::DECIMAL(9, 3)",
        "((i - 500) * 123456789.123)::DECIMAL(18, 3)",
        "((i - 500) * 9007199254740.93::DECIMAL(18, 2))::DECIMAL(18, 2)",
        "((i - 500) * 12345678901234567890.123::DECIMAL(38, 3) / 7)::DECIMAL(38, 6)",
        "i % 3 = 0",
        "CASE WHEN i % 5 = 0 THEN 'nan'::DOUBLE WHEN i % 7 = 0 THEN 'infinity'::DOUBLE ELSE -i END",
    ],
)
def test_numbers_equal_duckdbs_cast(expression):
    connection = duckdb.connect()
    sql = f"SELECT CASE WHEN i % 11 > 0 THEN {expression} END AS v FROM range(1000) r(i)"
    array = connection.sql(sql).to_arrow_table()["v"].combine_chunks()
    want = connection.sql(f"SELECT v::DOUBLE AS v FROM ({sql})").to_arrow_table()["v"].to_numpy(zero_copy_only=False)
    block = block_of(array, "boolean" if pa.types.is_boolean(array.type) else "number")
    np.testing.assert_array_equal(block.raw[0].view(np.float64), want.astype(float))
    assert block.nulls[0].tolist() == [int(i % 11 == 0) for i in range(1000)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_every_unit(unit):
    moments = [dt.datetime.fromisoformat("1969-12-31T23:59:58"), None, dt.datetime.fromisoformat("2024-02-29T12:00")]
    block = block_of(pa.array(moments, pa.timestamp(unit)), "timestamp")
    assert block.raw[0].tolist() == [-2_000_000, 0, 1709208000_000_000]
    assert block.nulls[0].tolist() == [0, 1, 0]


def test_dates_and_times_of_day():
    block = block_of(pa.array([dt.date(1970, 1, 2), None, dt.date(1969, 12, 31)]), "date")
    assert block.raw[0].tolist() == [86_400_000_000, 0, -86_400_000_000]
    block = block_of(pa.array([dt.time(0, 0, 1), None]), "timestamp")
    assert block.raw[0].tolist() == [1_000_000, 0]


def test_infinite_and_far_points_in_time_are_missing():
    sql = """SELECT * FROM (VALUES (DATE 'infinity', TIMESTAMP 'infinity'), (DATE '-infinity', TIMESTAMP '-infinity'),
             (DATE '5000000-01-01', NULL), (DATE '2020-01-01', TIMESTAMP '2020-01-01')) t(d, ts)"""
    table = duckdb.connect().sql(sql).to_arrow_table().combine_chunks()
    arguments = (Argument("d", "date"), Argument("ts", "timestamp"))
    block = raw_block(table.to_batches()[0], arguments)
    assert block.nulls.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]


WORDS = ["", "a", None, "żółć", "a text that is longer than twelve bytes", "b"]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(WORDS),
        pa.array(WORDS, pa.large_string()),
        pa.array(WORDS, pa.string_view()),
        pa.array(WORDS).dictionary_encode(),
        pa.array(["x", *WORDS, "y"]).slice(1, len(WORDS)),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, 4, 5], pa.uint8()), pa.array(WORDS)),
        pa.array(["x", *WORDS]).dictionary_encode().slice(1),
    ],
)
def test_text_of_every_layout(array):
    assert texts_of(block_of(array, "text")) == WORDS


def test_text_of_nothing_but_nulls():
    assert texts_of(block_of(pa.nulls(3), "text")) == [None] * 3
    assert texts_of(block_of(pa.array([], pa.string()), "text")) == []
    assert texts_of(block_of(pa.array([None, None], pa.string()).dictionary_encode(), "text")) == [None] * 2


def test_sliced_batches_are_read_from_their_offset():
    batch = pa.record_batch([pa.array(range(10)), pa.array([True, None] * 5)], ["a", "b"]).slice(3, 4)
    arguments = (Argument("a", "number"), Argument("b", "boolean"))
    got = apply_program(Pipeline(arguments, (), (Feature("a"), Feature("b"))), raw_block(batch, arguments))
    np.testing.assert_array_equal(got, [[3, 4, 5, 6], [np.nan, 1, np.nan, 1]])


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array(["1"]), "number"),
        (pa.array([1]), "text"),
        (pa.array([1]), "date"),
        (pa.array(["x"]), "timestamp"),
        (pa.array([[1]]), "number"),
    ],
)
def test_other_types_are_refused(array, kind):
    with pytest.raises(InputMismatchError, match=f'argument "v" expects {kind}, got '):
        block_of(array, kind)


def test_slots_of_arguments():
    assert slot_offsets((Argument("a", "text"), Argument("b", "number"), Argument("c", "date"))) == [0, 2, 3, 4]
