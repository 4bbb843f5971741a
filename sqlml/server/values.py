"""A column of Arrow values to what the wire's rows are made of, in the text or the binary format of Postgres.

One encoder a type and format, in two tables. Each takes an Arrow array and gives ``Texts`` or ``Fixed``; whole arrays are
converted by Arrow and numpy where they can, values one by one only for the rare types.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sqlml.server import types as t
from sqlml.server.nested import as_json
from sqlml.server.numbers import float_texts, numeric_bytes, plain_number
from udfs.wire.rows import ALL_VALID, Fixed, Texts, encode_rows

Encoded = Texts | Fixed
Encoder = Callable[[Any], Encoded]

DAYS_TO_2000 = 10_957
MICROSECONDS_TO_2000 = DAYS_TO_2000 * 86_400_000_000
_INFINITE_DATE = 2**31 - 1
_INFINITE_TIMESTAMP = 2**63 - 1


def encode_batch(batch: pa.RecordBatch, encoders: Sequence[Encoder], tag: bytes = b"D") -> Any:
    """The messages of a batch's rows."""
    columns = [encoder(column) for encoder, column in zip(encoders, batch.columns, strict=True)]
    return encode_rows(columns, batch.num_rows, tag)


def encoder_of(kind: t.WireType, sql_type: str, *, binary: bool) -> Encoder:
    """The encoder of a column."""
    if sql_type == "BIT":
        return _bits_binary if binary else _bits_text
    if sql_type == "BIGNUM":
        return _bignum_binary if binary else _bignum_text
    encoder = (_BINARY if binary else _TEXT).get(kind.oid)
    return encoder or _as_text


def _valid(array: Any) -> Any:
    if array.null_count == 0:
        return ALL_VALID
    return np.asarray(array.is_valid().cast(pa.uint8()))


def texts(array: Any) -> Texts:
    """Arrow strings or binaries."""
    valid = _valid(array)
    is_large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    width = np.int64 if is_large else np.int32
    places = np.frombuffer(offsets, dtype=width)[array.offset : array.offset + len(array) + 1]
    characters = np.frombuffer(data, dtype=np.uint8) if data is not None else ALL_VALID
    return Texts(places, characters, valid)


def fixed(array: Any, values: Any) -> Fixed:
    """Numbers in the machine's order, with the NULLs of an array."""
    width = values.dtype.itemsize
    swapped = np.ascontiguousarray(values.astype(values.dtype.newbyteorder(">")))
    return Fixed(width, swapped.view(np.uint8).reshape(-1), _valid(array))


def one_by_one(array: Any, convert: Callable[[Any], bytes | str]) -> Texts:
    """Values of a rare type, through Python."""
    converted = [None if value is None else convert(value) for value in array.to_pylist()]
    is_text = any(isinstance(value, str) for value in converted)
    return texts(pa.array(converted, type=pa.large_string() if is_text else pa.large_binary()))


# -- text -------------------------------------------------------------------------------------------------------------------


