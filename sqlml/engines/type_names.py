"""Types by the names that another engine has for them, so that a model's label keeps its type where the model travels."""

from __future__ import annotations

import re

_TO_POSTGRES = {
    "DOUBLE": "double precision",
    "FLOAT": "real",
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric",
    "HUGEINT": "numeric",
    "UHUGEINT": "numeric",
    "BIGNUM": "numeric",
    "VARCHAR": "text",
    "STRING": "text",
    "BLOB": "bytea",
    "ENUM": "text",
    "BIT": "text",
    "DATETIME": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "DECIMAL": "numeric",
}
_TO_DUCKDB = {
    "NUMERIC": "DOUBLE",  # without digits, where DuckDB would take it for DECIMAL(18, 3)
    "DOUBLE PRECISION": "DOUBLE",
    "REAL": "FLOAT",
    "TEXT": "VARCHAR",
    "CHARACTER VARYING": "VARCHAR",
    "CHARACTER": "VARCHAR",
    "BPCHAR": "VARCHAR",
    "NAME": "VARCHAR",
    "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "TIME WITHOUT TIME ZONE": "TIME",
    "BYTEA": "BLOB",
}


def postgres_type(sql_type: str) -> str:
    """A type of any engine as Postgres calls it."""
    name, digits = _parted(sql_type)
    target = _TO_POSTGRES.get(name)
    if target == "numeric":
        return target + digits
    return target or sql_type


def duckdb_type(sql_type: str) -> str:
    """A type of any engine as DuckDB calls it."""
    name, digits = _parted(sql_type)
    if name == "NUMERIC" and digits:
        return "DECIMAL" + digits
    return _TO_DUCKDB.get(name, sql_type)


def _parted(sql_type: str) -> tuple[str, str]:
    """The name in upper case, and what stands in brackets."""
    match = re.fullmatch(r"\s*([^(]*?)\s*(\(.*\))?\s*([^()]*?)\s*", sql_type, re.DOTALL)
    if match is None:
        return sql_type.upper(), ""
    return f"{match[1]} {match[3]}".strip().upper(), match[2] or ""
