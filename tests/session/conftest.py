"""Databases with small models, for tests of the dialect end to end."""

from __future__ import annotations

import pytest

import sqlml

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
CREATE MODEL churned OPTIONS (input_label_cols = ['left_us'], max_iterations = 20)
    AS SELECT tenure, charges, plan, senior, since, left_us FROM churn;
CREATE MODEL worth OPTIONS (input_label_cols = ['value'], max_iterations = 20)
    AS SELECT tenure, charges, plan, senior, value FROM churn;
CREATE MODEL kind OPTIONS (input_label_cols = ['segment'], max_iterations = 10)
    AS SELECT tenure, charges, plan, segment FROM churn;
"""


@pytest.fixture
def empty():
    """An open connection on a new database in memory."""
    with sqlml.connect() as con:
        yield con


@pytest.fixture
def churn(empty):
    """The same with the table of customers."""
    empty.execute(CHURN)
    return empty


@pytest.fixture(scope="session")
def trained_file(tmp_path_factory):
    """A database file with the table and three models; tests copy it."""
    path = tmp_path_factory.mktemp("trained") / "trained.duckdb"
    with sqlml.connect(path) as con:
        con.execute(CHURN)
        con.execute(MODELS)
    return path


@pytest.fixture
def database(trained_file, tmp_path):
    """The path of a copy of the file with models."""
    path = tmp_path / "copy.duckdb"
    path.write_bytes(trained_file.read_bytes())
    return path


@pytest.fixture
def con(database):
    """An open connection on that copy."""
    with sqlml.connect(database) as connection:
        yield connection


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
