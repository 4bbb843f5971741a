"""Restore into another cluster, a standby, a killed backend, two sessions that replace one model."""

import os
import signal
import subprocess
import threading
import time

import psycopg
import pytest

from sqlml.install.installation import install

from .conftest import run, value

SCORES = "SELECT array_agg(p ORDER BY id) FROM (SELECT id, sqlml.predict('churn', c) AS p FROM customers AS c) AS s"
TRAIN = "CREATE OR REPLACE MODEL churn OPTIONS (input_label_cols = ['churned'], max_iterations = {}) AS SELECT age, churned FROM customers"
LONG = (
    "CREATE OR REPLACE MODEL churn OPTIONS (input_label_cols = ['churned'], max_iterations = 100000, early_stop = FALSE) AS "
    "SELECT age, spend, random() AS noise, churned FROM customers"
)


def test_dump_and_restore_into_a_new_cluster(cluster, new_cluster, server, root):
    run(root, "CREATE VIEW scores AS SELECT id, PREDICT_PROBA(churn, *) AS q FROM customers")
    root.execute("SELECT sqlml._grant_usage((SELECT model_id FROM sqlml._models), 'bob')")
    expected = value(root, SCORES)
    dump = subprocess.run(
        [cluster.programs.path("pg_dump"), cluster.dsn(server), "--format=plain"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    with new_cluster() as other:
        dsn = other.dsn()
        with psycopg.connect(dsn, autocommit=True) as connection:
            # Other numbers than in the first cluster; and bob's own number is somebody else's here.
            connection.execute("CREATE ROLE first; CREATE ROLE eve; CREATE ROLE bob LOGIN; CREATE ROLE alice")
            connection.execute("CREATE ROLE sqlml_reader; CREATE ROLE sqlml_trainer")
            connection.execute("CREATE DATABASE elsewhere")
        dsn = other.dsn("elsewhere")
        subprocess.run(
            [cluster.programs.path("psql"), dsn, "-v", "ON_ERROR_STOP=1", "-q"],
            input=dump,
            text=True,
            check=True,
            capture_output=True,
        )
        install(dsn, "plpython", tell=lambda text: None)
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert value(connection, SCORES) == expected
            assert value(connection, "SELECT array_agg(q ORDER BY id) FROM scores") == expected
            connection.execute("GRANT sqlml_reader TO bob; GRANT SELECT ON customers TO bob; SET ROLE bob")
            assert value(connection, SCORES) == expected
            connection.execute("RESET ROLE")
            connection.execute(
                "CREATE ROLE carl IN ROLE sqlml_reader; GRANT SELECT ON customers TO carl; SET ROLE carl"
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for model"):
                connection.execute(SCORES)


def test_a_standby_scores_and_refuses_to_train(cluster, server, root):
    expected = value(root, SCORES)
    standby = cluster.standby()
    try:
        with psycopg.connect(standby.dsn(server), autocommit=True) as connection:
            assert value(connection, "SELECT pg_is_in_recovery()")
            assert value(connection, SCORES) == expected
            assert [row["name"] for row in run(connection, "SHOW MODELS")] == ["churn"]
            assert len(run(connection, "SELECT PREDICT(churn, *) FROM customers LIMIT 2")) == 2
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="cannot store models"):
                run(connection, TRAIN.format(3))
    finally:
        standby.stop()


def test_a_backend_killed_while_training_leaves_nothing(cluster, server, connect):
    victim = connect()
    pid = victim.info.backend_pid
    failed = []

    def train():
        try:
            run(victim, LONG)
        except psycopg.Error as error:
            failed.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    time.sleep(4)
    os.kill(pid, signal.SIGKILL)
    thread.join(30)
    assert isinstance(failed[0], psycopg.OperationalError)
    deadline = time.monotonic() + 30
    while True:  # the server restarts all its processes, and may let somebody in before it begins to
        try:
            connection = psycopg.connect(cluster.dsn(server), autocommit=True)
            connection.execute("SELECT pg_sleep(1)")
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    with connection:
        assert value(connection, "SELECT count(*) FROM sqlml.model_versions") == 1
        assert value(connection, "SELECT count(*) FROM sqlml.artifacts") == 1
        assert value(connection, "SELECT sqlml.predict('churn', c) FROM customers AS c LIMIT 1") is not None
        assert run(connection, TRAIN.format(3))[0]["version"] == 2


def test_two_sessions_replace_one_model(root, connect):
    """The later one waits for the earlier one's transaction and adds the next version; readers see one or the other, never none."""
    sessions = [connect(), connect()]
    made, seen = [], []
    done = threading.Event()

    def train(session, iterations):
        made.append(run(session, TRAIN.format(iterations))[0]["version"])

    def read(session):
        while not done.is_set():
            seen.append(value(session, "SELECT sqlml.predict('churn', c) FROM customers AS c ORDER BY id LIMIT 1"))

    reader = threading.Thread(target=read, args=[connect()])
    trainers = [threading.Thread(target=train, args=[s, n]) for s, n in zip(sessions, (3, 4), strict=True)]
    for thread in (reader, *trainers):
        thread.start()
    for thread in trainers:
        thread.join()
    done.set()
    reader.join()
    assert sorted(made) == [2, 3]
    assert len(set(seen)) <= 3
    assert None not in seen
    assert value(root, "SELECT default_version FROM sqlml.models") == 3


def test_an_open_transaction_is_not_seen_by_others(root, connect):
    other = connect()
    before = value(other, SCORES)
    with root.transaction():
        run(root, TRAIN.format(3))
        changed = value(root, SCORES)
        assert changed != before
        assert value(other, SCORES) == before
    assert value(other, SCORES) == changed


def test_serializable_transactions_are_told_to_try_again(connect):
    first, second = connect(), connect()
    for session in (first, second):
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM sqlml._models")
    run(first, TRAIN.format(3))
    first.execute("COMMIT")
    with pytest.raises(psycopg.errors.SerializationFailure) as caught:
        run(second, TRAIN.format(4))
    assert caught.value.diag.message_hint == "Run the statement again."
    second.execute("ROLLBACK")
