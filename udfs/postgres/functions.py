"""The SQL functions as the server calls them: a call record in, a Datum out.

_value, _probs, _class, _raw, _features, _contribs  (reference, arguments ...)   for SQL that a session writes
predict, predict_label                       (name, columns ...)
predict_proba                                (name, class, columns ...)
predict_version                              (name, number, columns ...)
_catalog_changed                             of triggers
"""

from __future__ import annotations

import numpy as np

from udfs.jit import allocate, kernel, peek, poke, release, word
from udfs.postgres import answers, layout, server
from udfs.postgres.cache import let_go
from udfs.postgres.check import check_image
from udfs.postgres.contributions import contributions
from udfs.postgres.memory import same
from udfs.postgres.rows import fill_from_row
from udfs.postgres.score import CONTRIBUTIONS, FEATURES, PREDICTION, RAW, chosen_class, row_bytes, score_cells
from udfs.postgres.server import argument, argument_is_null, call, fail, set_word
from udfs.postgres.statement import (
    CELLS,
    CLASS,
    IMAGE,
    IS_ROW,
    OPERANDS,
    OUT,
    REFERENCE,
    SCRATCH,
    THRESHOLD,
    begin_call,
    fill_from_values,
    find_bound,
    name_of,
    text_bytes,
)

OK, DAMAGED, NO_MEMORY = 0, 1, -1


@kernel
def prepare(fcinfo, first_value, by_name, version):
    """The record of the row's reference, with the cells filled from the arguments."""
    record = word(word(fcinfo, server.FLINFO), server.FN_EXTRA)
    if record == 0:
        record = begin_call(fcinfo, first_value)
    bound = find_bound(fcinfo, record, by_name, version)
    if word(record, IS_ROW) != 0:
        fill_from_row(fcinfo, record, bound)
    else:
        fill_from_values(fcinfo, record, bound)
    return bound


@kernel
def score(bound, stage):
    """Fill the outputs of a bound row."""
    score_cells(
        word(bound, IMAGE), word(bound, CELLS), word(bound, SCRATCH), word(bound, OPERANDS), word(bound, OUT), stage
    )


@kernel
def answer_null(fcinfo):
    """NULL for a NULL reference."""
    poke(fcinfo, np.uint8, server.ISNULL_BYTE, np.uint8(1))
    return np.int64(0)


@kernel
def single(bound):
    """The value of a regression or ranking, the probability of the greater class of a binary model."""
    image = word(bound, IMAGE)
    if word(image, layout.TASK) == layout.MULTICLASS:
        fail(
            "22023", 'model "%s" has one probability for each class', (word(bound, REFERENCE),),
            "Name the class whose probability you want.", (),
        )  # fmt: skip
    score(bound, PREDICTION)
    return word(word(bound, OUT), word(image, layout.OUTPUTS) - 1)


@kernel
def require_classes(bound):
    """Refuse a model without classes."""
    if word(word(bound, IMAGE), layout.LABEL_TABLE + 1) == 0:
        fail(
            "22023", 'model "%s" has no classes', (word(bound, REFERENCE),),
            "Ask for its value instead of a class or probability.", (),
        )  # fmt: skip


@kernel
def double_array(values, count):
    """A float8[] of the server."""
    return call(
        "construct_array",
        (values, count, np.int64(server.FLOAT8), np.int64(8), np.int64(1), np.int64(ord("d"))),
    )


def _value(fcinfo):
    if argument_is_null(fcinfo, 0):
        return answer_null(fcinfo)
    return single(prepare(fcinfo, 1, 0, 0))


def _predict(fcinfo):
    if argument_is_null(fcinfo, 0):
        return answer_null(fcinfo)
    return single(prepare(fcinfo, 1, 1, 0))


def _predict_version(fcinfo):
    if argument_is_null(fcinfo, 0) or argument_is_null(fcinfo, 1):
        return answer_null(fcinfo)
    version = np.int64(np.int32(argument(fcinfo, 1)))
    if version < 1:
        fail("22023", "a version is a positive number, got %lld", (version,), "", ())
    return single(prepare(fcinfo, 2, 1, version))


def _probs(fcinfo):
    if argument_is_null(fcinfo, 0):
        return answer_null(fcinfo)
    bound = prepare(fcinfo, 1, 0, 0)
    require_classes(bound)
    score(bound, PREDICTION)
    out, count = word(bound, OUT), word(word(bound, IMAGE), layout.OUTPUTS)
    if count == 1:
        both = call("palloc", (np.int64(16),))
        poke(both, np.float64, 0, 1.0 - peek(out, np.float64, 0))
        poke(both, np.float64, 1, peek(out, np.float64, 0))
        return double_array(both, np.int64(2))
    return double_array(out, count)


def _raw(fcinfo):
    if argument_is_null(fcinfo, 0):
        return answer_null(fcinfo)
    bound = prepare(fcinfo, 1, 0, 0)
    score(bound, RAW)
    return double_array(word(bound, OUT), word(word(bound, IMAGE), layout.OUTPUTS))


def _features(fcinfo):
    if argument_is_null(fcinfo, 0):
        return answer_null(fcinfo)
    bound = prepare(fcinfo, 1, 0, 0)
    score(bound, FEATURES)
    image, cells = word(bound, IMAGE), word(bound, CELLS)
    count = word(image, layout.N_FEATURES)
    values = call("palloc", (8 * count + 8,))
    for k in range(count):
        cell = word(image + word(image, layout.FEATURE_TABLE) + 32 * k, layout.FEATURE_CELL)
        set_word(values, k, word(cells, cell))
    return double_array(values, count)


