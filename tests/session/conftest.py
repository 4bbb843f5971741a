"""Databases with small models, for tests of the dialect end to end, on each engine."""

from __future__ import annotations

import duckdb
import pytest

import sqlml

# Made by DuckDB, whose hash() is the same everywhere, and carried to the other engine.
CHURN = """
CREATE TABLE churn AS
SELECT i AS id,
       (hash(i) % 60)::INTEGER AS tenure,
       CASE WHEN hash(i * 7) % 20 = 0 THEN NULL ELSE (hash(i * 3) % 10000) / 100.0::DOUBLE END AS charges,
       ['basic', 'plus', 'pro', NULL][1 + (hash(i * 11) % 4)::INTEGER] AS plan,
       hash(i * 13) % 2 = 0 AS senior,
       TIMESTAMP '2024-01-01' + to_days((hash(i * 17) % 700)::INTEGER) + to_hours((hash(i * 19) % 24)::INTEGER) AS since
FROM range(3000) r(i);
ALTER TABLE churn ADD COLUMN left_us BOOLEAN;
UPDATE churn SET left_us = (tenure < 20 AND coalesce(charges, 50) > 30) OR (coalesce(plan, '') = 'basic' AND hash(id * 23) % 3 = 0);
ALTER TABLE churn ADD COLUMN value DOUBLE;
UPDATE churn SET value = tenure * 2.5 + coalesce(charges, 0) * 0.3 + CASE WHEN senior THEN 10 ELSE 0 END;
ALTER TABLE churn ADD COLUMN segment VARCHAR;
UPDATE churn SET segment = CASE WHEN tenure < 15 THEN 'new' WHEN charges > 60 THEN 'big' ELSE 'small' END;
"""

MODELS = """
CREATE MODEL churned OPTIONS (input_label_cols = ['left_us'], max_iterations = 20, num_threads = 1)
    AS SELECT tenure, charges, plan, senior, since, left_us FROM churn;
CREATE MODEL worth OPTIONS (input_label_cols = ['value'], max_iterations = 20, num_threads = 1)
    AS SELECT tenure, charges, plan, senior, value FROM churn;
CREATE MODEL kind OPTIONS (input_label_cols = ['segment'], max_iterations = 10, num_threads = 1)
    AS SELECT tenure, charges, plan, segment FROM churn;
"""


@pytest.fixture(scope="session")
def customers(door, made):
    """The address of a database with the table of customers; tests copy it."""
    if (door.name, "customers") not in made:
        made[door.name, "customers"] = address = door.fresh()
        with duckdb.connect() as rows:
            rows.execute(CHURN)
            door.fill(address, rows, ["churn"])
    return made[door.name, "customers"]


@pytest.fixture(scope="session")
def trained(door, made, customers):
    """The same with three models."""
    if (door.name, "trained") not in made:
        made[door.name, "trained"] = address = door.copy(customers)
        with sqlml.connect(address) as con:
            con.execute(MODELS)
    return made[door.name, "trained"]


@pytest.fixture
def churn(door, customers):
    """An open connection on a copy of the table of customers."""
    address = door.copy(customers)
    with sqlml.connect(address) as connection:
        yield connection
    door.drop(address)


@pytest.fixture
def database(door, trained):
    """The address of a copy of the database with models."""
    address = door.copy(trained)
    yield address
    door.drop(address)


@pytest.fixture
def con(database):
    """An open connection on that copy."""
    with sqlml.connect(database) as connection:
        yield connection


@pytest.fixture(scope="module")
def reader(door, trained):
    """A connection on a copy that the tests of one file share, as none of them changes anything."""
    address = door.copy(trained)
    with sqlml.connect(address) as connection:
        yield connection
    door.drop(address)


@pytest.fixture
def give(door):
    """``give(con, name, frame)`` makes a table of a data frame, by the way of the engine."""

    def make(connection, name, frame):
        with connection._session.engine.lending(frame) as lent:
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {lent}")

    return make


@pytest.fixture
def booster():
    """LightGBM's own Booster of a model: what every score is compared with."""

    def load(connection, name):
        import lightgbm

        from udfs.artifact import read_artifact
        from udfs.forest.text import format_lightgbm

        version = connection._session.find(name)
        model = read_artifact(connection._session.store.artifact(version))
        return lightgbm.Booster(model_str=format_lightgbm(model.forest)), model

    return load


@pytest.fixture
def features(booster):
    """The features of rows as LightGBM takes them: ``features(con, name)`` gives the booster, the model and the matrix."""
    from udfs.scorer import Scorer

    def make(connection, name, where="true"):
        own, model = booster(connection, name)
        columns = ", ".join(f'"{argument.name}"' for argument in model.arguments)
        table = connection.execute(f"SELECT {columns} FROM churn WHERE {where} ORDER BY id").arrow()
        return own, model, Scorer(model).features(table.combine_chunks().to_batches()[0]).T

    return make
