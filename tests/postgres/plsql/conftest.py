"""A throw-away server, models of every kind as functions of it, and a way to hold both scorers against each other."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from udfs.forest.text import parse_lightgbm
from udfs.model import Argument, Feature, Input, Label, Model
from udfs.postgres.plsql import plsql_functions, plsql_refusal
from udfs.postgres.plsql_program import SQL_TYPES
from udfs.scorer import Scorer

BIN = Path("/usr/lib/postgresql/15/bin")
ROOT = Path(__file__).parent.parent.parent


def _as_postgres(*command):
    if os.getuid():
        return list(command)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


@pytest.fixture(scope="session")
def dsn():
    """A server of its own; fsync off, JIT as a server has it."""
    if not BIN.exists():
        pytest.skip("no PostgreSQL server programs here")
    home = Path(tempfile.mkdtemp(prefix="sqlml-plsql-"))
    if not os.getuid():
        shutil.chown(home, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = home / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home}
    initdb = [
        BIN / "initdb",
        "-D",
        data,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-U",
        "postgres",
        "--no-sync",
    ]
    subprocess.run(_as_postgres(*map(str, initdb)), check=True, **quiet)
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={home}", "fsync=off"]
    options = [piece for setting in settings for piece in ("-c", setting)]
    server = subprocess.Popen(_as_postgres(str(BIN / "postgres"), "-D", str(data), *options), **quiet)
    name = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    try:
        _wait(name)
        yield name
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def _wait(name):
    for _ in range(200):
        try:
            psycopg.connect(name).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the server does not start")


@pytest.fixture
def connection(dsn):
    with psycopg.connect(dsn, autocommit=True) as opened:
        opened.execute('DROP SCHEMA IF EXISTS "Odd ""Name" CASCADE')
        opened.execute('CREATE SCHEMA "Odd ""Name"')
        yield opened


def forest_models():
    """The module with LightGBM models of every kind."""
    path = ROOT / "forest" / "conftest.py"
    spec = importlib.util.spec_from_file_location("forest_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORESTS = forest_models()


@functools.cache
def plain_model(kind):
    """A model over numbers as they are."""
    booster, x = FORESTS.train(kind)
    names = [f"x{i}" for i in range(x.shape[1])]
    forest = parse_lightgbm(booster.model_to_string())
    return numeric_model(names, forest)


def numeric_model(names, forest):
    task = "multiclass" if forest.outputs > 1 else "regression"
    return (
        Model(
            task,
            Label("y", "float8", tuple(range(forest.outputs)) if forest.outputs > 1 else ()),
            tuple(Input(name, "number", "float8") for name in names),
            tuple(Argument(name, "number") for name in names),
            (),
            tuple(Feature(name) for name in forest.feature_names),
            forest,
        )
        if tuple(names) == forest.feature_names
        else _renamed(names, forest, task)
    )


def _renamed(names, forest, task):
    from dataclasses import replace

    return numeric_model(names, replace(forest, feature_names=tuple(names)))


class Twins:
    """A model's functions in a database and its scorer in Python, over the same table."""

    schema, stem = 'Odd "Name', "m'1\\"

    def __init__(self, connection, model):
        assert plsql_refusal(model) is None
        self.connection, self.model, self.scorer = connection, model, Scorer(model)
        for statement in plsql_functions(model, self.schema, self.stem):
            connection.execute(statement)

    def load(self, columns):
        """Fill table t; the columns are lists in the order of the arguments, None = NULL."""
        types = ", ".join(f"c{i} {SQL_TYPES[a.kind]}" for i, a in enumerate(self.model.arguments))
        self.connection.execute(f"DROP TABLE IF EXISTS t CASCADE; CREATE TABLE t (id int, {types})")
        with self.connection.cursor().copy("COPY t FROM STDIN") as copy:
            for row in zip(range(len(columns[0])), *columns, strict=True):
                copy.write_row(row)

    def call(self, suffix=""):
        """A function over every row of t, as a matrix of outputs and rows."""
        names = ", ".join(f"c{i}" for i in range(len(self.model.arguments)))
        schema, stem = self.schema.replace('"', '""'), self.stem.replace('"', '""')
        rows = self.connection.execute(f'SELECT "{schema}"."{stem}{suffix}"({names}) FROM t ORDER BY id').fetchall()
        values = [row[0] if isinstance(row[0], list) else [row[0]] for row in rows]
        return np.ascontiguousarray(np.array(values, np.float64).T)

    @staticmethod
    def check_bits(got, want):
        """Equal bit for bit, all NaN alike."""
        same_bits(got, want)

    def check_features(self, batch):
        """What the forest sees, against the scorer."""
        same_bits(self.call("_features"), self.scorer.features(batch))

    def check(self, batch, wanted=None):
        """All functions against the scorer."""
        self.check_features(batch)
        same_bits(self.call("_raw"), self.scorer.raw_scores(batch))
        predictions = self.scorer.predictions(batch) if wanted is None else wanted
        same_bits(self.call(), predictions)
        if self.model.forest.outputs == 1:
            same_bits(self.call("_value"), predictions)


def same_bits(got, want):
    assert got.shape == want.shape
    nan = np.isnan(want)
    wrong = (got.view(np.int64) != want.view(np.int64)) & ~(nan & np.isnan(got))
    where = np.argwhere(wrong)[:5].tolist()
    assert not wrong.any(), [(place, got[tuple(place)], want[tuple(place)]) for place in where]


@pytest.fixture
def twins(connection):
    """From a model to its twins."""
    return functools.partial(Twins, connection)


@pytest.fixture(params=list(FORESTS.KINDS))
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def forests():
    """What tests/forest trains."""
    return FORESTS


@pytest.fixture(scope="session")
def models():
    """From a kind to its model over plain numbers."""
    return plain_model


@pytest.fixture(scope="session")
def batches():
    """From a matrix of rows to Arrow."""

    def batch(rows):
        return pa.record_batch([pa.array(column) for column in rows.T], [f"x{i}" for i in range(rows.shape[1])])

    return batch
