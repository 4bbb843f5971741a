"""The same loops over trees by bits: 512 rows are one vector, of a bit a row, for every test and for every node that rows reach.

What a row's code is compared with is known before any row is: a column of codes is cut into eight slices, the first bits of all codes,
the second, ..., and from these come the results of all its tests, ``code > 0``, ``code > 1``, ..., two instructions each,
however many nodes take the same test. A node then sends its rows on by an ``and`` and an ``and not``; the rows of every leaf are at last
turned into a leaf for every row. Bit ``k`` of byte ``j`` is row ``64 k + j``.

Measured on a Zen 4 with AVX2: a node takes 6 cycles a block, by bytes 20; a tree 70 more, a test 3 (``slice_tables.pays`` weighs them).
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

from typing import Any

from llvmlite import ir

from udfs.forest.lanes import vectors_of
from udfs.forest.vectors import (
    BYTES,
    HAS_PERMUTES,
    I8,
    I16,
    I32,
    I64,
    LANES,
    SHUFFLED,
    call_apart,
    load,
    plus,
    splat,
    store,
    vector,
    word,
)
from udfs.jit import cgutils, intrinsic, types

PART = LANES if HAS_PERMUTES else SHUFFLED or 16  # bytes of a register
SLICE = ir.VectorType(I8, PART)
# Room for the rows that reach a node or a leaf, a vector for each leaf of a tree and some after the last, and for a column's slices.
SLICES_BYTES = (256 + 8) * LANES


def _turned(builder: Any, vectors: list[Any]) -> list[Any]:
    """Bit ``k`` of vector ``b``, in every byte, from bit ``b`` of vector ``k``."""
    kind = ir.VectorType(I16, PART // 2)
    vectors = [builder.bitcast(v, kind) for v in vectors]
    for step, mask in ((4, 0x0F0F), (2, 0x3333), (1, 0x5555)):
        shift, kept = vector(I16, step, PART // 2), vector(I16, mask, PART // 2)
        for k in (k for k in range(8) if not k & step):
            moved = builder.and_(builder.xor(builder.lshr(vectors[k], shift), vectors[k + step]), kept)
            vectors[k + step] = builder.xor(vectors[k + step], moved)
            vectors[k] = builder.xor(vectors[k], builder.shl(moved, shift))
    return [builder.bitcast(v, SLICE) for v in vectors]


@intrinsic
def slice_column(typing_context, codes, bits, slices, tests):
    """The results of all tests ``code > t`` of a column for ``t`` in ``range(2 ** bits)``: ``tests[2 ** bits, 64]``.

    ``slices[8, 64]`` is room for the slices.
    """

    def codegen(context, builder, signature, arguments):
        codes, bits, slices, tests = arguments
        with vectors_of(builder, word(LANES), PART) as part:
            at = builder.add(codes, part)
            turned = _turned(builder, [load(builder, plus(builder, at, LANES * k), SLICE, PART) for k in range(8)])
            for b, values in enumerate(turned):
                store(builder, values, builder.add(plus(builder, slices, LANES * b), part), PART)
        store(builder, vector(I8, 0, LANES), tests, LANES)
        with cgutils.for_range(builder, bits) as bit:
            values = load(builder, plus(builder, slices, bit.index, LANES), BYTES, LANES)
            half = builder.shl(word(LANES), bit.index)
            with vectors_of(builder, half, LANES) as at:
                low = builder.add(tests, at)
                found = load(builder, low, BYTES, LANES)
                store(builder, builder.or_(found, values), low, LANES)
                store(builder, builder.and_(found, values), builder.add(low, half), LANES)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def pack_column(typing_context, codes, target):
    """A bit for each row whose code is not 0."""

    def codegen(context, builder, signature, arguments):
        codes, target = arguments
        with vectors_of(builder, word(LANES), PART) as part:
            packed = vector(I8, 0, PART)
            for k in range(8):
                code = load(builder, builder.add(plus(builder, codes, LANES * k), part), SLICE, PART)
                is_set = builder.icmp_unsigned("!=", code, vector(I8, 0, PART))
                bit = builder.select(is_set, vector(I8, 1 << k, PART), vector(I8, 0, PART))
                packed = builder.or_(packed, bit)
            store(builder, packed, builder.add(target, part), PART)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), codegen


@intrinsic
def find_leaves_by_bits(typing_context, tree, nodes, tests, reach, leaves):
    """As ``find_leaves``, for 512 rows by the results of the tests.

    ``reach[256, 64]`` is room for the rows that reach a node, at the place of the first leaf of its subtree.
    """

    def codegen(context, builder, signature, arguments):
        call_apart(builder, "sqlml.find_leaves_by_bits", _find_leaves, list(arguments))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def _find_leaves(builder: Any, tree: Any, nodes: Any, tests: Any, reach: Any, leaves: Any) -> None:
    start = builder.add(nodes, load(builder, tree, I64, 8))
    count = load(builder, plus(builder, tree, 8), I64, 8)
    store(builder, vector(I8, 255, LANES), reach, LANES)
    _pass_nodes(builder, start, count, tests, reach)
    for k in range(1, 8):
        end = plus(builder, reach, builder.add(count, word(k)), LANES)
        store(builder, vector(I8, 0, LANES), end, LANES)
    groups = builder.lshr(builder.add(count, word(8)), word(3))
    capacity = load(builder, plus(builder, tree, 24), I64, 8)
    with builder.if_else(builder.icmp_signed("==", capacity, word(64))) as (few, many):
        with few:
            _number_leaves(builder, reach, groups, 6, leaves)
        with many:
            _number_leaves(builder, reach, groups, 8, leaves)


def _pass_nodes(builder: Any, start: Any, count: Any, tests: Any, reach: Any) -> None:
    """Split the rows that reach a node between its children, whose places are its own and that of the first leaf to the right."""
    with cgutils.for_range(builder, count) as each:
        node = plus(builder, start, each.index, 8)
        test, first, middle = (
            builder.zext(load(builder, plus(builder, node, k), kind, 1), I64)
            for k, kind in ((0, I32), (4, I16), (6, I16))
        )
        goes_right = load(builder, builder.add(tests, test), BYTES, LANES)
        here = builder.add(reach, first)
        rows = load(builder, here, BYTES, LANES)
        store(builder, builder.and_(rows, builder.not_(goes_right)), here, LANES)
        store(builder, builder.and_(rows, goes_right), builder.add(reach, middle), LANES)


def _number_leaves(builder: Any, reach: Any, groups: Any, bits: int, leaves: Any) -> None:
    """The leaf of every row from the rows of every leaf, whose numbers have so many bits; eight leaves at a time."""
    with vectors_of(builder, word(LANES), PART) as part:
        entry, loop, done = builder.block, builder.append_basic_block("leaves"), builder.append_basic_block("numbered")
        builder.branch(loop)
        builder.position_at_end(loop)
        group = builder.phi(I64)
        planes = [builder.phi(SLICE) for _ in range(bits)]
        at = builder.add(plus(builder, reach, group, 8 * LANES), part)
        rows = [load(builder, plus(builder, at, k * LANES), SLICE, PART) for k in range(8)]
        found = [_any(builder, [rows[k] for k in range(8) if k >> b & 1]) for b in range(3)]
        whole = _any(builder, [found[2], *rows[:4]])
        for b in range(bits - 3):
            is_in = builder.sub(word(0), builder.and_(builder.lshr(group, word(b)), word(1)))
            found.append(builder.and_(whole, splat(builder, builder.trunc(is_in, I8), PART)))
        found = [builder.or_(plane, more) for plane, more in zip(planes, found, strict=True)]
        following = builder.add(group, word(1))
        for phi, first, then in (
            (group, word(0), following),
            *zip(planes, [vector(I8, 0, PART)] * bits, found, strict=True),
        ):
            phi.add_incoming(first, entry)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, groups), loop, done)
        builder.position_at_end(done)
        numbers = _turned(builder, found + [vector(I8, 0, PART)] * (8 - bits))
        for k, values in enumerate(numbers):
            store(builder, values, builder.add(plus(builder, leaves, LANES * k), part), PART)


def _any(builder: Any, vectors: list[Any]) -> Any:
    while len(vectors) > 1:
        vectors = [builder.or_(vectors[0], vectors[1]), *vectors[2:]]
    return vectors[0]
