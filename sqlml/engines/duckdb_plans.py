"""DuckDB's plans of a query to two facts: whether its rows come in one order, and whether two runs can differ.

The bound plan (``json_serialize_plan``) names every function, through views and macros, where EXPLAIN shows an alias in place of
``random()``. It does not know scans of files and of Python objects: then the parsed query (``json_serialize_sql``) has to do,
as long as it reads no views and calls no macros. EXPLAIN tells which operators really run.

Only what is known to be deterministic counts as such: doubt costs a sort or a spool file, never a wrong result. A parallel
float sum is not deterministic (its last bits depend on the threads), nor is anything that depends on the order of rows: LIMIT
over a join, ``first``, ``row_number`` over ties.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Rows = Callable[..., list[tuple[Any, ...]]]
Node = dict[str, Any]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPERATORS = _words(
    "PROJECTION FILTER AGGREGATE_AND_GROUP_BY WINDOW ORDER_BY COMPARISON_JOIN ANY_JOIN CROSS_PRODUCT DELIM_JOIN "
    "DEPENDENT_JOIN DELIM_GET CHUNK_GET DUMMY_SCAN EMPTY_RESULT EXPRESSION_GET UNNEST MATERIALIZED_CTE CTE_REF RECURSIVE_CTE "
    "UNION EXCEPT INTERSECT PIVOT"
)
_SCANS = _words("seq_scan range generate_series unnest repeat repeat_row")
# The same over any order of rows, whatever the type; and those that are so over whole and decimal numbers.
_EXACT = _words(
    "count count_star count_if countif min max bool_and bool_or bit_and bit_or bit_xor bitstring_agg median quantile "
    "quantile_cont quantile_disc approx_count_distinct histogram"
)
_EXACT_ON_INTEGERS = _words("sum avg mean sum_no_overflow")
_INTEGERS = _words(
    "TINYINT SMALLINT INTEGER INTEGER_LITERAL BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT DECIMAL BOOLEAN"
)
_TIE_PROOF_WINDOWS = _words("WINDOW_RANK WINDOW_RANK_DENSE WINDOW_PERCENT_RANK WINDOW_CUME_DIST")
_PEER_FRAMES = _words("UNBOUNDED_PRECEDING UNBOUNDED_FOLLOWING CURRENT_ROW_RANGE")
# Volatile to the optimizer, yet without a result that could differ.
_HARMLESS = _words("error")
_ORDERED_STEPS = _words("PROJECTION FILTER STREAMING_LIMIT")
_ORDERED_SCANS = _words("SEQ_SCAN PARQUET_SCAN READ_PARQUET READ_CSV READ_CSV_AUTO PANDAS_SCAN")
_FILE_FUNCTIONS = frozenset(
    {"read_parquet", "parquet_scan", "read_csv", "read_csv_auto", "read_json", "read_json_auto"}
)


@dataclass(frozen=True)
class PlanFacts:
    """What is known of a query without running it."""

    keeps_row_order: bool
    is_volatile: bool


def read_plan(sql: str, rows: Rows, reads_once: Callable[[], bool]) -> PlanFacts:
    """The facts about one query; ``rows`` runs SQL on the user's connection.

    ``reads_once`` tells whether a Python object it reads may give its rows only once.
    """
    physical = json.loads(rows(f"EXPLAIN (FORMAT JSON) {sql}")[0][1])
    scan_order = _is_plain_scan(physical, rows)
    answer = json.loads(rows("SELECT system.main.json_serialize_plan(?)", [sql])[0][0])
    volatile = _volatile_functions(rows)
    if not answer["error"] and len(answer["plans"]) == 1:
        plan = answer["plans"][0]
        return PlanFacts(
            keeps_row_order=scan_order or _is_totally_ordered(plan, rows),
            is_volatile=any(_differs(node, volatile, scan_order=scan_order) for node in _nodes(plan)),
        )
    if any(node.get("name") == "PYTHON_ARROW_SCAN" for node in _nodes(physical)) and reads_once():
        return PlanFacts(keeps_row_order=scan_order, is_volatile=True)
    parsed = json.loads(rows("SELECT system.main.json_serialize_sql(?)", [sql])[0][0])
    return PlanFacts(
        keeps_row_order=scan_order, is_volatile=parsed["error"] or _parsed_differs(parsed, rows, scan_order=scan_order)
    )


def _volatile_functions(rows: Rows) -> frozenset[str]:
    query = "SELECT DISTINCT lower(function_name) FROM system.main.duckdb_functions() WHERE stability = 'VOLATILE'"
    return frozenset(name for (name,) in rows(query)) - _HARMLESS


def _nodes(value: Any) -> Iterator[Node]:
    """Every object of a JSON tree."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


# -- order -----------------------------------------------------------------------------------------------------------------


def _is_plain_scan(physical: Any, rows: Rows) -> bool:
    """Whether the plan is a scan with projections and filters, which DuckDB gives in the order of insertion."""
    if not rows("SELECT system.main.current_setting('preserve_insertion_order')")[0][0]:
        return False
    nodes = physical
    while len(nodes) == 1 and nodes[0]["name"] in _ORDERED_STEPS:
        nodes = nodes[0]["children"]
    return (
        len(nodes) == 1
        and nodes[0]["name"] in _ORDERED_SCANS
        and not nodes[0]["children"]
        and "Sample Method" not in (nodes[0].get("extra_info") or {})
    )


