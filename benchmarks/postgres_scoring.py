"""Scoring inside Postgres: ``SELECT sum(predict)`` in one backend and with two workers, against bringing the rows out.

Run: python -m benchmarks.postgres_scoring 'host=... user=...' [rows]     a superuser of a throw-away cluster with the native
functions installed (sql/postgres/native.sql) and a schema sqlml with _images and _resolve; all ratios are of one run.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time

import lightgbm
import numpy as np
import psycopg
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from benchmarks.measure import take_turns
from udfs.forest.text import parse_lightgbm
from udfs.model import Argument, Feature, Input, Label, Model
from udfs.postgres.image import build_server_image
from udfs.scorer import Scorer

SHAPES = ((100, 31, 10), (500, 63, 20))
ROUNDS, LOOKUPS = 3, 400


def model_of(booster: lightgbm.Booster, features: int) -> Model:
    names = [f"f{i}" for i in range(features)]
    return Model(
        "binary",
        Label("y", "boolean", (False, True)),
        tuple(Input(name, "number", "double precision") for name in names),
        tuple(Argument(name, "number") for name in names),
        (),
        tuple(Feature(name) for name in names),
        parse_lightgbm(booster.model_to_string()),
    )


def prepare(connection: psycopg.Connection, shape: tuple[int, int, int], rows: int) -> tuple[lightgbm.Booster, Model]:
    """A table ``bench`` and a model ``bench`` of this shape."""
    trees, leaves, features = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100_000, features))
    y = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(3 * x[:, 3]) > 0
    booster = lightgbm.train(
        {"objective": "binary", "num_leaves": leaves, "verbose": -1}, lightgbm.Dataset(x, y), trees
    )
    model = model_of(booster, features)
    image = build_server_image(model)
    digest = hashlib.sha256(image).hexdigest()
    connection.execute("INSERT INTO sqlml._images VALUES (%s, %s) ON CONFLICT DO NOTHING", [digest, image])
    connection.execute("DELETE FROM named WHERE name = 'bench'")
    connection.execute("INSERT INTO named VALUES ('bench', %s)", [digest])
    values = ", ".join(f"sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS f{i}" for i in range(features))
    connection.execute("DROP TABLE IF EXISTS bench")
    connection.execute(f"CREATE TABLE bench AS SELECT {values} FROM generate_series(1, {rows})")
    connection.execute("VACUUM ANALYZE bench")
    return booster, model


def measure(address: str, shape: tuple[int, int, int], rows: int) -> None:
    """One shape's lines."""
    with psycopg.connect(address, autocommit=True) as connection:
        booster, model = prepare(connection, shape, rows)
        columns = ", ".join(f"f{i}" for i in range(shape[2]))
        query = f"SELECT sum(sqlml._value('bench', {columns})) FROM bench"
        outside = dbapi.connect(_uri(connection))
        scorer = Scorer(model)

        def inside(workers: int) -> None:
            connection.execute(f"SET max_parallel_workers_per_gather = {workers}")
            connection.execute(query).fetchone()

        def fetched() -> pa.Table:
            with outside.cursor() as cursor:
                cursor.execute("SELECT * FROM bench")
                return cursor.fetch_arrow_table()

        def lightgbm_outside() -> None:
            matrix = np.column_stack([column.to_numpy() for column in fetched().columns])
            booster.predict(matrix, num_threads=2).sum()

        def kernel_outside() -> None:
            for batch in fetched().to_batches():
                scorer.predict(batch).sum()

        times = take_turns(
            {
                "native, one backend": lambda: inside(0),
                "native, two workers": lambda: inside(2),
                "ADBC + LightGBM, two threads": lightgbm_outside,
                "ADBC + sqlml's block kernel": kernel_outside,
            },
            ROUNDS,
        )
        ours = times["native, one backend"]
        print(f"{shape[0]} trees x {shape[1]} leaves x {shape[2]} features, {rows} rows")
        for name, seconds in times.items():
            print(f"  {name:32} {rows / seconds / 1e3:8.0f}k rows/s   native is {seconds / ours:.2f} times as fast")
        outside.close()


def latency(address: str) -> None:
    """The first call of a fresh backend, and one row through a prepared statement, of the model ``bench``."""
    values = ", ".join("0.5" for _ in range(SHAPES[0][2]))
    call = f"SELECT sqlml._value('bench', {values})"
    first = []
    for _ in range(7):
        with psycopg.connect(address, autocommit=True) as fresh:
            fresh.execute("SELECT 1")
            first.append(_timed(fresh, call))
    with psycopg.connect(address, autocommit=True) as warm:
        medians = {}
        for query in ("SELECT 1", call):
            warm.execute(query, prepare=True)
            medians[query] = statistics.median(_timed(warm, query) for _ in range(LOOKUPS))
    print(f"  first call in a fresh backend {statistics.median(first) * 1e3:.1f} ms")
    print(f"  one row p50 {medians[call] * 1e6:.0f} us, SELECT 1 {medians['SELECT 1'] * 1e6:.0f} us")


def _timed(connection: psycopg.Connection, query: str) -> float:
    began = time.perf_counter()
    connection.execute(query, prepare=True).fetchone()
    return time.perf_counter() - began


def _uri(connection: psycopg.Connection) -> str:
    info = connection.info
    return f"postgresql://{info.user}@{info.host}:{info.port}/{info.dbname}"


def main() -> None:
    """Print the table."""
    address = sys.argv[1]
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    for shape in SHAPES:
        measure(address, shape, rows)
        if shape == SHAPES[0]:
            latency(address)


if __name__ == "__main__":
    main()
