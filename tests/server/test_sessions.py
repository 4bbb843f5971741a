"""Many sessions beside each other: cancelling, limits, slow clients, channels, the end of the server."""

import io
import json
import socket
import struct
import threading
import time

import psycopg
import pytest

from sqlml.server.limits import Limits
from tests.server.conftest import dsn_of, serving
from tests.server.wire import Wire, tags

LONG = "SELECT sum(a.i * b.i) FROM numbers a, numbers b"
ENDLESS = "SELECT a.i FROM numbers a, numbers b"


def test_cancel_stops_the_statement_only(client):
    timer = threading.Timer(0.3, client.cancel_safe)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled, match="canceling statement due to user request"):
        client.execute(LONG)
    timer.join()
    assert client.execute("SELECT 1").fetchone() == (1,)


def test_cancel_while_rows_are_sent(server):
    with Wire(server.port) as wire:
        key = next(body for tag, body in wire.log_in() if tag == b"K")
        wire.send(b"Q", ENDLESS.encode() + b"\0")
        wire.until(b"D")
        with Wire(server.port) as other:
            other.raw(struct.pack("!ii", 16, 80877102) + key)
            assert other.is_closed()
        messages = wire.until(b"Z")
        assert tags(messages)[-2:] == "EZ"


def test_cancel_needs_the_secret(server):
    with Wire(server.port) as wire:
        key = next(body for tag, body in wire.log_in() if tag == b"K")
        done = []
        thread = threading.Thread(
            target=lambda: done.append(tags(wire.query("SELECT count(*) FROM numbers a, range(2000)")))
        )
        thread.start()
        for wrong in (key[:4] + b"\0\0\0\0", b"\x7f\0\0\0" + key[4:], key[:4]):
            with Wire(server.port) as other:
                other.raw(struct.pack("!ii", 8 + len(wrong), 80877102) + wrong)
                assert other.is_closed()
        thread.join()
    assert done == ["TDCZ"]


def test_statement_timeout(client):
    client.execute("SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled, match="due to statement timeout"):
        client.execute(LONG)
    client.execute("SET statement_timeout = 0")


def test_too_many_clients():
    with serving(limits=Limits(connections=2)) as server:
        first, second = psycopg.connect(dsn_of(server)), psycopg.connect(dsn_of(server))
        with pytest.raises(psycopg.OperationalError, match="sorry, too many clients already") as caught:
            psycopg.connect(dsn_of(server))
        assert "FATAL" in str(caught.value)
        first.close()
        wait_until(lambda: server.sessions.count() == 1)
        psycopg.connect(dsn_of(server)).close()
        second.close()


def test_row_limit():
    with serving(limits=Limits(rows=1000)) as server, psycopg.connect(dsn_of(server), autocommit=True) as client:
        assert len(client.execute("SELECT * FROM churn").fetchall()) == 1000
        with pytest.raises(psycopg.Error, match="more than 1000 rows"):
            client.execute("SELECT * FROM numbers")
        assert client.execute("SELECT count(*) FROM numbers").fetchone() == (100000,)


def test_idle_sessions_end():
    with serving(limits=Limits(idle_timeout=0.3)) as server:
        client = psycopg.connect(dsn_of(server))
        wait_until(lambda: server.sessions.count() == 0)
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
        client.close()


def test_a_slow_client_stops_nobody(server, client):
    with Wire(server.port) as slow:
        slow.log_in()
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.send(b"Q", ENDLESS.encode() + b"\0")
        slow.until(b"D")
        begin = time.monotonic()
        for _ in range(20):
            assert client.execute("SELECT count(*) FROM churn").fetchone() == (1000,)
        assert time.monotonic() - begin < 10


def test_a_client_that_vanishes_leaves_nothing(server):
    before = server.sessions.count()
    for _ in range(5):
        with Wire(server.port) as wire:
            wire.log_in()
            wire.send(b"Q", ENDLESS.encode() + b"\0")
            wire.until(b"D")
    wait_until(lambda: server.sessions.count() <= before)


def test_idle_and_busy_sessions():
    with serving() as server:
        idle = [psycopg.connect(dsn_of(server)) for _ in range(200)]
        failures, done = [], []

        def work(number):
            try:
                with psycopg.connect(dsn_of(server), autocommit=True) as client:
                    for i in range(10):
                        assert client.execute("SELECT name FROM churn WHERE id = %s", (i,)).fetchone() == (f"n{i}",)
                        client.execute("INSERT INTO written VALUES (%s, %s)", (number, i))
                    done.append(number)
            except Exception as error:  # noqa: BLE001 - told below
                failures.append(error)

        idle[0].execute("CREATE TABLE written (a INTEGER, b INTEGER)")
        idle[0].commit()
        threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert not failures
        assert idle[0].execute("SELECT count(*), count(DISTINCT (a, b)) FROM written").fetchone() == (320, 320)
        assert server.sessions.count() >= 200
        [client.close() for client in idle]


def test_channels(server, client):
    with psycopg.connect(dsn_of(server, "bob"), autocommit=True) as listener:
        listener.execute("LISTEN models")
        client.execute("NOTIFY models, 'one'")
        with client.transaction():
            client.execute("NOTIFY models, 'two'")
            assert [n.payload for n in listener.notifies(timeout=5, stop_after=1)] == ["one"]
        with pytest.raises(ZeroDivisionError), client.transaction():
            client.execute("NOTIFY models, 'never'")
            raise ZeroDivisionError
        found = next(listener.notifies(timeout=5))
        assert (found.channel, found.payload, found.pid) == ("models", "two", client.info.backend_pid)
        listener.execute("UNLISTEN *")
        client.execute("NOTIFY models, 'three'")
        assert list(listener.notifies(timeout=0.2)) == []


def test_stopping_tells_those_who_wait():
    with serving() as server:
        waiting = psycopg.connect(dsn_of(server), autocommit=True)
        busy = psycopg.connect(dsn_of(server), autocommit=True)
        caught = []

        def work():
            try:
                busy.execute(LONG)
            except psycopg.Error as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.3)
        server.stop()
        thread.join(10)
        assert caught
        with pytest.raises(psycopg.OperationalError, match=r"administrator command|closed"):
            waiting.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn_of(server))
        waiting.close()
        busy.close()


