"""The loops over trees: sending 512 rows down a tree together, and adding the values of the leaves they reach.

Vectors are of 64 bytes; LLVM splits them where registers are narrower. Only lookups need an instruction of AVX-512 (permutes
of bytes) and must not be compiled elsewhere: ask ``vectors.HAS_PERMUTES``.
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from udfs.forest.vectors import (
    BYTES,
    DOUBLES,
    EIGHT,
    F64,
    HAS_PERMUTES,
    I8,
    I32,
    I64,
    LANES,
    SHUFFLED,
    byte_lookup,
    interleave,
    load,
    plus,
    shuffled_lookup,
    shuffled_pieces,
    splat,
    store,
    vector,
    word,
)
from udfs.jit import cgutils, intrinsic, types

BLOCK = LANES * 8
# Vectors in flight: enough to hide the latency of compares, and no more than there are registers for, of 64, 32 or 16 bytes.
IN_FLIGHT = 8 if HAS_PERMUTES else 4 if SHUFFLED == 32 else 2


@intrinsic
def find_leaves(typing_context, tree, nodes, codes, leaves, rows):
    """Send up to 512 rows down one tree: ``leaves[512]`` from ``codes[columns, 512]``.

    The tree's record tells where its nodes are, in preorder, 8 bytes each: column, threshold, first leaf of the subtree, first
    leaf of the right subtree. A row's state is the first leaf of the subtree it is in; a node moves the rows whose state is
    its first leaf and whose code is greater than its threshold to the right subtree. No row's way is followed, so nothing
    waits for memory, and a row costs the same in every tree of as many leaves.
    """

    def codegen(context, builder, signature, arguments):
        tree, nodes, codes, leaves, rows = arguments
        start = builder.add(nodes, load(builder, tree, I64, 8))
        end = plus(builder, start, load(builder, plus(builder, tree, 8), I64, 8), 8)
        with vectors_of(builder, rows, IN_FLIGHT * LANES) as row:
            left = builder.sub(rows, row)
            _descend_rows(builder, left, start, end, builder.add(codes, row), builder.add(leaves, row), 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def _descend_rows(builder: Any, rows: Any, start: Any, end: Any, codes: Any, leaves: Any, groups: int) -> None:
    """With no more vectors than the rows need, to a power of two."""
    if groups == IN_FLIGHT:
        _descend(builder, start, end, codes, leaves, groups)
        return
    with builder.if_else(builder.icmp_signed("<=", rows, word(groups * LANES))) as (few, more):
        with few:
            _descend(builder, start, end, codes, leaves, groups)
        with more:
            _descend_rows(builder, rows, start, end, codes, leaves, 2 * groups)


def _descend(builder: Any, start: Any, end: Any, codes: Any, leaves: Any, groups: int) -> None:
    entry, loop, done = builder.block, builder.append_basic_block("node"), builder.append_basic_block("found")
    builder.branch(loop)
    builder.position_at_end(loop)
    at = builder.phi(I64)
    at.add_incoming(start, entry)
    states = [builder.phi(BYTES) for _ in range(groups)]
    column = builder.add(codes, builder.zext(load(builder, at, I32, 8), I64))
    threshold, first, middle = (splat(builder, load(builder, plus(builder, at, k), I8, 1), LANES) for k in (4, 5, 6))
    for group, state in enumerate(states):
        code = load(builder, plus(builder, column, group * LANES), BYTES, LANES)
        goes_right = builder.icmp_unsigned(">", code, threshold)
        is_here = builder.icmp_unsigned("==", state, first)
        moved = builder.select(builder.and_(goes_right, is_here), middle, state)
        state.add_incoming(vector(I8, 0, LANES), entry)
        state.add_incoming(moved, loop)
    following = plus(builder, at, 8)
    at.add_incoming(following, loop)
    builder.cbranch(builder.icmp_unsigned("<", following, end), loop, done)
    builder.position_at_end(done)
    for group, state in enumerate(states):
        store(builder, state.incomings[1][0], plus(builder, leaves, group * LANES), LANES)


@intrinsic
def add_leaves(typing_context, tree, planes, leaves, rows, sums):
    """Add the leaf values of a tree to the sums of up to 512 rows, 64 at a time, by permutes.

    The tree's record tells where the bytes of its values are: ``planes[8, capacity]``, the first bytes of all, the second, ...
    The sums of 64 rows are in the order that unpacking gives: double ``8 v + 2 l + q`` is row ``16 l + 2 v + q``.
    """

    def codegen(context, builder, signature, arguments):
        tree, planes, leaves, rows, sums = arguments
        table = builder.add(planes, load(builder, plus(builder, tree, 16), I64, 8))
        capacity = load(builder, plus(builder, tree, 24), I64, 8)
        groups = builder.lshr(builder.add(rows, word(LANES - 1)), word(6))
        for size in (64, 128, 256):
            with builder.if_then(builder.icmp_signed("==", capacity, word(size))):
                _add_groups(builder, table, size, leaves, groups, sums)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def _add_groups(builder: Any, table: Any, size: int, leaves: Any, groups: Any, sums: Any) -> None:
    with cgutils.for_range(builder, groups) as group:
        index = load(builder, plus(builder, leaves, group.index, LANES), BYTES, LANES)
        parts = [byte_lookup(builder, plus(builder, table, p * size), size, index) for p in range(8)]
        for width in (1, 2, 4):
            parts = _merge(builder, parts, width)
        target = plus(builder, sums, group.index, 8 * LANES)
        for v, values in enumerate(parts):
            at = plus(builder, target, v * 64)
            total = builder.fadd(load(builder, at, DOUBLES, 64), builder.bitcast(values, DOUBLES))
            store(builder, total, at, 64)


@intrinsic
def add_leaves_singly(typing_context, tree, planes, leaves, rows, sums):
    """As ``add_leaves``, from leaf values as they are, eight loads at a time; the sums are in the order of rows."""

    def codegen(context, builder, signature, arguments):
        tree, planes, leaves, rows, sums = arguments
        table = builder.add(planes, load(builder, plus(builder, tree, 16), I64, 8))
        with vectors_of(builder, rows, EIGHT) as row:
            places = load(builder, builder.add(leaves, row), I64, 8)
            values = ir.Constant(DOUBLES, ir.Undefined)
            for k in range(EIGHT):
                place = builder.and_(builder.lshr(places, word(8 * k)), word(255))
                value = load(builder, plus(builder, table, place, 8), F64, 8)
                values = builder.insert_element(values, value, ir.Constant(I32, k))
            at = plus(builder, sums, row, 8)
            store(builder, builder.fadd(load(builder, at, DOUBLES, 64), values), at, 64)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def _merge(builder: Any, parts: list[Any], width: int) -> list[Any]:
    """One of three steps from 8 vectors of single bytes to 8 vectors of doubles: join neighbours of ``width`` bytes.

    Before a step there are ``width`` vectors of rows for every ``width`` bytes of the doubles.
    """
    merged: list[Any] = []
    for start in range(0, len(parts), 2 * width):
        low, high = parts[start : start + width], parts[start + width : start + 2 * width]
        for a, b in zip(low, high, strict=True):
            merged += [interleave(builder, a, b, width, upper) for upper in (False, True)]
    return merged


@intrinsic
def walk_deep(typing_context, tree, nodes, planes, codes, rows, sums):
    """Send up to 512 rows down a tree of many leaves, each along its own way, and add the leaves' values to their sums.

    Eight rows go together, so that eight loads are under way at a time, until all of them are at leaves. There is no branch to
    foretell: a leaf is a node that every row stays at.
    """

    def codegen(context, builder, signature, arguments):
        tree, nodes, planes, codes, rows, sums = arguments
        first = builder.add(nodes, load(builder, tree, I64, 8))
        values = builder.add(planes, load(builder, plus(builder, tree, 16), I64, 8))
        with cgutils.for_range(builder, builder.lshr(builder.add(rows, word(7)), word(3))) as eight:
            row = builder.mul(eight.index, word(EIGHT))
            codes_of = [plus(builder, builder.add(codes, row), k) for k in range(EIGHT)]
            places = _follow(builder, [first] * EIGHT, codes_of)
            target = plus(builder, sums, _place_of_sum(builder, row) if HAS_PERMUTES else row, 8)
            for k, place in enumerate(places):
                at = plus(builder, target, 8 * (_ORDER[k] if HAS_PERMUTES else k))
                value = load(builder, plus(builder, values, place, 8), F64, 8)
                store(builder, builder.fadd(load(builder, at, F64, 8), value), at, 8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


_ORDER = [(k >> 1) * 8 + (k & 1) for k in range(EIGHT)]  # of the sums of rows 0..7, in the order of add_leaves


def _place_of_sum(builder: Any, row: Any) -> Any:
    """Where the sum of the first of eight rows is, in the order of ``add_leaves``."""
    group = builder.and_(row, word(~63))
    half = builder.shl(builder.and_(row, word(8)), word(2))
    lane = builder.lshr(builder.and_(row, word(48)), word(3))
    return builder.add(group, builder.add(half, lane))


def _follow(builder: Any, firsts: list[Any], rows: list[Any]) -> list[Any]:
    """The places of the leaves on eight ways, each from its first node on with the codes of its row."""
    entry, loop, done = builder.block, builder.append_basic_block("level"), builder.append_basic_block("reached")
    builder.branch(loop)
    builder.position_at_end(loop)
    places = [builder.phi(I64) for _ in range(EIGHT)]
    following = []
    for first, row, place in zip(firsts, rows, places, strict=True):
        node = load(builder, plus(builder, first, place, 8), I64, 8)
        column = builder.and_(node, word((1 << 32) - 1))
        code = load(builder, builder.add(row, column), I8, 1)
        goes_right = builder.icmp_unsigned(">", code, builder.trunc(builder.lshr(node, word(32)), I8))
        following.append(builder.add(builder.lshr(node, word(40)), builder.zext(goes_right, I64)))
    moved = word(0)
    for place, then in zip(places, following, strict=True):
        place.add_incoming(word(0), entry)
        place.add_incoming(then, loop)
        moved = builder.or_(moved, builder.xor(place, then))
    builder.cbranch(builder.icmp_unsigned("!=", moved, word(0)), loop, done)
    builder.position_at_end(done)
    return following


@intrinsic
def walk_trees(typing_context, tree, size, count, nodes, planes, codes, values):
    """Send one row down eight trees at a time, or the ``count`` that are left; ``values[8]`` are those of its leaves.

    The trees' records, ``size`` bytes each, tell in their last two words where the nodes and the values of leaves are.
    """

    def codegen(context, builder, signature, arguments):
        tree, size, count, nodes, planes, codes, values = arguments
        last = builder.sub(count, word(1))
        firsts, leaves = [], []
        for k in range(EIGHT):
            number = builder.select(builder.icmp_signed("<", word(k), last), word(k), last)
            end = builder.add(tree, builder.mul(builder.add(number, word(1)), size))
            firsts.append(builder.add(nodes, load(builder, plus(builder, end, -16), I64, 8)))
            leaves.append(builder.add(planes, load(builder, plus(builder, end, -8), I64, 8)))
        places = _follow(builder, firsts, [codes] * EIGHT)
        for k, (start, place) in enumerate(zip(leaves, places, strict=True)):
            store(builder, load(builder, plus(builder, start, place, 8), F64, 8), plus(builder, values, 8 * k), 8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen


@intrinsic
def class_bits(typing_context, table, pieces, classes, rows, codes):
    """1 for each row whose class goes right, else 0.

    A row's class is a byte's number (``classes[512]``) and a bit (the next 512) in the set's table of 256 bytes.
    """

    def codegen(context, builder, signature, arguments):
        table, _, classes, rows, codes = arguments
        with vectors_of(builder, rows, LANES) as row:
            at = builder.add(classes, row)
            _tell(builder, byte_lookup(builder, table, 256, load(builder, at, BYTES, LANES)), at, codes, row)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def shuffled_class_bits(typing_context, table, pieces, classes, rows, codes):
    """As ``class_bits``, where there are shuffles of 16 bytes: by the first so many ``pieces`` of the table, a power of two."""

    def codegen(context, builder, signature, arguments):
        table, pieces, classes, rows, codes = arguments
        for count in (1, 2, 4, 8, 16):
            with builder.if_then(builder.icmp_signed("==", pieces, word(count))):
                parts = shuffled_pieces(builder, table, count)
                with vectors_of(builder, rows, SHUFFLED) as row:
                    at = builder.add(classes, row)
                    index = load(builder, at, ir.VectorType(I8, SHUFFLED), SHUFFLED)
                    _tell(builder, shuffled_lookup(builder, parts, index), at, codes, row)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@contextmanager
def vectors_of(builder: Any, rows: Any, lanes: int) -> Iterator[Any]:
    """The first row of every vector of so many lanes, a power of two, up to ``rows``."""
    vectors = builder.lshr(builder.add(rows, word(lanes - 1)), word(lanes.bit_length() - 1))
    with cgutils.for_range(builder, vectors) as each:
        yield builder.mul(each.index, word(lanes))


def _tell(builder: Any, found: Any, classes: Any, codes: Any, row: Any) -> None:
    """Write 1 for the rows whose bit is set in the bytes that were found."""
    lanes = found.type.count
    common = builder.and_(found, load(builder, plus(builder, classes, BLOCK), found.type, lanes))
    is_set = builder.icmp_unsigned("!=", common, vector(I8, 0, lanes))
    store(builder, builder.zext(is_set, found.type), builder.add(codes, row), lanes)
