"""The rivals: each takes a model and rows and gives back a call that scores them, ready to be measured, on one thread.

None in place of a call means that a contestant is not for batches of this size.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import lightgbm
import numpy as np
import pyarrow as pa

Run = Callable[[], Any] | None


@dataclass(frozen=True)
class Data:
    """A model of two classes and the rows to score."""

    booster: lightgbm.Booster
    rows: np.ndarray[Any, Any]

    @property
    def wanted(self) -> np.ndarray[Any, Any]:
        return self.booster.predict(self.rows[:1000], num_threads=1)

    def agree(self, scores: Any, tolerance: float = 1e-5) -> None:
        """Whoever is measured must have done the work."""
        np.testing.assert_allclose(np.asarray(scores, float).reshape(-1)[:1000], self.wanted, rtol=0, atol=tolerance)


def kernel(data: Data) -> Run:
    from udfs.forest.nodes import build_forest_image
    from udfs.forest.objective import apply_objective
    from udfs.forest.text import parse_lightgbm
    from udfs.forest.walk import raw_scores

    image = build_forest_image(parse_lightgbm(data.booster.model_to_string()), data.rows.shape[1])
    features, out = np.ascontiguousarray(data.rows.T), np.zeros((1, len(data.rows)))

    def run() -> Any:
        raw_scores(image.ctypes.data, features, features.shape[1], out)
        apply_objective(image.ctypes.data, out, features.shape[1])
        return out[0]

    assert (run()[:1000] == data.wanted).all()
    return run


def in_sql(data: Data) -> Run:
    """A query, its parsing and planning included."""
    import sqlml

    connection = sqlml.connect()
    connection.execute("SET threads = 1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.txt"
        path.write_text(data.booster.model_to_string(), encoding="utf-8")
        connection.execute(f"IMPORT MODEL m FROM '{path}'")
    _load(connection.engine_connection, data)
    query = "SELECT sum(PREDICT_PROBA(m, *)) FROM points"
    np.testing.assert_allclose(connection.execute(query).fetchall()[0][0], _total(data), rtol=1e-9)
    return lambda: connection.execute(query).fetchall()


def _load(connection: Any, data: Data) -> None:
    table = pa.table({f"Column_{k}": data.rows[:, k] for k in range(data.rows.shape[1])})  # seen by DuckDB by its name
    connection.register("given", table)
    connection.execute("CREATE OR REPLACE TABLE points AS SELECT * FROM given")


def _total(data: Data) -> float:
    """The sum of all scores; a million rows are ten thousand a hundred times."""
    some = data.rows[:10_000]
    return float(data.booster.predict(some, num_threads=1).sum()) * (len(data.rows) / len(some))


def numpy_rows(data: Data) -> Run:
    return lambda: data.booster.predict(data.rows, num_threads=1)


def arrow_table(data: Data) -> Run:
    table = pa.table({f"Column_{k}": data.rows[:, k] for k in range(data.rows.shape[1])})
    data.agree(data.booster.predict(table, num_threads=1), 0.0)
    return lambda: data.booster.predict(table, num_threads=1)


def single_row(data: Data) -> Run:
    """The C API's fast path, called by ctypes with everything prepared."""
    if len(data.rows) > 1:
        return None
    library = lightgbm.basic._LIB  # noqa: SLF001 - the package offers no other way to it
    config, length, out = ctypes.c_void_p(), ctypes.c_int64(), np.zeros(1)
    arguments = (data.booster._handle, 0, 0, -1, 1, data.rows.shape[1], b"num_threads=1", ctypes.byref(config))  # noqa: SLF001
    assert library.LGBM_BoosterPredictForMatSingleRowFastInit(*arguments) == 0
    row = ctypes.c_void_p(np.ascontiguousarray(data.rows).ctypes.data)
    place = out.ctypes.data_as(ctypes.POINTER(ctypes.c_double))

    def run() -> Any:
        library.LGBM_BoosterPredictForMatSingleRowFast(config, row, ctypes.byref(length), place)
        return out

    data.agree(run(), 0.0)
    return run


