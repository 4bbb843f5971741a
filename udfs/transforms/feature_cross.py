"""ML.FEATURE_CROSS(STRUCT(a, b, ...) [, degree]): combinations of categories as categories of their own.

    code(a, b) = the rank of the combination among those that training saw, most frequent first;  -1 for others

A combination with a NULL in it is missing. Each part has its own table of texts; the positions in these tables, as the digits of a
number, are looked up among the ascending ``keys``. Levels read ``a_b``, as BigQuery ML joins them; ('a_b', 'c') and ('a', 'b_c')
stay two categories. The dictionary's limit on levels applies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.jit import view
from udfs.later import Later
from udfs.model import Step
from udfs.transforms.counts import TextCounter
from udfs.transforms.dictionary import LEVEL_LIMIT, texts, texts_param
from udfs.transforms.operator import Batch, Learned, Operator, Output, Shape, Words, array_param, require, words
from udfs.transforms.text import find_text, text_table, unpack_texts

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Later("pyarrow")

MAX_PARTS = 3  # digits of a key: three of up to 65,535 fit 64 bits
_JOINT = "\0"  # between the parts while counting


def feature_cross(params, rows, n):
    """``params``: parts, keys, per part (mask, offset of its table, radix), keys, codes, tables; ``rows``: texts, out."""
    head = view(params, np.int64, 2)
    parts = head[0]
    count = head[1]
    layout = view(params + 16, np.int64, 3 * parts)
    keys = view(params + 16 + 24 * parts, np.int64, count)
    codes = view(params + 16 + 24 * parts + 8 * count, np.int64, count)
    row = view(rows, np.int64, 3 * parts + 1)
    out = view(row[3 * parts], np.float64, n)
    for i in range(n):
        key = np.int64(0)
        missing = False
        for k in range(parts):
            if view(row[3 * k + 2], np.uint8, n)[i]:
                missing = True
            elif key >= 0:
                mask = layout[3 * k]
                table = params + 8 * layout[3 * k + 1]
                address = view(row[3 * k], np.int64, n)[i]
                length = view(row[3 * k + 1], np.int64, n)[i]
                digit = find_text(table, mask, table + (mask + 1) * 32, address, length)
                key = np.int64(-1) if digit < 0 else key * layout[3 * k + 2] + digit
        low = 0
        high = count
        while low < high:
            middle = (low + high) >> 1
            if keys[middle] < key:
                low = middle + 1
            else:
                high = middle
        if missing:
            out[i] = np.nan
        else:
            out[i] = np.float64(codes[low]) if low < count and keys[low] == key else -1.0


def feature_cross_reference(columns: list[list[str | None]], combinations: list[tuple[str, ...]]) -> Any:
    """The twin in plain Python; combinations by code."""
    codes = {combination: code for code, combination in enumerate(combinations)}
    rows = zip(*columns, strict=True)
    return np.array([np.nan if None in row else codes.get(row, -1) for row in rows], np.float64)


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    fits = 2 <= len(inputs) <= MAX_PARTS and set(inputs) == {"text"} and len(step.outputs) == 1
    require(fits, step, "its inputs are not two or three texts")
    if "keys" not in step.params:
        return ("number",)
    keys = array_param(step, "keys", np.int64)
    codes = array_param(step, "codes", np.int64, len(keys))
    require(bool((np.diff(keys) > 0).all()) and bool((keys >= 0).all()), step, "its keys are not ascending")
    require(np.array_equal(np.sort(codes), np.arange(len(codes))), step, "its codes are not a permutation")
    space = 1
    for part in range(len(inputs)):
        _, offsets = texts_param(step, f"part_{part}")
        require(len(offsets) - 1 <= LEVEL_LIMIT, step, "it has too many texts")
        space *= max(len(offsets) - 1, 1)
    require(len(keys) == 0 or int(keys[-1]) < space, step, "a key is out of range")
    return ("number",)


def _encode(step: Step) -> Words:
    parts, keys = len(step.inputs), step.params["keys"]
    position = 2 + 3 * parts + 2 * len(keys)
    layout: list[int] = []
    tables: list[Words] = []
    for part in range(parts):
        blob, offsets = texts_param(step, f"part_{part}")
        mask, table = text_table(blob, offsets)
        layout += [mask, position, max(len(offsets) - 1, 1)]
        tables.append(table)
        position += len(table)
    return words(parts, len(keys), np.array(layout, np.int64), keys, step.params["codes"], *tables)


def _part_texts(step: Step) -> list[list[str]]:
    return [unpack_texts(*texts_param(step, f"part_{part}")) for part in range(len(step.inputs))]


def _describe(step: Step) -> tuple[Output, ...]:
    parts = _part_texts(step)
    levels = []
    for key in step.params["keys"][np.argsort(step.params["codes"])].tolist():
        names = []
        rest = key
        for names_of_part in reversed(parts):
            rest, digit = divmod(rest, max(len(names_of_part), 1))
            names.append(names_of_part[digit])
        levels.append("_".join(reversed(names)))
    return (Output(categorical=True, levels=tuple(levels)),)


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._parts = len(step.inputs)
        self._counter = TextCounter()

    def update(self, batch: Batch) -> None:
        columns = [_decoded(values) for values in batch.values]
        import pyarrow.compute as pc  # noqa: PLC0415 - costs as much as opening a database, and scoring needs none of it

        self._counter.update(pc.binary_join_element_wise(*columns, pa.scalar(_JOINT, pa.large_string())))

    def finish(self) -> Learned:
        found, _ = self._counter.most_frequent(LEVEL_LIMIT)
        combinations = [pieces for text in found if len(pieces := text.split(_JOINT)) == self._parts]
        parts = [sorted({pieces[part] for pieces in combinations}) for part in range(self._parts)]
        digits = [{text: digit for digit, text in enumerate(names)} for names in parts]
        keys = np.zeros(len(combinations), np.int64)
        for part in range(self._parts):
            place = np.array([digits[part][pieces[part]] for pieces in combinations], np.int64)
            keys = keys * max(len(parts[part]), 1) + place
        order = np.argsort(keys)
        params = {"keys": keys[order], "codes": order.astype(np.int64)}
        for part, names in enumerate(parts):
            params |= texts(f"part_{part}", names)
        return Learned(params)


def _decoded(values: Any) -> Any:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.large_string())


FEATURE_CROSS = Operator(_shapes, _encode, feature_cross, _Fitter, _describe)