def _contribs(fcinfo):
    if argument_is_null(fcinfo, 0):
        return answer_null(fcinfo)
    bound = prepare(fcinfo, 1, 0, 0)
    score(bound, FEATURES)
    image = word(bound, IMAGE)
    count = word(image, layout.OUTPUTS) * (word(image, layout.N_FEATURES) + 1)
    values = call("palloc", (8 * count + 8,))
    if not contributions(image, word(bound, CELLS), values):
        fail("53200", "out of memory", (), "", ())
    return double_array(values, count)


@kernel
def class_of(bound):
    """The number of the class of a bound row."""
    require_classes(bound)
    score(bound, PREDICTION)
    return chosen_class(word(bound, IMAGE), word(bound, OUT), peek(bound, np.float64, THRESHOLD))


def _class(fcinfo):
    if argument_is_null(fcinfo, 0):
        return answer_null(fcinfo)
    return class_of(prepare(fcinfo, 1, 0, 0))


@kernel
def label_at(image, number):
    """The record of a class's text."""
    return image + word(image, layout.LABEL_TABLE) + 16 * number


def _predict_label(fcinfo):
    if argument_is_null(fcinfo, 0):
        return answer_null(fcinfo)
    bound = prepare(fcinfo, 1, 1, 0)
    item = label_at(word(bound, IMAGE), class_of(bound))
    return call("cstring_to_text_with_len", (name_of(word(bound, IMAGE), word(item, 0)), word(item, 1)))


@kernel
def find_class(bound, datum):
    """The number of the class of this text."""
    require_classes(bound)
    image = word(bound, IMAGE)
    at, length = text_bytes(datum)
    count = word(image, layout.LABEL_TABLE + 1)
    known = word(bound, CLASS)
    names = server.text("")
    for k in range(-1, count):
        number = known if k < 0 else k
        if number < 0:
            continue
        item = label_at(image, number)
        if word(item, 1) == length and same(name_of(image, word(item, 0)), at, length):
            set_word(bound, CLASS, number)
            return np.int64(number)
    for k in range(count):
        template = server.text("%s, %s") if k else server.text("%s%s")
        names = call("psprintf", (template, names, name_of(image, word(label_at(image, k), 0))))
    fail(
        "22023", 'model "%s" has no class "%s"', (word(bound, REFERENCE), call("pnstrdup", (at, length))),
        "Its classes are %s.", (names,),
    )  # fmt: skip
    return np.int64(0)


def _predict_proba(fcinfo):
    if argument_is_null(fcinfo, 0) or argument_is_null(fcinfo, 1):
        return answer_null(fcinfo)
    bound = prepare(fcinfo, 2, 1, 0)
    number = find_class(bound, argument(fcinfo, 1))
    score(bound, PREDICTION)
    out = word(bound, OUT)
    if word(word(bound, IMAGE), layout.OUTPUTS) > 1:
        return word(out, number)
    probability = peek(out, np.float64, 0)
    return np.float64(probability if number == 1 else 1.0 - probability).view(np.int64)


def _changed(fcinfo):
    answers.announce(fcinfo)
    return np.int64(0)


def _invalidated(nothing, relation):
    answers.count_change()
    return np.int64(0)


def _forget(entry):
    let_go(entry)
    return np.int64(0)


def _check(image, size):
    return check_image(image, size)


def _score(image, arguments, out, stage):
    """For plain C: score a row of argument cells by a checked image; -1 where there is no memory."""
    memory = allocate(row_bytes(image))
    if memory == 0:
        return np.int64(NO_MEMORY)
    cells = memory
    operands = cells + 8 * word(image, layout.CELLS)
    scratch = (operands + 8 * word(image, layout.OPERANDS) + 127) & -64
    given = word(image, layout.SLOTS) + word(image, layout.ARGUMENTS)
    for k in range(word(image, layout.CELLS)):
        set_word(cells, k, word(arguments, k) if k < given else 0)
    place(image, cells, operands)
    score_cells(image, cells, scratch, operands, out, FEATURES if stage == CONTRIBUTIONS else stage)
    done = True
    if stage == CONTRIBUTIONS:
        done = contributions(image, cells, out)
    if stage == FEATURES:
        for k in range(word(image, layout.N_FEATURES)):
            item = image + word(image, layout.FEATURE_TABLE) + 32 * k
            set_word(out, k, word(cells, word(item, layout.FEATURE_CELL)))
    release(memory)
    return np.int64(OK if done else NO_MEMORY)


@kernel
def place(image, cells, operands):
    """Write the addresses of all operands."""
    code = image + word(image, layout.INSTRUCTIONS)
    end = code + 8 * word(image, layout.INSTRUCTIONS + 1)
    at = 0
    while code < end:
        for k in range(word(code, 3)):
            set_word(operands, at, cells + 8 * word(code, 4 + k))
            at += 1
        code += 8 * (4 + word(code, 3))


# Exported names: what SQL calls, then what the library and its tests call.
SQL_FUNCTIONS = {
    "sqlml_value": _value,
    "sqlml_probs": _probs,
    "sqlml_class": _class,
    "sqlml_raw": _raw,
    "sqlml_features": _features,
    "sqlml_contribs": _contribs,
    "sqlml_predict": _predict,
    "sqlml_predict_label": _predict_label,
    "sqlml_predict_proba": _predict_proba,
    "sqlml_predict_version": _predict_version,
    "sqlml_changed": _changed,
}
C_FUNCTIONS = {"sqlml_forget": _forget, "sqlml_invalidated": _invalidated, "sqlml_check": _check, "sqlml_score": _score}