def gtil(data: Data) -> Run:
    import treelite

    model = treelite.frontend.from_lightgbm(data.booster)
    data.agree(treelite.gtil.predict(model, data.rows, nthread=1))
    return lambda: treelite.gtil.predict(model, data.rows, nthread=1)


@cache
def _compiled(booster: lightgbm.Booster) -> Any:
    import tl2cgen
    import treelite

    if booster.num_trees() > 100:
        raise RuntimeError("its compilation takes minutes")
    path = Path(tempfile.mkdtemp()) / "model.so"
    parameters = {"parallel_comp": 4}
    tl2cgen.export_lib(treelite.frontend.from_lightgbm(booster), toolchain="gcc", libpath=path, params=parameters)
    return tl2cgen.Predictor(path, nthread=1)


def tl2cgen_library(data: Data) -> Run:
    import tl2cgen

    predictor, matrix = _compiled(data.booster), tl2cgen.DMatrix(data.rows)
    data.agree(predictor.predict(matrix))
    return lambda: predictor.predict(matrix)


def onnx_runtime(data: Data) -> Run:
    import onnxruntime
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    kind = [("rows", FloatTensorType([None, data.rows.shape[1]]))]
    model = convert_lightgbm(data.booster, initial_types=kind, zipmap=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    given = {"rows": data.rows.astype(np.float32)}
    name = session.get_outputs()[1].name
    found = session.run([name], given)[0][:1000, 1]
    assert np.mean(np.abs(found - data.wanted) < 1e-5) > 0.99, (
        "a float is on the other side of a threshold more often than that"
    )
    return lambda: session.run([name], given)


@cache
def _boosted(trees: int, leaves: int, features: int) -> Any:
    import xgboost

    rows = np.random.default_rng(1).standard_normal((20_000, features))
    score = np.tanh(rows[:, 0]) + np.sin(3 * rows[:, 1]) + 0.3 * rows[:, 2:].sum(axis=1)
    parameters = {
        "objective": "binary:logistic", "max_leaves": leaves, "max_depth": 0, "grow_policy": "lossguide", "tree_method": "hist",
        "nthread": 1,
    }  # fmt: skip
    return xgboost.train(parameters, xgboost.DMatrix(rows, score > 0), trees)


def xgboost_own(data: Data) -> Run:
    leaves = max(int(count) for count in data.booster.trees_to_dataframe().groupby("tree_index").size()) // 2 + 1
    model = _boosted(data.booster.num_trees(), leaves, data.rows.shape[1])
    rows = data.rows.astype(np.float32)
    return lambda: model.inplace_predict(rows)


def plain_sql(data: Data) -> Run:
    """The trees as CASE expressions, which any database runs."""
    if data.booster.num_trees() > 100:
        raise RuntimeError("the text of its expressions takes DuckDB minutes to plan")
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    _load(connection, data)
    trees = [_case(tree["tree_structure"]) for tree in data.booster.dump_model()["tree_info"]]
    connection.execute(f"PREPARE score AS SELECT sum(1 / (1 + exp(-({' + '.join(trees)})))) FROM points")
    np.testing.assert_allclose(connection.execute("EXECUTE score").fetchall()[0][0], _total(data), rtol=1e-9)
    return lambda: connection.execute("EXECUTE score").fetchall()


def _case(node: dict[str, Any]) -> str:
    if "leaf_value" in node:
        return f"({node['leaf_value']!r}::DOUBLE)"
    test = f"Column_{node['split_feature']} <= {node['threshold']!r}::DOUBLE"
    return f"CASE WHEN {test} THEN {_case(node['left_child'])} ELSE {_case(node['right_child'])} END"


CONTESTANTS: dict[str, Callable[[Data], Run]] = {
    "sqlml, the kernel": kernel,
    "sqlml, a query in DuckDB": in_sql,
    "LightGBM predict, numpy": numpy_rows,
    "LightGBM predict, Arrow": arrow_table,
    "LightGBM single_row_fast": single_row,
    "treelite GTIL": gtil,
    "tl2cgen, compiled by gcc": tl2cgen_library,
    "ONNX Runtime": onnx_runtime,
    "XGBoost inplace_predict": xgboost_own,
    "plain SQL in DuckDB": plain_sql,
}
