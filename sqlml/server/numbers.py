"""Numbers as Postgres writes them: floats in their shortest text, numerics in text and in the binary format."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SHORT = {pa.float32(): 1e6, pa.float64(): 1e10}  # up to here Arrow writes as Postgres does,
_LONG = 1e15  # and from here on again


def float_texts(array: Any) -> Any:
    """Shortest texts that read back to the same bits. Arrow's differ in few: those are written one by one."""
    shown = pc.cast(array, pa.string())
    values = array.to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        size = np.abs(values)
        odd = ~(((size >= 1e-4) & (size < _SHORT[array.type])) | (size == 0) | ((size >= _LONG) & np.isfinite(size)))
        plain = np.asarray((size >= 1e10) & (size < _LONG) & np.asarray(array.is_valid())) & (
            array.type == pa.float64()
        )
    if plain.any():
        repeated = pc.replace_substring_regex(pa.array(values[plain].astype("U32"), type=pa.string()), r"\.0$", "")
        shown = pc.replace_with_mask(shown, pa.array(plain), repeated)
    places = np.flatnonzero(~plain & odd & np.asarray(array.is_valid()))
    if not len(places):
        return shown
    mask = np.zeros(len(array), dtype=bool)
    mask[places] = True
    replaced = [float_text(values[place]) for place in places]
    return pc.replace_with_mask(shown, pa.array(mask), pa.array(replaced, type=pa.string()))


def float_text(value: Any) -> str:
    """A very small, very large or special number."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = np.format_float_scientific(value, unique=True, trim="-", exp_digits=2)
    return text.replace(".e", "e")


def plain_number(value: Any) -> str:
    """A decimal without an exponent."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def numeric_bytes(value: Any) -> bytes:
    """Postgres' binary numeric: digits of base 10,000 around the decimal point."""
    sign, digits, exponent = Decimal(value).as_tuple()
    if not isinstance(exponent, int):
        return struct.pack("!hhHh", 0, 0, 0xC000 if exponent == "n" else 0xD000 if not sign else 0xF000, 0)
    scale = max(-exponent, 0)
    text = "".join(map(str, digits)) + "0" * max(exponent, 0)
    whole, fraction = (
        (text[: len(text) - scale] or "0", text[len(text) - scale :].rjust(scale, "0")) if scale else (text, "")
    )
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    groups = [int((whole + fraction)[i : i + 4]) for i in range(0, len(whole) + len(fraction), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    if not groups:
        weight = 0
    flag = 0x4000 if sign and groups else 0
    return struct.pack(f"!hhHh{len(groups)}h", len(groups), weight, flag, scale, *groups)


def parse_numeric(data: bytes) -> Decimal:
    """The binary numeric of a parameter."""
    count, weight, flag, scale = struct.unpack_from("!hhHh", data)
    if flag in (0xC000, 0xD000, 0xF000):
        return Decimal({0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}[flag])
    groups = struct.unpack_from(f"!{count}h", data, 8)
    digits = "".join(f"{group:04d}" for group in groups) or "0"
    value = Decimal(digits).scaleb(4 * (weight + 1 - count)) if count else Decimal(0)
    value = value.quantize(Decimal(1).scaleb(-scale)) if len(digits) < 28 else value
    return -value if flag == 0x4000 else value
