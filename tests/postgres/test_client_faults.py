"""What a client meets when its backend or the whole server goes down: an error that says so, no half version, and life afterwards."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

import sqlml
from sqlml.errors import EngineError
from udfs.artifact import read_artifact

CREATE = (
    "CREATE OR REPLACE MODEL m OPTIONS (input_label_cols = ['y'], max_iterations = {n}, num_threads = 1) "
    "AS SELECT i AS x, i % 7 AS y FROM t ORDER BY i"
)
GONE = ("57P01", "57P02", "57P03", "08006")  # terminated, crashed, starting up, connection lost


@pytest.fixture(scope="module")
def frail(new_cluster):
    """A server of this module's own, which its tests bring down."""
    with new_cluster() as running:
        yield running


@pytest.fixture
def reconnect(frail):
    opened = []

    def connect():
        for attempt in range(100):
            try:
                opened.append(sqlml.connect(frail.dsn()))
            except EngineError:  # it is recovering
                if attempt == 99:
                    raise
                time.sleep(0.1)
            else:
                break
        return opened[-1]

    yield connect
    for con in opened:
        con.close()


@pytest.fixture
def con(reconnect):
    """A connection to a database with table t and version 1 of model m."""
    found = reconnect()
    found.execute("DROP SCHEMA IF EXISTS sqlml, public CASCADE; CREATE SCHEMA public")
    found.execute("CREATE TABLE t AS SELECT i FROM generate_series(1, 30000) AS g(i)")
    found.execute(CREATE.format(n=3))
    return found


def check_whole(con, versions):
    """As many versions of m, all whole; the newest serves, and another can be made."""
    store = con._session.store
    model = store.find(("m",))
    found = store.list_versions(model)
    assert [version.version for version in found] == list(range(1, versions + 1))
    assert model.default_version == versions
    for version in found:
        read_artifact(store.artifact(version))
    assert con.execute("SELECT count(PREDICT(m, i)) FROM t").fetchall() == [(30_000,)]
    con.execute(CREATE.format(n=4 + versions))
    assert len(store.list_versions(store.find(("m",)))) == versions + 1


def pid_of(con):
    return con._session.engine.connection.info.backend_pid


