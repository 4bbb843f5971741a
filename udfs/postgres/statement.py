"""What a call of a scoring function keeps for its statement: a model by reference, and how its arguments become cells.

The record hangs at ``fn_extra`` of the call and lives in the memory of the statement. Where the reference is not the same in
every row, each has a record of its own.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel, peek, poke, word
from udfs.postgres import cache, layout, server
from udfs.postgres.arguments import accepts, put_null, put_value, reader_of, wanted
from udfs.postgres.memory import copy, same
from udfs.postgres.server import argument, call, call_byte, call_int, fail, set_word
from udfs.postgres.walk import scratch_bytes

# Words of a call's record.
BOUND, IS_STABLE, FIRST_VALUE, GIVEN, IS_ROW, TYPES, ALL_BOUND = range(7)
CALL_BYTES = 8 * 8
# Words of a reference's record.
(
    NEXT, REFERENCE, LENGTH, IMAGE, CELLS, SCRATCH, OUT, OPERANDS, THRESHOLD, CLASS, PLAN, PLAN_LENGTH, ROW_TYPE, DESCRIPTOR,
    DATUMS, NULLS, ALL_DOUBLES, BY_NAME, CONTEXT, SHAP,
) = range(20)  # fmt: skip
BOUND_BYTES = 8 * 20
# Words of a plan: number of the value, how it is read, kind, cell, null cell; SOURCE is -1 where NULL is all there is.
SOURCE, READER, KIND, CELL, NULL_CELL = range(5)
PLAN_WORDS = 5
MOST_SUFFIX = 64


@kernel
def begin_call(fcinfo, first_value):
    """The record of a call: what its arguments are."""
    flinfo = word(fcinfo, server.FLINFO)
    context = word(flinfo, server.FN_CONTEXT)
    if call_byte("get_fn_expr_variadic", (flinfo,)) != 0:
        fail("22023", "VARIADIC is not supported here", (), "Pass the columns one by one, or one row.", ())
    record = server.allocate_in(context, np.int64(CALL_BYTES))
    given = np.int64(peek(fcinfo, np.int16, server.NARGS_SHORT)) - first_value
    types = server.allocate_in(context, 8 * given + 8)
    for k in range(given):
        set_word(types, k, call_int("get_fn_expr_argtype", (flinfo, first_value + k)) & 0xFFFFFFFF)
    set_word(record, IS_STABLE, call_byte("get_fn_expr_arg_stable", (flinfo, np.int64(0))))
    set_word(record, FIRST_VALUE, first_value)
    set_word(record, GIVEN, given)
    set_word(record, TYPES, types)
    set_word(record, IS_ROW, 1 if given == 1 and is_row(word(types, 0)) else 0)
    set_word(flinfo, server.FN_EXTRA, record)
    return record


@kernel
def is_row(kind):
    """Whether a type is that of rows."""
    return kind != 0 and call_byte("type_is_rowtype", (kind,)) != 0


@kernel
def text_bytes(datum):
    """Where the bytes of a text are, and how many."""
    at = call("pg_detoast_datum_packed", (datum,))
    head = np.int64(peek(at, np.uint8, 0))
    if head & 1:
        return at + 1, (head >> 1) - 1
    return at + 4, (np.int64(peek(at, np.uint32, 0)) >> 2) - 4


@kernel
def find_bound(fcinfo, record, by_name, version):
    """The record of the reference in this row, made at its first appearance. ``version`` is 0 where none is asked for."""
    bound = word(record, BOUND)
    if bound != 0 and word(record, IS_STABLE) != 0:
        return bound
    at, length = text_bytes(argument(fcinfo, 0))
    if version != 0:
        shown = call("pnstrdup", (at, length))
        at = call("psprintf", (server.text("%s@%lld"), shown, version))
        length = call("strlen", (at,))
    bound = word(record, ALL_BOUND)
    while bound != 0:
        if word(bound, LENGTH) == length and same(word(bound, REFERENCE), at, length):
            set_word(record, BOUND, bound)
            return bound
        bound = word(bound, NEXT)
    context = word(word(fcinfo, server.FLINFO), server.FN_CONTEXT)
    bound = bind(record, at, length, by_name, context)
    set_word(bound, NEXT, word(record, ALL_BOUND))
    set_word(record, ALL_BOUND, bound)
    set_word(record, BOUND, bound)
    return bound


@kernel
def setting_at(at, length):
    """Where ``?threshold=`` begins in a reference, outside its quotes; its length where there is none."""
    wanted_text = server.text("?threshold=")
    quoted = False
    for k in range(length):
        letter = peek(at, np.uint8, k)
        if letter == 34:
            quoted = not quoted
        elif not quoted and letter == 63 and k + 11 <= length and same(at + k, wanted_text, 11):
            return k
    return length


@kernel
def bind(record, at, length, by_name, context):
    """Find the model, and lay out the memory of a row in work."""
    bound = server.allocate_in(context, np.int64(BOUND_BYTES))
    kept = server.allocate_in(context, length + 1)
    copy(at, kept, length)
    name_length = setting_at(kept, length)
    threshold = 0.5
    if name_length < length:
        bits = call("DirectFunctionCall1Coll", (server.function_at("float8in"), np.int64(0), kept + name_length + 11))
        threshold = np.int64(bits).view(np.float64)
    entry = cache.find_model(kept, name_length)
    cache.hold(entry, context)
    image = word(entry, cache.IMAGE)
    set_word(bound, REFERENCE, kept)
    set_word(bound, LENGTH, length)
    set_word(bound, IMAGE, image)
    set_word(bound, CONTEXT, context)
    set_word(bound, BY_NAME, by_name)
    set_word(bound, CLASS, -1)
    poke(bound, np.float64, THRESHOLD, threshold)
    cells = call("MemoryContextAllocHuge", (context, 8 * word(image, layout.CELLS) + 64))
    set_word(bound, CELLS, cells)
    for k in range(word(image, layout.CELLS)):
        set_word(cells, k, 0)
    size = scratch_bytes(image) + 64
    scratch = (call("MemoryContextAllocHuge", (context, size + 64)) + 63) & -64
    for k in range(size):
        poke(scratch, np.uint8, k, np.uint8(0))
    set_word(bound, SCRATCH, scratch)
    set_word(bound, OUT, server.allocate_in(context, 8 * word(image, layout.OUTPUTS) + 16))
    set_word(bound, OPERANDS, place_operands(image, cells, context))
    if word(record, IS_ROW) == 0:
        plan_values(record, bound)
    return bound


@kernel
def place_operands(image, cells, context):
    """The addresses of the operands of all instructions, one after another."""
    table = call("MemoryContextAllocHuge", (context, 8 * word(image, layout.OPERANDS) + 8))
    code = image + word(image, layout.INSTRUCTIONS)
    end = code + 8 * word(image, layout.INSTRUCTIONS + 1)
    at = 0
    while code < end:
        count = word(code, 3)
        for k in range(count):
            set_word(table, at + k, cells + 8 * word(code, 4 + k))
        at += count
        code += 8 * (4 + count)
    return table


@kernel
def name_of(image, name):
    """The address of a name in the image; a zero byte ends it."""
    return image + word(image, layout.TEXTS) + name


@kernel
def listed(image):
    """The names of the inputs, for a hint."""
    names = server.text("")
    for k in range(word(image, layout.INPUT_TABLE + 1)):
        item = image + word(image, layout.INPUT_TABLE) + 32 * k
        template = server.text("%s%s") if k == 0 else server.text("%s, %s")
        names = call("psprintf", (template, names, name_of(image, word(item, layout.INPUT_NAME))))
    return names


@kernel
def new_plan(bound):
    """Room for a plan of all arguments."""
    count = word(word(bound, IMAGE), layout.ARGUMENTS)
    size = 8 * PLAN_WORDS * count + 8
    if word(bound, PLAN) == 0:
        set_word(bound, PLAN, server.allocate_in(word(bound, CONTEXT), size))
    set_word(bound, PLAN_LENGTH, count)
    set_word(bound, ALL_DOUBLES, 1)
    return word(bound, PLAN)


@kernel
def plan_value(bound, number, source, kind_of_value):
    """Decide how an argument is read from values of a type; refuse types that do not convert."""
    image = word(bound, IMAGE)
    item = image + word(image, layout.ARGUMENT_TABLE) + 32 * number
    plan = word(bound, PLAN) + 8 * PLAN_WORDS * number
    kind = word(item, layout.ARGUMENT_KIND)
    reader = reader_of(kind_of_value)
    is_untyped = kind_of_value == server.UNKNOWN and kind != layout.TEXT
    if not is_untyped and not accepts(kind, reader):
        shown = call("psprintf", (server.text("argument %lld"), number + 1))
        position = word(item, layout.ARGUMENT_INPUT)
        if position >= 0:
            record = image + word(image, layout.INPUT_TABLE) + 32 * position
            shown = call("psprintf", (server.text('column "%s"'), name_of(image, word(record, layout.INPUT_NAME))))
        fail(
            "22023", "%s must be %s, got %s", (shown, wanted(kind), call("format_type_be", (kind_of_value,))),
            "Cast it to the type the model was trained on.", (),
        )  # fmt: skip
    set_word(plan, SOURCE, source)
    set_word(plan, READER, -1 if is_untyped else reader)
    set_word(plan, KIND, kind)
    set_word(plan, CELL, word(item, layout.ARGUMENT_CELL))
    set_word(plan, NULL_CELL, word(item, layout.ARGUMENT_NULL))
    if reader != 0 or kind > layout.BOOLEAN:
        set_word(bound, ALL_DOUBLES, 0)


@kernel
def refuse_count(bound, wanted_count, given):
    """The wrong number of columns."""
    image = word(bound, IMAGE)
    fail(
        "22023", 'model "%s" takes %lld columns, got %lld', (word(bound, REFERENCE), wanted_count, given),
        "Pass a row of a table, or the columns %s.", (listed(image),),
    )  # fmt: skip


@kernel
def refuse_engine(bound):
    """Public functions get raw columns, of which such a model's arguments are not made here."""
    image = word(bound, IMAGE)
    if word(bound, BY_NAME) != 0 and word(image, layout.ENGINE) != 0:
        fail(
            "0A000", 'model "%s" needs expressions that only the database can compute', (word(bound, REFERENCE),),
            "Use PREDICT or ML.PREDICT in a session of sqlml, or a view created there.", (),
        )  # fmt: skip


