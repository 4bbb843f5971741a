"""Forests in PL/pgSQL equal LightGBM bit for bit, for every kind of model and every kind of value."""

from __future__ import annotations

import numpy as np
import pytest

from udfs.postgres import plsql


@pytest.mark.parametrize("way", ["bits", "cases", "cases only"])
def test_equals_lightgbm(kind, way, forests, models, batches, twins, monkeypatch):
    """By bit strings, as short statements score; by CASE expressions, as long ones do, and where bits would take too much."""
    monkeypatch.setattr(plsql, "IS_SHORT", str(way == "bits").lower())
    monkeypatch.setattr(plsql, "MOST_MASK_BYTES", -1 if way == "cases only" else 1 << 30)
    booster, _ = forests.train(kind)
    rows = forests._hard_rows(kind)[:: 3 if way == "bits" else 7]
    if kind == "cross entropy lambda":
        assert "log1p" in plsql.plsql_refusal(models(kind))
        return
    pair = twins(models(kind))
    # NaN is missing whether it arrives as NaN or as NULL
    columns = [[None if v != v and i % 2 else v for i, v in enumerate(column)] for column in rows.T.tolist()]
    pair.load(columns)
    wanted = booster.predict(rows, num_threads=1).reshape(len(rows), -1).T
    pair.check(batches(rows), np.ascontiguousarray(wanted))
