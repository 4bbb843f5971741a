"""The loops over features: turning values into ranks among a feature's thresholds, and ranks into bytes.

Two ways that give the same bytes. With 16-bit keys: a monotone map to 65,535 keys, then a binary search over the keys of the
thresholds whose tables stay in registers (permutes, no gather); the few rows whose key is a threshold's own are left undecided.
With the thresholds themselves: buckets of equal width tell most of the rank, a search of a few gathers the rest.
Measured on an AVX-512 machine with slow gathers, a value takes 0.9 ns by keys and 2.9 ns by buckets. On a Zen 4 with AVX2, where
eight loads are faster than its gathers, it takes 4.5 ns by buckets eight values at a time and 1.9 ns in one loop over the block.
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from udfs.forest.lanes import BLOCK, vectors_of
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
RANKS = TAIL + 8 * KEYS
SCRATCH = RANKS + 4 * BLOCK


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
        is_ordered = _flag(builder, record, BY_BITS)
        buckets = _buckets(builder, record, starts, cuts)
        rank = _rank(builder, buckets, raw, lambda x: builder.select(is_ordered, _ordered(builder, x), x))
        first = _field(builder, record, FIRST_COLUMN)
        with cgutils.for_range(builder, _field(builder, record, COLUMNS)) as counted:
            number = builder.add(first, counted.index)
            column = plus(builder, columns, number, 8 * COLUMN_WORDS)
            result = _column_code(builder, column, raw, rank)
            target = builder.add(codes, builder.mul(number, stride))
            store(builder, builder.trunc(result, ir.VectorType(I8, EIGHT)), target, 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen


def _buckets(builder: Any, record: Any, starts: Any, cuts: Any) -> list[Any]:
    """What ``_rank`` needs of a feature."""
    numbers = [splat(builder, _field(builder, record, k, F64)) for k in (LOW, SCALE, LAST)]
    starts = builder.add(starts, _field(builder, record, STARTS))
    cuts = builder.add(cuts, _field(builder, record, CUT))
    return [*numbers, starts, cuts, _field(builder, record, STEP)]


def _rank(builder: Any, buckets: list[Any], raw: Any, chosen: Callable[[Any], Any]) -> Any:
    """The number of cuts below each of eight values, as int32; NaN counts as 0. Buckets are of what is ``chosen``."""
    low, scale, last, starts, cuts, step = buckets
    value = builder.select(builder.fcmp_ordered("ord", raw, raw), raw, vector(F64, 0.0))
    scaled = builder.fmul(builder.fsub(chosen(value), low), scale)
    start = gather(builder, starts, _clipped(builder, scaled, last), 4, I32)
    before, loop, done = builder.block, builder.append_basic_block("step"), builder.append_basic_block("ranked")
    builder.branch(loop)
    builder.position_at_end(loop)
    size, rank = builder.phi(I64), builder.phi(INTS)
    cut = gather(builder, plus(builder, cuts, builder.sub(size, word(1)), 8), rank, 8, F64)
    is_above = builder.fcmp_ordered(">", value, cut)
    more = builder.and_(builder.sext(is_above, INTS), splat(builder, builder.trunc(size, I32)))
    moved = builder.add(rank, more)
    smaller = builder.lshr(size, word(1))
    for phi, first, then in ((size, step, smaller), (rank, start, moved)):
        phi.add_incoming(first, before)
        phi.add_incoming(then, loop)
    builder.cbranch(builder.icmp_signed(">", smaller, word(0)), loop, done)
    builder.position_at_end(done)
    return moved


@intrinsic
def rank_values(typing_context, record, starts, cuts, values, rows, ranks):
    """The number of cuts of a feature below each value, as int32, eight values at a time."""

    def codegen(context, builder, signature, arguments):
        record, starts, cuts, values, rows, ranks = arguments
        buckets = _buckets(builder, record, starts, cuts)
        by_bits = builder.icmp_signed("!=", _field(builder, record, BY_BITS), word(0))
        with builder.if_else(by_bits) as cases:
            for case, chosen in zip(cases, (lambda value: _ordered(builder, value), lambda value: value), strict=True):
                with case, vectors_of(builder, rows, EIGHT) as row:
                    raw = load(builder, plus(builder, values, row, 8), DOUBLES, 8)
                    store(builder, _rank(builder, buckets, raw, chosen), plus(builder, ranks, row, 4), 4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@intrinsic
def code_ranks(typing_context, column, ranks, rows, codes):
    """The codes of a column, 32 at a time, from the ranks among all cuts of its feature."""

    def codegen(context, builder, signature, arguments):
        column, ranks, rows, codes = arguments
        base = splat(builder, builder.trunc(_field(builder, column, BASE), I32), KEYS)
        zero, top = vector(I32, 0, KEYS), vector(I32, 255, KEYS)
        with vectors_of(builder, rows, KEYS) as row:
            rank = load(builder, plus(builder, ranks, row, 4), ir.VectorType(I32, KEYS), 4)
            rank = builder.sub(rank, base)
            rank = builder.select(builder.icmp_signed(">", rank, zero), rank, zero)
            rank = builder.select(builder.icmp_signed("<", rank, top), rank, top)
            store(builder, builder.trunc(rank, ir.VectorType(I8, KEYS)), builder.add(codes, row), KEYS)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def code_missing(typing_context, column, values, rows, codes):
    """Give missing values a column's code for them, eight values at a time."""

    def codegen(context, builder, signature, arguments):
        column, values, rows, codes = arguments
        missing, code = (_field(builder, column, k) for k in (MISSING, CODE))
        code = splat(builder, builder.trunc(code, I8))
        only_nan = splat(builder, builder.icmp_signed("==", missing, word(2)))
        with builder.if_then(builder.icmp_signed("!=", missing, word(0))), vectors_of(builder, rows, EIGHT) as row:
            is_nan, is_small = _absent(builder, load(builder, plus(builder, values, row, 8), DOUBLES, 8))
            at = builder.add(codes, row)
            known = load(builder, at, code.type, 1)
            store(builder, builder.select(builder.select(only_nan, is_nan, is_small), code, known), at, 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


def _absent(builder: Any, raw: Any) -> tuple[Any, Any]:
    """Which values are NaN, and which are that or nearly zero."""
    absolute = builder.call(declare(builder, "llvm.fabs.v8f64", DOUBLES, [DOUBLES]), [raw])
    is_nan = builder.fcmp_unordered("uno", raw, raw)
    return is_nan, builder.fcmp_unordered("<=", absolute, vector(F64, NEAR_ZERO))


def _column_code(builder: Any, column: Any, raw: Any, rank: Any) -> Any:
    """Ranks less the column's base, cut to 0..255, or the column's code for what is missing."""
    base, missing, code = (_field(builder, column, k) for k in (BASE, MISSING, CODE))
    rank = builder.sub(rank, splat(builder, builder.trunc(base, I32)))
    zero, top = vector(I32, 0), vector(I32, 255)
    rank = builder.select(builder.icmp_signed(">", rank, zero), rank, zero)
    rank = builder.select(builder.icmp_signed("<", rank, top), rank, top)
    is_nan, is_small = _absent(builder, raw)
    only_nan = splat(builder, builder.icmp_signed("==", missing, word(2)))
    anything = splat(builder, builder.icmp_signed("!=", missing, word(0)))
    is_missing = builder.and_(anything, builder.select(only_nan, is_nan, is_small))
    return builder.select(is_missing, splat(builder, builder.trunc(code, I32)), rank)
