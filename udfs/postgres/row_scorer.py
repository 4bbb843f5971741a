"""Rows through the kernels inside of a server, where machine code is called by its address and no compiler has to be loaded.

A single row is written into the first lane of a block, whose memory is laid out once a model: numbers, points in time and texts, as
Postgres packs them, in; scores out. Many rows go through the same memory, a block at a time.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from udfs.columns import BLOCK_ROWS, RawBlock, slot_offsets
from udfs.errors import InputMismatchError
from udfs.model import Model
from udfs.postgres.packed import EPOCH_MICROSECONDS, HEADER
from udfs.scorer import (
    STAGE_ATTRIBUTIONS,
    STAGE_BITS,
    STAGE_FEATURES,
    STAGE_PREDICTION,
    STAGE_RAW,
    Scorer,
    build_scorer,
    score_address,
)

ENDS = (2**63 - 1, -(2**63))  # how Postgres keeps infinite points in time
DEFAULT_THRESHOLD = 0.5
_NUMBER = np.dtype([("length", ">i4"), ("value", ">f8")])
_STAGES = {"features": STAGE_FEATURES, "raw": STAGE_RAW, "prediction": STAGE_PREDICTION, "contribs": STAGE_ATTRIBUTIONS}
_ALIGNMENT = 64


@cache
def _score() -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(score_address())


class RowScorer:
    """A model ready to score rows; not for two threads at once."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.scorer: Scorer = build_scorer(model)
        offsets = slot_offsets(model.arguments)
        kinds = [argument.kind for argument in model.arguments]
        self._numbers = [i for i, kind in enumerate(kinds) if kind in ("number", "boolean")]
        self._texts = [i for i, kind in enumerate(kinds) if kind == "text"]
        self._times = [i for i, kind in enumerate(kinds) if kind not in ("number", "boolean", "text")]
        self._slots = offsets
        self._number_slots = np.array([offsets[i] for i in self._numbers], np.intp)
        self._kept = b""
        self._lay_out(STAGE_PREDICTION)

    def _lay_out(self, stage: int) -> None:
        size = self.scorer.workspace_bytes(stage) + _ALIGNMENT
        memory = np.zeros(size, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        self._memory = memory[start:]
        self._address = int(self._memory.ctypes.data)
        slots = self._slots[-1]
        words = self._memory[: 8 * BLOCK_ROWS * max(slots, 1)].view(np.int64)
        self._cells = words[: BLOCK_ROWS * slots : BLOCK_ROWS]
        self._doubles = self._cells.view(np.float64) if slots else np.zeros(0)
        at = self.scorer.nulls_at
        self._nulls = self._memory[at : at + BLOCK_ROWS * len(self.model.arguments) : BLOCK_ROWS]

    def fill(self, numbers: bytes | None, times: bytes | None, texts: Sequence[str | None] | None) -> None:
        """Take a row in; the order within each group is that of the model's arguments."""
        self._nulls[:] = 0
        self._fill_numbers(numbers)
        if self._times:
            self._fill_times(times)
        if self._texts:
            self._fill_texts(texts or ())

    def _fill_numbers(self, packed: bytes | None) -> None:
        wanted = len(self._numbers)
        if packed is not None and len(packed) == HEADER + wanted * _NUMBER.itemsize and wanted:
            self._doubles[self._number_slots] = np.frombuffer(packed, _NUMBER, offset=HEADER)["value"]
            return
        values = unpacked(packed, ">d")
        self._require(len(values), wanted, "numbers")
        for index, value in zip(self._numbers, values, strict=True):
            self._doubles[self._slots[index]] = np.nan if value is None else value
            self._nulls[index] = value is None

    def _fill_times(self, packed: bytes | None) -> None:
        values = unpacked(packed, ">q")
        self._require(len(values), len(self._times), "points in time")
        for index, value in zip(self._times, values, strict=True):
            missing = value is None or value in ENDS
            self._cells[self._slots[index]] = 0 if missing else value + EPOCH_MICROSECONDS
            self._nulls[index] = missing

    def _fill_texts(self, texts: Sequence[str | None]) -> None:
        self._require(len(texts), len(self._texts), "texts")
        encoded = [b"" if text is None else text.encode() for text in texts]
        self._kept = b"".join(encoded) + b"\0"
        address = int(np.frombuffer(self._kept, np.uint8).ctypes.data)
        for index, text, data in zip(self._texts, texts, encoded, strict=True):
            slot = self._slots[index]
            self._cells[slot], self._cells[slot + 1] = address, len(data)
            self._nulls[index] = text is None
            address += len(data)

    def _require(self, count: int, wanted: int, what: str) -> None:
        if count != wanted:
            raise InputMismatchError(f"the model takes {wanted} {what}, got {count}")

    def _run(self, name: str) -> npt.NDArray[np.float64]:
        return self._score(_STAGES[name], 1)[:, 0]

    def _score(self, stage: int, count: int) -> npt.NDArray[np.float64]:
        """What a stage delivers of the first rows in memory: float64[numbers, rows], until the next call."""
        if stage == STAGE_ATTRIBUTIONS and len(self._memory) < self.scorer.workspace_bytes(stage):
            raise InputMismatchError("the row was not prepared for explanations")
        _score()(self.scorer.address, self._address, count << STAGE_BITS | stage)
        at, rows = self.scorer.matrix(stage)
        found = self._memory[at : at + 8 * BLOCK_ROWS * rows].view(np.float64)
        return found.reshape(rows, BLOCK_ROWS)[:, :count]

    def many(self, given: RawBlock, name: str) -> npt.NDArray[np.float64]:
        """What a stage delivers of any number of rows: float64[numbers, rows]."""
        stage = _STAGES[name]
        slots, arguments, at = self._slots[-1], len(self.model.arguments), self.scorer.nulls_at
        raw = self._memory[: 8 * BLOCK_ROWS * slots].view(np.int64).reshape(slots, BLOCK_ROWS)
        nulls = self._memory[at : at + BLOCK_ROWS * arguments].reshape(arguments, BLOCK_ROWS)
        parts = [np.zeros((self.scorer.matrix(stage)[1], 0))]
        for start in range(0, given.rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, given.rows - start)
            raw[:, :count] = given.raw[:, start : start + count]
            nulls[:, :count] = given.nulls[:, start : start + count]
            parts.append(self._score(stage, count).copy())
        return np.concatenate(parts, axis=1)

    def prepare_explanations(self) -> None:
        """Make room for attributions; before ``fill``."""
        self.scorer.prepare_attributions()
        if len(self._memory) < self.scorer.workspace_bytes(STAGE_ATTRIBUTIONS):
            self._lay_out(STAGE_ATTRIBUTIONS)

    def value(self) -> float:
        """The value of a regression, the probability of the greater class of a binary model."""
        self.scorer.require_single()
        return float(self._run("prediction")[-1])

    def probabilities(self) -> list[float]:
        """One a class, in the order of the label's classes."""
        self.scorer.require_classes()
        out = self._run("prediction")
        return [1.0 - float(out[0]), float(out[0])] if len(out) == 1 else out.tolist()

    def class_index(self, threshold: float | None) -> int:
        """The predicted class."""
        out = self.probabilities()
        if len(out) == 2:
            return int(out[1] > (DEFAULT_THRESHOLD if threshold is None else threshold))
        return int(np.argmax(out))

    def raw(self) -> list[float]:
        """The sums of the trees."""
        return list(map(float, self._run("raw")))

    def features(self) -> list[float]:
        """What the forest sees; NaN is missing."""
        return list(map(float, self._run("features")))

    def contributions(self) -> list[float]:
        """For each output one a feature and the bias."""
        return list(map(float, self._run("contribs")))


def unpacked(packed: bytes | None, form: str) -> list[Any]:
    """The elements of a short packed array, NULL as None."""
    if packed is None or len(packed) < HEADER:
        return []
    (count,) = struct.unpack_from(">i", packed, 12)
    width = struct.calcsize(form)
    at, values = HEADER, []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", packed, at)
        at += 4
        values.append(struct.unpack_from(form, packed, at)[0] if length == width else None)
        at += max(length, 0)
    return values
