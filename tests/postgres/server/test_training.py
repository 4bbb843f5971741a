"""Training in a backend: the client's bits, stopped by cancel and timeout, and nothing left where a backend is killed."""

import threading
import time

import psycopg
import pytest

import sqlml

from .conftest import run, value

TRAIN = (
    "CREATE OR REPLACE MODEL {} OPTIONS (input_label_cols = ['{}'], max_iterations = 8, num_threads = 1) AS "
    "SELECT age, plan, spend, seen, is_new, churned FROM customers"
)
LONG = (
    "CREATE OR REPLACE MODEL long OPTIONS (input_label_cols = ['y'], max_iterations = 100000, early_stop = FALSE) AS "
    "SELECT g AS a, g % 97 AS b, g % 89 + random() AS y FROM generate_series(1, 20000) AS g"
)
WIDE = (
    "CREATE OR REPLACE MODEL wide OPTIONS (input_label_cols = ['y'], max_iterations = 1) AS "
    "SELECT g AS a, md5(g::text) AS b, md5((g+1)::text) AS c, md5((g+2)::text) AS d, g % 89 AS y FROM generate_series(1, 1500000) AS g"
)


@pytest.mark.parametrize("label", ["churned", "spend", "plan"])
def test_the_server_trains_what_the_client_trains(cluster, server, root, label):
    statement = TRAIN.format("twice", label)
    if label != "churned":
        statement = statement.replace("TRUE", "TRUE")
    run(root, statement)
    with sqlml.connect(cluster.dsn(server)) as client:
        client.execute(statement)
    hashes = root.execute("SELECT artifact_hash FROM sqlml.model_versions WHERE model_name = 'twice'").fetchall()
    assert len(hashes) == 2
    assert hashes[0] == hashes[1]


def test_rows_come_in_any_number_of_batches(root):
    """More rows than a batch, with NULLs in every type, against the same statement over a table of all of them."""
    root.execute(
        "CREATE TABLE many AS SELECT g AS id, CASE WHEN g % 7 > 0 THEN g % 1000 / 8.0 END::float8 AS a, "
        "CASE WHEN g % 5 > 0 THEN 'x' || g % 11 END AS b, CASE WHEN g % 3 > 0 THEN g::int8 END AS c, "
        "CASE WHEN g % 4 > 0 THEN g % 2 = 0 END AS d, CASE WHEN g % 6 > 0 THEN date '2020-01-01' + g % 900 END AS e, "
        "g % 1000 + g % 11 AS y FROM generate_series(1, 40000) AS g"
    )
    (made,) = run(
        root,
        "CREATE MODEL many OPTIONS (input_label_cols = ['y'], max_iterations = 5) AS SELECT a, b, c, d, e, y FROM many",
    )
    assert made["training_rows"] + made["evaluation_rows"] == 40000
    nulls = dict(root.execute("SELECT name, null_count FROM sqlml.model_features WHERE model_name = 'many'").fetchall())
    assert nulls == {"a": 5714, "b": 8000, "c": 13333, "d": 10000, "e": 6666}


@pytest.mark.parametrize("statement", [LONG, WIDE], ids=["growing trees", "reading and binning"])
def test_statement_timeout_stops_it(root, statement):
    run(root, "SHOW MODELS")
    root.execute("SET statement_timeout = '3s'")
    begin = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled, match="canceling statement due to statement timeout"):
        run(root, statement)
    assert time.monotonic() - begin < 20
    root.execute("RESET statement_timeout")
    assert value(root, "SELECT count(*) FROM sqlml.models") == 1
    assert value(root, "SELECT sqlml.predict('churn', c) FROM customers AS c LIMIT 1") is not None


def test_cancel_stops_it(root, connect):
    other = connect()
    pid = root.info.backend_pid

    def cancel():
        time.sleep(2)
        other.execute("SELECT pg_cancel_backend(%s)", [pid])

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(psycopg.errors.QueryCanceled, match="canceling statement due to user request"):
        run(root, LONG)
    thread.join()
    assert value(root, "SELECT count(*) FROM sqlml.models") == 1
    run(root, TRAIN.format("after", "churned"))


def test_terminate_ends_it(root, connect):
    victim = connect("alice")
    failed = []

    def train():
        try:
            run(victim, LONG)
        except psycopg.Error as error:
            failed.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    time.sleep(3)
    root.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
    thread.join(30)
    assert not thread.is_alive()
    assert isinstance(failed[0], psycopg.errors.AdminShutdown | psycopg.OperationalError)
    assert value(root, "SELECT count(*) FROM sqlml.models") == 1


def test_progress_is_told_as_notices(root):
    heard = []

    def hear(diagnosis):
        heard.append(diagnosis.message_primary)
        root.cancel_safe()

    root.add_notice_handler(hear)
    root.execute("SET statement_timeout = '100s'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        run(root, LONG)
    assert any(text.startswith(("training: iteration", "binning", "learning", "reading")) for text in heard)


def test_memory_is_refused_before_it_is_taken(root):
    statement = TRAIN.format("big", "churned").replace("num_threads = 1", "memory_limit = '1MB'")
    with pytest.raises(psycopg.errors.InsufficientResources, match="more than the limit"):
        run(root, statement)


def test_no_thread_of_ours_takes_the_servers_signals(root):
    """Every thread but the backend's own must have the server's signals blocked."""
    run(root, TRAIN.format("threads", "churned").replace("num_threads = 1", "num_threads = 2"))
    masks = value(
        root,
        "SELECT string_agg(line, ',') FROM (SELECT unnest(string_to_array(pg_read_file("
        "format('/proc/%s/task/%s/status', pg_backend_pid(), t), 0, 100000, true), E'\\n')) AS line "
        "FROM pg_ls_dir(format('/proc/%s/task', pg_backend_pid())) AS t WHERE t <> pg_backend_pid()::text) AS l "
        "WHERE line LIKE 'SigBlk%'",
    )
    assert masks, "LightGBM started no thread"
    wanted = sum(1 << (number - 1) for number in (1, 2, 10, 12, 14, 15))  # HUP, INT, USR1, USR2, ALRM, TERM
    for mask in masks.split(","):
        assert int(mask.split(":")[1], 16) & wanted == wanted
    own = value(root, "SELECT pg_read_file(format('/proc/%s/status', pg_backend_pid()), 0, 100000, true)")
    blocked = next(int(line.split(":")[1], 16) for line in own.splitlines() if line.startswith("SigBlk"))
    assert not blocked & wanted
