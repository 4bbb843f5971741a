"""The loops of TreeSHAP over rows: 32 rows in vectors take one step along an edge of a tree, for all points of the quadrature.

A step has a record (``udfs.forest.shap_image``), coefficients for each point, and masks that tell which rows meet all conditions of
the edge's feature so far. Multiplications and additions stay apart, so that every CPU gives the same bits.
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from udfs.forest.ranks import NEAR_ZERO
from udfs.forest.vectors import DOUBLES, EIGHT, F64, I1, I8, I32, I64, declare, load, plus, splat, store, vector, word
from udfs.jit import cgutils, intrinsic, types

GROUPS = 4  # vectors in flight
ROWS = GROUPS * EIGHT
ROW_BYTES = 8 * ROWS
# Words of a step: what to do (bits), depth, coefficients, the edge's mask, the mask of the edge before with the same feature, feature.
STEP_KIND, STEP_DEPTH, STEP_COEFFICIENTS, STEP_MASK, STEP_MASK_BEFORE, STEP_FEATURE = range(6)
STEP_WORDS = 6
IS_LEAF, IS_RETURN, IS_REPEATED, IS_SECOND = 1, 2, 4, 8
# Coefficients of an edge at a point: factors for rows that meet it, that only met the edges before, that did not; then shares.
FACTOR_MET, FACTOR_LEFT, FACTOR_OUT, SHARE_MET, SHARE_LEFT = range(5)
COEFFICIENTS = 5


@intrinsic
def go_left(typing_context, values, kind, threshold):
    """A bit for each of 32 rows: whether a numeric decision sends it left, as LightGBM takes it."""

    def codegen(context, builder, signature, arguments):
        values, kind, threshold = arguments
        missing = builder.and_(builder.lshr(kind, word(2)), word(3))
        zero_misses = splat(builder, builder.icmp_signed("==", missing, word(1)))
        nan_misses = splat(builder, builder.icmp_signed("!=", missing, word(0)))
        default = splat(builder, builder.icmp_signed("!=", builder.and_(kind, word(2)), word(0)))
        limit = splat(builder, threshold)
        absolute = declare(builder, "llvm.fabs.v8f64", DOUBLES, [DOUBLES])
        result = word(0)
        for group in range(GROUPS):
            x = load(builder, plus(builder, values, 64 * group), DOUBLES, 8)
            is_nan = builder.fcmp_unordered("uno", x, x)
            size = builder.call(absolute, [x])
            is_zero = builder.or_(is_nan, builder.fcmp_ordered("<=", size, vector(F64, NEAR_ZERO)))
            below = builder.fcmp_ordered("<=", builder.select(is_zero, vector(F64, 0.0), x), limit)
            is_missing = builder.or_(builder.and_(is_nan, nan_misses), builder.and_(is_zero, zero_misses))
            goes = builder.select(is_missing, default, below)
            bits = builder.zext(builder.bitcast(goes, I8), I64)
            result = builder.or_(result, builder.shl(bits, word(8 * group)))
        return result

    return types.int64(types.int64, types.int64, types.float64), codegen


@intrinsic
def go_down(typing_context, step, coefficients, masks, points, products):
    """Multiply the products of a node's rows by the factors of an edge: the products of its child."""

    def codegen(context, builder, signature, arguments):
        frame = _Frame(builder, *arguments)

        def body(repeated: bool) -> None:
            def point(at: Any, bytes_at: Any) -> None:
                factors = frame.chosen(at, FACTOR_MET, repeated)
                for g, factor in enumerate(factors):
                    product = frame.get(frame.products, bytes_at, g)
                    store(builder, builder.fmul(product, factor), frame.place(frame.products_below, bytes_at, g), 64)

            frame.each_point(point)

        _either(builder, frame.flag(IS_REPEATED), body)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def reach_leaf(typing_context, step, coefficients, masks, points, products, sums, target):
    """Go down an edge to a leaf, whose value the factors hold, and return: share it out and add it to the node's sums."""

    def codegen(context, builder, signature, arguments):
        frame = _Frame(builder, *arguments)

        def reached(at: Any, bytes_at: Any, repeated: bool) -> list[Any]:
            factors = frame.chosen(at, FACTOR_MET, repeated)
            return [builder.fmul(frame.get(frame.products, bytes_at, g), f) for g, f in enumerate(factors)]

        _share(builder, frame, reached)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen


@intrinsic
def go_up(typing_context, step, coefficients, masks, points, products, sums, target):
    """Return from a subtree: share out the sum of its leaves and add it to the node's sums."""

    def codegen(context, builder, signature, arguments):
        frame = _Frame(builder, *arguments)

        def reached(at: Any, bytes_at: Any, repeated: bool) -> list[Any]:
            return [frame.get(frame.sums_below, bytes_at, g) for g in range(GROUPS)]

        _share(builder, frame, reached)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen


