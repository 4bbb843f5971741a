"""MADlib's random forest against the native scorer: as many trees of as many leaves, over the same table.

MADlib has no package. Its branch madlib2-master (2.1.0) builds for PostgreSQL 15 once Allocator_impl.hpp includes <array>:

    cmake SOURCE -DPYTHON_EXECUTABLE=/usr/bin/python3 -DPOSTGRESQL_15_PG_CONFIG=... -DEIGEN_TAR_SOURCE=... -DPYXB_TAR_SOURCE=...

SQLML_BENCH_MADPACK names the madpack.py of what ``make install`` laid down. Nobody's model is the other's: MADlib grows no boosted
trees, so its forest has the size of ours, and is learned from few rows, as it takes minutes for many.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.measure import take_turns
from sqlml.cli.os_user import user_for_server
from sqlml.cli.private_cluster import PrivateCluster

MADPACK = os.environ.get("SQLML_BENCH_MADPACK", "")
ROWS, LEARNED = 20_000, 2_000
OURS, MADLIB = "native", "MADlib's `forest_predict`"


def install_madlib(cluster: PrivateCluster, database: str) -> None:
    """Put MADlib into a database, as the server's user: its installer asks pg_ctl, which root may not run."""
    server = f"postgres@127.0.0.1:{cluster.port}/{database}"
    user = user_for_server()
    environment = {"PATH": f"{cluster.programs.bin}:{os.environ['PATH']}", "HOME": str(cluster.directory / "home")}
    done = subprocess.run(
        ["/usr/bin/python3", MADPACK, "-s", "madlib", "-p", "postgres", "-c", server, "install"],
        cwd=cluster.directory, env=environment, capture_output=True, text=True, check=False, **(user.run_as() if user else {}),
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"madpack failed: {done.stdout}{done.stderr}")


def forests(connection: Any, trees: int, depth: int, columns: int) -> None:
    """Tables for ``times``: few rows with numbers, and a forest by MADlib."""
    names = ",".join(f"f{i}" for i in range(columns))
    number = "SELECT row_number() OVER () AS id, *"
    connection.execute("SET client_min_messages = warning")
    connection.execute(f"CREATE TABLE few AS {number} FROM points LIMIT {ROWS}")
    connection.execute(f"CREATE TABLE learned AS {number} FROM training LIMIT {LEARNED}")
    connection.execute(
        f"SELECT madlib.forest_train('learned', 'forest', 'id', 'y', '{names}', NULL, NULL, {trees}, "
        f"3, false, 1, {depth}, 3, 1, 20)"
    )


def times(connection: Any, model: str, listed: str, rounds: int) -> dict[str, float]:
    """Seconds to make a table of the scores of ``few``."""

    def madlib() -> None:
        connection.execute("DROP TABLE IF EXISTS scores")
        connection.execute("SELECT madlib.forest_predict('forest', 'few', 'scores', 'prob')")

    def ours() -> None:
        connection.execute("DROP TABLE IF EXISTS scores")
        connection.execute(f"CREATE TABLE scores AS SELECT id, sqlml.predict('{model}', {listed}) FROM few")

    return take_turns({OURS: ours, MADLIB: madlib}, rounds)


def reason_to_leave_out() -> str | None:
    """What is missing; None when MADlib is there."""
    if MADPACK and Path(MADPACK).exists():
        return None
    return "SQLML_BENCH_MADPACK=/path/to/madpack.py of a built MADlib"
