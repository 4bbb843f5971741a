"""Scoring inside Postgres: ``SELECT sum(score)`` by each scorer, against bringing the rows out and against a C function a row.

Everything runs on a server of the benchmark's own. PostgresML's shape, a C function that gets a float array and calls LightGBM's
C API for a row or for an array of rows, is compiled here where the server's headers are; without them its lines are left out, and a
word says so, as are MADlib's (``benchmarks.postgres_madlib``) where it was not built. In the server OpenMP has one thread, which is
what a backend of ours has: with its default of one a core, each single row would wait for all of them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import postgres_madlib
from benchmarks.measure import Figure, seconds, take_turns
from benchmarks.postgres_rivals import CTYPES_PER_ROW, CompiledRival
from udfs.postgres.plsql_refusal import MOST_LEAVES

ROWS, FEW_ROWS, ARRIVING, LOOKUPS = 1_000_000, 100_000, 100_000, 2_000
NATIVE, WORKERS, LIGHTGBM, KERNEL = "native", "native, two workers", "ADBC, LightGBM", "ADBC, sqlml's block kernel"
PYTHON, CTYPES, SQL = "PL/Python", "ctypes a row", "SQL"


@dataclass(frozen=True)
class Shape:
    """Trees, leaves and columns of a model."""

    trees: int
    leaves: int
    columns: int

    @property
    def name(self) -> str:
        return f"m_{self.trees}_{self.leaves}"

    @property
    def listed(self) -> str:
        return ", ".join(f"f{i}" for i in range(self.columns))


SHAPES = (Shape(100, 31, 10), Shape(500, 63, 20))


def measure(threads: int, rounds: int, rows: int = ROWS) -> list[Figure]:
    """The table's lines on scoring in Postgres."""
    from sqlml.cli.private_cluster import PrivateCluster

    settings = {"max_parallel_workers_per_gather": "0", "shared_buffers": "512MB"}
    with PrivateCluster(settings=settings, environment={"OMP_NUM_THREADS": "1"}) as cluster:
        figures, rival = [], CompiledRival(cluster)
        if rival.missing:
            print(f"  PostgresML's shape is left out: it needs {rival.missing}")
        if missing := postgres_madlib.reason_to_leave_out():
            print(f"  MADlib is left out: it needs {missing}")
        for shape in SHAPES:
            dsns = _databases(cluster, shape, rows)
            bench = _Bench(shape, dsns, rows, threads)
            figures += bench.whole_table(rounds) + bench.small_table(rounds, rival)
            if shape is SHAPES[0]:
                figures += bench.latency() + bench.arrival(rounds)
                if not missing:
                    figures += bench.madlib(cluster, rounds)
            bench.close()
    return figures


def _databases(cluster: Any, shape: Shape, rows: int) -> dict[str, str]:
    """The address of a database for each scorer; they share one model, trained in the first, which alone has all rows."""
    import sqlml

    dsns = {"native": _database(cluster, shape, "native", rows)}
    options = f"input_label_cols = ['y'], max_iterations = {shape.trees}, num_leaves = {shape.leaves}, data_split_method = 'NO_SPLIT'"
    with tempfile.TemporaryDirectory() as folder:
        with sqlml.connect(dsns["native"]) as con:
            con.execute(
                f"CREATE MODEL {shape.name} OPTIONS ({options}, num_threads = 1, seed = 1) AS SELECT * FROM training"
            )
            con.execute(f"EXPORT MODEL {shape.name} TO '{folder}/model'")
        for scorer in ("plpython", "sql"):
            dsns[scorer] = _database(cluster, shape, scorer, min(rows, FEW_ROWS))
            with sqlml.connect(dsns[scorer]) as con:
                con.execute(f"IMPORT MODEL {shape.name} FROM '{folder}/model'")
    return dsns


def _database(cluster: Any, shape: Shape, scorer: str, rows: int) -> str:
    """The address of a database with the scorer, the table ``points`` to score and the table ``training``."""
    import psycopg

    from sqlml.install.installation import install

    name = f"scoring_{scorer}_{shape.trees}"
    dsn: str = cluster.create_database(name)
    gauss = "sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())"
    values = ", ".join(f"{gauss} AS f{i}" for i in range(shape.columns))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(f"CREATE TABLE points AS SELECT {values} FROM generate_series(1, {rows})")
        connection.execute(
            f"CREATE TABLE training AS SELECT *, f0 + f1 * f2 + sin(3 * f3) > 0 AS y FROM points LIMIT {FEW_ROWS}"
        )
        connection.execute("VACUUM ANALYZE points")
    install(dsn, scorer, tell=lambda text: None)  # type: ignore[arg-type] - one of the three names
    return dsn


