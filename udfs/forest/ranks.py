"""The loops over features: turning values into ranks among a feature's thresholds, and ranks into bytes.

Two ways that give the same bytes. With 16-bit keys: a monotone map to 65,535 keys, then a binary search over the keys of the
thresholds whose tables stay in registers (permutes, no gather); the few rows whose key is a threshold's own are left undecided.
With the thresholds themselves: buckets of equal width tell most of the rank, a search of a few gathers the rest.
Measured on an AVX-512 machine with slow gathers, a value takes 0.9 ns by keys and 2.9 ns by buckets.
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

from typing import Any

from llvmlite import ir

from udfs.forest.lanes import BLOCK
from udfs.forest.vectors import (
    DOUBLES,
    EIGHT,
    F64,
    I1,
    I8,
    I16,
    I32,
    I64,
    INTS,
    KEYS,
    LONGS,
    WORDS,
    declare,
    gather,
    joined,
    load,
    plus,
    splat,
    store,
    vector,
    word,
    word_lookup,
)
from udfs.jit import cgutils, intrinsic, types

NEAR_ZERO = 1.0000000180025095e-35  # LightGBM's kZeroThreshold: what is nearer to zero is zero
TOP_KEY = 65534.0
# Words of a coded feature's record.
(
    FEATURE, FIRST_COLUMN, COLUMNS, LOW, SCALE, LAST, BY_BITS, STARTS, CUT, STEP, CLASSES, CATEGORIES,
    KEY_LOW, KEY_SCALE, KEY_APART, KEY_BY_BITS,
) = range(16)  # fmt: skip
FEATURE_WORDS = 16
# Words of a column's record: rank that is 0, what is missing (0 nothing, 1 zero or NaN, 2 NaN), its code, levels of the tree.
BASE, MISSING, CODE, LEVELS = range(4)
COLUMN_WORDS = 4
KEY_TABLE = 256  # 16-bit keys of a column's cuts, as a search tree in breadth-first order from 1 on
# Places in the scratch memory of a feature: keys, bits of the missing (zero or NaN, NaN, none), of the undecided, some values.
_BITS = BLOCK // 8
MISSING_BITS = 2 * BLOCK
UNDECIDED = MISSING_BITS + 3 * _BITS
TAIL = UNDECIDED + _BITS
SCRATCH = TAIL + 8 * KEYS


def _field(builder: Any, record: Any, number: int, kind: Any = I64) -> Any:
    return load(builder, plus(builder, record, 8 * number), kind, 8)


def _flag(builder: Any, record: Any, number: int) -> Any:
    return splat(builder, builder.icmp_signed("!=", _field(builder, record, number), word(0)))


def _ordered(builder: Any, values: Any) -> Any:
    """A monotone function of doubles that spreads them by magnitude (``cuts.ordered_bits``)."""
    bits = builder.bitcast(values, LONGS)
    flip = builder.and_(builder.ashr(bits, vector(I64, 63)), vector(I64, (1 << 63) - 1))
    return builder.sitofp(builder.xor(bits, flip), DOUBLES)


def _clipped(builder: Any, values: Any, top: Any) -> Any:
    values = builder.select(builder.fcmp_ordered("<", values, top), values, top)
    zero = vector(F64, 0.0)
    return builder.fptosi(builder.select(builder.fcmp_ordered(">", values, zero), values, zero), INTS)


@intrinsic
def make_keys(typing_context, record, values, rows, scratch):
    """Map doubles to 16-bit keys by the feature's monotone function, and note which are missing; NaN counts as 0.

    Values that are not zero are moved away from it, so that no key is shared with zero. ``rows`` is a multiple of 32.
    """

    def codegen(context, builder, signature, arguments):
        record, values, rows, scratch = arguments
        numbers = [splat(builder, _field(builder, record, k, F64)) for k in (KEY_APART, KEY_LOW, KEY_SCALE)]
        by_bits = _flag(builder, record, KEY_BY_BITS)
        bits = plus(builder, scratch, MISSING_BITS)
        with cgutils.for_range(builder, builder.lshr(rows, word(5))) as part:
            source = plus(builder, values, part.index, 8 * KEYS)
            parts = [
                _eight_keys(builder, plus(builder, source, 64 * k), numbers, by_bits) for k in range(KEYS // EIGHT)
            ]
            # One store each: what is loaded again soon must have been stored in one piece.
            keys, is_nan, is_small = (joined(builder, vectors) for vectors in zip(*parts, strict=True))
            store(builder, keys, plus(builder, scratch, part.index, 2 * KEYS), 64)
            nothing = ir.Constant(I32, 0)
            for row, mask in enumerate(
                (builder.bitcast(is_small, I32), builder.bitcast(is_nan, I32), nothing, nothing)
            ):
                store(builder, mask, plus(builder, plus(builder, bits, row * _BITS), part.index, 4), 4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


def _eight_keys(builder: Any, address: Any, numbers: list[Any], by_bits: Any) -> tuple[Any, Any, Any]:
    apart, low, scale = numbers
    raw = load(builder, address, DOUBLES, 8)
    is_nan = builder.fcmp_unordered("uno", raw, raw)
    value = builder.select(is_nan, vector(F64, 0.0), raw)
    above = builder.fcmp_ordered(">", value, vector(F64, NEAR_ZERO))
    below = builder.fcmp_ordered("<", value, vector(F64, -NEAR_ZERO))
    is_small = builder.not_(builder.or_(above, below))
    moved = builder.select(below, builder.fsub(value, apart), vector(F64, 0.0))
    value = builder.select(above, builder.fadd(value, apart), moved)
    chosen = builder.select(by_bits, _ordered(builder, value), value)
    key = builder.fadd(builder.fmul(builder.fsub(chosen, low), scale), vector(F64, 1.0))
    return builder.trunc(_clipped(builder, key, vector(F64, TOP_KEY)), ir.VectorType(I16, EIGHT)), is_nan, is_small


@intrinsic
def search_column(typing_context, column, table, rows, scratch, codes):
    """Count for every row the cuts of a column whose key is below the row's: one byte each.

    Missing rows get the column's code for them. Rows whose key is a cut's own are noted as undecided.
    """

    def codegen(context, builder, signature, arguments):
        column, table, rows, scratch, codes = arguments
        missing, code, levels = (_field(builder, column, k) for k in (MISSING, CODE, LEVELS))
        row = builder.select(
            builder.icmp_signed("==", missing, word(0)), word(2), builder.sub(missing, word(1))
        )  # of the three rows of bits
        absent = plus(builder, plus(builder, scratch, MISSING_BITS), row, _BITS)
        missing_code = splat(builder, builder.trunc(code, I8), KEYS)
        for depth in (5, 6, 7, 8):
            with builder.if_then(builder.icmp_signed("==", levels, word(depth))):
                _search(builder, depth, table, rows, scratch, absent, missing_code, codes)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def _search(
    builder: Any, levels: int, table: Any, rows: Any, scratch: Any, absent: Any, missing_code: Any, codes: Any
) -> None:
    close = plus(builder, scratch, UNDECIDED)
    one = vector(I16, 1, KEYS)
    with cgutils.for_range(builder, builder.lshr(rows, word(5))) as part:
        key = load(builder, plus(builder, scratch, part.index, 2 * KEYS), WORDS, 64)
        place, nearest = one, vector(I16, -1, KEYS)
        for level in range(levels):
            pivot = word_lookup(builder, table, level, place)
            is_above = builder.icmp_unsigned(">", key, pivot)
            nearest = builder.select(is_above, nearest, pivot)
            twice = builder.shl(place, one)
            place = builder.select(is_above, builder.or_(twice, one), twice)
        rank = builder.trunc(builder.sub(place, vector(I16, 1 << levels, KEYS)), ir.VectorType(I8, KEYS))
        missing = load(builder, plus(builder, absent, part.index, 4), I32, 4)
        rank = builder.select(builder.bitcast(missing, ir.VectorType(I1, KEYS)), missing_code, rank)
        store(builder, rank, plus(builder, codes, part.index, KEYS), KEYS)
        is_close = builder.bitcast(builder.icmp_unsigned("==", key, nearest), I32)
        at = plus(builder, close, part.index, 4)
        undecided = builder.and_(is_close, builder.not_(missing))
        store(builder, builder.or_(load(builder, at, I32, 4), undecided), at, 4)


@intrinsic
def code_by_cuts(typing_context, record, columns, starts, cuts, values, codes, stride):
    """Code eight values of a feature, for all its columns, ``stride`` bytes apart, by comparing them with the cuts themselves.

    A value's bucket (of equal width, in the value or in its ordered bits) tells how many cuts are below the bucket; a search
    of a few steps finishes. The cuts were put into buckets by the same operations, and these are monotone: hence exact.
    """

    def codegen(context, builder, signature, arguments):
        record, columns, starts, cuts, values, codes, stride = arguments
        raw = load(builder, values, DOUBLES, 8)
        rank = _rank(builder, record, starts, cuts, raw)
        first = _field(builder, record, FIRST_COLUMN)
        with cgutils.for_range(builder, _field(builder, record, COLUMNS)) as counted:
            number = builder.add(first, counted.index)
            column = plus(builder, columns, number, 8 * COLUMN_WORDS)
            result = _column_code(builder, column, raw, rank)
            target = builder.add(codes, builder.mul(number, stride))
            store(builder, builder.trunc(result, ir.VectorType(I8, EIGHT)), target, 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen


def _rank(builder: Any, record: Any, starts: Any, cuts: Any, raw: Any) -> Any:
    """The number of cuts below each of eight values, as int32; NaN counts as 0."""
    low, scale, last = (splat(builder, _field(builder, record, k, F64)) for k in (LOW, SCALE, LAST))
    starts = builder.add(starts, _field(builder, record, STARTS))
    cuts = builder.add(cuts, _field(builder, record, CUT))
    step = _field(builder, record, STEP)
    value = builder.select(builder.fcmp_ordered("ord", raw, raw), raw, vector(F64, 0.0))
    chosen = builder.select(_flag(builder, record, BY_BITS), _ordered(builder, value), value)
    scaled = builder.fmul(builder.fsub(chosen, low), scale)
    bucket = builder.zext(_clipped(builder, scaled, last), LONGS)
    start = builder.zext(gather(builder, starts, bucket, 4, I32), LONGS)
    before, loop, done = builder.block, builder.append_basic_block("step"), builder.append_basic_block("ranked")
    builder.branch(loop)
    builder.position_at_end(loop)
    size, rank = builder.phi(I64), builder.phi(LONGS)
    offset = builder.sub(splat(builder, size), vector(I64, 1))
    cut = gather(builder, cuts, builder.add(rank, offset), 8, F64)
    is_above = builder.fcmp_ordered(">", value, cut)
    moved = builder.select(is_above, builder.add(rank, splat(builder, size)), rank)
    smaller = builder.lshr(size, word(1))
    for phi, first, then in ((size, step, smaller), (rank, start, moved)):
        phi.add_incoming(first, before)
        phi.add_incoming(then, loop)
    builder.cbranch(builder.icmp_signed(">", smaller, word(0)), loop, done)
    builder.position_at_end(done)
    return builder.trunc(moved, INTS)


def _column_code(builder: Any, column: Any, raw: Any, rank: Any) -> Any:
    """Ranks less the column's base, cut to 0..255, or the column's code for what is missing."""
    base, missing, code = (_field(builder, column, k) for k in (BASE, MISSING, CODE))
    rank = builder.sub(rank, splat(builder, builder.trunc(base, I32)))
    zero, top = vector(I32, 0), vector(I32, 255)
    rank = builder.select(builder.icmp_signed(">", rank, zero), rank, zero)
    rank = builder.select(builder.icmp_signed("<", rank, top), rank, top)
    absolute = builder.call(declare(builder, "llvm.fabs.v8f64", DOUBLES, [DOUBLES]), [raw])
    is_nan = builder.fcmp_unordered("uno", raw, raw)
    is_small = builder.or_(is_nan, builder.fcmp_ordered("<=", absolute, vector(F64, NEAR_ZERO)))
    only_nan = splat(builder, builder.icmp_signed("==", missing, word(2)))
    anything = splat(builder, builder.icmp_signed("!=", missing, word(0)))
    is_missing = builder.and_(anything, builder.select(only_nan, is_nan, is_small))
    return builder.select(is_missing, splat(builder, builder.trunc(code, I32)), rank)
