"""A row given as one argument: its columns are matched once a row type, by name (public functions) or by position.

A row written as ROW(...) has no names of its own: there, public functions go by position as well.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel, peek, poke, word
from udfs.postgres import layout, server
from udfs.postgres.server import argument, argument_is_null, call, call_int, fail, set_word
from udfs.postgres.statement import (
    BY_NAME,
    CELLS,
    CONTEXT,
    DATUMS,
    DESCRIPTOR,
    FIRST_VALUE,
    IMAGE,
    NULLS,
    PLAN,
    PLAN_LENGTH,
    PLAN_WORDS,
    REFERENCE,
    ROW_TYPE,
    SOURCE,
    fill_nulls,
    fill_one,
    name_of,
    new_plan,
    plan_value,
    refuse_count,
    refuse_engine,
)

NO_TYPE = 0  # of a column that was dropped
HEADER_TYPMOD, HEADER_TYPE = 1, 2  # 32-bit words of a row's header
ROW_BYTES = 24  # HeapTupleData


@kernel
def fill_from_row(fcinfo, record, bound):
    """Fill the cells from a row."""
    number = word(record, FIRST_VALUE)
    if argument_is_null(fcinfo, number):
        fill_nulls(bound)
        return
    row = call("pg_detoast_datum", (argument(fcinfo, number),))
    kind, modifier = np.int64(peek(row, np.uint32, HEADER_TYPE)), np.int64(peek(row, np.uint32, HEADER_TYPMOD))
    type_and_modifier = kind << 32 | modifier
    if word(bound, ROW_TYPE) != type_and_modifier or word(bound, DESCRIPTOR) == 0:
        set_word(bound, DESCRIPTOR, 0)
        plan_row(bound, row)
        set_word(bound, ROW_TYPE, type_and_modifier)
    cells, plan = word(bound, CELLS), word(bound, PLAN)
    datums, nulls = word(bound, DATUMS), word(bound, NULLS)
    tuple_data = nulls - ROW_BYTES
    poke(tuple_data, np.uint32, 0, np.uint32(peek(row, np.uint32, 0) >> 2))
    set_word(tuple_data, 2, row)
    call("heap_deform_tuple", (tuple_data, word(bound, DESCRIPTOR), datums, nulls))
    for k in range(word(bound, PLAN_LENGTH)):
        item = plan + 8 * PLAN_WORDS * k
        source = word(item, SOURCE)
        fill_one(item, word(datums, source), peek(nulls, np.uint8, source) != 0, cells)


@kernel
def plan_row(bound, row):
    """Match the arguments to the columns of a row's type."""
    refuse_engine(bound)
    context = word(bound, CONTEXT)
    current = variable_context()
    before = word(current, 0)
    set_word(current, 0, context)
    kind, modifier = np.int64(peek(row, np.uint32, HEADER_TYPE)), np.int64(peek(row, np.int32, HEADER_TYPMOD))
    descriptor = call("lookup_rowtype_tupdesc_copy", (kind, modifier))
    set_word(current, 0, before)
    columns = np.int64(peek(descriptor, np.int32, 0))
    set_word(bound, DATUMS, server.allocate_in(context, 8 * columns + 8))
    set_word(bound, NULLS, server.allocate_in(context, columns + 8 + ROW_BYTES) + ROW_BYTES)
    new_plan(bound)
    if word(bound, BY_NAME) != 0 and is_nameless(descriptor, columns):
        match_inputs(bound, descriptor, columns)
    elif word(bound, BY_NAME) != 0:
        match_names(bound, descriptor, columns)
    else:
        match_positions(bound, descriptor, columns)
    set_word(bound, DESCRIPTOR, descriptor)


@kernel
def variable_context():
    """The address of the server's current memory context."""
    return server.variable("CurrentMemoryContext")


