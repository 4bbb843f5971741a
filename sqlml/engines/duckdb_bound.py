"""What DuckDB's binder says of a statement, as plain columns and types in DuckDB's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlml.engines.engine import Bound, Column


def read_columns(names: Iterable[str], types: Iterable[Any]) -> list[Column]:
    """Columns from names and DuckDB's type objects."""
    return [Column(name, _type_text(sql_type)) for name, sql_type in zip(names, types, strict=True)]


def read_bound(found: tuple[Any, ...]) -> Bound:
    """What a statement takes and gives, from what the binder was asked with types and writes."""
    names, types, takes, returns, _, kind, writes = found
    given = {name: _type_text(sql_type) for name, sql_type in takes}
    return Bound(tuple(read_columns(names, types)), given, returns, str(kind), bool(writes))


def _type_text(sql_type: Any) -> str:
    """A type in DuckDB's words; the NULL type prints itself quoted, since it would be a keyword."""
    return str(sql_type).strip('"') if str(sql_type) in ('"NULL"', "UNKNOWN") else str(sql_type)
