"""The server's scores equal LightGBM's, for every kind of model that the forest tests train."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from udfs.forest.text import parse_lightgbm
from udfs.model import Argument, Feature, Input, Label, Model

_spec = importlib.util.spec_from_file_location("forest_models", Path(__file__).parents[2] / "forest" / "conftest.py")
forest_models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(forest_models)


def wrap(booster, features, task="regression"):
    names = [f"f{i}" for i in range(features)]
    forest = parse_lightgbm(booster.model_to_string())
    task = "multiclass" if forest.outputs > 1 else task
    label = Label("y", "INTEGER", tuple(range(forest.outputs)) if forest.outputs > 1 else ())
    inputs = tuple(Input(name, "number", "double precision") for name in names)
    arguments = tuple(Argument(name, "number") for name in names)
    return Model(task, label, inputs, arguments, (), tuple(Feature(name) for name in names), forest)


@pytest.fixture
def stored(connection):
    """Store rows in a temporary table ``r`` with columns f0, f1, ... and their order."""

    def store(rows):
        columns = ", ".join(f"f{i} float8" for i in range(rows.shape[1]))
        connection.execute(f"DROP TABLE IF EXISTS r; CREATE TEMP TABLE r (id int, {columns})")
        with connection.cursor().copy("COPY r FROM STDIN") as copy:
            for number, row in enumerate(rows.tolist()):
                copy.write_row([number, *row])
        return ", ".join(f"f{i}" for i in range(rows.shape[1]))

    return store


@pytest.mark.parametrize("kind", list(forest_models.KINDS))
def test_scores_equal_lightgbm(connection, publish, stored, kind):
    booster, _ = forest_models.train(kind)
    rows = forest_models._hard_rows(kind)
    model = wrap(booster, rows.shape[1])
    publish("m", model)
    columns = stored(rows)
    function = "_value" if model.forest.outputs == 1 else "_probs"
    found = connection.execute(f"SELECT sqlml.{function}('m', {columns}) FROM r ORDER BY id").fetchall()
    assert np.array_equal(np.array([row[0] for row in found]), booster.predict(rows))


def test_null_is_missing(connection, publish, stored):
    booster, _ = forest_models.train("missing" if "missing" in forest_models.KINDS else "zero as missing")
    rows = forest_models._hard_rows("zero as missing")[:500]
    publish("m", wrap(booster, rows.shape[1]))
    columns = stored(rows)
    nulls = ", ".join(f"nullif({name.strip()}, 'NaN')" for name in columns.split(","))
    found = connection.execute(f"SELECT sqlml._value('m', {nulls}) FROM r ORDER BY id").fetchall()
    assert np.array_equal(np.array([row[0] for row in found]), booster.predict(rows))


@pytest.mark.parametrize("kind", ["binary", "categories", "multiclass", "400 leaves", "one leaf"])
def test_contributions_equal_lightgbm(connection, publish, stored, kind):
    booster, _ = forest_models.train(kind)
    rows = forest_models._hard_rows(kind)[::40]
    publish("m", wrap(booster, rows.shape[1]))
    columns = stored(rows)
    found = connection.execute(f"SELECT sqlml._contribs('m', {columns}) FROM r ORDER BY id").fetchall()
    expected = booster.predict(rows, pred_contrib=True)
    np.testing.assert_allclose(np.array([row[0] for row in found]), expected, rtol=0, atol=1e-9)


def test_more_than_98_columns_come_as_a_row(connection, publish):
    import lightgbm

    x = np.random.default_rng(2).normal(size=(800, 150))
    booster = lightgbm.train(
        {"objective": "regression", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, x[:, 3] - x[:, 140]), 20
    )
    publish("wide", wrap(booster, 150))
    connection.execute("DROP TABLE IF EXISTS w; CREATE TEMP TABLE w (id int, x float8[])")
    with connection.cursor().copy("COPY w FROM STDIN") as copy:
        for number, row in enumerate(x[:200].tolist()):
            copy.write_row([number, row])
    values = ", ".join(f"x[{i}]" for i in range(1, 151))
    found = connection.execute(f"SELECT sqlml._value('wide', ROW({values})) FROM w ORDER BY id").fetchall()
    assert np.array_equal([row[0] for row in found], booster.predict(x[:200]))


def test_workers_score_alike(connection, publish, stored):
    booster, _ = forest_models.train("binary")
    rows = np.tile(forest_models._hard_rows("binary"), (6, 1))
    publish("m", wrap(booster, rows.shape[1]))
    columns = stored(rows)
    connection.execute("DROP TABLE IF EXISTS p; CREATE TABLE p AS SELECT * FROM r")
    connection.execute(
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; ANALYZE p"
    )
    plan = connection.execute(f"EXPLAIN SELECT count(*) FROM p WHERE sqlml._value('m', {columns}) > 0.5").fetchall()
    assert any("Workers Planned" in line for (line,) in plan)
    (count,) = connection.execute(f"SELECT count(*) FROM p WHERE sqlml._value('m', {columns}) > 0.5").fetchone()
    assert count == int((booster.predict(rows) > 0.5).sum())
    connection.execute("DROP TABLE p")


def test_two_models_views_and_prepared_statements(connection, publish, stored):
    boosters = {name: forest_models.train(name)[0] for name in ("regression", "l1")}
    rows = forest_models._hard_rows("regression")[:300]
    for name, booster in boosters.items():
        publish(name, wrap(booster, rows.shape[1]))
    stored(rows)
    connection.execute(
        "CREATE TEMP VIEW v AS SELECT id, sqlml.predict('regression', r) AS a, sqlml.predict('l1', r) AS b FROM r"
    )
    found = np.array(connection.execute("SELECT a, b FROM v ORDER BY id").fetchall())
    expected = np.stack([booster.predict(rows) for booster in boosters.values()], axis=1)
    assert np.array_equal(found, expected)
    connection.execute("PREPARE s(text) AS SELECT sqlml.predict($1, r) FROM r ORDER BY id")
    for k, name in enumerate(boosters):
        for _ in range(7):  # beyond the fifth, the server may take a generic plan
            got = connection.execute(f"EXECUTE s('{name}')").fetchall()
            assert np.array_equal([row[0] for row in got], expected[:, k])
    varying = connection.execute(
        "SELECT sqlml.predict(CASE WHEN id % 2 = 0 THEN 'regression' ELSE 'l1' END, r) FROM r ORDER BY id"
    ).fetchall()
    assert np.array_equal([row[0] for row in varying], expected[np.arange(300), np.arange(300) % 2])


def test_models_that_nobody_uses_make_room_for_others(connection, publish):
    """A backend keeps 256 MB of images; what a statement uses stays, however large."""
    from udfs.postgres.install import reference_model

    model = reference_model()
    for number in range(3):
        features = (Feature("x" * 45_000_000 + str(number)), *model.features[1:])
        arguments = (Argument(features[0].name, "number"), *model.arguments[1:])
        inputs = (Input(features[0].name, "number", "?"), *model.inputs[1:])
        large = dataclasses.replace(model, features=features, arguments=arguments, inputs=inputs)
        publish(f"large {number}", large)
    kept = "SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'sqlml model'"
    values = []
    for number in (0, 1, 2, 0, 1, 2):
        values.append(connection.execute(f"SELECT sqlml._value('large {number}', 1, 2, 3, 4)").fetchone())
        assert connection.execute(kept).fetchone()[0] <= 2
    assert len(set(values)) == 1
    together = ", ".join(f"sqlml._value('large {number}', i, 2, 3, 4)" for number in range(3))
    rows = connection.execute(f"SELECT {together} FROM generate_series(1, 1) AS g(i)").fetchall()
    assert rows == [values[0] * 3]
    connection.execute(
        "DELETE FROM named WHERE name LIKE 'large%'; DELETE FROM sqlml._images WHERE length(image) > 80000000"
    )