def _either(builder: Any, condition: Any, body: Callable[[bool], None]) -> None:
    with builder.if_else(condition) as (yes, no):
        with yes:
            body(True)
        with no:
            body(False)


class _Frame:
    """What the steps read: a step's record, and where the products and sums of its depth are."""

    def __init__(
        self,
        builder: Any,
        step: Any,
        coefficients: Any,
        masks: Any,
        points: Any,
        products: Any,
        sums: Any = None,
        target: Any = None,
    ) -> None:
        self.builder, self.points, self.target = builder, points, target
        self.kind = self._word(step, STEP_KIND)
        self.coefficients = builder.add(coefficients, self._word(step, STEP_COEFFICIENTS))
        self.met = self._mask(masks, self._word(step, STEP_MASK))
        self.met_before = self._mask(masks, self._word(step, STEP_MASK_BEFORE))
        level = builder.mul(points, word(ROW_BYTES))
        above = builder.mul(self._word(step, STEP_DEPTH), level)
        self.products = builder.add(products, above)
        self.products_below = builder.add(self.products, level)
        if sums is not None:
            self.sums = builder.add(sums, above)
            self.sums_below = builder.add(self.sums, level)

    def _word(self, record: Any, number: int) -> Any:
        return load(self.builder, plus(self.builder, record, 8 * number), I64, 8)

    def _mask(self, masks: Any, slot: Any) -> list[Any]:
        bits = load(self.builder, plus(self.builder, masks, slot, 4), I32, 4)
        parts = [self.builder.lshr(bits, ir.Constant(I32, 8 * g)) for g in range(GROUPS)]
        return [self.builder.bitcast(self.builder.trunc(part, I8), ir.VectorType(I1, EIGHT)) for part in parts]

    def flag(self, bit: int) -> Any:
        return self.builder.icmp_signed("!=", self.builder.and_(self.kind, word(bit)), word(0))

    def place(self, base: Any, bytes_at: Any, group: int) -> Any:
        return plus(self.builder, self.builder.add(base, bytes_at), 64 * group)

    def get(self, base: Any, bytes_at: Any, group: int) -> Any:
        return load(self.builder, self.place(base, bytes_at, group), DOUBLES, 64)

    def chosen(self, at: Any, first: int, repeated: bool) -> list[Any]:
        """The factors or shares of all rows at a point, by their masks."""
        builder = self.builder
        is_share = first == SHARE_MET
        met, left = (splat(builder, load(builder, plus(builder, at, 8 * (first + k)), F64, 8)) for k in (0, 1))
        found = [builder.select(mask, met, left) for mask in self.met]
        if not repeated:
            return found
        out = vector(F64, 0.0)
        if not is_share:
            out = splat(builder, load(builder, plus(builder, at, 8 * FACTOR_OUT), F64, 8))
        return [builder.select(before, value, out) for before, value in zip(self.met_before, found, strict=True)]

    def each_point(self, body: Callable[[Any, Any], None]) -> None:
        with cgutils.for_range(self.builder, self.points) as point:
            at = plus(self.builder, self.coefficients, point.index, 8 * COEFFICIENTS)
            body(at, self.builder.mul(point.index, word(ROW_BYTES)))


def _share(builder: Any, frame: _Frame, reached: Callable[[Any, Any, bool], list[Any]]) -> None:
    """Add what came up an edge to the sums of the node above, and its share to the attribution of the edge's feature."""

    def variant(repeated: bool, second: bool) -> None:
        totals = [cgutils.alloca_once_value(builder, vector(F64, 0.0)) for _ in range(GROUPS)]
        for total in totals:
            builder.store(vector(F64, 0.0), total)

        def point(at: Any, bytes_at: Any) -> None:
            values, shares = reached(at, bytes_at, repeated), frame.chosen(at, SHARE_MET, repeated)
            for g, (value, share) in enumerate(zip(values, shares, strict=True)):
                builder.store(builder.fadd(builder.load(totals[g]), builder.fmul(value, share)), totals[g])
                place = frame.place(frame.sums, bytes_at, g)
                store(builder, builder.fadd(load(builder, place, DOUBLES, 64), value) if second else value, place, 64)

        frame.each_point(point)
        for g, total in enumerate(totals):
            place = plus(builder, frame.target, 64 * g)
            store(builder, builder.fadd(load(builder, place, DOUBLES, 64), builder.load(total)), place, 64)

    def with_second(repeated: bool) -> None:
        _either(builder, frame.flag(IS_SECOND), lambda second: variant(repeated, second))

    _either(builder, frame.flag(IS_REPEATED), with_second)
