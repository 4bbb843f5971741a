"""Texts to numbers in PL/pgSQL: dictionaries, encoders, crosses; a look-up is a CASE of a few texts or a jsonb object of many.

A jsonb object is a constant of the plan, sorted: one key is found by a binary search over bytes. (A sorted text[] with
width_bucket walks through all texts before the one it looks at, and array_position compares with every text.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from udfs.model import Step
from udfs.postgres.plsql_literals import double, doubles, integers, text
from udfs.postgres.plsql_scope import Scope
from udfs.transforms.dictionary import texts_param

FEW_TEXTS = 8
ONE, ZERO = double(1.0), double(0.0)


def step_texts(step: Step, name: str) -> list[str | None]:
    """The texts of a step's table; None for one that no PostgreSQL text can equal, as it is not UTF-8 or has a zero byte."""
    blob, offsets = texts_param(step, name)
    data, bounds = blob.tobytes(), offsets.tolist()
    pieces = [data[start:end] for start, end in pairwise(bounds)]
    return [_decoded(piece) for piece in pieces]


def _decoded(piece: bytes) -> str | None:
    try:
        found = piece.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in found else found


def codes_of(texts: Sequence[str | None]) -> dict[str, int]:
    """Positions by text; of equal ones the first wins, as in the kernels' tables."""
    codes: dict[str, int] = {}
    for code, found in enumerate(texts):
        if found is not None:
            codes.setdefault(found, code)
    return codes


def lookup(x: str, codes: Mapping[str, int]) -> str:
    """The int4 that belongs to a text, NULL for NULL and unknown ones."""
    if not codes:
        return "NULL::int4"
    if len(codes) <= FEW_TEXTS:
        arms = " ".join(f"WHEN {text(key)} THEN {code}" for key, code in codes.items())
        return f"CASE {x} {arms} END"
    return f"({text(json.dumps(codes, ensure_ascii=False))}::jsonb -> {x})::int4"


def dictionary(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """A text's code; NULL has one of its own, all others are -1."""
    (x,) = inputs
    found = lookup(x, codes_of(step_texts(step, "levels")))
    null_code = double(float(step.params["null_code"]))
    return [f"CASE WHEN {x} IS NULL THEN {null_code} ELSE coalesce(({found})::float8, {double(-1.0)}) END"]


def number_dictionary(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """A number's code."""
    (x,) = inputs
    null_code = double(float(step.params["null_code"]))
    found = _by_key(x, doubles(step.params["values"].tolist()), step.params["codes"], scope)
    return [f"CASE WHEN {x} IS NULL THEN {null_code} ELSE {found} END"]


def _by_key(x: str, keys: str, codes: np.ndarray, scope: Scope) -> str:
    """The code of the key that equals x, else -1."""
    if not len(codes):
        return double(-1.0)
    place = scope.let("int4", f"width_bucket({x}, {keys})")
    table = doubles([float(code) for code in codes])
    return f"CASE WHEN ({keys})[{place}] = {x} THEN ({table})[{place}] ELSE {double(-1.0)} END"


def label_encoder(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """A text's number from 1, 0 for all others."""
    codes = codes_of(step_texts(step, "vocabulary"))
    return [f"coalesce(({lookup(inputs[0], {key: code + 1 for key, code in codes.items()})})::float8, {ZERO})"]


def one_hot_encoder(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """For each text of a vocabulary, whether it is the one."""
    code = scope.let("int4", lookup(inputs[0], codes_of(step_texts(step, "vocabulary"))))
    return [f"CASE WHEN {code} = {k} THEN {ONE} ELSE {ZERO} END" for k in range(len(step.outputs))]


def target_encoder(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """For each output the number that belongs to a text, to NULL, or to all others."""
    (x,) = inputs
    levels = step_texts(step, "levels")
    found = lookup(x, codes_of(levels))
    place = scope.let("int4", f"CASE WHEN {x} IS NULL THEN {len(levels)} ELSE coalesce({found}, {len(levels) + 1}) END")
    tables = step.params["encodings"].reshape(len(step.outputs), len(levels) + 2)
    return [f"({doubles(table.tolist())})[{place} + 1]" for table in tables]


def feature_cross(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """The code of a combination of texts; with a NULL among them it is missing."""
    digits, key = [], "'0'::int8"
    for part, x in enumerate(inputs):
        texts = step_texts(step, f"part_{part}")
        digits.append(scope.let("int4", lookup(x, codes_of(texts))))
        key = f"({key} * {max(len(texts), 1)} + {digits[-1]})"
    combined = scope.let("int8", key)
    found = _by_key(combined, integers(step.params["keys"].tolist()), step.params["codes"], scope)
    some_null = " OR ".join(f"{x} IS NULL" for x in inputs)
    some_unknown = f"{combined} IS NULL"
    return [f"CASE WHEN {some_null} THEN NULL WHEN {some_unknown} THEN {double(-1.0)} ELSE {found} END"]
