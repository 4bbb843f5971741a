"""Forests in PL/pgSQL equal LightGBM bit for bit, for every kind of model and every kind of value."""

from __future__ import annotations

import datetime as dt

import lightgbm
import numpy as np
import pyarrow as pa
import pytest

from udfs.forest.text import parse_lightgbm
from udfs.model import Argument, Feature, Input, Label, Model, Step
from udfs.postgres import plsql
from udfs.transforms.dictionary import texts

WORDS = ["red", "green", "it's", "grün", *(f"word {i}" for i in range(20))]


@pytest.fixture(scope="module")
def table():
    """A model over text, a date and two numbers, and rows with unseen words, NULLs and leap days."""
    rng = np.random.default_rng(3)
    words = rng.choice(np.array([*WORDS, "unseen", None], object), 2_000).tolist()
    days = [dt.date(2019, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 2_000, 2_000)]
    days[::50] = [None] * 40
    numbers = rng.normal(size=2_000)
    numbers[rng.random(2_000) < 0.1] = np.nan
    arguments = (
        Argument("word", "text"),
        Argument("day", "date"),
        Argument("x", "number"),
        Argument("flag", "boolean"),
    )
    flags = rng.choice(np.array([True, False, None], object), 2_000).tolist()
    arrays = [pa.array(words, pa.string()), pa.array(days, pa.date32()), pa.array(numbers), pa.array(flags, pa.bool_())]
    batch = pa.record_batch(arrays, [argument.name for argument in arguments])
    steps = (
        Step("dictionary", ("word",), ("word",), {**texts("levels", WORDS), "null_code": len(WORDS)}),
        Step("calendar", ("day",), ("month", "dow"), {"parts": ["month", "dow"]}),
        Step("text_constant", (), ("unused",), {"value": "never looked at"}),
        Step("text_is_null", ("unused",), ("nothing",)),
        Step("standard_scaler", ("x",), ("x",), {"scaling": np.array([0.1, 2.0, -np.inf, np.inf])}),
    )
    names = ("word", "month", "dow", "x", "flag", "nothing")
    codes = np.array([len(WORDS) if w is None else WORDS.index(w) if w in WORDS else -1 for w in words], float)
    months = np.array([np.nan if d is None else d.month for d in days])
    truth = np.array([np.nan if f is None else float(f) for f in flags])
    matrix = np.stack([codes, months, months % 7, numbers, truth, np.zeros(2_000)], axis=1)
    target = np.sin(codes) + np.nan_to_num(numbers) * np.nan_to_num(truth) + (months > 6)
    booster = lightgbm.train(
        {"objective": "regression", "verbose": -1, "num_threads": 1, "min_data_per_group": 5},
        lightgbm.Dataset(matrix, target, categorical_feature=[0], feature_name=list(names)),
        20,
    )
    model = Model(
        "regression",
        Label("y", "float8"),
        tuple(Input(argument.name, argument.kind, "?") for argument in arguments),
        arguments,
        steps,
        tuple(Feature(name, categorical=name == "word") for name in names),
        parse_lightgbm(booster.model_to_string()),
    )
    return model, batch, [words, days, numbers.tolist(), flags]


@pytest.mark.parametrize("way", ["bits", "cases"])
def test_equals_lightgbm(kind, way, forests, models, batches, twins, monkeypatch):
    """By bit strings, as short statements score, and by CASE expressions, as long ones do."""
    monkeypatch.setattr(plsql, "IS_SHORT", str(way == "bits").lower())
    monkeypatch.setattr(plsql, "MOST_MASK_BYTES", 1 << 30)
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


def test_large_forests_have_cases_only(forests, models, batches, twins, monkeypatch):
    kinds = ("binary", "categories")
    assert all("position(" in plsql.plsql_functions(models(kind), "s", "f")[2] for kind in kinds)
    monkeypatch.setattr(plsql, "MOST_MASK_BYTES", 1_000)
    for kind in kinds:
        assert "position(" not in plsql.plsql_functions(models(kind), "s", "f")[2]
        booster, rows = forests.train(kind)
        pair = twins(models(kind))
        pair.load(rows[:500].T.tolist())
        pair.check(batches(rows[:500]), np.ascontiguousarray(booster.predict(rows[:500], num_threads=1)[None]))


def test_steps_and_forest_together(twins, table):
    """Text, dates and numbers through steps into a trained forest; what no tree looks at is not computed."""
    model, batch, columns = table
    pair = twins(model)
    pair.load(columns)
    pair.check(batch)
    value = next(text for text in plsql.plsql_functions(model, "s", "f") if '"f_value"' in text)
    assert "'never looked at'" not in value