def _is_totally_ordered(plan: Node, rows: Rows) -> bool:
    """Whether the outermost ORDER BY leaves no ties: it names every column, or a key of the only table."""
    while plan["type"] in ("LOGICAL_PROJECTION", "LOGICAL_LIMIT") and len(plan["children"]) == 1:
        plan = plan["children"][0]
    if plan["type"] != "LOGICAL_ORDER_BY" or plan["children"][0]["type"] != "LOGICAL_PROJECTION":
        return False
    keys = {order["expression"].get("index") for order in plan["orders"]}
    child = plan["children"][0]
    return keys.issuperset(range(len(child["expressions"]))) or any(_is_unique(child, key, rows) for key in keys)


def _is_unique(node: Node, index: int | None, rows: Rows) -> bool:
    """Whether a column of a plan is, through projections and filters, the key of a base table."""
    while index is not None and node["type"] in ("LOGICAL_PROJECTION", "LOGICAL_FILTER") and len(node["children"]) == 1:
        if node["type"] == "LOGICAL_PROJECTION":
            expression = node["expressions"][index]
            index = expression["index"] if expression["type"] == "BOUND_REF" else None
        elif node.get("projection_map"):
            index = node["projection_map"][index]
        node = node["children"][0]
    if index is None or node["type"] != "LOGICAL_GET" or node["qname"]["path"] != ["seq_scan"]:
        return False
    table, place = node["function_data"], node["column_indexes"][index]["index"]
    constraints = rows(
        "SELECT constraint_column_names FROM system.main.duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY' "
        "AND database_name = ? AND schema_name = ? AND table_name = ?",
        [table["catalog"], table["schema"], table["table"]],
    )
    return place < len(node["names"]) and any(columns == [node["names"][place]] for (columns,) in constraints)


# -- volatility --------------------------------------------------------------------------------------------------------------


def _differs(node: Node, volatile: frozenset[str], *, scan_order: bool) -> bool:
    """Whether this one node of a bound plan can give other results in another run."""
    name = node["qname"]["path"][-1].lower() if isinstance(node.get("qname"), dict) else ""
    if name in volatile:
        return True
    expression, kind = node.get("expression_class"), str(node.get("type", ""))
    if expression == "BOUND_AGGREGATE":
        return not _is_exact(name, node)
    if expression == "BOUND_WINDOW":
        return not _is_tie_proof(name, node)
    is_operator = kind.startswith("LOGICAL_") and "children" in node
    return is_operator and _operator_differs(kind.removeprefix("LOGICAL_"), name, node, scan_order=scan_order)


def _operator_differs(kind: str, function: str, node: Node, *, scan_order: bool) -> bool:
    if kind == "GET":
        return function not in _SCANS
    if kind == "LIMIT":
        return not scan_order and not _orders_everything(node["children"][0])
    if kind == "DISTINCT":
        return bool(node["distinct_type"] == "DISTINCT_ON")
    return kind not in _OPERATORS


def _is_exact(name: str, node: Node) -> bool:
    types = {argument["id"] for argument in node["arguments"]}
    return name in _EXACT or (name in _EXACT_ON_INTEGERS and types <= _INTEGERS)


def _is_tie_proof(name: str, node: Node) -> bool:
    if node["type"] in _TIE_PROOF_WINDOWS:
        return True
    whole_peers = {node["start"], node["end"]} <= _PEER_FRAMES and node["exclude_clause"] == "NO_OTHER"
    return bool(node["type"] == "WINDOW_AGGREGATE" and whole_peers and _is_exact(name, node))


def _orders_everything(node: Node) -> bool:
    """Whether a node is a sort by all of its columns."""
    if node["type"] != "LOGICAL_ORDER_BY" or "expressions" not in node["children"][0]:
        return False
    keys = {order["expression"].get("index") for order in node["orders"]}
    return keys.issuperset(range(len(node["children"][0]["expressions"])))


def _parsed_differs(parsed: Node, rows: Rows, *, scan_order: bool) -> bool:
    """The same for a query that is only parsed; it says nothing of views and macros, nor of types."""
    nodes = list(_nodes(parsed))
    functions = {str(node["function_name"]).lower() for node in nodes if "function_name" in node}
    tables = {str(node["table_name"]).lower() for node in nodes if "table_name" in node}
    safe = _safe_functions(rows) | _EXACT | _FILE_FUNCTIONS | _SCANS
    views = {name for (name,) in rows("SELECT lower(view_name) FROM system.main.duckdb_views()")}
    if functions - safe or tables & views:
        return True
    modifiers = {str(node.get("type")) for node in nodes}
    if not scan_order and modifiers & {"LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"}:
        return True
    return any(
        node.get("class") == "WINDOW"
        or node.get("sample") is not None
        or node.get("ref_type") in ("POSITIONAL", "ASOF")
        or node.get("distinct_on_targets")
        for node in nodes
    )


def _safe_functions(rows: Rows) -> frozenset[str]:
    """Names that only stand for scalar functions with a fixed result."""
    query = (
        "SELECT lower(function_name) FROM system.main.duckdb_functions() GROUP BY ALL "
        "HAVING bool_and(function_type = 'scalar' AND stability <> 'VOLATILE')"
    )
    return frozenset(name for (name,) in rows(query)) | _HARMLESS
