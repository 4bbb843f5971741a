"""The rivals that are libraries, each at the settings that are best for it on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.contest import Ready, Task

CHUNK = 100  # rows: with more at a time, the tensors of all trees leave the caches and a row takes ten times longer


def gtil(task: Task) -> Ready:
    import treelite

    model = treelite.frontend.from_lightgbm(task.booster)
    return Ready(lambda k: treelite.gtil.predict(model, task.batches[k], nthread=1))


def tl2cgen_library(task: Task) -> Ready:
    """C code compiled by gcc that compares integers: 3.5 µs a row where doubles take 5.7, with notes on branches or without."""
    import tl2cgen
    import treelite

    def make(path: Any) -> None:
        model = treelite.frontend.from_lightgbm(task.booster)
        parameters = {"parallel_comp": 8, "quantize": 1}
        tl2cgen.export_lib(model, toolchain="gcc", libpath=path, params=parameters, nthread=2)

    path, made_in = task.made_once("tl2cgen.so", make)
    predictor = tl2cgen.Predictor(path, nthread=1)
    batches = [tl2cgen.DMatrix(batch) for batch in task.batches]
    return Ready(lambda k: predictor.predict(batches[k]), None, made_in)


def lleaves_library(task: Task) -> Ready:
    import lleaves

    def make(path: Any) -> None:
        lleaves.Model(model_file=task.folder / "model.txt").compile(cache=path)

    path, made_in = task.made_once("lleaves.o", make)
    model = lleaves.Model(model_file=task.folder / "model.txt")
    model.compile(cache=path)
    return Ready(lambda k: model.predict(task.batches[k], n_jobs=1), None, made_in)


def onnx_runtime(task: Task) -> Ready:
    import onnxruntime
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    def make(path: Any) -> None:
        kind = [("rows", FloatTensorType([None, task.rows.shape[1]]))]
        model = convert_lightgbm(task.booster, initial_types=kind, zipmap=False)
        path.write_bytes(model.SerializeToString())

    path, made_in = task.made_once("model.onnx", make)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    batches = [{"rows": batch.astype(np.float32)} for batch in task.batches]
    name = session.get_outputs()[1].name

    def scores(k: int) -> Any:
        found = session.run([name], batches[k])[0]
        return found if task.wanted.ndim > 1 else found[:, 1]

    return Ready(lambda k: session.run([name], batches[k]), scores, made_in)


def xgboost_own(task: Task) -> Ready:
    """A model of its own with as many trees and leaves, of labels drawn with LightGBM's probabilities."""
    import xgboost

    def make(path: Any) -> None:
        rows, wanted = np.load(task.folder / "rows.npy"), np.load(task.folder / "wanted.npy")
        chance = np.random.default_rng(1).random(len(rows))
        classes = wanted.shape[1] if wanted.ndim > 1 else 1
        label = (chance[:, None] > np.cumsum(wanted, axis=1)).sum(axis=1) if classes > 1 else chance < wanted
        leaves = max(len(values) for line in task.text.splitlines() if (values := _leaves(line)))
        parameters = {
            "max_leaves": leaves, "max_depth": 0, "grow_policy": "lossguide", "tree_method": "hist", "min_child_weight": 0,
            "objective": "multi:softprob" if classes > 1 else "binary:logistic", "num_class": classes, "nthread": 2,
        }  # fmt: skip
        if classes == 1:
            del parameters["num_class"]
        data = xgboost.DMatrix(rows, np.minimum(label, max(classes - 1, 1)))
        xgboost.train(parameters, data, task.booster.num_trees() // classes).save_model(path)

    path, _ = task.made_once("xgboost.ubj", make)
    model = xgboost.Booster(model_file=path)
    model.set_param({"nthread": 1})
    batches = [batch.astype(np.float32) for batch in task.batches]
    return Ready(lambda k: model.inplace_predict(batches[k]), own_model=True)


def _leaves(line: str) -> list[str]:
    return line.removeprefix("leaf_value=").split() if line.startswith("leaf_value=") else []


def hummingbird(task: Task) -> Ready:
    """Trees as tensors in TorchScript; more rows than fit into caches go in chunks."""
    import time

    import torch
    from hummingbird.ml import convert

    if task.wanted.ndim > 1:
        raise RuntimeError("it takes a Booster of several classes for a regression")
    torch.set_num_threads(1)
    batches = [batch.astype(np.float32) for batch in task.batches]
    began = time.process_time()
    model = convert(task.booster, "torch.jit", batches[0][:CHUNK])
    made_in = time.process_time() - began

    def run(k: int) -> Any:
        rows = batches[k]
        parts = [model.predict(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
        return 1 / (1 + np.exp(-np.concatenate(parts)))  # it gives a Booster's scores before its objective

    return Ready(run, None, made_in)
