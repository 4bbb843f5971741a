"""ML.HASH_BUCKETIZE(text, buckets): |FARM_FINGERPRINT(text) mod buckets|, a category that needs no dictionary.

The remainder is taken of the signed 64-bit fingerprint, as in BigQuery; NULL is missing.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.fingerprint import fingerprint
from udfs.transforms.operator import Operator, Output, Shape, param, require, require_shapes, words

BUCKET_LIMIT = 65_535


def hash_bucketize(params, rows, n):
    """``params``: buckets; ``rows``: addresses, lengths, nulls, out."""
    buckets = view(params, np.int64, 1)[0]
    row = view(rows, np.int64, 4)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    out = view(row[3], np.float64, n)
    for i in range(n):
        if nulls[i]:
            out[i] = np.nan
        else:
            signed = np.int64(fingerprint(addresses[i], lengths[i]))
            # numpy's remainder has the divisor's sign: take the magnitude of C's instead
            rest = signed % buckets
            out[i] = np.float64(buckets - rest if signed < 0 and rest > 0 else rest)


def hash_bucketize_reference(fingerprints: list[int], buckets: int) -> list[int]:
    """The twin, from signed fingerprints, in exact integers."""
    return [abs(value) % buckets for value in fingerprints]


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("text",))
    require(0 < param(step, "buckets", int) <= BUCKET_LIMIT, step, "its number of buckets is out of range")
    return ("number",)


def _describe(step: Step) -> tuple[Output, ...]:
    return (Output(categorical=True, levels=tuple(str(k) for k in range(step.params["buckets"]))),)


HASH_BUCKETIZE = Operator(_shapes, lambda step: words(step.params["buckets"]), hash_bucketize, None, _describe)
