"""Models trained by LightGBM on the spot, wrapped as sqlml models, and databases whose functions score natively or through Arrow."""

from __future__ import annotations

import os
from dataclasses import dataclass

import lightgbm
import numpy as np
import pytest

import udfs.duckdb
from udfs.artifact import artifact_hash, write_artifact
from udfs.forest.text import parse_lightgbm
from udfs.model import Argument, Feature, Input, Label, Model, Step

udfs.duckdb.register()

import duckdb  # noqa: E402 - a database opened before the registration would not have the functions

ROWS = 3_000
NUMBERS = ("a", "b", "c", "Odd Name", "e")


@dataclass(frozen=True)
class Trained:
    """A model, its artifact, the booster that is its oracle, and data to score."""

    model: Model
    artifact: bytes
    hash: str
    booster: lightgbm.Booster
    matrix: np.ndarray

    @property
    def columns(self):
        """The columns as DuckDB's SQL spells them."""
        return ", ".join(f'"{argument.name}"' for argument in self.model.arguments)

    def predictions(self):
        """What LightGBM predicts."""
        return self.booster.predict(self.matrix)


def numeric_matrix():
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(ROWS, len(NUMBERS)))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    return matrix


def train(objective, matrix, target, **extra):
    parameters = {"objective": objective, "verbose": -1, "num_leaves": 15, "num_threads": 1, "seed": 1} | extra
    return lightgbm.train(parameters, lightgbm.Dataset(matrix, target), 20)


def wrap(booster, matrix, *, task, label, arguments, steps, features):
    inputs = tuple(Input(a.name, a.kind, "?") for a in arguments)
    model = Model(
        task, label, inputs, tuple(arguments), tuple(steps), tuple(features), parse_lightgbm(booster.model_to_string())
    )
    artifact = write_artifact(model)
    return Trained(model, artifact, artifact_hash(artifact), booster, matrix)


def numeric_model(task, label):
    matrix = numeric_matrix()
    known = np.nan_to_num(matrix)
    score = known[:, 0] + known[:, 1] * known[:, 2]
    if task == "multiclass":
        booster = train("multiclass", matrix, np.digitize(score, [-0.5, 0.5]), num_class=3)
    elif task == "binary":
        booster = train("binary", matrix, score > 0)
    else:
        booster = train("regression", matrix, score)
    arguments = [Argument(name, "number") for name in NUMBERS]
    features = [Feature(name, has_missing=True) for name in NUMBERS]
    return wrap(booster, matrix, task=task, label=label, arguments=arguments, steps=(), features=features)


@pytest.fixture(scope="session")
def binary():
    return numeric_model("binary", Label("late", "VARCHAR", ("no", "yes, by more than a quarter of an hour")))


@pytest.fixture(scope="session")
def regression():
    return numeric_model("regression", Label("delay", "DOUBLE"))


@pytest.fixture(scope="session")
def multiclass():
    return numeric_model("multiclass", Label("size", "INTEGER", (10, 20, 30)))


LEVELS = ("red", "a rather long colour name", "grün")


@pytest.fixture(scope="session")
def mixed():
    """Text (with NULL and unseen words), a boolean, a date, a timestamp and a number."""
    rng = np.random.default_rng(3)
    codes = rng.integers(-1, 4, ROWS)  # -1 unseen, 3 NULL
    flag = rng.integers(0, 2, ROWS).astype(float)
    month = rng.integers(1, 13, ROWS).astype(float)
    hour = rng.integers(0, 24, ROWS).astype(float)
    number = np.round(rng.normal(size=ROWS), 2)
    matrix = np.stack((codes.astype(float), flag, month, hour, number), axis=1)
    target = (codes == 1) * 2.0 + flag * number + (month > 6) + (hour < 6)
    booster = lightgbm.train(
        {"objective": "regression", "verbose": -1, "num_threads": 1, "min_data_per_group": 5},
        lightgbm.Dataset(matrix, target, categorical_feature=[0]),
        20,
    )
    arguments = [
        Argument("colour", "text"),
        Argument("flag", "boolean"),
        Argument("day", "date"),
        Argument("moment", "timestamp"),
        Argument("price", "number"),
    ]
    steps = [
        Step("dictionary", ("colour",), ("colour_code",), _dictionary_params()),
        Step("calendar", ("day",), ("month",), {"parts": ["month"]}),
        Step("calendar", ("moment",), ("hour",), {"parts": ["hour"]}),
    ]
    features = [
        Feature("colour_code", categorical=True, levels=(*LEVELS, None)),
        Feature("flag"),
        Feature("month"),
        Feature("hour"),
        Feature("price"),
    ]
    return wrap(
        booster,
        matrix,
        task="regression",
        label=Label("y", "DOUBLE"),
        arguments=arguments,
        steps=steps,
        features=features,
    )


def _dictionary_params():
    from udfs.transforms.dictionary import texts

    return texts("levels", list(LEVELS)) | {"null_code": 3}


@pytest.fixture
def connect():
    """Open a database with the scorer under test; returns the connection and the instance's registry."""
    opened = []

    def open_database(path=":memory:", **options):
        connection = duckdb.connect(str(path), **options)
        opened.append(connection)
        return connection, udfs.duckdb.instance_of(connection)

    yield open_database
    for connection in opened:
        connection.close()


@pytest.fixture
def database(connect, binary, regression, multiclass):
    """A connection with table t of the models' data, and the models published in schema main."""
    connection, registry = connect()
    columns = {name: binary.matrix[:, i] for i, name in enumerate(NUMBERS)}
    import pyarrow as pa

    source = pa.table({"id": np.arange(ROWS)} | {k: pa.array(v, from_pandas=True) for k, v in columns.items()})
    connection.register("source", source)
    connection.execute("CREATE TABLE t AS SELECT * FROM source")
    models = {"late": binary, "delay": regression, "size": multiclass}
    for trained in models.values():
        registry.put(trained.hash, trained.artifact)
    registry.publish("memory", {("main", k): {None: v.hash, 1: v.hash, "best": v.hash} for k, v in models.items()})
    return connection


@pytest.fixture(scope="session")
def uses_arrow():
    return os.environ.get("SQLML_SCORER") == "arrow"
