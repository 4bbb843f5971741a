"""The static type of a column in portable expressions, from its SQL type."""

from __future__ import annotations

import re

from sqlml.planning.kinds import base_type, kind_of
from sqlml.planning.values import (
    BOOLEAN,
    DATE,
    DOUBLE,
    FLOAT,
    INTEGER,
    TEXT,
    TIMESTAMP,
    NotPortableError,
    SqlType,
    decimal,
)

_DOUBLES = ("DOUBLE", "FLOAT8", "DOUBLE PRECISION")
_SINGLES = ("FLOAT", "REAL", "FLOAT4")


def column_type(sql_type: str) -> SqlType:
    """The type of a column; raises NotPortableError where only the engine knows its semantics."""
    base = base_type(sql_type)
    kind = kind_of(sql_type)
    if base in ("DECIMAL", "NUMERIC"):
        match = re.search(r"\(\s*\d+\s*(?:,\s*(\d+)\s*)?\)", sql_type)
        if match is None:
            raise NotPortableError("a decimal of unknown scale")
        return decimal(int(match.group(1) or 0))
    if base == "UUID" or kind is None:
        raise NotPortableError(f"a column of type {sql_type}")
    if base in ("TIME", "TIME WITHOUT TIME ZONE"):
        return SqlType("time")
    if kind == "number":
        return DOUBLE if base in _DOUBLES else FLOAT if base in _SINGLES else INTEGER
    if kind == "text":
        return SqlType("enum") if sql_type.strip().upper().startswith("ENUM") else TEXT
    return {"boolean": BOOLEAN, "date": DATE, "timestamp": TIMESTAMP, "timestamptz": SqlType("timestamptz")}[kind]
