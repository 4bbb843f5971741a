"""Engines and a one-call way to train on a query."""

from __future__ import annotations

import pytest

from sqlml.language.statements import Option, Span
from sqlml.planning.features import FeatureOptions, plan_features
from sqlml.planning.options import parse_options
from sqlml.training.train import TrainingSource, train
from udfs.artifact import read_artifact


@pytest.fixture
def connection(engine):
    """The engine's own connection: both clients have ``execute``."""
    return engine.connection


@pytest.fixture
def fit(engine):
    """``fit(query, label=..., max_iterations=5, ...)`` trains as CREATE MODEL does and gives the version."""

    def run(query, *, transform=None, progress=None, cancelled=None, **options):
        # Threads that wait for each other are slow on a busy machine, and the model is the same with any number of them.
        options.setdefault("num_threads", 1)
        parsed = parse_options([Option(key, value, Span(i, i)) for i, (key, value) in enumerate(options.items())])
        columns = engine.columns(query)
        plan = plan_features(
            columns,
            label=parsed.label,
            transform=transform,
            options=FeatureOptions(parsed.categorical_features, parsed.exclude, parsed.reserved_columns),
            dialect=engine.dialect,
            type_of=lambda sql: engine.columns(f"SELECT {sql} AS v FROM ({query}) AS q")[0].sql_type,
        )
        source = TrainingSource(query, f"CREATE MODEL m AS {query}")
        return train(engine, source, parsed, plan, progress=progress, cancelled=cancelled)

    return run


@pytest.fixture
def model_of():
    """The model in a version's artifact."""
    return lambda version: read_artifact(version.artifact)