@kernel
def type_of(descriptor, column):
    """The type of a column, counted from 0; 0 where it was dropped."""
    return call_int("SPI_gettypeid", (descriptor, column + 1)) & 0xFFFFFFFF


@kernel
def is_nameless(descriptor, columns):
    """Whether a row was written as ROW(...), whose columns the server calls f1, f2, ..."""
    for column in range(columns):
        made_up = call("psprintf", (server.text("f%lld"), np.int64(column + 1)))
        if call_int("strcmp", (made_up, call("SPI_fname", (descriptor, column + 1)))) != 0:
            return False
    return columns > 0


@kernel
def match_inputs(bound, descriptor, columns):
    """The columns of a row in the order of the inputs."""
    image = word(bound, IMAGE)
    count = word(image, layout.INPUT_TABLE + 1)
    if columns != count:
        refuse_count(bound, count, np.int64(columns))
    for k in range(word(image, layout.ARGUMENTS)):
        position = word(image + word(image, layout.ARGUMENT_TABLE) + 32 * k, layout.ARGUMENT_INPUT)
        plan_value(bound, k, position, type_of(descriptor, position))


@kernel
def match_positions(bound, descriptor, columns):
    """The columns of a row in the order of the arguments."""
    count = word(word(bound, IMAGE), layout.ARGUMENTS)
    present = 0
    for column in range(columns):
        kind = type_of(descriptor, column)
        if kind != NO_TYPE:
            if present < count:
                plan_value(bound, present, column, kind)
            present += 1
    if present != count:
        refuse_count(bound, count, np.int64(present))


@kernel
def match_names(bound, descriptor, columns):
    """Every argument's column: exactly, else the only one that differs in case alone."""
    image = word(bound, IMAGE)
    missing, missing_count = server.text(""), 0
    for k in range(word(image, layout.ARGUMENTS)):
        position = word(image + word(image, layout.ARGUMENT_TABLE) + 32 * k, layout.ARGUMENT_INPUT)
        item = image + word(image, layout.INPUT_TABLE) + 32 * position
        name = name_of(image, word(item, layout.INPUT_NAME))
        column = find_column(name, descriptor, columns)
        if column < 0:
            template = server.text('%s, "%s"') if missing_count else server.text('%s"%s"')
            missing = call("psprintf", (template, missing, name))
            missing_count += 1
        else:
            plan_value(bound, k, column, type_of(descriptor, column))
    if missing_count:
        word_text = server.text("columns") if missing_count > 1 else server.text("column")
        fail(
            "22023", 'missing %s %s for model "%s"', (word_text, missing, word(bound, REFERENCE)),
            "The row has %s.", (column_names(descriptor, columns),),
        )  # fmt: skip


@kernel
def find_column(name, descriptor, columns):
    """The number of a column by its name, or -1."""
    folded, found, count = fold(name), np.int64(-1), 0
    for column in range(columns):
        if type_of(descriptor, column) == NO_TYPE:
            continue
        other = call("SPI_fname", (descriptor, column + 1))
        if call_int("strcmp", (name, other)) == 0:
            return np.int64(column)
        if call_int("strcmp", (folded, fold(other))) == 0:
            found, count = np.int64(column), count + 1
    if count > 1:
        fail(
            "22023", 'column "%s" is ambiguous: the row has several that differ in case alone', (name,),
            "Name it exactly as in training.", (),
        )  # fmt: skip
    return found


@kernel
def fold(name):
    """A name in lower case."""
    return call("str_tolower", (name, call("strlen", (name,)), np.int64(server.DEFAULT_COLLATION)))


@kernel
def column_names(descriptor, columns):
    """The names of a row's columns, for a hint."""
    names = server.text("")
    count = 0
    for column in range(columns):
        if type_of(descriptor, column) != NO_TYPE:
            template = server.text("%s, %s") if count else server.text("%s%s")
            names = call("psprintf", (template, names, call("SPI_fname", (descriptor, column + 1))))
            count += 1
    return names if count else server.text("no columns")