def _as_text(array: Any) -> Encoded:
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
    elif pa.types.is_nested(kind):
        return as_json_texts(array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return texts(array)
    return texts(pc.cast(array, pa.large_string()))


def as_json_texts(array: Any) -> Texts:
    """Nested values as JSON; what is text already is taken for JSON."""
    if not pa.types.is_nested(array.type):
        return _as_text(array)  # type: ignore[return-value]
    return one_by_one(array, as_json)


def _bool_text(array: Any) -> Encoded:
    return texts(pc.if_else(array, pa.scalar("t"), pa.scalar("f")))


def _float_text(array: Any) -> Encoded:
    return texts(float_texts(array))


def _numeric_text(array: Any) -> Encoded:
    if not pa.types.is_decimal(array.type):
        return _as_text(array)
    if array.type.scale < 7:  # Arrow would write 0.0000001 as 1E-7
        return texts(pc.cast(array, pa.string()))
    return one_by_one(array, plain_number)


def _bytea_text(array: Any) -> Encoded:
    return one_by_one(array, lambda value: "\\x" + value.hex())


def _bits(value: bytes) -> str:
    """DuckDB's first byte says how many of the bits behind it pad the next one."""
    return "".join(f"{byte:08b}" for byte in value[1:])[value[0] :]


def _bits_text(array: Any) -> Encoded:
    return one_by_one(array, _bits)


def _bits_binary(array: Any) -> Encoded:
    def convert(value: bytes) -> bytes:
        bits = _bits(value)
        padded = bits + "0" * (-len(bits) % 8)
        return struct.pack("!i", len(bits)) + int(padded or "0", 2).to_bytes(len(padded) // 8, "big")

    return one_by_one(array, convert)


def _bignum(value: bytes) -> int:
    """A sign bit and the length of the magnitude in three bytes, and the magnitude; negative numbers have all bits turned."""
    if value[0] & 0x80:
        return int.from_bytes(value[3:], "big")
    return -int.from_bytes(bytes(byte ^ 0xFF for byte in value[3:]), "big")


def _bignums(array: Any) -> Any:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _bignum_text(array: Any) -> Encoded:
    return one_by_one(_bignums(array), lambda value: str(_bignum(value)))


def _bignum_binary(array: Any) -> Encoded:
    return one_by_one(_bignums(array), lambda value: numeric_bytes(_bignum(value)))


def _date_text(array: Any) -> Encoded:
    days = pc.cast(array, pa.int32())
    shown = _years(pc.cast(array, pa.string()))
    return texts(_infinite(shown, days, _INFINITE_DATE))


def _infinite(shown: Any, numbers: Any, limit: int) -> Any:
    largest = pc.max(pc.abs(numbers)).as_py()
    if largest is None or largest < limit:
        return shown
    shown = pc.if_else(pc.equal(numbers, limit), pa.scalar("infinity"), shown)
    return pc.if_else(pc.equal(numbers, -limit), pa.scalar("-infinity"), shown)


def _years(shown: Any) -> Any:
    """Years before Christ as Postgres writes them: Arrow's -0043 is 44 BC."""
    if not pc.any(pc.starts_with(shown, "-")).as_py() and not pc.any(pc.starts_with(shown, "0000")).as_py():
        return shown

    def convert(text: str | None) -> str | None:
        if text is None or not text.startswith(("-", "0000")):
            return text
        year, rest = text[: text.index("-", 1)], text[text.index("-", 1) :]
        return f"{1 - int(year):04d}{rest} BC"

    return pa.array([convert(text) for text in shown.to_pylist()], type=pa.string())


def _clock(shown: Any) -> Any:
    """Without the zeros behind the seconds."""
    return pc.ascii_rtrim(pc.ascii_rtrim(shown, "0"), ".")


def _microseconds(array: Any) -> Any:
    """Timestamps of any unit in microseconds."""
    zone = array.type.tz
    return pc.cast(array, pa.timestamp("us", tz=zone), safe=False)


def _timestamp_texts(array: Any) -> Any:
    numbers = pc.cast(array, pa.int64())
    whole = pc.all(pc.equal(pc.subtract(numbers, pc.multiply(pc.divide(numbers, 1_000_000), 1_000_000)), 0)).as_py()
    if whole or whole is None:
        return pc.cast(pc.cast(array, pa.timestamp("s"), safe=False), pa.string())
    return _clock(pc.cast(array, pa.string()))


def _timestamp_text(array: Any) -> Encoded:
    moments = _microseconds(array)
    numbers = pc.cast(moments, pa.int64())
    return texts(_infinite(_years(_timestamp_texts(moments)), numbers, _INFINITE_TIMESTAMP))


def _timestamptz_text(array: Any) -> Encoded:
    moments = _microseconds(array)
    numbers = pc.cast(moments, pa.int64())
    limits = pc.equal(pc.abs_checked(numbers) if len(numbers) == 0 else pc.abs(numbers), _INFINITE_TIMESTAMP)
    finite = pc.if_else(limits, pa.scalar(0, pa.int64()), numbers)
    local = pc.local_timestamp(pc.cast(finite, moments.type))
    offsets = pc.divide(pc.subtract(pc.cast(local, pa.int64()), finite), 1_000_000)
    shown = pc.binary_join_element_wise(_timestamp_texts(local), _offset_texts(offsets), "")
    return texts(_infinite(_years(shown), numbers, _INFINITE_TIMESTAMP))


def _offset_texts(seconds: Any) -> Any:
    coded = pc.dictionary_encode(seconds)
    names = pa.array([zone_offset(value) for value in coded.dictionary.to_pylist()], type=pa.string())
    return pa.DictionaryArray.from_arrays(coded.indices, names).dictionary_decode()


def zone_offset(seconds: int) -> str:
    """``+02``, ``-03:30``."""
    hours, rest = divmod(abs(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{'-' if seconds < 0 else '+'}{hours:02d}"
    text += f":{minutes:02d}" if minutes or rest else ""
    return text + (f":{rest:02d}" if rest else "")


def _time_text(array: Any) -> Encoded:
    return texts(_clock(pc.cast(pc.cast(array, pa.time64("us"), safe=False), pa.string())))


def _timetz_text(array: Any) -> Encoded:
    return texts(pc.binary_join_element_wise(_clock(pc.cast(array, pa.string())), pa.scalar("+00"), ""))


def interval_text(months: int, days: int, microseconds: int) -> str:
    """As Postgres writes intervals: ``1 year 2 mons -3 days 04:05:06.7``."""
    years, left = divmod(abs(months), 12)
    sign = "-" if months < 0 else ""
    parts = [f"{sign}{years} year{'' if years == 1 and not sign else 's'}"] if years else []
    parts += [f"{sign}{left} mon{'' if left == 1 and not sign else 's'}"] if left else []
    parts += [f"{days} day{'' if days == 1 else 's'}"] if days else []
    if microseconds or not parts:
        seconds, fraction = divmod(abs(microseconds), 1_000_000)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        clock += f".{fraction:06d}".rstrip("0") if fraction else ""
        parts.append(("-" if microseconds < 0 else "") + clock)
    return " ".join(parts)


def _interval_parts(value: Any) -> tuple[int, int, int]:
    months, days, nanoseconds = value
    return months, days, nanoseconds // 1000


def _interval_text(array: Any) -> Encoded:
    return one_by_one(array, lambda value: interval_text(*_interval_parts(value)))


_TEXT: dict[int, Encoder] = {
    t.BOOL.oid: _bool_text,
    t.BYTEA.oid: _bytea_text,
    t.JSON.oid: as_json_texts,
    t.FLOAT4.oid: _float_text,
    t.FLOAT8.oid: _float_text,
    t.NUMERIC.oid: _numeric_text,
    t.DATE.oid: _date_text,
    t.TIME.oid: _time_text,
    t.TIMETZ.oid: _timetz_text,
    t.TIMESTAMP.oid: _timestamp_text,
    t.TIMESTAMPTZ.oid: _timestamptz_text,
    t.INTERVAL.oid: _interval_text,
}


# -- binary -----------------------------------------------------------------------------------------------------------------


def _numbers(dtype: Any) -> Encoder:
    def encode(array: Any) -> Encoded:
        filled = array.fill_null(0) if array.null_count else array
        return fixed(array, filled.to_numpy(zero_copy_only=False).astype(dtype, copy=False))

    return encode


def _bool_binary(array: Any) -> Encoded:
    return fixed(array, np.asarray(pc.cast(array.fill_null(False), pa.uint8())))


def _date_binary(array: Any) -> Encoded:
    days = pc.cast(array, pa.int32()).fill_null(0).to_numpy()
    finite = np.abs(days.astype(np.int64)) != _INFINITE_DATE
    shifted = np.where(finite, days - np.int32(DAYS_TO_2000), np.where(days > 0, _INFINITE_DATE, -(2**31)))
    return fixed(array, shifted.astype(np.int32))


def _moment_binary(array: Any) -> Encoded:
    moments = pc.cast(_microseconds(array), pa.int64()).fill_null(0).to_numpy()
    finite = np.abs(moments) != _INFINITE_TIMESTAMP
    ends = np.where(moments > 0, np.int64(_INFINITE_TIMESTAMP), np.int64(-(2**63)))
    return fixed(array, np.where(finite, moments - np.int64(MICROSECONDS_TO_2000), ends))


def _time_binary(array: Any) -> Encoded:
    clock = pc.cast(pc.cast(array, pa.time64("us"), safe=False), pa.int64())
    return fixed(array, clock.fill_null(0).to_numpy())


def _timetz_binary(array: Any) -> Encoded:
    return one_by_one(pc.cast(array, pa.int64()), lambda value: struct.pack("!qi", value, 0))


def _interval_binary(array: Any) -> Encoded:
    def convert(value: Any) -> bytes:
        months, days, microseconds = _interval_parts(value)
        return struct.pack("!qii", microseconds, days, months)

    return one_by_one(array, convert)


def _numeric_binary(array: Any) -> Encoded:
    return one_by_one(array, numeric_bytes)


def _uuid_binary(array: Any) -> Encoded:
    return one_by_one(array, lambda value: bytes.fromhex(value.replace("-", "")))


_BINARY: dict[int, Encoder] = {
    t.BOOL.oid: _bool_binary,
    t.INT2.oid: _numbers(np.int16),
    t.INT4.oid: _numbers(np.int32),
    t.INT8.oid: _numbers(np.int64),
    t.FLOAT4.oid: _numbers(np.float32),
    t.FLOAT8.oid: _numbers(np.float64),
    t.BYTEA.oid: texts,
    t.JSON.oid: as_json_texts,
    t.NUMERIC.oid: _numeric_binary,
    t.DATE.oid: _date_binary,
    t.TIME.oid: _time_binary,
    t.TIMETZ.oid: _timetz_binary,
    t.TIMESTAMP.oid: _moment_binary,
    t.TIMESTAMPTZ.oid: _moment_binary,
    t.INTERVAL.oid: _interval_binary,
    t.UUID.oid: _uuid_binary,
}
