"""Where bins are cut: from sampled rows, as it is done, or from the engine's own quantiles of all rows. A study.

python -m benchmarks.binning [--trees N]

Nothing of it is kept. Rows drawn on the way cost no reading of their own, since statistics, the split and the content's hash need
every row once anyway, and no way of quantiles gave a better model: the differences are within the spread of three seeds, but for
delays, whose long tail 1,024 points of a column describe too coarsely. More points would be more work, and the engine takes 13 s and
more for exact ones. Quantiles also say nothing about which features are set together, which LightGBM's bundling looks at.

40 trees, means of 3 seeds on rows left out, beside other work (times are medians until the bins are cut):

| data | drawn while all are read | drawn by the engine | quantiles, exact | quantiles, approximate |
|---|---:|---:|---:|---:|
| late flights, AUC (spread 0.004) | 0.75175, 1.0 s | 0.75151, 0.8 s | 0.75208, 16 s | 0.75138, 1.1 s |
| delays, RMSE (spread 0.03; of quantiles 0.2 to 0.4) | 16.919, 0.7 s | 16.935, 1.0 s | 17.724, 13 s | 17.903, 1.2 s |
| Friedman's function, RMSE (spread 0.004) | 1.2434, 0.8 s | 1.2413, 2.1 s | 1.2435, 26 s | 1.2424, 3.3 s |
| heavy tails, AUC (spread 0.0004) | 0.94764, 0.9 s | 0.94748, 1.4 s | | 0.94735, 2.1 s |
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import lightgbm
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.measure import seconds

FloatArray = npt.NDArray[np.float64]
Cut = Callable[["Data", int], FloatArray]
SAMPLE = 200_000  # rows, LightGBM's own number
POINTS = 1_024  # quantiles of a column
SEEDS = (1, 2, 3)
BATCH = 1 << 14


@dataclass(frozen=True)
class Data:
    """A table of features and ``label`` in the database, and which features are categories."""

    name: str
    connection: duckdb.DuckDBPyConnection
    objective: str
    features: tuple[str, ...]
    categorical: tuple[int, ...] = ()

    def matrix(self, where: str) -> tuple[FloatArray, FloatArray]:
        """Rows as LightGBM takes them, and their labels."""
        names = ", ".join(f"{name}::DOUBLE AS {name}" for name in (*self.features, "label"))
        table = self.connection.sql(f"SELECT {names} FROM {self.name} WHERE {where}").to_arrow_table()
        columns = [column.to_numpy() for column in table.columns]
        return np.column_stack(columns[:-1]), columns[-1]


def rows_sampled_while_read(data: Data, seed: int) -> FloatArray:
    """As it is: all rows are read once, which statistics and the split need in any case, and some of them are kept."""
    names = ", ".join(f"{name}::DOUBLE AS {name}" for name in data.features)
    ((total,),) = data.connection.execute(f"SELECT count(*) FROM {data.name} WHERE part({seed}, row)").fetchall()
    generator = np.random.default_rng(seed)
    reader = data.connection.sql(f"SELECT {names} FROM {data.name} WHERE part({seed}, row)").to_arrow_reader(BATCH)
    kept = [batch.filter(pa.array(generator.random(batch.num_rows) < SAMPLE / total)) for batch in reader]
    return np.stack([column.to_numpy() for column in pa.Table.from_batches(kept).columns])


def rows_sampled_by_the_engine(data: Data, seed: int) -> FloatArray:
    """A query of its own that gives the sample and nothing else."""
    names = ", ".join(f"{name}::DOUBLE AS {name}" for name in data.features)
    query = f"SELECT * FROM (SELECT {names} FROM {data.name} WHERE part({seed}, row)) USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE ({seed})"
    return np.stack([column.to_numpy() for column in data.connection.sql(query).to_arrow_table().columns])


def exact_quantiles(data: Data, seed: int) -> FloatArray:
    """Every column sorted by the engine."""
    return _quantiles(data, seed, "quantile_disc")


def approximate_quantiles(data: Data, seed: int) -> FloatArray:
    """Every column summed up in a T-digest by the engine."""
    return _quantiles(data, seed, "approx_quantile")


def _quantiles(data: Data, seed: int, function: str) -> FloatArray:
    """As many values of every column as stand for all of them, missing ones included, each column in an order of its own."""
    points = ", ".join(repr((k + 0.5) / POINTS) for k in range(POINTS))
    calls = [f"{function}({name}::DOUBLE, [{points}]), avg(({name} IS NULL)::INT)" for name in data.features]
    query = f"SELECT {', '.join(calls)} FROM {data.name} WHERE part({seed}, row)"
    (found,) = data.connection.execute(query).fetchall()
    generator = np.random.default_rng(seed)
    columns = []
    for values, missing in zip(found[::2], found[1::2], strict=True):
        present = np.array(values, np.float64)
        gone = round(POINTS * missing)
        chosen = present[(np.arange(POINTS - gone) * POINTS) // max(POINTS - gone, 1)]
        # LightGBM bundles features that are never set in the same row: in sorted columns it would see what is not there.
        columns.append(generator.permutation(np.concatenate((chosen, np.full(gone, np.nan)))))
    return np.stack(columns)


CUTS: dict[str, Cut] = {
    "rows, drawn while all are read": rows_sampled_while_read,
    "rows, drawn by the engine": rows_sampled_by_the_engine,
    "quantiles, exact": exact_quantiles,
    "quantiles, approximate": approximate_quantiles,
}


@dataclass(frozen=True)
class Outcome:
    """Of one way on one seed: seconds until the bins were cut, and how good the model was on rows it had not seen."""

    seconds: float
    quality: float


def outcome(data: Data, cut: Cut, seed: int, trees: int) -> Outcome:
    """Cut the bins, bin all rows, grow the trees, ask the rows left out."""
    from sqlml.training.lightgbm import Booster, Dataset

    parameters = {"objective": data.objective, "verbose": -1, "seed": seed, "deterministic": True, "num_threads": 2}
    if data.categorical:
        parameters["categorical_feature"] = list(data.categorical)
    rows, label = data.matrix(f"part({seed}, row)")
    began = time.perf_counter()
    dataset = Dataset.from_sample(cut(data, seed), len(rows), parameters)
    took = time.perf_counter() - began
    for start in range(0, len(rows), 1 << 16):
        dataset.push(np.ascontiguousarray(rows[start : start + (1 << 16)]))
    dataset.finish(label.astype(np.float32))
    booster = Booster(dataset, parameters)
    for _ in range(trees):
        booster.update()
    text = booster.text()
    booster.close()
    dataset.close()
    unseen, truth = data.matrix(f"NOT part({seed}, row)")
    scores = np.asarray(lightgbm.Booster(model_str=text).predict(unseen, num_threads=2))
    return Outcome(
        took, area(scores, truth) if data.objective == "binary" else float(np.sqrt(np.mean((scores - truth) ** 2)))
    )


def area(scores: FloatArray, truth: FloatArray) -> float:
    """Under the ROC curve; ties count a half."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = truth > 0
    hits = int(positive.sum())
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(truth) - hits)))


