"""Blocks of rows through the kernels inside of a server: columns as Postgres packs them in, one list of numbers out.

An argument is a packed column without NULLs: numbers have NaN and points in time infinity for them. A text is two: the lengths of
all of them in bytes of UTF-8 (-1 is NULL), and the bytes one after the other.

The elements of all columns of a block are in the same order, but not always in that of the rows' keys: what comes out is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.columns import raw_block
from udfs.errors import InputMismatchError
from udfs.model import Argument, Kind
from udfs.postgres.packed import HEADER, PACKINGS, Packing, unpack
from udfs.postgres.row_scorer import RowScorer

FloatArray = npt.NDArray[np.float64]
_KEY, _LENGTH = PACKINGS["int8"], PACKINGS["int4"]
_KEY_BYTES = 12
_PACKINGS: dict[Kind, Packing] = {
    "number": PACKINGS["float8"],
    "boolean": PACKINGS["float8"],
    "date": PACKINGS["date"],
    "timestamp": PACKINGS["timestamp"],
    "timestamptz": PACKINGS["timestamptz"],
}


def block_scores(scorer: RowScorer, output: str, keys: bytes, arguments: Sequence[bytes]) -> list[float]:
    """An output of the rows with these keys, row after row; the arguments are in the order of the model's."""
    rows = (len(keys) - HEADER) // _KEY_BYTES
    columns = list(_columns(scorer.model.arguments, arguments, rows))
    # A batch of no columns has no rows: one that nobody reads stands for their number.
    batch = pa.RecordBatch.from_arrays(columns or [pa.nulls(rows)], [f"c{place}" for place in range(len(columns) or 1)])
    result = _OUTPUTS[output](scorer, batch)
    numbers = unpack(keys, _KEY, rows).to_numpy()
    if (numbers[1:] < numbers[:-1]).any():
        result = result[:, np.argsort(numbers)]
    flat: list[float] = result.T.ravel().tolist()
    return flat


def _columns(wanted: Sequence[Argument], packed: Sequence[bytes], rows: int) -> Iterator[pa.Array]:
    expected = len(wanted) + sum(argument.kind == "text" for argument in wanted)
    if len(packed) != expected:
        raise InputMismatchError(f"the model takes {expected} packed columns, got {len(packed)}")
    given = iter(packed)
    for argument in wanted:
        if argument.kind == "text":
            yield _texts(next(given), next(given), rows)
        else:
            yield unpack(next(given), _PACKINGS[argument.kind], rows)


def _texts(lengths: bytes, content: bytes, rows: int) -> pa.Array:
    sizes = unpack(lengths, _LENGTH, rows).to_numpy()
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(np.maximum(sizes, 0), out=offsets[1:])
    if offsets[-1] != len(content):
        raise InputMismatchError(f"texts of {offsets[-1]} bytes were announced, {len(content)} came")
    valid = pa.py_buffer(np.packbits(sizes >= 0, bitorder="little"))
    return pa.Array.from_buffers(pa.string(), rows, [valid, pa.py_buffer(offsets), pa.py_buffer(content)])


def _run(stage: str) -> Callable[[RowScorer, pa.RecordBatch], FloatArray]:
    def run(scorer: RowScorer, batch: pa.RecordBatch) -> FloatArray:
        return scorer.many(raw_block(batch, scorer.model.arguments), stage)

    return run


def _value(scorer: RowScorer, batch: pa.RecordBatch) -> FloatArray:
    scorer.scorer.require_single()
    return _run("prediction")(scorer, batch)[-1:]


def _probabilities(scorer: RowScorer, batch: pa.RecordBatch) -> FloatArray:
    scorer.scorer.require_classes()
    out = _run("prediction")(scorer, batch)
    return np.stack((1.0 - out[0], out[0])) if len(out) == 1 else out


def _contributions(scorer: RowScorer, batch: pa.RecordBatch) -> FloatArray:
    scorer.prepare_explanations()
    return _run("contribs")(scorer, batch)


_OUTPUTS: dict[str, Callable[[RowScorer, pa.RecordBatch], FloatArray]] = {
    "value": _value,
    "probs": _probabilities,
    "raw": _run("raw"),
    "features": _run("features"),
    "contribs": _contributions,
}
