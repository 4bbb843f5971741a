"""Arrow columns to the tuples of Postgres' binary COPY format, packed by numpy: a record of fixed width a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

FLOAT8 = 701  # the oid of double precision
_ARRAY_HEADER = 20  # dimensions, flags, type of elements, length, lower bound


def packed_scores(keys: pa.Array, results: list[Any]) -> bytes:
    """Rows of a key and of results: float64[rows] as double precision, float64[numbers, rows] as an array of it."""
    columns: list[tuple[str, Any]] = [("fields", ">i2"), ("key_size", ">i4"), ("key", ">i8")]
    for place, result in enumerate(results):
        columns.append((f"size{place}", ">i4"))
        if result.ndim == 2:
            columns.append((f"header{place}", ">i4", (5,)))  # type: ignore[arg-type]  # numpy's own form of a shape
            columns.append((f"items{place}", [("size", ">i4"), ("value", ">f8")], (result.shape[0],)))  # type: ignore[arg-type]
        else:
            columns.append((f"value{place}", ">f8"))
    rows = np.empty(len(keys), np.dtype(columns))
    rows["fields"], rows["key_size"], rows["key"] = 1 + len(results), 8, keys.to_numpy()
    for place, result in enumerate(results):
        if result.ndim == 2:
            rows[f"size{place}"] = _ARRAY_HEADER + 12 * result.shape[0]
            rows[f"header{place}"] = (1, 0, FLOAT8, result.shape[0], 1)
            rows[f"items{place}"]["size"] = 8
            rows[f"items{place}"]["value"] = result.T
        else:
            rows[f"size{place}"], rows[f"value{place}"] = 8, result
    return rows.tobytes()


def header() -> bytes:
    """What a copy begins with."""
    return b"PGCOPY\n\xff\r\n\0" + bytes(8)


def trailer() -> bytes:
    """What a copy ends with."""
    return b"\xff\xff"
