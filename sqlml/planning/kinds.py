"""SQL types, in an engine's words, to the kinds of values that models know."""

from __future__ import annotations

import re

from sqlml.errors import UnsupportedTypeError
from udfs.model import Kind

_NUMBERS = (
    "TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT FLOAT DOUBLE DECIMAL "
    "INT INT1 INT2 INT4 INT8 REAL FLOAT4 FLOAT8 NUMERIC DOUBLE~PRECISION"
)
_KINDS: dict[str, Kind] = {
    **dict.fromkeys((name.replace("~", " ") for name in _NUMBERS.split()), "number"),
    **dict.fromkeys(("BOOLEAN", "BOOL"), "boolean"),
    **dict.fromkeys(
        ("VARCHAR", "TEXT", "CHARACTER VARYING", "CHARACTER", "CHAR", "BPCHAR", "NAME", "ENUM", "UUID"), "text"
    ),
    "DATE": "date",
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATETIME"), "timestamp"),
    **dict.fromkeys(("TIME", "TIMESTAMP WITHOUT TIME ZONE", "TIME WITHOUT TIME ZONE"), "timestamp"),
    **dict.fromkeys(("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"), "timestamptz"),
}
_HINTS = {
    "STRUCT": "Select its fields as columns of their own.",
    "MAP": "Select the entries you need as columns of their own.",
    "LIST": "Aggregate it to numbers, or encode a list of text with ML.MULTI_HOT_ENCODER in TRANSFORM.",
    "JSON": "Extract the fields you need as columns, as in CAST(x->>'field' AS DOUBLE).",
    "JSONB": "Extract the fields you need as columns, as in CAST(x->>'field' AS double precision).",
    "INTERVAL": "Turn it into a number, as in extract(epoch FROM x).",
    "BLOB": "Leave it out with OPTIONS (exclude = [...]).",
    "BYTEA": "Leave it out with OPTIONS (exclude = [...]).",
}
_OTHER_HINT = "Cast it to a number, text, date or timestamp, or leave it out with OPTIONS (exclude = [...])."


def base_type(sql_type: str) -> str:
    """A type without its parameters, in upper case: DECIMAL(10,2) is DECIMAL, INTEGER[] is LIST."""
    text = sql_type.strip().upper()
    if text.endswith("]"):
        return "LIST"
    match = re.match(r"[A-Z_0-9 ]+", text)
    if match is None:
        return text
    name = match.group().strip()
    rest = text[match.end() :].partition(")")[2].strip()
    return f"{name} {rest}".strip() if rest in ("WITH TIME ZONE", "WITHOUT TIME ZONE") else name


def kind_of(sql_type: str) -> Kind | None:
    """The kind of a column of this type; None where it cannot be a feature."""
    if re.match(r"(?i)\s*enum\s*\(", sql_type) and not sql_type.strip().endswith("]"):
        return "text"
    return _KINDS.get(base_type(sql_type))


def is_text_list(sql_type: str) -> bool:
    """Whether values are lists of text, which multi-hot encoding takes."""
    text = sql_type.strip()
    return text.endswith("[]") and kind_of(text[:-2]) == "text"


def require_kind(name: str, sql_type: str, position: int | None = None) -> Kind:
    """The kind of a column that has to be a feature."""
    kind = kind_of(sql_type)
    if kind is None:
        raise UnsupportedTypeError(
            f'column "{name}" of type {sql_type} cannot be a feature',
            hint=_HINTS.get(base_type(sql_type), _OTHER_HINT),
            position=position,
        )
    return kind
