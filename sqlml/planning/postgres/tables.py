"""Derived tables and constants of Postgres."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlml.engines.type_names import postgres_type
from sqlml.planning import scoring
from udfs.postgres.plsql_literals import text as literal

__all__ = ["SCHEMA", "array", "cast", "constant", "derived", "literal", "values_sql"]
SCHEMA = '"sqlml"'


def derived(query: str) -> str:
    """A query as a relation that stands with or without an alias; Postgres before 16 asks one of every subquery.

    A join in brackets needs none, and one with a relation of no columns is no join once it is planned.
    """
    return f"(({query}) AS __sqlml CROSS JOIN (SELECT) AS __sqlml_nothing)"


def cast(sql: str, sql_type: str) -> str:
    """An expression in a type that any engine may have named."""
    return f"CAST({sql} AS {postgres_type(sql_type)})"


def array(items: Sequence[str], sql_type: str) -> str:
    """An array of a type, which may be empty."""
    return f"CAST(ARRAY[{', '.join(items)}] AS {postgres_type(sql_type)}[])"


def constant(value: object) -> str:
    """A Python value as an SQL constant."""
    return literal(value) if isinstance(value, str) else scoring.constant(value, "double precision")


def values_sql(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]], quote: Callable[[str], str]
) -> str:
    """A derived table of constants with typed columns; it may have no rows."""
    aliases = [quote(f"c{i}") for i in range(len(columns))]
    selection = ", ".join(
        f"{cast(alias, kind)} AS {quote(name)}" for alias, (name, kind) in zip(aliases, columns, strict=True)
    )
    body = ", ".join("(" + ", ".join(map(constant, row)) + ")" for row in rows)
    if not rows:
        body = "(" + ", ".join(["NULL"] * len(columns)) + ")"
    condition = "" if rows else " WHERE FALSE"
    return derived(f"SELECT {selection} FROM (VALUES {body}) AS __sqlml_values({', '.join(aliases)}){condition}")
