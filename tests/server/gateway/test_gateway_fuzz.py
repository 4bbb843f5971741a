"""Random, truncated and reordered messages: the gateway lives, other sessions go on, and the server behind it has the last word."""

import random
import struct
import time

import pytest

from tests.server.gateway.conftest import FleetWire
from tests.server.test_protocol import bind, execute, parse
from tests.server.wire import tags

SANE = [
    (b"Q", b"SELECT 1\0"),
    (b"Q", b"SHOW MODELS\0"),
    (b"Q", b"SELECT PREDICT(leaves, 1 AS r, 1.5 AS amount)\0"),
    (b"Q", b"SELECT 1; SHOW MODELS; SELECT PREDICT(nope, 1)\0"),
    (b"Q", b"BEGIN\0"),
    (b"Q", b"ROLLBACK\0"),
    (b"Q", b"COPY (SELECT 1) TO STDOUT\0"),
    (b"Q", b"COPY pg_temp.x FROM STDIN\0"),
    (b"Q", b"SELECT * FROM missing\0"),
    (b"P", parse("SELECT id FROM churn WHERE id = $1", "s")),
    (b"P", parse("SELECT PREDICT(leaves, $1::int AS r, 1.5 AS amount)", "s")),
    (b"P", parse("SHOW MODELS", "s")),
    (b"P", parse("SHOW MODELS")),
    (b"P", parse("SELECT 1")),
    (b"B", bind((b"1",), "p", "s")),
    (b"B", bind((), "p", "s")),
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
]


def encoded(tag, body):
    return tag + struct.pack("!i", len(body) + 4) + body


@pytest.fixture(autouse=True)
def unharmed(gateway, model):
    """A session that was there before goes on, and of those in the storm nothing is left."""
    with FleetWire(gateway.port) as other:
        assert tags(other.query("SHOW MODELS")) == "TDCZ"
        yield
        assert tags(other.query("SHOW MODELS")) == "TDCZ"
    deadline = time.monotonic() + 20
    while gateway.sessions.count() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gateway.sessions.count() == 0


def storm(port, data):
    """Send bytes and read what comes until the server or silence ends it."""
    with FleetWire(port) as wire:
        wire.socket.settimeout(0.3)
        try:
            wire.raw(data)
            while wire.socket.recv(65536):
                pass
        except (TimeoutError, ConnectionError):
            pass


@pytest.mark.parametrize("seed", range(15))
def test_messages_in_any_order(gateway, seed):
    draw = random.Random(seed)
    storm(gateway.port, b"".join(encoded(*draw.choice(SANE)) for _ in range(60)))


@pytest.mark.parametrize("seed", range(15))
def test_what_comes_ready_in_the_end(gateway, seed):
    """However messages are mixed, as many Syncs as queries of the protocol ask for are answered, and the session goes on."""
    draw = random.Random(seed)
    allowed = [message for message in SANE if message[0] not in b"dcfFpQ" and b"COPY" not in message[1]]
    with FleetWire(gateway.port) as wire:
        for _ in range(5):
            wire.raw(
                b"".join(encoded(*draw.choice(allowed)) for _ in range(20))
                + encoded(b"Q", b"SELECT 'end'\0")
                + encoded(b"S", b"")
            )
            wire.send(b"Q", b"SELECT 'really'\0")
            seen = b""
            while b"really" not in seen:
                seen += b"".join(body for _, body in wire.until(b"Z"))
        assert wire.query("ROLLBACK")[-1] == (b"Z", b"I")


@pytest.mark.parametrize("seed", range(10))
def test_messages_with_bytes_changed(gateway, seed):
    draw = random.Random(seed)
    data = bytearray(b"".join(encoded(*draw.choice(SANE)) for _ in range(30)))
    for _ in range(10):
        data[draw.randrange(len(data))] = draw.randrange(256)
    storm(gateway.port, bytes(data))


@pytest.mark.parametrize("seed", range(6))
def test_messages_cut_off(gateway, seed):
    draw = random.Random(seed)
    data = b"".join(encoded(*draw.choice(SANE)) for _ in range(5))
    storm(gateway.port, data[: draw.randrange(len(data))])


@pytest.mark.parametrize(
    "text",
    ["PREDICT(" * 3000, "SELECT PREDICT(leaves, " + "(" * 3000, "SELECT * FROM ML.PREDICT(MODEL", "CREATE MODEL", "SHOW MODELS '", "/* model",
     "GRANT USAGE ON MODEL", ";" * 2000 + "SHOW MODELS", "SELECT 1;" * 500 + "SHOW MODELS", "SELECT PREDICT(leaves, \U0001f600)", "DROP MODEL '",
     "PREPARE x AS SHOW MODELS", "EXPLAIN CREATE MODEL m AS SELECT 1", "DECLARE c CURSOR FOR SHOW MODELS"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_strange_queries(gateway, text):
    with FleetWire(gateway.port, timeout=60) as wire:
        messages = wire.query(text)
        assert all(b"internal error" not in body for tag, body in messages if tag == b"E"), messages
        assert wire.query("ROLLBACK")[-1] == (b"Z", b"I")
        wire.send(b"P", parse(text))
        wire.send(b"S")
        assert wire.until(b"Z")[-1][0] == b"Z"
