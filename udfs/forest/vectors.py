"""Vectors of LLVM: constants, loads, stores, gathers and permutes, for the loops written as instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from udfs.jit import cgutils
from udfs.levels import has_permutes, shuffle_bytes
from udfs.processor import features

I1, I8, I16, I32, I64, F64 = (*map(ir.IntType, (1, 8, 16, 32, 64)), ir.DoubleType())
EIGHT = 8  # doubles in a vector
LANES = 64  # bytes in a vector: rows that it holds the codes of
KEYS = 32  # 16-bit keys in a vector
BYTES, WORDS = ir.VectorType(I8, LANES), ir.VectorType(I16, KEYS)
DOUBLES, LONGS, INTS = (ir.VectorType(kind, EIGHT) for kind in (F64, I64, I32))
HAS_PERMUTES = has_permutes(features())
SHUFFLED = shuffle_bytes(features())  # bytes looked up by one shuffle


def vector(element: Any, value: Any, lanes: int = EIGHT) -> ir.Constant:
    """A constant vector with the same value in all lanes."""
    return ir.Constant(ir.VectorType(element, lanes), [value] * lanes)


def word(value: int) -> ir.Constant:
    """A constant int64."""
    return ir.Constant(I64, value)


def splat(builder: Any, value: Any, lanes: int = EIGHT) -> Any:
    """A vector with this value in all lanes."""
    kind = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), vector(I32, 0, lanes))


def plus(builder: Any, address: Any, offset: Any, size: int = 1) -> Any:
    """An address moved by ``size`` bytes times an offset, a number or an int64."""
    if isinstance(offset, int):
        return builder.add(address, word(offset * size)) if offset else address
    return builder.add(address, builder.mul(offset, word(size)) if size > 1 else offset)


def load(builder: Any, address: Any, kind: Any, align: int) -> Any:
    """A value of this type at an address, an int64."""
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = align
    return value


def store(builder: Any, value: Any, address: Any, align: int) -> None:
    """Put a value at an address, an int64."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = align


