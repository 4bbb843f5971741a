"""Facts about a query of Postgres that its plan tells: whether two runs give the same rows, and in the same order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Rows = Callable[..., list[tuple[Any, ...]]]
Node = dict[str, Any]

# Steps that keep the order of the rows below them.
_ORDERED = frozenset({"Result", "Subquery Scan", "Limit", "LockRows", "Materialize", "ProjectSet", "Memoize"})
# Scans that give the rows of a table in the order they lie in, once synchronised scans are switched off.
_SCANS = frozenset({"Seq Scan", "Function Scan", "Values Scan", "CTE Scan"})
_INDEX_SCANS = frozenset({"Index Scan", "Index Only Scan"})
_DIRECTION = re.compile(r" (DESC|ASC|NULLS FIRST|NULLS LAST|USING \S+)(?![\w\"])")
_SORTS = frozenset({"Sort", "Incremental Sort", "Gather Merge"})
_EXPRESSIONS = (
    *("Output", "Filter", "Index Cond", "Recheck Cond", "Hash Cond", "Join Filter", "Merge Cond", "Sort Key"),
    *("Group Key", "One-Time Filter", "Function Call", "Presorted Key"),
)
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_CALL = re.compile(r'(?:"((?:[^"]|"")+)"|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*))\s*\(')
# Whose result depends on the order in which rows come: sums in floating point, and what lists or numbers rows.
_ORDER_BOUND = re.compile(
    r"\b(array_agg|string_agg|json\w*_agg|xmlagg|first_value|last_value|nth_value|row_number"
    r"|sum|avg|stddev\w*|var\w*|corr|covar\w*|regr_\w+)\s*\("
)


@dataclass(frozen=True)
class PlanFacts:
    """What is known of a query without running it."""

    keeps_row_order: bool
    is_volatile: bool


def read_plan(sql: str, rows: Rows, *, serial: bool) -> PlanFacts:
    """The facts about one query; ``rows`` runs SQL on the user's connection.

    ``serial`` says that it will run without parallel workers, so that rows that were not changed come in the same order again.
    """
    ((text,),) = rows(f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {sql}")
    plan = (json.loads(text) if isinstance(text, str) else text)[0]["Plan"]
    nodes = list(_nodes(plan))
    keeps_order = _keeps_order(plan, rows)
    return PlanFacts(keeps_order, _calls_volatile(nodes, rows) or (not serial and _meets_order(nodes, keeps_order)))


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _keeps_order(plan: Node, rows: Rows) -> bool:
    """A scan of one table with what needs no other order, or a sort that leaves no ties."""
    aliases = {node["Alias"] for node in _nodes(plan) if "Alias" in node}
    width = _bare(plan.get("Output", ()), aliases)
    node = plan
    while node["Node Type"] in _ORDERED and len(node.get("Plans", ())) == 1:
        node = node["Plans"][0]
    if node["Node Type"] in _SORTS:
        keys = _bare((_DIRECTION.sub("", key) for key in _sort_key(node)), aliases)
        return keys >= _bare(node.get("Output", ()), aliases) or keys >= width or _holds_a_key(keys, node, rows)
    if node["Node Type"] in _INDEX_SCANS:
        return _is_total(node, rows)
    return node["Node Type"] in _SCANS and not node.get("Plans") and "Sampling Method" not in node


def _bare(expressions: Iterable[str], aliases: set[str]) -> set[str]:
    """Expressions without the name of the only table, which a plan writes before sort keys and not before output."""
    if len(aliases) != 1:
        return set(expressions)
    (alias,) = aliases
    return {text.removeprefix(f"{alias}.").removeprefix(f'"{alias}".') for text in expressions}


def _is_total(node: Node, rows: Rows) -> bool:
    """Whether the index of a scan has no two equal entries."""
    query = (
        "SELECT 1 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE i.indisunique AND i.indisvalid AND NOT EXISTS ("
        "SELECT 1 FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) LEFT JOIN pg_catalog.pg_attribute a "
        "ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.place <= i.indnkeyatts AND a.attnotnull IS NOT TRUE) "
        "AND c.relname = ? AND n.nspname = ?"
    )
    return bool(rows(query, [node["Index Name"], node.get("Schema", "public")]))


def _sort_key(node: Node) -> list[str]:
    found: list[str] = node.get("Sort Key") or []
    if not found and node.get("Plans"):
        return _sort_key(node["Plans"][0])
    return found


def _holds_a_key(keys: set[str], node: Node, rows: Rows) -> bool:
    """Whether one of the sort's columns is the primary key, or a unique column without NULL, of the only table."""
    tables = [child for child in _nodes(node) if "Relation Name" in child]
    joins = any("Join Type" in child or child["Node Type"] in ("Append", "Nested Loop") for child in _nodes(node))
    if len(tables) != 1 or joins:
        return False
    table = tables[0]
    query = (
        "SELECT a.attname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] "
        "WHERE i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attnotnull "
        "AND c.relname = ? AND n.nspname = ?"
    )
    unique = {name for (name,) in rows(query, [table["Relation Name"], table.get("Schema", "public")])}
    return bool(unique & {key.rpartition(".")[2].strip('"') for key in keys})


def _meets_order(nodes: list[Node], keeps_order: bool) -> bool:
    """Whether the rows, or values in them, depend on the order in which workers happen to deliver."""
    kinds = {node["Node Type"] for node in nodes}
    if not kinds & {"Gather", "Gather Merge"}:
        return False
    return ("Limit" in kinds and not keeps_order) or any(_ORDER_BOUND.search(text) for n in nodes for text in _texts(n))


def _calls_volatile(nodes: list[Node], rows: Rows) -> bool:
    if any("Sampling Method" in node and "Repeatable Seed" not in node for node in nodes):
        return True
    texts = [_QUOTED.sub("''", text) for node in nodes for text in _texts(node)]
    called = {(quoted or plain).lower() for text in texts for quoted, plain in _CALL.findall(text)}
    query = (
        "SELECT '' FROM pg_catalog.pg_proc WHERE provolatile = 'v' AND pg_catalog.lower(proname::text) = ANY (?) UNION "
        "SELECT oprname::text FROM pg_catalog.pg_operator JOIN pg_catalog.pg_proc p ON p.oid = oprcode WHERE provolatile = 'v' "
        "UNION SELECT '::' || pg_catalog.format_type(casttarget, NULL) FROM pg_catalog.pg_cast "
        "JOIN pg_catalog.pg_proc p ON p.oid = castfunc WHERE provolatile = 'v'"
    )
    # What stands for a function unnamed, operators and casts, is told apart by the text alone.
    return any(word in text for (word,) in rows(query, [sorted(called)]) for text in texts)


def _texts(node: Node) -> Iterator[str]:
    for name in _EXPRESSIONS:
        value = node.get(name)
        if value is not None:
            yield from value if isinstance(value, list) else [value]
