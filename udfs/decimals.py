"""Decimals and 128-bit integers to the nearest double, as SQL's CAST has it, in machine code."""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel

EXACT = 1 << 53  # integers up to here are doubles
_SPLITTER = 134217729.0  # 2**27 + 1


@kernel
def decimal_double(high, low, power, rest):
    """The double nearest to the 128-bit integer ``high:low`` divided by ``power + rest``, a power of ten in two parts."""
    if high == low >> 63 and -EXACT <= low <= EXACT and rest == 0.0:
        return np.float64(low) / power
    if high >= 0:
        return quotient(high, low, power, rest)
    # two's complement: the magnitude of a negative number
    low = ~low + 1
    high = ~high + (1 if low == 0 else 0)
    return -quotient(high, low, power, rest)


@kernel
def quotient(high, low, power, rest):
    """An unsigned 128-bit integer divided in double-double arithmetic, whose error is 2**-50 of a last place."""
    mask = np.uint64(0xFFFFFFFF)
    upper, lower = np.uint64(high), np.uint64(low)
    a = np.float64(upper >> np.uint64(32)) * 79228162514264337593543950336.0
    b = np.float64(upper & mask) * 18446744073709551616.0
    c = np.float64(lower >> np.uint64(32)) * 4294967296.0
    d = np.float64(lower & mask)
    # a >= b >= c >= d, and neighbours do not overlap
    head, tail = add(a, b)
    low_head, low_tail = add(c, d)
    head, error = add(head, low_head)
    head, tail = add(head, tail + error + low_tail)
    first = head / power
    product, product_error = multiply(first, power)
    remainder = (head - product) - product_error + tail - first * rest
    return first + remainder / power


@kernel
def add(x, y):
    """A sum and its rounding error."""
    total = x + y
    moved = total - x
    return total, (x - (total - moved)) + (y - moved)


@kernel
def multiply(x, y):
    """A product and its rounding error, without a fused instruction: every CPU must give the same bits."""
    product = x * y
    x_high, x_low = split(x)
    y_high, y_low = split(y)
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


@kernel
def split(x):
    """A double as two halves of its bits."""
    scaled = _SPLITTER * x
    high = scaled - (scaled - x)
    return high, x - high