def declare(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """One of LLVM's own functions."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def call_apart(builder: Any, name: str, body: Callable[..., None], arguments: list[Any]) -> None:
    """Do something with int64 in a function of its own, whose loops have all registers to themselves."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [I64] * len(arguments)), name)
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        inner = ir.IRBuilder(function.append_basic_block())
        body(inner, *function.args)
        inner.ret_void()
    builder.call(function, arguments)


def gather(builder: Any, base: Any, index: Any, size: int, element: Any) -> Any:
    """Eight elements at ``base + size * index``; the index is eight int32 that are not negative."""
    kind, mask = ir.VectorType(element, EIGHT), ir.VectorType(I1, EIGHT)
    if not HAS_PERMUTES:
        return _gather_singly(builder, base, index, size, element)
    address = builder.add(builder.mul(builder.zext(index, LONGS), vector(I64, size)), splat(builder, base))
    pointers = builder.inttoptr(address, ir.VectorType(element.as_pointer(), EIGHT))
    name = f"llvm.masked.gather.v8{'f64' if element == F64 else f'i{element.width}'}.v8p0"
    function = declare(builder, name, kind, [pointers.type, I32, mask, kind])
    arguments = [pointers, ir.Constant(I32, 1), vector(I1, 1), ir.Constant(kind, ir.Undefined)]
    return builder.call(function, arguments)


def _gather_singly(builder: Any, base: Any, index: Any, size: int, element: Any) -> Any:
    """By eight loads, whose addresses leave the vector two at a time; a pointer's index costs no instruction, a sum's would."""
    first = builder.inttoptr(base, element.as_pointer())
    pairs = builder.bitcast(index, ir.VectorType(I64, EIGHT // 2))
    found = ir.Constant(ir.VectorType(element, EIGHT), ir.Undefined)
    for k in range(EIGHT):
        pair = builder.extract_element(pairs, ir.Constant(I32, k // 2))
        one = builder.lshr(pair, word(32)) if k % 2 else builder.zext(builder.trunc(pair, I32), I64)
        value = builder.load(builder.gep(first, [one]))
        value.align = size
        found = builder.insert_element(found, value, ir.Constant(I32, k))
    return found


def joined(builder: Any, vectors: Any) -> Any:
    """Vectors one behind the other as one."""
    vectors = list(vectors)
    while len(vectors) > 1:
        size = 2 * vectors[0].type.count
        order = ir.Constant(ir.VectorType(I32, size), list(range(size)))
        pairs = zip(vectors[0::2], vectors[1::2], strict=True)
        vectors = [builder.shuffle_vector(a, b, order) for a, b in pairs]
    return vectors[0]


def byte_lookup(builder: Any, table: Any, size: int, index: Any) -> Any:
    """``table[index]`` for 64 indices into a table of 64, 128 or 256 bytes."""
    if size == 64:
        function = declare(builder, "llvm.x86.avx512.permvar.qi.512", BYTES, [BYTES, BYTES])
        return builder.call(function, [load(builder, table, BYTES, LANES), index])
    function = declare(builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, [BYTES, BYTES, BYTES])
    halves = []
    for start in range(0, size, 128):
        low, high = (load(builder, plus(builder, table, start + k), BYTES, LANES) for k in (0, 64))
        halves.append(builder.call(function, [low, index, high]))
    if size == 128:
        return halves[0]
    is_high = builder.icmp_signed("<", index, vector(I8, 0, LANES))
    return builder.select(is_high, halves[1], halves[0])


def shuffled_pieces(builder: Any, table: Any, pieces: int) -> list[Any]:
    """A table of so many times 16 bytes as ``shuffled_lookup`` wants it: every piece but the first of 128 bytes less the one before."""
    narrow = ir.VectorType(I8, 16)
    parts = [load(builder, plus(builder, table, 16 * k), narrow, 16) for k in range(pieces)]
    changes = [part if k % 8 == 0 else builder.xor(part, parts[k - 1]) for k, part in enumerate(parts)]
    order = ir.Constant(ir.VectorType(I32, SHUFFLED), [k % 16 for k in range(SHUFFLED)])
    return [builder.shuffle_vector(part, ir.Constant(narrow, ir.Undefined), order) for part in changes]


def shuffled_lookup(builder: Any, pieces: list[Any], index: Any) -> Any:
    """The bytes of a table at as many indices as a shuffle takes: the sum (xor) of the changes up to the piece that an index is in.

    A shuffle looks at the last four bits of an index and gives 0 for a negative one, as it is for the pieces behind its own once
    their starts are taken off. From 128 on an index is negative as it is, and stays so.
    """
    kind = ir.VectorType(I8, SHUFFLED)
    name = "llvm.x86.avx2.pshuf.b" if SHUFFLED == 32 else "llvm.x86.ssse3.pshuf.b.128"
    shuffle = declare(builder, name, kind, [kind, kind])
    less = declare(builder, f"llvm.ssub.sat.v{SHUFFLED}i8", kind, [kind, kind])
    found = None
    for k, piece in enumerate(pieces):
        here = index if k < 8 else builder.xor(index, vector(I8, 128, SHUFFLED))
        if k % 8:
            here = builder.call(less, [here, vector(I8, 16 * (k % 8), SHUFFLED)])
        part = builder.call(shuffle, [piece, here])
        found = part if found is None else builder.xor(found, part)
    return found


def interleave(builder: Any, low: Any, high: Any, size: int, upper: bool) -> Any:
    """x86's unpack of elements of ``size`` bytes, within each 16 bytes: the lower or the upper half of both, alternating."""
    kind = ir.VectorType(ir.IntType(size * 8), LANES // size)
    per_lane = 16 // size
    mask = []
    for lane in range(4):
        for k in range(per_lane // 2):
            element = lane * per_lane + k + (per_lane // 2 if upper else 0)
            mask += [element, element + LANES // size]
    indices = ir.Constant(ir.VectorType(I32, len(mask)), mask)
    mixed = builder.shuffle_vector(builder.bitcast(low, kind), builder.bitcast(high, kind), indices)
    return builder.bitcast(mixed, BYTES)


def word_lookup(builder: Any, table: Any, level: int, place: Any) -> Any:
    """The pivots of 32 rows at a level of a search tree whose levels follow one another in a table of 16-bit keys."""

    def words(start: int) -> Any:
        return load(builder, plus(builder, table, 2 * start), WORDS, 64)

    single = declare(builder, "llvm.x86.avx512.permvar.hi.512", WORDS, [WORDS, WORDS])
    double = declare(builder, "llvm.x86.avx512.vpermi2var.hi.512", WORDS, [WORDS, WORDS, WORDS])
    if level <= 5:
        return builder.call(single, [words(0 if level < 5 else 32), place])
    if level == 6:
        return builder.call(double, [words(64), place, words(96)])
    lower = builder.call(double, [words(128), place, words(160)])
    upper = builder.call(double, [words(192), place, words(224)])
    is_upper = builder.icmp_signed("!=", builder.and_(place, vector(I16, 64, KEYS)), vector(I16, 0, KEYS))
    return builder.select(is_upper, upper, lower)