def test_the_log_is_lines_of_json():
    log = io.StringIO()
    with serving(log=log) as server, psycopg.connect(dsn_of(server), autocommit=True) as client:
        client.execute("SELECT 42")
        with pytest.raises(psycopg.Error):
            client.execute("SELECT broken")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["event"] for line in lines][:2] == ["started", "connected"]
    told = {line["text"]: line for line in lines if line["event"] == "statement"}
    assert told["SELECT 42"]["milliseconds"] > 0
    assert told["SELECT 42"]["query_id"] != told["SELECT broken"]["query_id"]
    assert told["SELECT broken"]["sqlstate"] == "42703"


def wait_until(fact, seconds=10):
    deadline = time.monotonic() + seconds
    while not fact() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert fact()


def test_metrics_and_health():
    from urllib.error import HTTPError
    from urllib.request import urlopen

    with serving(metrics_port=0, limits=Limits(connections=1)) as server:

        def get(path):
            with urlopen(f"http://127.0.0.1:{server.metrics.port}{path}", timeout=5) as response:
                return response.read().decode()

        assert get("/health") == get("/ready") == "ok\n"
        with psycopg.connect(dsn_of(server), autocommit=True) as client:
            client.execute("SELECT * FROM churn")
            with pytest.raises(psycopg.Error):
                client.execute("SELECT broken")
            with pytest.raises(HTTPError, match="503"):
                get("/ready")
            told = dict(line.rsplit(" ", 1) for line in get("/metrics").splitlines() if not line.startswith("#"))
        assert told["sqlml_sessions"] == "1"
        assert told["sqlml_rows_sent_total"] == "1000"
        assert told['sqlml_errors_total{sqlstate="42703"}'] == "1"


def test_changed_models_are_told(client, server):
    with psycopg.connect(dsn_of(server, "bob"), autocommit=True) as listener:
        listener.execute("LISTEN sqlml_models")
        client.execute(
            "CREATE MODEL told OPTIONS (model_type = 'boosted_tree_classifier', input_label_cols = ['gone'], num_iterations = 2, "
            "num_threads = 1) AS SELECT id % 3 AS r, gone FROM churn"
        )
        found = next(listener.notifies(timeout=20))
        assert json.loads(found.payload)["event"] == "create model"
        client.execute("DROP MODEL told")


def test_training_stops_nobody_from_scoring(server, client):
    """A training that would go on for an hour; it is cancelled once others have scored."""
    statement = (
        "CREATE MODEL {} OPTIONS (model_type = 'boosted_tree_regressor', input_label_cols = ['x'], num_iterations = {}, "
        "early_stop = false, num_threads = 1) AS SELECT i % 1000 AS a, i % 77 AS x FROM numbers"
    )
    client.execute(statement.format("ready", 5))
    wanted = client.execute("SELECT sum(PREDICT(ready, i % 1000 AS a)) FROM numbers").fetchone()
    trainer = psycopg.connect(dsn_of(server), autocommit=True)
    trains, caught = threading.Event(), []
    trainer.add_notice_handler(lambda notice: trains.set() if "iteration" in notice.message_primary else None)

    def train():
        try:
            trainer.execute(statement.format("endless", 1_000_000))
        except psycopg.Error as error:
            caught.append(error.sqlstate)

    thread = threading.Thread(target=train)
    thread.start()
    assert trains.wait(60), caught
    for _ in range(10):
        assert client.execute("SELECT sum(PREDICT(ready, i % 1000 AS a)) FROM numbers").fetchone() == wanted
    client.execute("CREATE OR REPLACE TABLE beside AS SELECT 1 AS a")  # nor from writing
    assert thread.is_alive()
    trainer.cancel_safe()
    thread.join(60)
    assert caught == ["57014"]
    assert "endless" not in str(client.execute("SHOW MODELS").fetchall())
    client.execute("DROP MODEL ready")
    trainer.close()


def test_many_rows_take_little_memory(server):
    """Ten million rows to a client that throws them away: the process grows by a fraction of them."""
    import resource

    with Wire(server.port, timeout=120) as wire:
        wire.log_in()
        wire.query("SELECT i, i * 0.5 FROM numbers")  # kernels and buffers are there
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wire.send(b"Q", b"SELECT a.i, a.i * 0.5::DOUBLE AS x FROM numbers a, range(100)\0")
        received, last = 0, b""
        while not last.endswith(b"Z\0\0\0\x05I"):
            last = (last[-5:] + wire.socket.recv(1 << 20))[-2000000:]
            received += len(last)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert received > 200e6
    assert grown < 100 << 10  # in kilobytes
