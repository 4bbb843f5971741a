"""Who takes part: every contestant makes itself ready for a task, on one thread, at its best settings.

Rows are as a contestant likes them best, ready in memory: row-major doubles, or floats where it takes no doubles, an Arrow table,
column-major doubles for the kernel, a table in DuckDB for those that run there. ``prepare`` gives None for a size of batch that a
contestant is not for.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import libraries, sql_trees
from benchmarks.contest import Ready, Task

Prepare = Callable[[Task], Ready | None]


@dataclass(frozen=True)
class Contestant:
    """``environment`` is one of ``benchmarks.environments``; ``distributions`` are those whose versions are told."""

    prepare: Prepare
    distributions: tuple[str, ...]
    environment: str = "rivals"
    compiles: bool = False  # something that takes long and is kept
    longest: float = 30  # seconds that a batch of a million may be expected to take


def kernel(task: Task) -> Ready:
    """The machine code that engines call, by its address: a block's features in memory, scores out."""
    from sqlml.training.foreign import ImportOptions, model_of_text
    from udfs.columns import BLOCK_ROWS
    from udfs.scorer import STAGE_BITS, STAGE_PREDICTION, build_scorer, score_address

    began = time.process_time()
    scorer = build_scorer(model_of_text(task.text, ImportOptions()))
    made_in = time.process_time() - began
    if task.size > BLOCK_ROWS:
        return _many(scorer, task, made_in)
    memory = np.zeros(scorer.workspace_bytes() + 64, np.uint8)
    block = memory[-memory.ctypes.data % 64 :]
    count, width = task.rows.shape
    row = 8 * BLOCK_ROWS
    block[: width * row].view(np.float64).reshape(width, BLOCK_ROWS)[:, :count] = task.rows.T
    at, outputs = scorer.matrix(STAGE_PREDICTION)
    out = block[at : at + outputs * row].view(np.float64).reshape(outputs, BLOCK_ROWS)
    assert scorer.reads_rows_in_place, "a transform stands before the forest"
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(score_address())
    request, head = task.size << STAGE_BITS | STAGE_PREDICTION, scorer.address
    address, step = int(block.ctypes.data), 8 * task.size

    def run(k: int) -> Any:
        call(head, address + step * k, request)

    def scores(k: int) -> Any:
        run(k)
        return out[:, k * task.size : (k + 1) * task.size].T.copy()

    return Ready(run, scores, made_in, keeps=scorer)


def _many(scorer: Any, task: Task, made_in: float) -> Ready:
    from udfs.forest.objective import apply_objective
    from udfs.forest.walk import raw_scores

    image = scorer._forest  # noqa: SLF001 - what the engines' machine code gets
    features = np.ascontiguousarray(task.rows.T)
    out = np.zeros((scorer.outputs, task.size))

    def run(_: int) -> Any:
        raw_scores(image.ctypes.data, features, task.size, out)
        apply_objective(image.ctypes.data, out, task.size)
        return out.T

    return Ready(run, None, made_in, keeps=scorer)


def query(task: Task) -> Ready:
    """``SELECT sum(PREDICT_PROBA(m, *))`` on a table of DuckDB, its parsing and planning included."""
    import sqlml

    connection = sqlml.connect()
    connection.execute("SET threads = 1")
    classes = [f"c{k}" for k in range(task.wanted.shape[1])] if task.wanted.ndim > 1 else []
    options = f"OPTIONS (class_labels = {classes})" if classes else ""
    connection.execute(f"IMPORT MODEL m FROM '{task.folder / 'model.txt'}' {options}")
    sql_trees.load(connection.engine_connection, task)
    calls = [f"PREDICT_PROBA(m, '{name}', *)" for name in classes] or ["PREDICT_PROBA(m, *)"]

    def scores(_: int) -> Any:
        return np.array(connection.execute(f"SELECT {', '.join(calls)} FROM points").fetchall())

    return Ready(lambda _: connection.execute(f"SELECT sum({calls[0]}) FROM points").fetchall(), scores, batches=1)


def predict_numpy(task: Task) -> Ready:
    booster, batches = task.booster, task.batches
    return Ready(lambda k: booster.predict(batches[k], num_threads=1))


def predict_arrow(task: Task) -> Ready:
    import pyarrow as pa

    names = [f"f{k}" for k in range(task.rows.shape[1])]
    tables = [pa.table(list(np.ascontiguousarray(batch.T)), names=names) for batch in task.batches]
    booster = task.booster
    return Ready(lambda k: booster.predict(tables[k], num_threads=1))


def single_row_fast(task: Task) -> Ready | None:
    """The C API's fast path, called by ctypes with everything prepared."""
    import lightgbm

    if task.size > 1:
        return None
    library = lightgbm.basic._LIB  # noqa: SLF001 - the package offers no other way to it
    config, length, out = ctypes.c_void_p(), ctypes.c_int64(), np.zeros(task.wanted[0].size)
    handle = task.booster._handle  # noqa: SLF001
    arguments = (handle, 0, 0, -1, 1, task.rows.shape[1], b"num_threads=1", ctypes.byref(config))
    assert library.LGBM_BoosterPredictForMatSingleRowFastInit(*arguments) == 0
    rows = [ctypes.c_void_p(row.ctypes.data) for row in task.rows]
    place, count = out.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), ctypes.byref(length)

    def run(k: int) -> Any:
        library.LGBM_BoosterPredictForMatSingleRowFast(config, rows[k], count, place)
        return out

    return Ready(run)


CONTESTANTS: dict[str, Contestant] = {
    "sqlml, the kernel": Contestant(kernel, ("numba", "llvmlite")),
    "sqlml, a query in DuckDB": Contestant(query, ("duckdb",)),
    "LightGBM predict, numpy": Contestant(predict_numpy, ("lightgbm",), longest=100),
    "LightGBM predict, Arrow": Contestant(predict_arrow, ("lightgbm", "pyarrow")),
    "LightGBM single_row_fast": Contestant(single_row_fast, ("lightgbm",)),
    "treelite GTIL": Contestant(libraries.gtil, ("treelite",)),
    "tl2cgen, compiled by gcc": Contestant(libraries.tl2cgen_library, ("tl2cgen", "treelite"), compiles=True),
    "lleaves": Contestant(libraries.lleaves_library, ("lleaves", "llvmlite"), "lleaves", compiles=True),
    "ONNX Runtime": Contestant(libraries.onnx_runtime, ("onnxruntime", "onnxmltools"), compiles=True),
    "XGBoost inplace_predict": Contestant(libraries.xgboost_own, ("xgboost-cpu",), compiles=True),
    "hummingbird, TorchScript": Contestant(libraries.hummingbird, ("hummingbird-ml", "torch"), "hummingbird"),
    "orbital in DuckDB": Contestant(sql_trees.orbital_sql, ("orbital", "duckdb"), "orbital", compiles=True),
    "plain SQL in DuckDB": Contestant(sql_trees.plain_sql, ("duckdb",)),
}
