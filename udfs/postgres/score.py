"""One row from its cells to what is asked for: the program, the forest, the objective, the class; and the same for plain C."""

# ruff: noqa: PLR0917 - kernels take addresses and counts, by position

from __future__ import annotations

import numpy as np

from udfs.forest.objective import exponential, log1p_exp, sigmoid, signed_square, softmax
from udfs.jit import kernel, peek, poke, word
from udfs.postgres import layout
from udfs.postgres.library import operator_address
from udfs.postgres.walk import raw_scores, scratch_bytes
from udfs.transforms.dispatch import call_kernel

FEATURES, RAW, PREDICTION, CONTRIBUTIONS = range(4)

_exponential, _sigmoid, _signed_square, _log1p_exp, _softmax = (
    kernel(routine.function) for routine in (exponential, sigmoid, signed_square, log1p_exp, softmax)
)


@kernel
def run_program(image, operands):
    """Run all instructions on a row; ``operands`` are the addresses of their cells."""
    code = image + word(image, layout.INSTRUCTIONS)
    end = code + 8 * word(image, layout.INSTRUCTIONS + 1)
    parameters = image + word(image, layout.PARAMETERS)
    at = operands
    while code < end:
        count = word(code, 3)
        call_kernel(operator_address(word(code, 0)), parameters + 8 * word(code, 1), at, np.int64(1))
        at += 8 * count
        code += 8 * (4 + count)


@kernel
def convert(image, out):
    """Raw scores to predictions, in place."""
    outputs, divisor = word(image, layout.OUTPUTS), word(image, layout.DIVISOR)
    if divisor:
        for k in range(outputs):
            poke(out, np.float64, k, peek(out, np.float64, k) / divisor)
    kind, one, stride = word(image, layout.CONVERT), np.int64(1), np.int64(8)
    if kind == 1:
        _exponential(image, out, stride, one)
    elif kind == 2:
        _sigmoid(image, out, stride, one)
    elif kind == 3:
        _signed_square(image, out, stride, one)
    elif kind == 4:
        _log1p_exp(image, out, stride, one)
    elif kind == 5:
        _softmax(image, out, stride, one)


@kernel
def score_cells(image, cells, scratch, operands, out, stage):
    """Fill ``out`` with raw scores or predictions, from cells whose arguments are filled."""
    if word(image, layout.INSTRUCTIONS + 1):
        run_program(image, operands)
    if stage == FEATURES:
        return
    raw_scores(image, cells, scratch, out)
    if stage == PREDICTION:
        convert(image, out)


@kernel
def chosen_class(image, out, threshold):
    """The number of the predicted class."""
    outputs = word(image, layout.OUTPUTS)
    if outputs == 1:
        return np.int64(peek(out, np.float64, 0) > threshold)
    best = 0
    for k in range(1, outputs):
        if peek(out, np.float64, k) > peek(out, np.float64, best):
            best = k
    return np.int64(1 if peek(out, np.float64, 1) > threshold else 0) if outputs == 2 else np.int64(best)


@kernel
def row_bytes(image):
    """Of the memory that ``score_plainly`` needs for a row, beside its arguments."""
    cells = word(image, layout.CELLS) + word(image, layout.OPERANDS)
    return 8 * cells + scratch_bytes(image) + 256
