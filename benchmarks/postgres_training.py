"""CREATE MODEL on a table in Postgres, from a client and in the server, against pulling the table by ADBC and lightgbm.train.

python -m benchmarks.postgres_training {outside|inside|adbc} DSN THREADS     is one contestant, in a process of its own

All of them train on a server of the benchmark's own, started for it. ADBC needs a connection of its own, which sees no temporary
tables and no uncommitted rows; sqlml reads over the connection that the user has.
"""

from __future__ import annotations

import sys

from benchmarks.measure import Figure, Scale, median_cost, megabytes, seconds
from benchmarks.training import COLUMNS, ITERATIONS, PARAMETERS, ROWS, create_model


def measure(threads: int, rounds: int) -> list[Figure]:
    """The table's lines on training in Postgres."""
    from sqlml.cli.private_cluster import PrivateCluster

    with PrivateCluster() as cluster:
        dsn = cluster.create_database("training")
        make_table(dsn)
        outside, inside, adbc = (
            median_cost("benchmarks.postgres_training", name, dsn, str(threads), rounds=rounds) for name in CONTESTANTS
        )
    job = f"`CREATE MODEL` in Postgres on {ROWS // 10**6}M x {COLUMNS} doubles, {ITERATIONS} trees"
    rival = "ADBC, `lgb.train`"
    lines = [
        Figure(f"{job}, {where}", rival, seconds(cost.seconds), seconds(adbc.seconds), f"{cost.seconds / adbc.seconds:.2f}x the time", goal)
        for where, cost, goal in (("from a client", outside, "1.0x"), ("in the server", inside, "1.3x"))
    ]  # fmt: skip
    memory = f"{outside.bytes / adbc.bytes:.2f}x the memory"
    lines.append(
        Figure(f"{job}, the client's peak memory", rival, megabytes(outside.bytes), megabytes(adbc.bytes), memory, "")
    )
    return lines


def make_table(dsn: str) -> None:
    """Two million rows, made by the server, and sqlml installed."""
    import psycopg

    from sqlml.install.installation import install

    features = ", ".join(f"random() AS x{j}" for j in range(COLUMNS))
    label = "x0 * x1 + sin(6 * x2) * x3 + (x4 > 0.7)::int * x5 + 0.3 * random() > 0.9"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT setseed(0.5)")
        points = f"SELECT {features} FROM generate_series(1, {ROWS})"
        connection.execute(f"CREATE TABLE training AS SELECT *, {label} AS y FROM ({points}) AS points")
        connection.execute("VACUUM ANALYZE training")
    install(dsn, tell=lambda text: None)


def train_outside(dsn: str, threads: int) -> None:
    """One CREATE MODEL over a client's connection."""
    import sqlml

    connection = sqlml.connect(dsn)
    connection.execute(create_model("warm", "SELECT * FROM training LIMIT 1000", threads))
    with Scale() as scale:
        connection.execute(create_model("points", "SELECT * FROM training", threads))
    scale.print()


def train_inside(dsn: str, threads: int) -> None:
    """The same statement as a function of the server."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, query in (("warm", "SELECT * FROM training LIMIT 1000"), ("points", "SELECT * FROM training")):
            with Scale() as scale:
                connection.execute("SELECT sqlml.execute(%s)", [create_model(name, query, threads)])
    scale.print()


def train_with_adbc(dsn: str, threads: int) -> None:
    """What a careful program outside does."""
    import lightgbm
    from adbc_driver_postgresql import dbapi

    def train(query: str) -> None:
        with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            table = cursor.fetch_arrow_table()
        data = lightgbm.Dataset(table.drop_columns("y"), table["y"].cast("int8").cast("float32"))
        del table
        lightgbm.train({**PARAMETERS, "num_threads": threads}, data, ITERATIONS)

    train("SELECT * FROM training LIMIT 1000")
    with Scale() as scale:
        train("SELECT * FROM training")
    scale.print()


CONTESTANTS = {"outside": train_outside, "inside": train_inside, "adbc": train_with_adbc}

if __name__ == "__main__":
    CONTESTANTS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
