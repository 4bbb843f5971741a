"""Random, truncated, reordered and oversized messages: the server lives, other sessions work, nothing stays behind."""

import random
import struct
import threading
import time

import psycopg
import pytest

from tests.server.conftest import dsn_of
from tests.server.test_protocol import bind, execute, parse
from tests.server.wire import Wire

SANE = [
    (b"Q", b"SELECT 1\0"),
    (b"Q", b"BEGIN; SELECT * FROM churn LIMIT 3; COMMIT\0"),
    (b"Q", b"COPY (SELECT 1) TO STDOUT\0"),
    (b"Q", b"COPY numbers FROM STDIN\0"),
    (b"Q", b"SELECT * FROM missing\0"),
    (b"P", parse("SELECT id FROM churn WHERE id = $1", "s")),
    (b"P", parse("SELECT 1")),
    (b"B", bind((b"1",), "p", "s")),
    (b"B", bind()),
    (b"D", b"Ss\0"),
    (b"D", b"Pp\0"),
    (b"E", execute(1, "p")),
    (b"E", execute()),
    (b"C", b"Ss\0"),
    (b"H", b""),
    (b"S", b""),
    (b"d", b"1\n"),
    (b"c", b""),
    (b"f", b"no\0"),
    (b"F", b"\0\0"),
    (b"p", b"x\0"),
    (b"X", b""),
]


@pytest.fixture(autouse=True)
def unharmed(server):
    """After each storm a session works as before, and no other one is left."""
    threads = threading.active_count()
    yield
    deadline = time.monotonic() + 15
    while server.sessions.count() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.sessions.count() == 0
    with psycopg.connect(dsn_of(server), autocommit=True) as client:
        assert client.execute("SELECT count(*) FROM churn").fetchone() == (1000,)
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= threads


def encoded(tag, body):
    return tag + struct.pack("!i", len(body) + 4) + body


def storm(port, data):
    """Send bytes and read what comes until the server or silence ends it."""
    with Wire(port, timeout=0.2) as wire:
        wire.log_in()
        try:
            wire.raw(data)
            while wire.socket.recv(65536):
                pass
        except (TimeoutError, ConnectionError):
            pass


@pytest.mark.parametrize("seed", range(12))
def test_messages_in_any_order(server, seed):
    draw = random.Random(seed)
    storm(server.port, b"".join(encoded(*draw.choice(SANE)) for _ in range(60)))


@pytest.mark.parametrize("seed", range(8))
def test_messages_with_bytes_changed(server, seed):
    draw = random.Random(seed)
    data = bytearray(b"".join(encoded(*draw.choice(SANE[:-1])) for _ in range(30)))
    for _ in range(10):
        data[draw.randrange(len(data))] = draw.randrange(256)
    storm(server.port, bytes(data))


@pytest.mark.parametrize("seed", range(6))
def test_messages_cut_off(server, seed):
    draw = random.Random(seed)
    data = b"".join(encoded(*draw.choice(SANE[:-1])) for _ in range(5))
    storm(server.port, data[: draw.randrange(len(data))])


@pytest.mark.parametrize("seed", range(6))
def test_noise_at_the_start(server, seed):
    draw = random.Random(seed)
    with Wire(server.port, timeout=0.2) as wire:
        try:
            wire.raw(struct.pack("!i", draw.choice([0, -1, 8, 12, 2**31 - 1])) + draw.randbytes(draw.randrange(200)))
            while wire.socket.recv(65536):
                pass
        except (TimeoutError, ConnectionError):
            pass


@pytest.mark.parametrize("length", [-1, 0, 3, 2**31 - 1, 300 << 20])
def test_lengths_that_cannot_be(server, length):
    with Wire(server.port) as wire:
        wire.log_in()
        wire.raw(b"Q" + struct.pack("!i", length) + b"SELECT 1\0")
        assert wire.message()[0] == b"E"
        assert wire.is_closed()


@pytest.mark.parametrize(
    "text",
    ["(" * 5000, "SELECT " + "1+" * 3000 + "1", "'" * 9999, "$" * 999, "SELECT '\U0001f600' AS \"x\U0001f600\"", "/*" * 2000, ";" * 5000,
     "SELECT " + ",".join(f"{i} AS c{i}" for i in range(3000)), "COPY", "DECLARE", "FETCH", "SET", "SHOW", "RESET", "NOTIFY", "LISTEN",
     "DEALLOCATE", "DISCARD", "CLOSE", "MOVE", "COPY x FROM STDIN (", "COPY (SELECT 1 TO STDOUT", "SET x TO", "BEGIN BEGIN", "GRANT",
     "SAVEPOINT", "ROLLBACK TO", "EXPLAIN", "SELECT * FROM ML.PREDICT(MODEL", "CREATE MODEL", "GRANT USAGE ON MODEL"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_strange_queries(server, text):
    with Wire(server.port, timeout=30) as wire:
        wire.log_in()
        messages = wire.query(text)
        assert all(b"internal error" not in body for tag, body in messages if tag == b"E"), messages
        assert wire.query("ROLLBACK")[-1] == (b"Z", b"I")
        wire.send(b"P", parse(text))
        wire.send(b"S")
        assert wire.until(b"Z")[-1][0] == b"Z"
