"""Trees as CASE expressions, which any database runs: what a model is where nothing can be installed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from benchmarks.contest import Ready, Task

MOST_LEAVES = 5_000  # planning takes 3 s for 3,000 and grows with their square


def load(connection: Any, task: Task) -> None:
    """The first batch as the table ``points``, with the columns named after the features; NaN is NULL."""
    import pyarrow as pa

    rows = task.batches[0]
    columns = [pa.array(np.ascontiguousarray(rows[:, k]), from_pandas=True) for k in range(rows.shape[1])]
    connection.register("given", pa.table(columns, names=task.booster.feature_name()))
    connection.execute("CREATE OR REPLACE TABLE points AS SELECT * FROM given")


def plain_sql(task: Task) -> Ready:
    """One expression for all trees, planned once by PREPARE."""
    import duckdb

    leaves = sum(map(int, re.findall(r"^num_leaves=(\d+)$", task.text, re.MULTILINE)))
    if leaves > MOST_LEAVES:
        raise RuntimeError(f"DuckDB takes minutes to plan more than {MOST_LEAVES:,} leaves")
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    load(connection, task)
    names = [f'"{name}"' for name in task.booster.feature_name()]
    trees = [_case(tree["tree_structure"], names) for tree in task.booster.dump_model()["tree_info"]]
    outputs = task.wanted[0].size
    raw = [" + ".join(trees[k::outputs]) for k in range(outputs)]
    if outputs == 1:
        scores = f"SELECT 1 / (1 + exp(-({raw[0]}))) AS s0 FROM points"
    else:
        sums = ", ".join(f"{text} AS r{k}" for k, text in enumerate(raw))
        powers = ", ".join(
            f"exp(r{k} - greatest({', '.join(f'r{j}' for j in range(outputs))})) AS e{k}" for k in range(outputs)
        )
        total = " + ".join(f"e{k}" for k in range(outputs))
        shares = ", ".join(f"e{k} / ({total}) AS s{k}" for k in range(outputs))
        scores = f"SELECT {shares} FROM (SELECT {powers} FROM (SELECT {sums} FROM points))"
    connection.execute(f"PREPARE score AS SELECT sum(s0) FROM ({scores})")
    return Ready(
        lambda _: connection.execute("EXECUTE score").fetchall(),
        lambda _: np.array(connection.execute(scores).fetchall()),
        batches=1,
    )


def _case(node: dict[str, Any], names: list[str]) -> str:
    if "leaf_value" in node:
        return f"({node['leaf_value']!r}::DOUBLE)"
    name = names[node["split_feature"]]
    if node["decision_type"] == "==":
        test = f"coalesce({name} IN ({node['threshold'].replace('||', ', ')}), false)"
    else:
        missing = f"{name} IS NULL" if node["default_left"] else "false"
        zero = f"coalesce({name}, 0)" if node["missing_type"] != "NaN" else name
        test = f"{zero} <= {node['threshold']!r}::DOUBLE"
        test = test if node["missing_type"] != "NaN" else f"coalesce({test}, {missing})"
    return f"CASE WHEN {test} THEN {_case(node['left_child'], names)} ELSE {_case(node['right_child'], names)} END"
