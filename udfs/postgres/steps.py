"""The loop over the steps of a group of trees, written as instructions: 32 bytes at a time, by permutes where codes are few.

With 256-bit vectors (AVX2) a step is seven instructions; with 128-bit ones (SSSE3, which every x86-64-v2 has) twice as many.
"""

# ruff: noqa: PLR0917 - kernels take addresses and counts, by position

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from udfs.forest.vectors import I8, I32, I64, declare, load, plus, splat, store, vector, word
from udfs.postgres.layout import CHUNK, GATHERED_STEP_BYTES, STEP_BYTES, WIDTH
from udfs.processor import features

BYTES = ir.VectorType(I8, WIDTH)
HALF = ir.VectorType(I8, CHUNK)
SINGLE = 2  # up to so many chunks, the codes stay in registers
HAS_WIDE = "avx2" in features()


def _slice(builder: Any, value: Any, start: int) -> Any:
    indices = ir.Constant(ir.VectorType(I32, CHUNK), list(range(start, start + CHUNK)))
    return builder.shuffle_vector(value, ir.Constant(BYTES, ir.Undefined), indices)


def _both(builder: Any, low: Any, high: Any) -> Any:
    indices = ir.Constant(ir.VectorType(I32, WIDTH), list(range(WIDTH)))
    return builder.shuffle_vector(low, high, indices)


def _permute(builder: Any, table: Any, index: Any) -> Any:
    """``table[index & 15]`` of a table that stands in both halves, 0 where the index's highest bit is set."""
    if HAS_WIDE:
        return builder.call(declare(builder, "llvm.x86.avx2.pshuf.b", BYTES, [BYTES, BYTES]), [table, index])
    function = declare(builder, "llvm.x86.ssse3.pshuf.b.128", HALF, [HALF, HALF])
    low = _slice(builder, table, 0)
    return _both(builder, *(builder.call(function, [low, _slice(builder, index, start)]) for start in (0, CHUNK)))


def _table(builder: Any, codes: Any, chunk: Any) -> Any:
    half = load(builder, plus(builder, codes, chunk, CHUNK), HALF, 1)
    return _both(builder, half, half)


def _chosen(builder: Any, table: Any, index: Any, chunk: Any) -> Any:
    """The codes of those lanes whose number is in a chunk, 0 for others."""
    number = splat(builder, builder.trunc(builder.shl(chunk, word(4)), I8), WIDTH)
    moved = builder.xor(index, number)
    function = declare(builder, f"llvm.uadd.sat.v{WIDTH}i8", BYTES, [BYTES, BYTES])
    return _permute(builder, table, builder.call(function, [moved, vector(I8, 0x70, WIDTH)]))


def _chosen_of_few(builder: Any, tables: list[Any], index: Any) -> Any:
    """The codes of all lanes, from tables that stay in registers."""
    if len(tables) == 1:
        return _permute(builder, tables[0], index)
    parts = [_chosen(builder, table, index, word(k)) for k, table in enumerate(tables)]
    return builder.or_(*parts)


def _loop(builder: Any, count: Any, names: str, initial: list[Any], body: Any) -> list[Any]:
    """``count`` (at least 1) times ``body(number, values) -> values``."""
    before, loop, done = builder.block, builder.append_basic_block(names), builder.append_basic_block(f"{names}.done")
    builder.branch(loop)
    builder.position_at_end(loop)
    number = builder.phi(I64)
    values = [builder.phi(value.type) for value in initial]
    following: list[Any] = body(number, values)
    after = builder.add(number, word(1))
    number.add_incoming(word(0), before)
    number.add_incoming(after, builder.block)
    for phi, first, then in zip(values, initial, following, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(then, builder.block)
    builder.cbranch(builder.icmp_signed("<", after, count), loop, done)
    builder.position_at_end(done)
    return following


def _advance(builder: Any, state: Any, code: Any, at: Any) -> Any:
    threshold, first, more = (load(builder, plus(builder, at, WIDTH * k), BYTES, 1) for k in range(3))
    goes_right = builder.sext(builder.icmp_unsigned(">", code, threshold), BYTES)
    is_here = builder.sext(builder.icmp_signed("==", state, first), BYTES)
    return builder.add(state, builder.and_(is_here, builder.and_(goes_right, more)))


@intrinsic
def walk_steps(typing_context, steps, count, codes, chunks, gathered, states):
    """Take a group's steps, at least one, and store its 32 states; ``gathered`` has the codes where ``chunks`` is 0."""

    def codegen(context, builder, signature, arguments):
        steps, count, codes, chunks, gathered, states = arguments
        nothing = vector(I8, 0, WIDTH)
        done = builder.append_basic_block("walked")
        for number in range(1, SINGLE + 1):
            with builder.if_then(builder.icmp_signed("==", chunks, word(number))):
                tables = [_table(builder, codes, word(k)) for k in range(number)]

                def few(step: Any, values: list[Any], tables: list[Any] = tables) -> list[Any]:
                    at = plus(builder, steps, step, STEP_BYTES)
                    index = load(builder, at, BYTES, 1)
                    code = _chosen_of_few(builder, tables, index)
                    return [_advance(builder, values[0], code, plus(builder, at, WIDTH))]

                store(builder, _loop(builder, count, "few", [nothing], few)[0], states, 1)
        with builder.if_then(builder.icmp_signed(">", chunks, word(SINGLE))):

            def many(step: Any, values: list[Any]) -> list[Any]:
                at = plus(builder, steps, step, STEP_BYTES)
                index = load(builder, at, BYTES, 1)

                def choose(chunk: Any, codes_of: list[Any]) -> list[Any]:
                    chosen = _chosen(builder, _table(builder, codes, chunk), index, chunk)
                    return [builder.or_(codes_of[0], chosen)]

                code = _loop(builder, chunks, "chunk", [nothing], choose)[0]
                return [_advance(builder, values[0], code, plus(builder, at, WIDTH))]

            store(builder, _loop(builder, count, "many", [nothing], many)[0], states, 1)
        with builder.if_then(builder.icmp_signed("==", chunks, word(0))):

            def any_codes(step: Any, values: list[Any]) -> list[Any]:
                code = load(builder, plus(builder, gathered, step, WIDTH), BYTES, 1)
                at = plus(builder, steps, step, GATHERED_STEP_BYTES)
                return [_advance(builder, values[0], code, plus(builder, at, 4 * WIDTH))]

            store(builder, _loop(builder, count, "any", [nothing], any_codes)[0], states, 1)
        builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen
