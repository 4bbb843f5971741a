"""From an understood call to a plan: the block of words that DuckDB hands to the machine code with every batch of rows."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

from udfs.columns import BLOCK_ROWS, slot_offsets
from udfs.duckdb import native
from udfs.duckdb.bind import Call, Column
from udfs.duckdb.emit import emitter_address
from udfs.duckdb.fill import COLUMN_WORDS, filler_address
from udfs.duckdb.trampolines import PLAN_CODE, PLAN_STATE, PLAN_WORDS
from udfs.scorer import (
    STAGE_ATTRIBUTIONS,
    STAGE_FEATURES,
    STAGE_INTERACTIONS,
    STAGE_PREDICTION,
    STAGE_RAW,
    Scorer,
    score_address,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from udfs.duckdb.labels import LabelTable

UUID_ROOM = 40  # bytes a row for the text of a UUID
_FORMS = {
    "__sqlml_value": ("last", STAGE_PREDICTION),
    "__sqlml_raw": ("list", STAGE_RAW),
    "__sqlml_probs": ("probabilities", STAGE_PREDICTION),
    "__sqlml_prob": ("one", STAGE_PREDICTION),
    "__sqlml_class": ("class", STAGE_PREDICTION),
    "__sqlml_features": ("list", STAGE_FEATURES),
    "__sqlml_contribs": ("list", STAGE_ATTRIBUTIONS),
    "__sqlml_interactions": ("list", STAGE_INTERACTIONS),
    "ml_predict_proba": ("one", STAGE_PREDICTION),
}


def plan_words(
    call: Call, scorer: Scorer, columns: Sequence[Column], labels: LabelTable | None, *, is_row: bool
) -> tuple[list[int], tuple[Any, ...]]:
    """The words of a plan and the Python objects whose memory they point into."""
    form, stage = _FORMS.get(call.function, ("last", STAGE_PREDICTION))
    if labels is not None:
        form = "text_label" if labels.text else "label"
    workspace_at = _aligned(8 * (native.FRAME_WORDS + COLUMN_WORDS * len(columns)))
    if stage == STAGE_ATTRIBUTIONS:
        scorer.prepare_attributions()
    if stage == STAGE_INTERACTIONS:
        scorer.prepare_interactions()
    text_at = workspace_at + _aligned(scorer.workspace_bytes(stage))
    matrix_at, matrix_rows = scorer.matrix(stage)
    words = [0] * (native.RECORDS + native.RECORD_WORDS * len(columns))
    words[PLAN_CODE] = native.run_address()
    words[PLAN_WORDS] = len(words)
    words[native.SCORER] = scorer.address
    words[native.SCORE_CODE] = score_address()
    words[native.EMIT_CODE] = emitter_address(form)
    words[native.STAGE] = stage
    words[native.COLUMNS] = len(columns)
    words[native.IS_ROW] = is_row
    words[native.FIRST] = call.first
    words[native.WORKSPACE_AT] = workspace_at
    words[native.MATRIX_AT], words[native.MATRIX_ROWS] = matrix_at, matrix_rows
    words[native.THRESHOLD] = _bits(call.threshold)
    words[native.CLASS] = call.class_index
    words[native.FAILURE] = native.failure_text()
    in_place = scorer.reads_rows_in_place and stage in (STAGE_RAW, STAGE_PREDICTION)
    words[native.ROW_TABLE] = workspace_at + scorer.rows_at if in_place else 0
    if labels is not None:
        words[native.WIDTH], words[native.LABELS] = labels.width, labels.address
    kept: list[Any] = [scorer, labels]
    slots = slot_offsets(call.model.arguments)
    for index, column in enumerate(columns):
        record = native.RECORDS + native.RECORD_WORDS * index
        words[record + native.RAW_AT] = 8 * BLOCK_ROWS * slots[index]
        words[record + native.NULLS_AT] = scorer.nulls_at + BLOCK_ROWS * index
        words[record + native.IS_DOUBLE] = in_place and column.filler == "float64"
        kept.append(_describe(words, record, column, text_at))
        text_at += UUID_ROOM * BLOCK_ROWS if column.filler == "uuid" else 0
    words[PLAN_STATE] = _aligned(text_at)
    return words, tuple(kept)


def _describe(words: list[int], record: int, column: Column, text_at: int) -> Any:
    """Write how a column is read into its record; returns what the record points into."""
    words[record + native.POSITION] = column.position
    words[record + native.FILL] = filler_address(column.filler)
    words[record + native.SETTING], words[record + native.POINTER] = column.setting, column.pointer
    if column.powers is not None:
        words[record + native.POINTER], words[record + native.SETTING] = map(_bits, column.powers)
    if column.filler == "uuid":
        words[record + native.POINTER], words[record + native.IN_STATE] = text_at, 1
    if not column.filler.startswith("enum"):
        return None
    table = _word_table(column.words)
    words[record + native.POINTER] = ctypes.addressof(table[0])
    return table


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


def _bits(number: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


def _word_table(texts: Sequence[str]) -> tuple[Any, ...]:
    """Addresses and lengths of an enum's words, and the bytes they point to."""
    words = [text.encode() for text in texts]
    memory = ctypes.create_string_buffer(b"".join(words) or b"\0")
    table = (ctypes.c_int64 * max(2, 2 * len(words)))()
    at = ctypes.addressof(memory)
    for i, word in enumerate(words):
        table[2 * i], table[2 * i + 1] = at, len(word)
        at += len(word)
    return table, memory