def load(folder: Path) -> list[Data]:
    """Two of flights, two that are made: one smooth, one with tails so heavy that few sampled rows lie in them."""
    import sqlml
    from sqlml.cli.demo import load_flights
    from sqlml.cli.script import split_script
    from sqlml.sqltext import read_sql

    path = str(folder / "study.duckdb")
    with sqlml.connect(path) as connection:
        load_flights(connection)
        connection.execute(next(p.text for p in split_script(read_sql("demo.sql")) if "VIEW departures" in p.text))
    connection = duckdb.connect(path)
    connection.execute("SET threads = 2")
    connection.execute("CREATE MACRO part(seed, row) AS hash(row, seed) % 5 <> 0")
    numbers = ("hour_of_day", "weekday", "distance", "minutes_planned", "plane_age", "seats", "temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")  # fmt: skip
    texts = ("carrier", "origin", "dest", "manufacturer")
    codes = ", ".join(f"dense_rank() OVER (ORDER BY {name} NULLS LAST) - 1 AS {name}" for name in texts)
    connection.execute(
        f"CREATE TABLE flights_study AS SELECT row_number() OVER () AS row, {', '.join(numbers)}, {codes}, dep_delay, arr_delay, "
        "is_late FROM departures WHERE is_late IS NOT NULL"
    )
    connection.execute("CREATE VIEW late AS SELECT *, is_late::INT AS label FROM flights_study")
    connection.execute("CREATE VIEW delay AS SELECT *, arr_delay AS label FROM flights_study")
    make_friedman(connection)
    make_tails(connection)
    places = tuple(range(len(numbers), len(numbers) + len(texts)))
    return [
        Data("late", connection, "binary", (*numbers, *texts), places),
        Data("delay", connection, "regression", (*numbers, *texts, "dep_delay"), places),
        Data("friedman", connection, "regression", tuple(f"x{k}" for k in range(10))),
        Data("tails", connection, "binary", tuple(f"x{k}" for k in range(6))),
    ]


def make_friedman(connection: duckdb.DuckDBPyConnection) -> None:
    """scikit-learn's first function of Friedman's, a million rows."""
    from sklearn.datasets import make_friedman1

    rows, label = make_friedman1(1_000_000, noise=1.0, random_state=0)
    given = {"row": np.arange(len(rows)), **{f"x{k}": rows[:, k] for k in range(10)}, "label": label}
    _store(connection, "friedman", pa.table(given))


def make_tails(connection: duckdb.DuckDBPyConnection) -> None:
    """Numbers of which one in a thousand is in a tail that decides, with a fine structure there."""
    generator = np.random.default_rng(0)
    rows = np.exp(3 * generator.standard_normal((1_000_000, 6)))
    top = rows[:, 0] > np.quantile(rows[:, 0], 0.999)
    raw = np.sin(4 * np.log(rows[:, 1])) + 3 * top * np.sign(np.sin(20 * np.log(rows[:, 0]))) + np.log(rows[:, 2]) / 3
    label = (raw + 0.5 * generator.standard_normal(len(rows)) > 0).astype(np.int8)
    given = {"row": np.arange(len(rows)), **{f"x{k}": rows[:, k] for k in range(6)}, "label": label}
    _store(connection, "tails", pa.table(given))


def _store(connection: duckdb.DuckDBPyConnection, name: str, given: pa.Table) -> None:
    connection.register("given", given)
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    connection.unregister("given")


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks.binning")
    parser.add_argument("--trees", type=int, default=100)
    trees = parser.parse_args().trees
    with tempfile.TemporaryDirectory() as folder:
        print("| data | bins cut from | time | quality | its spread |\n|---|---|---:|---:|---:|")
        for data in load(Path(folder)):
            measure = "AUC" if data.objective == "binary" else "RMSE"
            for name, cut in CUTS.items():
                found = [outcome(data, cut, seed, trees) for seed in SEEDS]
                quality = [one.quality for one in found]
                took = seconds(statistics.median(one.seconds for one in found))
                mean, spread = statistics.mean(quality), statistics.stdev(quality)
                print(f"| {data.name} | {name} | {took} | {measure} {mean:.5f} | {spread:.5f} |", flush=True)


if __name__ == "__main__":
    main()
