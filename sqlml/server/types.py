"""DuckDB's types to those of Postgres as clients know them: object id, size, modifier."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WireType:
    """What RowDescription says of a type."""

    oid: int
    size: int
    name: str
    modifier: int = -1


BOOL = WireType(16, 1, "boolean")
BYTEA = WireType(17, -1, "bytea")
INT8 = WireType(20, 8, "bigint")
INT2 = WireType(21, 2, "smallint")
INT4 = WireType(23, 4, "integer")
TEXT = WireType(25, -1, "text")
JSON = WireType(114, -1, "json")
FLOAT4 = WireType(700, 4, "real")
FLOAT8 = WireType(701, 8, "double precision")
DATE = WireType(1082, 4, "date")
TIME = WireType(1083, 8, "time without time zone")
TIMESTAMP = WireType(1114, 8, "timestamp without time zone")
TIMESTAMPTZ = WireType(1184, 8, "timestamp with time zone")
INTERVAL = WireType(1186, 16, "interval")
TIMETZ = WireType(1266, 12, "time with time zone")
VARBIT = WireType(1562, -1, "bit varying")
NUMERIC = WireType(1700, -1, "numeric")
UUID = WireType(2950, 16, "uuid")

# A type of DuckDB's that no type of Postgres can hold goes to the next wider one.
_PLAIN = {
    "BOOLEAN": BOOL,
    "TINYINT": INT2,
    "SMALLINT": INT2,
    "INTEGER": INT4,
    "BIGINT": INT8,
    "HUGEINT": NUMERIC,
    "UTINYINT": INT2,
    "USMALLINT": INT4,
    "UINTEGER": INT8,
    "UBIGINT": NUMERIC,
    "UHUGEINT": NUMERIC,
    "BIGNUM": NUMERIC,
    "FLOAT": FLOAT4,
    "DOUBLE": FLOAT8,
    "VARCHAR": TEXT,
    "BLOB": BYTEA,
    "BIT": VARBIT,
    "DATE": DATE,
    "TIME": TIME,
    "TIME_NS": TIME,
    "TIME WITH TIME ZONE": TIMETZ,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMP_S": TIMESTAMP,
    "TIMESTAMP_MS": TIMESTAMP,
    "TIMESTAMP_NS": TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": TIMESTAMPTZ,
    "INTERVAL": INTERVAL,
    "UUID": UUID,
    "JSON": JSON,
}
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_NESTED = re.compile(r"\]$|^(STRUCT|MAP|UNION|VARIANT)\b")
BY_OID = {kind.oid: kind for kind in _PLAIN.values()} | {
    1043: TEXT,
    1042: TEXT,
    18: TEXT,
    19: TEXT,
    26: INT8,
    3802: JSON,
    1560: VARBIT,
}


def wire_type(sql_type: str) -> WireType:
    """The type of Postgres that a type of DuckDB's, in DuckDB's words, arrives as."""
    if match := _DECIMAL.fullmatch(sql_type):
        return WireType(1700, -1, "numeric", ((int(match[1]) << 16) | int(match[2])) + 4)
    if _NESTED.search(sql_type):
        return JSON
    return _PLAIN.get(sql_type, TEXT)


def declared_type(sql_type: str) -> str:
    """A type of DuckDB's as a column of Postgres is declared."""
    if match := _DECIMAL.fullmatch(sql_type):
        return f"numeric({match[1]},{match[2]})"
    return wire_type(sql_type).name


_ARROW = {"string": "VARCHAR", "int64": "BIGINT", "int32": "INTEGER", "double": "DOUBLE", "bool": "BOOLEAN"}


def words_of(kind: Any) -> str:
    """DuckDB's word for the type of an Arrow column of ours."""
    text = str(kind)
    if text.startswith("timestamp"):
        return "TIMESTAMP WITH TIME ZONE" if kind.tz else "TIMESTAMP"
    return _ARROW.get(text, "VARCHAR" if not text.startswith(("list", "struct", "map")) else "JSON")
