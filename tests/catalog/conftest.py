"""Models small enough to be made without training, versions around them, and stores on new databases."""

import dataclasses
import hashlib
from types import SimpleNamespace

import duckdb
import numpy as np
import pytest

from sqlml.catalog.records import FeatureStatistics, Fingerprint, MetricRow, NewVersion
from sqlml.catalog.store import Store
from sqlml.engines.duckdb import DuckDBEngine
from udfs.artifact import artifact_hash, write_artifact
from udfs.model import Argument, Feature, Forest, Input, Label, Model, Tree


def make_tree(value=1.0):
    """``x < 0.5`` gives ``value``, else ``value + 1``."""
    return Tree(
        split_feature=np.array([0], np.int32),
        threshold=np.array([0.5]),
        decision_type=np.array([8], np.int8),
        left_child=np.array([-1], np.int32),
        right_child=np.array([-2], np.int32),
        leaf_value=np.array([value, value + 1.0]),
        split_gain=np.array([2.0], np.float32),
        internal_value=np.array([value + 0.5]),
        internal_weight=np.array([10.0]),
        internal_count=np.array([10], np.int32),
        leaf_weight=np.array([5.0, 5.0]),
        leaf_count=np.array([5, 5], np.int32),
        cat_boundaries=np.array([], np.int32),
        cat_threshold=np.array([], np.uint32),
    )


def make_model(value=1.0, inputs=(("x", "number"),), **changes):
    forest = Forest(
        trees=(make_tree(value), make_tree(value / 2)),
        outputs=1,
        objective="regression",
        average_output=False,
        feature_names=tuple(name for name, _ in inputs),
    )
    model = Model(
        task="regression",
        label=Label("y", "DOUBLE"),
        inputs=tuple(Input(name, kind, "DOUBLE") for name, kind in inputs),
        arguments=tuple(Argument(name, kind) for name, kind in inputs),
        steps=(),
        features=tuple(Feature(name, source=name) for name, _ in inputs),
        forest=forest,
        provenance={"seed": 7},
    )
    return dataclasses.replace(model, **changes)


def make_version(value=1.0, inputs=(("x", "number"),), body=None, **changes):
    artifact = write_artifact(make_model(value, inputs)) if body is None else body
    version = NewVersion(
        artifact=artifact,
        artifact_hash=artifact_hash(artifact),
        task="regression",
        statement="CREATE MODEL m AS FROM t",
        options={"num_leaves": 2, "label": "y"},
        label="y",
        label_type="DOUBLE",
        signature=tuple(inputs),
        engine="duckdb",
        engine_version=duckdb.__version__,
        library_versions={"lightgbm": "4.7.0"},
        fingerprint=Fingerprint(10, (("x", "DOUBLE"), ("y", "DOUBLE")), hashlib.sha256(b"rows").hexdigest()),
        seed=7,
        reproducible=True,
        metrics=(
            MetricRow("evaluation", "r2_score", 0.5),
            MetricRow("training", "l2", 0.25, 1),
            MetricRow("training", "l2", 0.125, 2),
        ),
        feature_statistics=(
            FeatureStatistics("x", "number", 10, 1, "0", "9", 4.5, 2.9, 10, ((None, 1), ("3", 2)), (0.0, 4.5, 9.0)),
        ),
        evaluation={"metrics": {"r2_score": 0.5}, "worst": float("inf"), "none": float("nan")},
        training_info={"training_rows": 10},
        notices=("one row had a NULL label",),
    )
    return dataclasses.replace(version, **changes)


@pytest.fixture(scope="session")
def make():
    """Constructors: ``make.tree``, ``make.model``, ``make.version``."""
    return SimpleNamespace(tree=make_tree, model=make_model, version=make_version)


@pytest.fixture
def open_store(open_engine):
    """``open_store()`` opens a store on another connection to the test's database; ``path`` a file of DuckDB's own."""
    opened = []

    def open_one(path=None, **options):
        if path is None:
            return Store(open_engine(**options))
        opened.append(duckdb.connect(str(path), **options))
        return Store(DuckDBEngine(opened[-1]))

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def database(store):
    """The database that the store looks at."""
    return store._engine.current_database()


@pytest.fixture
def schema(engine_name):
    """The schema that a model goes into where nobody says which."""
    return "main" if engine_name == "duckdb" else "public"


@pytest.fixture
def connection_of():
    return lambda store: store._engine.connection