@kernel
def plan_values(record, bound):
    """Plan for values that are given one by one, in the order of the inputs (public functions) or of the arguments."""
    image = word(bound, IMAGE)
    refuse_engine(bound)
    plan = new_plan(bound)
    given, types = word(record, GIVEN), word(record, TYPES)
    by_name = word(bound, BY_NAME)
    count = word(image, layout.INPUT_TABLE + 1) if by_name else word(image, layout.ARGUMENTS)
    if given != count:
        refuse_count(bound, count, given)
    for k in range(word(image, layout.ARGUMENTS)):
        source = k
        if by_name:
            source = word(image + word(image, layout.ARGUMENT_TABLE) + 32 * k, layout.ARGUMENT_INPUT)
        plan_value(bound, k, source, word(types, source))
    return plan


@kernel
def fill_from_values(fcinfo, record, bound):
    """Fill the cells from the values of a call."""
    cells, plan = word(bound, CELLS), word(bound, PLAN)
    first = fcinfo + server.ARGS_BYTES + server.ARG_BYTES * word(record, FIRST_VALUE)
    if word(bound, ALL_DOUBLES) != 0:
        for k in range(word(bound, PLAN_LENGTH)):
            item = plan + 8 * PLAN_WORDS * k
            at = first + server.ARG_BYTES * word(item, SOURCE)
            is_null = peek(at, np.uint8, 8) != 0
            poke(cells, np.float64, word(item, CELL), np.nan if is_null else peek(at, np.float64, 0))
        return
    for k in range(word(bound, PLAN_LENGTH)):
        item = plan + 8 * PLAN_WORDS * k
        at = first + server.ARG_BYTES * word(item, SOURCE)
        fill_one(item, word(at, 0), peek(at, np.uint8, 8) != 0, cells)


@kernel
def fill_one(item, datum, is_null, cells):
    """Fill the cells of an argument by its plan."""
    reader, kind = word(item, READER), word(item, KIND)
    if not is_null and reader < 0:
        fail("22023", "a value has no type", (), "Cast it to the type the model was trained on.", ())
    put_value(reader, datum, is_null, kind, cells, word(item, CELL), word(item, NULL_CELL))


@kernel
def fill_nulls(bound):
    """A row that is NULL: all of its columns are."""
    image, cells = word(bound, IMAGE), word(bound, CELLS)
    for k in range(word(image, layout.ARGUMENTS)):
        item = image + word(image, layout.ARGUMENT_TABLE) + 32 * k
        kind = word(item, layout.ARGUMENT_KIND)
        put_null(kind, cells, word(item, layout.ARGUMENT_CELL), word(item, layout.ARGUMENT_NULL))