class _Bench:
    """The contestants on one shape."""

    def __init__(self, shape: Shape, dsns: dict[str, str], rows: int, threads: int) -> None:
        import lightgbm
        import psycopg
        from adbc_driver_postgresql import dbapi

        import sqlml
        from udfs.artifact import read_artifact
        from udfs.forest.text import format_lightgbm
        from udfs.scorer import Scorer

        self.shape, self.dsns, self.rows, self.threads = shape, dsns, rows, threads
        self.plain = {name: psycopg.connect(dsn, autocommit=True) for name, dsn in dsns.items()}
        self.outside = dbapi.connect(dsns["native"])
        self.session = {name: sqlml.connect(dsn) for name, dsn in dsns.items()}
        own = self.session["native"]._session  # noqa: SLF001 - the artifact's bytes are nobody else's business
        self.model = read_artifact(own.store.artifact(own.find(shape.name)))
        self.text = format_lightgbm(self.model.forest)
        self.booster = lightgbm.Booster(model_str=self.text)
        self.scorer = Scorer(self.model)

    def close(self) -> None:
        for connection in (*self.plain.values(), *self.session.values(), self.outside):
            connection.close()

    def ask(self, scorer: str, query: str) -> Callable[[], Any]:
        return lambda: self.plain[scorer].execute(query).fetchone()

    def score(self, limit: int | None = None) -> str:
        source = "points" if limit is None else f"(SELECT * FROM points LIMIT {limit}) AS points"
        return f"SELECT sum(sqlml.predict('{self.shape.name}', {self.shape.listed})) FROM {source}"

    def dialect(self, scorer: str, limit: int) -> Callable[[], Any]:
        source = f"(SELECT * FROM points LIMIT {limit}) AS points"
        query = f"SELECT sum(PREDICT_PROBA({self.shape.name}, {self.shape.listed})) AS s FROM {source}"
        return lambda: self.session[scorer].execute(query).fetchall()

    def in_workers(self) -> Any:
        connection = self.plain["native"]
        connection.execute("SET max_parallel_workers_per_gather = 2")
        try:
            return connection.execute(self.score()).fetchone()
        finally:
            connection.execute("RESET max_parallel_workers_per_gather")

    def fetched(self, limit: int) -> Any:
        with self.outside.cursor() as cursor:
            cursor.execute(f"SELECT * FROM points LIMIT {limit}")
            return cursor.fetch_arrow_table()

    def with_lightgbm(self) -> None:
        import numpy as np

        matrix = np.column_stack([column.to_numpy() for column in self.fetched(self.rows).columns])
        self.booster.predict(matrix, num_threads=self.threads).sum()

    def with_kernel(self) -> None:
        for batch in self.fetched(self.rows).to_batches():
            self.scorer.predict(batch).sum()

    def title(self) -> str:
        return f"`SELECT sum(predict)` in Postgres, {self.shape.trees} trees x {self.shape.leaves} leaves x {self.shape.columns}"

    def whole_table(self, rounds: int) -> list[Figure]:
        """Native code against the rows brought out."""
        times = take_turns(
            {NATIVE: self.ask("native", self.score()), WORKERS: self.in_workers, LIGHTGBM: self.with_lightgbm, KERNEL: self.with_kernel},
            rounds,
        )  # fmt: skip
        pairs = (
            (NATIVE, LIGHTGBM, "2.8x"),
            (NATIVE, KERNEL, "1.5x"),
            (WORKERS, LIGHTGBM, "5x"),
            (WORKERS, NATIVE, "1.8x"),
        )
        return [self.figure(ours, rival, times, self.rows, goal) for ours, rival, goal in pairs]

    def figure(self, ours: str, rival: str, times: dict[str, float], rows: int, goal: str = "") -> Figure:
        rates = [f"{rows / times[name] / 1e3:,.0f}k rows/s" for name in (ours, rival)]
        return Figure(f"{self.title()}, {ours}", rival, *rates, f"{times[rival] / times[ours]:.2f}x as fast", goal)

    def small_table(self, rounds: int, rival: CompiledRival) -> list[Figure]:
        """The other scorers, and functions that are called a row at a time, on fewer rows."""
        few = min(FEW_ROWS, self.rows)
        array = f"ARRAY[{self.shape.listed}]"
        self.plain["plpython"].execute(CTYPES_PER_ROW)
        self.plain["plpython"].execute("CREATE TABLE IF NOT EXISTS boosters (body text); TRUNCATE boosters")
        self.plain["plpython"].execute("INSERT INTO boosters VALUES (%s)", [self.text])
        contestants = {
            NATIVE: self.ask("native", self.score(few)),
            PYTHON: self.dialect("plpython", few),
            CTYPES: self.ask(
                "plpython", f"SELECT sum(ctypes_score({array})) FROM (SELECT * FROM points LIMIT {few}) AS p"
            ),
        }
        in_sql = self.shape.trees * self.shape.leaves <= MOST_LEAVES  # a larger forest goes to the outside scorer
        if in_sql:
            contestants[SQL] = self.dialect("sql", few)
        rivals = rival.queries(self.plain["native"], self.booster, self.shape.columns, few) if not rival.missing else {}
        contestants |= {name: self.ask("native", query) for name, query in rivals.items()}
        times = take_turns(contestants, rounds)
        lines = [
            self.figure(NATIVE, CTYPES, times, few, "2.5x"),
            self.figure(PYTHON, CTYPES, times, few),
        ]
        if in_sql:
            lines.append(self.figure(SQL, CTYPES, times, few))
        lines += [self.figure(NATIVE, name, times, few) for name in rivals]
        return lines

    def madlib(self, cluster: Any, rounds: int) -> list[Figure]:
        """MADlib's forest, in trees of as many leaves."""
        connection, depth = self.plain["native"], (self.shape.leaves - 1).bit_length()
        postgres_madlib.install_madlib(cluster, connection.info.dbname)
        postgres_madlib.forests(connection, self.shape.trees, depth, self.shape.columns)
        times = postgres_madlib.times(connection, self.shape.name, self.shape.listed, rounds)
        figure = self.figure(NATIVE, postgres_madlib.MADLIB, times, postgres_madlib.ROWS)
        return [replace(figure, what=figure.what.replace("`SELECT sum(predict)`", "`CREATE TABLE` of scores"))]

    def latency(self) -> list[Figure]:
        """The first call of a fresh backend, and one row of a prepared statement."""
        import psycopg

        call = (
            f"SELECT sqlml.predict('{self.shape.name}', {', '.join('0.5::float8' for _ in range(self.shape.columns))})"
        )
        first = []
        for _ in range(9):
            with psycopg.connect(self.dsns["native"], autocommit=True) as fresh:
                fresh.execute("SELECT 1")
                first.append(_timed(fresh, call))
        warm: dict[str, list[float]] = {"SELECT 1": [], call: []}
        for query in warm:
            for _ in range(10):
                self.plain["native"].execute(query, prepare=True)
        for _ in range(LOOKUPS):  # in turn, so that what disturbs one disturbs the other
            for query, times in warm.items():
                times.append(_timed(self.plain["native"], query))
        ours, theirs = statistics.median(warm[call]), statistics.median(warm["SELECT 1"])
        start = statistics.median(first)
        return [
            Figure("One row by a prepared statement in Postgres", "`SELECT 1`", seconds(ours), seconds(theirs), f"{(ours - theirs) * 1e6:.0f} µs more", "12 µs"),
            Figure("First call of a fresh backend", "-", seconds(start), "-", seconds(start), "5 ms"),
        ]  # fmt: skip

    def arrival(self, rounds: int) -> list[Figure]:
        """INSERT of many rows into a table without scores, with a generated column, and with a trigger."""
        connection = self.plain["native"]
        columns = ", ".join(f"f{i} float8" for i in range(self.shape.columns))
        for name in ("bare", "generated", "triggered"):
            connection.execute(f"CREATE TABLE {name} (id bigint GENERATED ALWAYS AS IDENTITY, {columns})")
        version = f"sqlml.predict_version('{self.shape.name}', 1, {self.shape.listed})"
        connection.execute(f"ALTER TABLE generated ADD score float8 GENERATED ALWAYS AS ({version}) STORED")
        connection.execute(f"SELECT sqlml.score_on_insert('triggered', '{self.shape.name}', 'id')")
        count = min(ARRIVING, self.rows)

        def insert(name: str) -> Callable[[], Any]:
            query = f"INSERT INTO {name} ({self.shape.listed}) SELECT * FROM points LIMIT {count}"
            return lambda: connection.execute(query)

        times = take_turns({name: insert(name) for name in ("bare", "generated", "triggered")}, rounds)
        shown = {"generated": "a generated column", "triggered": "`sqlml.score_on_insert`"}
        return [
            Figure(f"INSERT of {count // 1000}k rows, scores by {how}", "INSERT alone", seconds(times[name]), seconds(times["bare"]), f"{times[name] / times['bare']:.2f}x the time", "")
            for name, how in shown.items()
        ]  # fmt: skip


def _timed(connection: Any, query: str) -> float:
    began = time.perf_counter()
    connection.execute(query, prepare=True).fetchone()
    return time.perf_counter() - began
