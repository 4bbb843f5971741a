"""Arrow batches to raw blocks: the memory every scorer and the training pipeline read their arguments from.

    argument of kind          rows of ``RawBlock.raw``
    number, boolean           1: the bits of a double; NULL is NaN
    date, timestamp[tz]       1: microseconds since 1970-01-01 (UTC for timestamptz); NULL is 0 with its null byte set
    text                      2: address of the UTF-8 bytes, length in bytes; NULL is length 0 with its null byte set

Infinite dates and timestamps, and dates too far off for 64 bits of microseconds, count as NULL: no calendar part of them exists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from udfs.errors import InputMismatchError
from udfs.later import Later
from udfs.model import Argument, Kind

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Later("pyarrow")

BLOCK_ROWS = 2_048
DAY = 86_400_000_000  # microseconds
LAST_DAY = 106_751_990  # of 64-bit microseconds on either side of 1970
EXACT = 1 << 53  # integers up to here are doubles
EXACT_SCALE = 22  # and powers of ten up to this one
INFINITE = 9_223_372_036_854_775_806  # DuckDB's infinity is this + 1, minus infinity its negative

Int64Array = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RawBlock:
    """``raw``: int64[slots, rows], ``nulls``: uint8[arguments, rows] (1 = NULL).

    ``arrays`` are the Arrow arrays by argument: they own the text that ``raw`` points to, so a block must outlive its use.
    """

    raw: Int64Array
    nulls: ByteArray
    rows: int
    arrays: tuple[pa.Array, ...] = ()


def arrow_type(kind: Kind) -> pa.DataType:
    """The type of a column that holds nothing but what an argument of this kind can be."""
    types = {
        "number": pa.float64,
        "boolean": pa.bool_,
        "text": pa.string,
        "date": pa.date32,
        "timestamp": lambda: pa.timestamp("us"),
        "timestamptz": lambda: pa.timestamp("us", "UTC"),
    }
    return types[kind]()


def slot_count(kind: Kind) -> int:
    """Rows of the raw block that an argument of this kind takes."""
    return 2 if kind == "text" else 1


def slot_offsets(arguments: Sequence[Argument]) -> list[int]:
    """First row of each argument, and the number of all rows at the end."""
    offsets = [0]
    for argument in arguments:
        offsets.append(offsets[-1] + slot_count(argument.kind))
    return offsets


def raw_block(batch: pa.RecordBatch, arguments: Sequence[Argument]) -> RawBlock:
    """The first ``len(arguments)`` columns of a batch, taken by position, as a raw block."""
    rows = batch.num_rows
    offsets = slot_offsets(arguments)
    raw = np.zeros((offsets[-1], rows), np.int64)
    nulls = np.zeros((len(arguments), rows), np.uint8)
    arrays = []
    for index, argument in enumerate(arguments):
        array = _plain(batch.column(index))
        slots = raw[offsets[index] : offsets[index + 1]]
        try:
            arrays.append(_FILLERS[argument.kind](array, slots, nulls[index]))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as error:
            raise InputMismatchError(
                f'argument "{argument.name}" expects {argument.kind}, got {array.type}',
                hint="Cast it to the type the model was trained on.",
            ) from error
    return RawBlock(raw, nulls, rows, tuple(arrays))


def _plain(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _mark_nulls(array: pa.Array, nulls: ByteArray) -> bool:
    if array.null_count == 0:
        return False
    nulls[:] = array.is_null().to_numpy(zero_copy_only=False)
    return True


def _fill_number(array: pa.Array, slots: Int64Array, nulls: ByteArray) -> pa.Array:
    values = slots[0].view(np.float64)
    values[:] = _numbers(array)
    if _mark_nulls(array, nulls):
        values[nulls == 1] = np.nan
    return array


def doubles(array: pa.Array) -> npt.NDArray[np.float64]:
    """A copy of numbers or booleans as float64; entries of NULLs are arbitrary."""
    return _numbers(array).astype(np.float64)


def _numbers(array: pa.Array) -> npt.NDArray[np.generic]:
    """Numbers and booleans as numbers of any width, perhaps in Arrow's own memory; entries of NULLs are arbitrary."""
    kind = array.type
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    if pa.types.is_decimal128(kind):
        return _decimal_doubles(array)
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise TypeError(f"{kind} is not a number")
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    return _values(array, array.type.to_pandas_dtype())


