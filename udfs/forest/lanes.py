"""The inner loops that LLVM does not find by itself, written as vectors: coding a value, finding leaves, adding leaf values.

Vectors are of 64 bytes or 8 doubles; LLVM splits them where registers are narrower. Only ``add_leaves`` needs an instruction
of AVX-512 (a permute of bytes) and must not be compiled elsewhere: ask ``HAS_PERMUTES``.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from udfs.jit import cpu_features

LANES = 64  # rows that one vector of byte codes holds
GROUPS = 8  # vectors in flight: enough to hide the latency of compares
BLOCK = LANES * GROUPS
HAS_PERMUTES = {"avx512vbmi", "avx512bw", "avx512vl"} <= cpu_features()

_I1, _I8, _I16, _I32, _I64, _F64 = (*map(ir.IntType, (1, 8, 16, 32, 64)), ir.DoubleType())
_BYTES = ir.VectorType(_I8, LANES)
_EIGHT = 8
_ANYWHERE = types.int64
NEAR_ZERO = 1.0000000180025095e-35  # LightGBM's kZeroThreshold: what is nearer to zero is zero


def _vector(element: Any, value: Any, lanes: int = _EIGHT) -> ir.Constant:
    return ir.Constant(ir.VectorType(element, lanes), [value] * lanes)


def _splat(builder: Any, value: Any, lanes: int = _EIGHT) -> Any:
    kind = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), _vector(_I32, 0, lanes))


def _at(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder: Any, address: Any, kind: Any, align: int) -> Any:
    value = builder.load(_at(builder, address, kind))
    value.align = align
    return value


def _store(builder: Any, value: Any, address: Any, align: int) -> None:
    builder.store(value, _at(builder, address, value.type)).align = align


def _plus(builder: Any, address: Any, bytes_: int) -> Any:
    return builder.add(address, ir.Constant(_I64, bytes_)) if bytes_ else address


def _declare(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _gather(builder: Any, base: Any, index: Any, size: int, element: Any) -> Any:
    """Eight elements at ``base + size * index``; the index is eight int64."""
    address = builder.add(builder.mul(index, _vector(_I64, size)), _splat(builder, base))
    kind, mask = ir.VectorType(element, _EIGHT), ir.VectorType(_I1, _EIGHT)
    pointers = builder.inttoptr(address, ir.VectorType(element.as_pointer(), _EIGHT))
    name = f"llvm.masked.gather.v8{'f64' if element == _F64 else f'i{element.width}'}.v8p0"
    function = _declare(builder, name, kind, [pointers.type, _I32, mask, kind])
    arguments = [pointers, ir.Constant(_I32, 1), _vector(_I1, 1), ir.Constant(kind, ir.Undefined)]
    return builder.call(function, arguments)


@intrinsic
def find_leaves(typing_context, nodes, count, codes, leaves):
    """Send 512 rows down one tree: ``leaves[512]`` from ``codes[columns, 512]`` and ``count`` nodes of 8 bytes in preorder.

    A row's state is the first leaf of the subtree it is in. A node (column, threshold, first leaf, first leaf of the right
    subtree) moves the rows whose state is its first leaf and whose code is greater than its threshold.
    """

    def codegen(context, builder, signature, arguments):
        nodes, count, codes, leaves = arguments
        entry, loop, done = builder.block, builder.append_basic_block("node"), builder.append_basic_block("found")
        builder.branch(loop)
        builder.position_at_end(loop)
        at = builder.phi(_I64)
        at.add_incoming(nodes, entry)
        states = [builder.phi(_BYTES) for _ in range(GROUPS)]
        column = builder.zext(_load(builder, at, _I32, 8), _I64)
        threshold, first, middle = (
            _splat(builder, _load(builder, _plus(builder, at, k), _I8, 1), LANES) for k in (4, 5, 6)
        )
        base = builder.add(codes, column)
        following = []
        for group, state in enumerate(states):
            code = _load(builder, _plus(builder, base, group * LANES), _BYTES, LANES)
            goes_right = builder.icmp_unsigned(">", code, threshold)
            is_here = builder.icmp_unsigned("==", state, first)
            following.append(builder.select(builder.and_(goes_right, is_here), middle, state))
        after = _plus(builder, at, 8)
        at.add_incoming(after, loop)
        for state, value in zip(states, following, strict=True):
            state.add_incoming(_vector(_I8, 0, LANES), entry)
            state.add_incoming(value, loop)
        end = builder.add(nodes, builder.shl(count, ir.Constant(_I64, 3)))
        builder.cbranch(builder.icmp_unsigned("<", after, end), loop, done)
        builder.position_at_end(done)
        for group, value in enumerate(following):
            _store(builder, value, _plus(builder, leaves, group * LANES), LANES)
        return context.get_dummy_value()

    return types.void(_ANYWHERE, _ANYWHERE, _ANYWHERE, _ANYWHERE), codegen


def _byte_lookup(builder: Any, table: Any, size: int, index: Any) -> Any:
    """``table[index]`` for 64 indices into a table of 64, 128 or 256 bytes."""
    if size == 64:
        function = _declare(builder, "llvm.x86.avx512.permvar.qi.512", _BYTES, [_BYTES, _BYTES])
        return builder.call(function, [_load(builder, table, _BYTES, LANES), index])
    function = _declare(builder, "llvm.x86.avx512.vpermi2var.qi.512", _BYTES, [_BYTES, _BYTES, _BYTES])
    halves = []
    for start in range(0, size, 128):
        low, high = (_load(builder, _plus(builder, table, start + k), _BYTES, LANES) for k in (0, 64))
        halves.append(builder.call(function, [low, index, high]))
    if size == 128:
        return halves[0]
    is_high = builder.icmp_signed("<", index, _vector(_I8, 0, LANES))
    return builder.select(is_high, halves[1], halves[0])


def _interleave(builder: Any, low: Any, high: Any, size: int, upper: bool) -> Any:
    """x86's unpack of elements of ``size`` bytes, within each 16 bytes: the lower or the upper half of both, alternating."""
    kind = ir.VectorType(ir.IntType(size * 8), LANES // size)
    per_lane = 16 // size
    mask = []
    for lane in range(4):
        for k in range(per_lane // 2):
            element = lane * per_lane + k + (per_lane // 2 if upper else 0)
            mask += [element, element + LANES // size]
    indices = ir.Constant(ir.VectorType(_I32, len(mask)), mask)
    mixed = builder.shuffle_vector(builder.bitcast(low, kind), builder.bitcast(high, kind), indices)
    return builder.bitcast(mixed, _BYTES)


def _add_leaves(size: int) -> Any:
    def codegen(context, builder, signature, arguments):
        planes, leaves, sums = arguments
        index = _load(builder, leaves, _BYTES, LANES)
        parts = [_byte_lookup(builder, _plus(builder, planes, p * size), size, index) for p in range(8)]
        for width in (1, 2, 4):
            parts = _merge(builder, parts, width)
        doubles = ir.VectorType(_F64, _EIGHT)
        for v, part in enumerate(parts):
            at = _plus(builder, sums, v * 64)
            total = builder.fadd(_load(builder, at, doubles, 64), builder.bitcast(part, doubles))
            _store(builder, total, at, 64)
        return context.get_dummy_value()

    return types.void(_ANYWHERE, _ANYWHERE, _ANYWHERE), codegen


def _merge(builder: Any, parts: list[Any], width: int) -> list[Any]:
    """One of three steps from 8 vectors of single bytes to 8 vectors of doubles: join neighbours of ``width`` bytes.

    Before a step there are ``width`` vectors of rows for every ``width`` bytes of the doubles.
    """
    merged: list[Any] = []
    for start in range(0, len(parts), 2 * width):
        low, high = parts[start : start + width], parts[start + width : start + 2 * width]
        for a, b in zip(low, high, strict=True):
            merged += [_interleave(builder, a, b, width, upper) for upper in (False, True)]
    return merged


@intrinsic
def add_leaves_64(typing_context, planes, leaves, sums):
    """Add the leaf values of 64 rows to their sums; ``planes[8, 64]`` holds the bytes of up to 64 doubles.

    The sums are in the order that unpacking gives: double ``8 v + 2 l + q`` is row ``16 l + 2 v + q``.
    """
    return _add_leaves(64)


@intrinsic
def add_leaves_128(typing_context, planes, leaves, sums):
    """As ``add_leaves_64`` for trees of up to 128 leaves."""
    return _add_leaves(128)


@intrinsic
def add_leaves_256(typing_context, planes, leaves, sums):
    """As ``add_leaves_64`` for trees of up to 256 leaves."""
    return _add_leaves(256)


@intrinsic
def rank_eight(typing_context, values, low, scale, last, by_bits, starts, cuts, step, ranks):
    """Count, for eight doubles, the cuts below each: ``ranks[8]`` as int32. NaN counts as 0.

    A value's bucket (of equal width, in the value or in its ordered bits) tells how many cuts are below the bucket; a search
    of a few steps finishes. The cuts were put into buckets by the same operations, and these are monotone: hence exact.
    """

    def codegen(context, builder, signature, arguments):
        values, low, scale, last, by_bits, starts, cuts, step, ranks = arguments
        doubles, longs = ir.VectorType(_F64, _EIGHT), ir.VectorType(_I64, _EIGHT)
        raw = _load(builder, values, doubles, 8)
        is_number = builder.fcmp_ordered("ord", raw, raw)
        value = builder.select(is_number, raw, _vector(_F64, 0.0))
        bits = builder.bitcast(value, longs)
        flip = builder.and_(builder.ashr(bits, _vector(_I64, 63)), _vector(_I64, (1 << 63) - 1))
        ordered = builder.sitofp(builder.xor(bits, flip), doubles)
        chosen = builder.select(_splat(builder, by_bits), ordered, value)
        scaled = builder.fmul(builder.fsub(chosen, _splat(builder, low)), _splat(builder, scale))
        top = _splat(builder, last)
        scaled = builder.select(builder.fcmp_ordered("<", scaled, top), scaled, top)
        zero = _vector(_F64, 0.0)
        scaled = builder.select(builder.fcmp_ordered(">", scaled, zero), scaled, zero)
        bucket = builder.zext(builder.fptosi(scaled, ir.VectorType(_I32, _EIGHT)), longs)
        start = builder.zext(_gather(builder, starts, bucket, 4, _I32), longs)
        before, loop = builder.block, builder.append_basic_block("step")
        done = builder.append_basic_block("ranked")
        builder.cbranch(builder.icmp_signed(">", step, ir.Constant(_I64, 0)), loop, done)
        builder.position_at_end(loop)
        size, rank = builder.phi(_I64), builder.phi(longs)
        offset = builder.sub(_splat(builder, size), _vector(_I64, 1))
        cut = _gather(builder, cuts, builder.add(rank, offset), 8, _F64)
        is_above = builder.fcmp_ordered(">", value, cut)
        moved = builder.select(is_above, builder.add(rank, _splat(builder, size)), rank)
        smaller = builder.lshr(size, ir.Constant(_I64, 1))
        for phi, first, then in ((size, step, smaller), (rank, start, moved)):
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed(">", smaller, ir.Constant(_I64, 0)), loop, done)
        builder.position_at_end(done)
        result = builder.phi(longs)
        result.add_incoming(start, before)
        result.add_incoming(moved, loop)
        _store(builder, builder.trunc(result, ir.VectorType(_I32, _EIGHT)), ranks, 4)
        return context.get_dummy_value()

    number, whole = types.float64, types.int64
    arguments = (whole, number, number, number, types.boolean, whole, whole, whole, whole)
    return types.void(*arguments), codegen


@intrinsic
def column_codes(typing_context, values, ranks, base, missing, code, codes):
    """Eight bytes of a column: ranks less ``base``, cut to 0..255; where ``missing`` is 1 for zeros and NaN, 2 for NaN: ``code``."""

    def codegen(context, builder, signature, arguments):
        values, ranks, base, missing, code, codes = arguments
        ints, doubles = ir.VectorType(_I32, _EIGHT), ir.VectorType(_F64, _EIGHT)
        rank = builder.sub(_load(builder, ranks, ints, 4), _splat(builder, builder.trunc(base, _I32)))
        zero, top = _vector(_I32, 0), _vector(_I32, 255)
        rank = builder.select(builder.icmp_signed(">", rank, zero), rank, zero)
        rank = builder.select(builder.icmp_signed("<", rank, top), rank, top)
        plain, special, done = (builder.append_basic_block(name) for name in ("plain", "special", "coded"))
        builder.cbranch(builder.icmp_signed("==", missing, ir.Constant(_I64, 0)), plain, special)
        builder.position_at_end(special)
        value = _load(builder, values, doubles, 8)
        absolute = builder.call(_declare(builder, "llvm.fabs.v8f64", doubles, [doubles]), [value])
        is_nan = builder.fcmp_unordered("uno", value, value)
        is_small = builder.fcmp_unordered("<=", absolute, _vector(_F64, NEAR_ZERO))
        only_nan = _splat(builder, builder.icmp_signed("==", missing, ir.Constant(_I64, 2)))
        is_missing = builder.select(only_nan, is_nan, is_small)
        replaced = builder.select(is_missing, _splat(builder, builder.trunc(code, _I32)), rank)
        builder.branch(done)
        builder.position_at_end(plain)
        builder.branch(done)
        builder.position_at_end(done)
        result = builder.phi(ints)
        result.add_incoming(rank, plain)
        result.add_incoming(replaced, special)
        _store(builder, builder.trunc(result, ir.VectorType(_I8, _EIGHT)), codes, 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@intrinsic
def class_bits(typing_context, table, bytes_, bits, codes):
    """1 for each of 64 rows whose bit (``bits``, one set bit a row) is set in byte ``bytes_`` of a table of 256 bytes, else 0."""

    def codegen(context, builder, signature, arguments):
        table, bytes_, bits, codes = arguments
        found = _byte_lookup(builder, table, 256, _load(builder, bytes_, _BYTES, LANES))
        common = builder.and_(found, _load(builder, bits, _BYTES, LANES))
        is_set = builder.icmp_unsigned("!=", common, _vector(_I8, 0, LANES))
        _store(builder, builder.zext(is_set, _BYTES), codes, LANES)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


KEYS = 32  # rows that one vector of 16-bit keys holds
MISSING_BYTES = BLOCK // 8


def _joined(builder: Any, vectors: Any) -> Any:
    """Vectors one behind the other as one."""
    vectors = list(vectors)
    while len(vectors) > 1:
        size = 2 * vectors[0].type.count
        order = ir.Constant(ir.VectorType(_I32, size), list(range(size)))
        pairs = zip(vectors[0::2], vectors[1::2], strict=True)
        vectors = [builder.shuffle_vector(a, b, order) for a, b in pairs]
    return vectors[0]


@intrinsic
def make_keys(typing_context, values, apart, low, scale, by_bits, keys, missing):
    """Map 32 doubles to 16-bit keys by a monotone function; ``missing`` gets bits for NaN and, 64 bytes on, for zero or NaN.

    NaN counts as 0. Values that are not zero are moved away from it by ``apart``, so that no key is shared with zero.
    """

    def codegen(context, builder, signature, arguments):
        values, apart, low, scale, by_bits, keys, missing = arguments
        doubles, longs = ir.VectorType(_F64, _EIGHT), ir.VectorType(_I64, _EIGHT)
        zero, top = _vector(_F64, 0.0), _vector(_F64, TOP_KEY)
        near, beyond = _vector(_F64, NEAR_ZERO), _vector(_F64, -NEAR_ZERO)
        apart, low, scale, by_bits = (_splat(builder, x) for x in (apart, low, scale, by_bits))
        parts = []
        for part in range(KEYS // _EIGHT):
            raw = _load(builder, _plus(builder, values, part * 64), doubles, 8)
            is_nan = builder.fcmp_unordered("uno", raw, raw)
            value = builder.select(is_nan, zero, raw)
            above, below = builder.fcmp_ordered(">", value, near), builder.fcmp_ordered("<", value, beyond)
            is_small = builder.not_(builder.or_(above, below))
            value = builder.select(above, builder.fadd(value, apart), value)
            value = builder.select(below, builder.fsub(value, apart), value)
            bits = builder.bitcast(value, longs)
            flip = builder.and_(builder.ashr(bits, _vector(_I64, 63)), _vector(_I64, (1 << 63) - 1))
            ordered = builder.sitofp(builder.xor(bits, flip), doubles)
            chosen = builder.select(by_bits, ordered, value)
            key = builder.fadd(builder.fmul(builder.fsub(chosen, low), scale), _vector(_F64, 1.0))
            key = builder.select(builder.fcmp_ordered("<", key, top), key, top)
            key = builder.select(builder.fcmp_ordered(">", key, zero), key, zero)
            whole = builder.trunc(builder.fptosi(key, ir.VectorType(_I32, _EIGHT)), ir.VectorType(_I16, _EIGHT))
            parts.append((whole, is_nan, is_small))
        # One store each: whatever is loaded again soon must have been stored in one piece.
        whole, is_nan, is_small = (_joined(builder, vectors) for vectors in zip(*parts, strict=True))
        _store(builder, whole, keys, 64)
        _store(builder, builder.bitcast(is_nan, _I32), missing, 4)
        _store(builder, builder.bitcast(is_small, _I32), _plus(builder, missing, MISSING_BYTES), 4)
        return context.get_dummy_value()

    number, whole = types.float64, types.int64
    return types.void(whole, number, number, number, types.boolean, whole, whole), codegen


TOP_KEY = 65534.0
_WORDS = ir.VectorType(_I16, KEYS)


def _word_lookup(builder: Any, table: Any, level: int, place: Any) -> Any:
    """The pivots of 32 rows at a level of a search tree whose levels follow one another in a table of 16-bit keys."""

    def words(start: int) -> Any:
        return _load(builder, _plus(builder, table, 2 * start), _WORDS, 64)

    single = _declare(builder, "llvm.x86.avx512.permvar.hi.512", _WORDS, [_WORDS, _WORDS])
    double = _declare(builder, "llvm.x86.avx512.vpermi2var.hi.512", _WORDS, [_WORDS, _WORDS, _WORDS])
    if level <= 5:
        return builder.call(single, [words(0 if level < 5 else 32), place])
    if level == 6:
        return builder.call(double, [words(64), place, words(96)])
    lower = builder.call(double, [words(128), place, words(160)])
    upper = builder.call(double, [words(192), place, words(224)])
    is_upper = builder.icmp_signed("!=", builder.and_(place, _vector(_I16, 64, KEYS)), _vector(_I16, 0, KEYS))
    return builder.select(is_upper, upper, lower)


def _search(levels: int) -> Any:
    def codegen(context, builder, signature, arguments):
        keys, table, absent_bits, code, codes, close = arguments
        missing = _load(builder, absent_bits, _I32, 4)
        key = _load(builder, keys, _WORDS, 64)
        place, nearest = _vector(_I16, 1, KEYS), _vector(_I16, -1, KEYS)
        for level in range(levels):
            pivot = _word_lookup(builder, table, level, place)
            is_above = builder.icmp_unsigned(">", key, pivot)
            nearest = builder.select(is_above, nearest, pivot)
            twice = builder.shl(place, _vector(_I16, 1, KEYS))
            place = builder.select(is_above, builder.or_(twice, _vector(_I16, 1, KEYS)), twice)
        rank = builder.trunc(builder.sub(place, _vector(_I16, 1 << levels, KEYS)), ir.VectorType(_I8, KEYS))
        absent = builder.bitcast(missing, ir.VectorType(_I1, KEYS))
        rank = builder.select(absent, _splat(builder, builder.trunc(code, _I8), KEYS), rank)
        _store(builder, rank, codes, 32)
        is_close = builder.bitcast(builder.icmp_unsigned("==", key, nearest), _I32)
        undecided = builder.and_(is_close, builder.not_(missing))
        _store(builder, builder.or_(_load(builder, close, _I32, 4), undecided), close, 4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@intrinsic
def search_31(typing_context, keys, table, missing, code, codes, close):
    """Count for 32 rows the cuts whose key is below the row's: one byte each; rows whose bit is set in ``missing`` get ``code``.

    Rows whose key is that of a cut must be compared exactly: their bits are set in ``close``.
    """
    return _search(5)


@intrinsic
def search_63(typing_context, keys, table, missing, code, codes, close):
    """As ``search_31`` for up to 63 cuts."""
    return _search(6)


@intrinsic
def search_127(typing_context, keys, table, missing, code, codes, close):
    """As ``search_31`` for up to 127 cuts."""
    return _search(7)


@intrinsic
def search_255(typing_context, keys, table, missing, code, codes, close):
    """As ``search_31`` for up to 255 cuts."""
    return _search(8)
