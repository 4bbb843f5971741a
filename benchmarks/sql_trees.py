"""Trees as CASE expressions, which any database runs: what a model is where nothing can be installed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import Ready, Task


def load(connection: Any, task: Task) -> None:
    """The first batch as the table ``points``, with the columns named after the features; NaN is NULL."""
    import pyarrow as pa

    rows = task.batches[0]
    columns = [pa.array(np.ascontiguousarray(rows[:, k]), from_pandas=True) for k in range(rows.shape[1])]
    connection.register("given", pa.table(columns, names=task.booster.feature_name()))
    connection.execute("CREATE OR REPLACE TABLE points AS SELECT * FROM given")


def connected(task: Task) -> Any:
    """A database of one thread that holds the first batch."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute("SET disabled_optimizers = 'in_clause'")  # it makes a join of every list of categories
    load(connection, task)
    return connection


def of_a_query(connection: Any, scores: str, columns: list[str]) -> Ready:
    """A query that was planned once by PREPARE; it sums the last of its columns, and gives all of them to be compared."""
    connection.execute(f"PREPARE score AS SELECT sum({columns[-1]}) FROM ({scores})")
    return Ready(
        lambda _: connection.execute("EXECUTE score").fetchall(),
        lambda _: np.array(connection.execute(f"SELECT {', '.join(columns)} FROM ({scores})").fetchall()),
        batches=1,
    )


def plain_sql(task: Task) -> Ready:
    """Every test of a node and every tree is a column of a subquery: one expression of all trees takes DuckDB several times as long."""
    connection = connected(task)
    names = [f'"{name}"' for name in task.booster.feature_name()]
    tests: dict[str, int] = {}
    trees = [_case(tree["tree_structure"], names, tests) for tree in task.booster.dump_model()["tree_info"]]
    source = f"SELECT {_listed(tests, 'c')} FROM points"
    source = f"SELECT {_listed(trees, 't')} FROM ({source})"
    outputs = task.wanted[0].size
    sums = [" + ".join(f"t{tree}" for tree in range(k, len(trees), outputs)) for k in range(outputs)]
    columns = [f"s{k}" for k in range(outputs)]
    if outputs == 1:
        return of_a_query(connection, f"SELECT 1 / (1 + exp(-({sums[0]}))) AS s0 FROM ({source})", columns)
    greatest = f"greatest({', '.join(f'r{k}' for k in range(outputs))})"
    source = f"SELECT {_listed(sums, 'r')} FROM ({source})"
    source = f"SELECT {_listed([f'exp(r{k} - {greatest})' for k in range(outputs)], 'e')} FROM ({source})"
    total = " + ".join(f"e{k}" for k in range(outputs))
    return of_a_query(
        connection, f"SELECT {_listed([f'e{k} / ({total})' for k in range(outputs)], 's')} FROM ({source})", columns
    )


def orbital_sql(task: Task) -> Ready:
    """The SQL that orbital writes for DuckDB. LightGBM's trees reach it as ONNX, the form that it turns scikit-learn's pipelines into."""
    import orbital
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType
    from orbital.ast import EnsureConcatenatedInputs, ParsedPipeline
    from orbital.types import DoubleColumnType

    def make(path: Path) -> None:
        features = {name: DoubleColumnType() for name in task.booster.feature_name()}
        converted = convert_lightgbm(task.booster, initial_types=[("input", FloatTensorType([None, len(features)]))])
        model = EnsureConcatenatedInputs(features).inject_concat_step(converted)
        pipeline = ParsedPipeline._from_onnx_model(model, features)  # noqa: SLF001 - its front door takes scikit-learn only
        # Its optimizer takes twice the time and the query runs no faster.
        text = orbital.export_sql("points", pipeline, dialect="duckdb", optimize=False, separate_trees=True)
        path.write_text(text, encoding="utf-8")

    path, made_in = task.made_once("orbital.sql", make)
    classes = range(task.wanted.shape[1]) if task.wanted.ndim > 1 else [1]
    columns = [f'"probabilities.{label}"' for label in classes]
    ready = of_a_query(connected(task), path.read_text(encoding="utf-8"), columns)
    return replace(ready, made_in=made_in)


def _listed(expressions: Iterable[str], letter: str) -> str:
    return ", ".join(f"{text} AS {letter}{k}" for k, text in enumerate(expressions))


def _case(node: dict[str, Any], names: list[str], tests: dict[str, int]) -> str:
    """A tree; its tests, numbered. A NULL makes a test unknown, which takes the ELSE."""
    if "leaf_value" in node:
        return f"({node['leaf_value']!r}::DOUBLE)"
    test, yes, no = _test(node, names[node["split_feature"]]), node["left_child"], node["right_child"]
    if node["decision_type"] != "==" and node["missing_type"] == "NaN" and node["default_left"]:
        yes, no = no, yes
    number = tests.setdefault(test, len(tests))
    return f"CASE WHEN c{number} THEN {_case(yes, names, tests)} ELSE {_case(no, names, tests)} END"


def _test(node: dict[str, Any], name: str) -> str:
    if node["decision_type"] == "==":
        return f"{name} IN ({node['threshold'].replace('||', ', ')})"
    threshold = f"{node['threshold']!r}::DOUBLE"
    if node["missing_type"] != "NaN":
        return f"coalesce({name}, 0) <= {threshold}"
    return f"{name} > {threshold}" if node["default_left"] else f"{name} <= {threshold}"