def _values(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[np.generic]:
    """The values buffer of a fixed-width array, NULL entries included."""
    size = np.dtype(dtype).itemsize
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.zeros(len(array), dtype)
    return np.frombuffer(buffer, dtype, len(array), array.offset * size)


def _decimal_doubles(array: pa.Array) -> npt.NDArray[np.float64]:
    """The nearest double of every decimal, as SQL's CAST has it; those of too many digits for one division are rare."""
    words = _values_decimal(array)
    low, high = words[:, 0], words[:, 1]
    result = low.astype(np.float64) / float(10**array.type.scale)
    inexact = (high != low >> 63) | (low > EXACT) | (low < -EXACT) | (array.type.scale > EXACT_SCALE)
    power = 10**array.type.scale
    for row in np.flatnonzero(inexact).tolist():
        result[row] = ((int(high[row]) << 64) + int(low[row]) % (1 << 64)) / power  # Python divides integers correctly
    return result


def _values_decimal(array: pa.Array) -> Int64Array:
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.zeros((len(array), 2), np.int64)
    return np.frombuffer(buffer, np.int64, 2 * len(array), array.offset * 16).reshape(-1, 2)


def _fill_date(array: pa.Array, slots: Int64Array, nulls: ByteArray) -> pa.Array:
    if not pa.types.is_date32(array.type):
        return _fill_timestamp(array, slots, nulls)
    days = _values(array, np.int32).astype(np.int64)
    _mark_nulls(array, nulls)
    nulls[np.abs(days) > LAST_DAY] = 1
    np.multiply(np.where(nulls == 1, 0, days), DAY, out=slots[0])
    return array


_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def _fill_timestamp(array: pa.Array, slots: Int64Array, nulls: ByteArray) -> pa.Array:
    kind = array.type
    if pa.types.is_date32(kind):
        return _fill_date(array, slots, nulls)
    if pa.types.is_time32(kind):
        array = array.cast(pa.time64("us"))
        kind = array.type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date64(kind) or pa.types.is_time64(kind)):
        raise TypeError(f"{kind} is not a point in time")
    unit = "ms" if pa.types.is_date64(kind) else kind.unit
    values = _values(array, np.int64).view(np.int64)
    _mark_nulls(array, nulls)
    if unit == "ns":
        nulls[np.abs(values) >= INFINITE] = 1
        slots[0] = np.where(nulls == 1, 0, values // 1_000)
        return array
    scale = _UNITS[unit]
    nulls[(values >= INFINITE // scale) | (values <= -(INFINITE // scale))] = 1
    np.multiply(np.where(nulls == 1, 0, values), scale, out=slots[0])
    return array


def _fill_text(array: pa.Array, slots: Int64Array, nulls: ByteArray) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        return _fill_dictionary(array, slots, nulls)
    array = _offset_text(array)
    _mark_nulls(array, nulls)
    addresses, lengths = _text_slots(array)
    slots[0] = addresses
    slots[1] = np.where(nulls == 1, 0, lengths)
    return array


def _offset_text(array: pa.Array) -> pa.Array:
    """Text with an offsets buffer; views and NULL-typed arrays are converted, anything else refused."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array
    if pa.types.is_null(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.large_string())
    raise TypeError(f"{kind} is not text")


def _text_slots(array: pa.Array) -> tuple[Int64Array, Int64Array]:
    _, offsets, data = array.buffers()
    if offsets is None or len(array) == 0:
        return np.zeros(len(array), np.int64), np.zeros(len(array), np.int64)
    dtype = np.int64 if pa.types.is_large_string(array.type) else np.int32
    bounds = np.frombuffer(offsets, dtype, len(array) + 1, array.offset * np.dtype(dtype).itemsize).astype(np.int64)
    start = data.address if data is not None else 0
    return bounds[:-1] + start, bounds[1:] - bounds[:-1]


def _fill_dictionary(array: pa.DictionaryArray, slots: Int64Array, nulls: ByteArray) -> pa.Array:
    """Enums: the rows share the dictionary's bytes, none are copied."""
    words = _offset_text(array.dictionary)
    if words.null_count:
        return _fill_text(array.dictionary_decode(), slots, nulls)
    _mark_nulls(array, nulls)
    indices = array.indices
    codes = _values(indices, indices.type.to_pandas_dtype()).astype(np.int64)
    codes = np.where(nulls == 1, 0, codes)
    if len(words) == 0:
        return array
    addresses, lengths = _text_slots(words)
    slots[0] = addresses[codes]
    slots[1] = np.where(nulls == 1, 0, lengths[codes])
    return pa.DictionaryArray.from_arrays(indices, words)


_FILLERS: dict[Kind, Callable[[pa.Array, Int64Array, ByteArray], pa.Array]] = {
    "number": _fill_number,
    "boolean": _fill_number,
    "date": _fill_date,
    "timestamp": _fill_timestamp,
    "timestamptz": _fill_timestamp,
    "text": _fill_text,
}