def terminate(frail, pid):
    with psycopg.connect(frail.dsn(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def kill(frail, pid):
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)


@pytest.mark.parametrize("end", [terminate, kill])
@pytest.mark.parametrize("phase", ["reading", "binning", "training"])
def test_the_backend_ends_while_a_model_is_trained(con, frail, reconnect, phase, end, monkeypatch):
    monkeypatch.setattr("sqlml.training.progress.INTERVAL", 0.0)
    monkeypatch.setattr("sqlml.training.rows.KEPT_BYTES", 1_000)
    ended = []

    def watch(event):
        if event.phase == phase and not ended:
            ended.append(True)
            end(frail, pid_of(con))

    con.on_progress = watch
    with pytest.raises(EngineError) as caught:
        con.execute(CREATE.format(n=5))
    assert ended
    assert caught.value.sqlstate in GONE
    assert "Error" not in str(caught.value)
    with pytest.raises(psycopg.OperationalError):
        con.execute("SELECT 1")
    check_whole(reconnect(), 1)


@pytest.mark.parametrize("end", [terminate, kill])
@pytest.mark.parametrize("write", [1, 4, 8])
def test_the_backend_ends_while_a_version_is_stored(con, frail, reconnect, write, end, monkeypatch):
    layout = con._session.store._layout
    original, writes = layout.write, []

    def deadly(sql, parameters=None):
        writes.append(sql)
        if len(writes) == write:
            end(frail, pid_of(con))
        original(sql, parameters)

    monkeypatch.setattr(layout, "write", deadly)
    with pytest.raises(EngineError) as caught:
        con.execute(CREATE.format(n=5))
    assert caught.value.sqlstate in GONE
    check_whole(reconnect(), 1)


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_the_server_restarts_between_statements(con, frail, reconnect, how):
    expected = con.execute("SELECT sum(PREDICT(m, i)) FROM t").fetchall()
    if how == "crash":
        frail.crash(kill=True)
        frail.start()
    else:
        frail.restart()
    with pytest.raises(EngineError) as caught:
        con.execute("SELECT PREDICT(m, i) FROM t")
    assert caught.value.sqlstate in GONE
    again = reconnect()
    assert again.execute("SELECT sum(PREDICT(m, i)) FROM t").fetchall() == expected
    check_whole(again, 1)


def test_the_server_is_gone(con, frail):
    frail.restart()
    for statement in ("SELECT PREDICT(m, i) FROM t", CREATE.format(n=2), "SHOW MODELS", "DROP MODEL m"):
        with pytest.raises(EngineError) as caught:
            con.execute(statement)
        assert caught.value.sqlstate in GONE
    con.close()
    with pytest.raises(EngineError) as caught:
        sqlml.connect("postgresql://127.0.0.1:1/nowhere")
    assert caught.value.sqlstate == "08006"


ELSEWHERE = """
import sys, sqlml
with sqlml.connect(sys.argv[1]) as con:
    for statement in sys.argv[2:]:
        try:
            con.execute(statement)
        except sqlml.SqlmlError as error:
            print(error.sqlstate, str(error).splitlines()[0])
"""


@pytest.mark.parametrize("damage", ["substring(body FROM 1 FOR 100)", "set_byte(body, 200, get_byte(body, 200) # 1)"])
def test_a_damaged_artifact_scores_nothing(con, frail, damage, tmp_path):
    """In a process of its own, since this one has read and checked the artifact of that hash."""
    con.execute(f"UPDATE sqlml.artifacts SET body = {damage}")
    statements = [
        "SELECT PREDICT(m, i) FROM t",
        "SELECT * FROM ML.PREDICT(MODEL m, TABLE t)",
        f"EXPORT MODEL m TO '{tmp_path / 'm.sqlml'}'",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", ELSEWHERE, frail.dsn(), *statements]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout.splitlines()) == 3
    assert all("artifact" in line for line in done.stdout.splitlines()), done.stdout
    assert not (tmp_path / "m.sqlml").exists()
    con.execute("DROP MODEL m")
    con.execute(CREATE.format(n=3))


def test_two_sessions_replace_one_model_at_once(con, reconnect):
    """Both are trained; whoever stores second takes the next number."""
    other = reconnect()
    done = []

    def meanwhile(event):
        if event.phase == "training" and not done:
            done.append(other.execute(CREATE.format(n=6)).fetchall())

    con.on_progress = meanwhile
    ((_, version, *_),) = con.execute(CREATE.format(n=5)).fetchall()
    assert (done[0][0][1], version) == (2, 3)
    con.on_progress = None
    check_whole(con, 3)


def test_a_serialisation_failure_of_the_users_transaction_is_told(con, reconnect):
    other = reconnect()
    con.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
    con.execute("SELECT count(PREDICT(m, i)) FROM t").fetchall()
    other.execute(CREATE.format(n=6))
    with pytest.raises(sqlml.SqlmlError) as caught:
        con.execute(CREATE.format(n=5))
    assert caught.value.sqlstate == "40001"
    con.execute("ROLLBACK")
    check_whole(con, 2)


def test_statement_timeout_stops_training_and_leaves_the_connection(con):
    con.execute("SET statement_timeout = '100ms'")
    with pytest.raises(EngineError) as caught:
        con.execute(
            "CREATE MODEL slow OPTIONS (input_label_cols = ['y']) AS SELECT a.i AS x, b.i AS y FROM t AS a, t AS b"
        )
    assert caught.value.sqlstate == "57014"
    con.execute("RESET statement_timeout")
    assert con.execute("SELECT 1").fetchall() == [(1,)]
    check_whole(con, 1)
