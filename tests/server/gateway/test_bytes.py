"""What is none of ours: the bytes that a client sees are those of the server, message for message."""

import struct

import pytest

from tests.server.gateway.conftest import FleetWire
from tests.server.test_protocol import bind, execute, parse


def message(tag, body=b""):
    return tag + struct.pack("!i", len(body) + 4) + body


def query(text):
    return message(b"Q", text.encode() + b"\0")


SYNC, FLUSH = message(b"S"), message(b"H")
ONE = message(b"P", parse("SELECT id, name FROM churn WHERE id = $1", "s")) + message(b"D", b"Ss\0")

# What is sent at once, and how many ReadyForQuery come back.
CORPUS = {
    "a query": [(query("SELECT * FROM churn WHERE id < 3 ORDER BY id"), 1)],
    "many rows": [(query("SELECT i, 'row ' || i FROM numbers ORDER BY i"), 1)],
    "a wide row": [(query("SELECT repeat('x', 3000000)"), 1)],
    "every type": [(query("SELECT 1::int2, 2::int8, 1.5::numeric, 'a'::bytea, '{1,2}'::int[], now() > now(), NULL, '{}'::jsonb"), 1)],
    "nothing": [(query(""), 1), (query(" ; "), 1)],
    "several statements": [(query("SELECT 1; SELECT 2; SELECT missing; SELECT 3"), 1), (query("SELECT 1; COMMIT"), 1)],
    "errors": [(query(text), 1) for text in ("SELEC", "SELECT * FROM missing", "SELECT 1/0", "SELECT 'x", "\u00e4\u00f6\u00fc")],
    "a transaction that fails": [(query(text), 1) for text in ("BEGIN", "SELECT 1/0", "SELECT 1", "SAVEPOINT s", "ROLLBACK", "COMMIT")],
    "savepoints": [(query(t), 1) for t in ("BEGIN", "SAVEPOINT a", "SELECT 1/0", "ROLLBACK TO a", "SELECT 1", "RELEASE a", "COMMIT")],
    "notices": [(query("DO $$BEGIN RAISE NOTICE 'n' USING DETAIL = 'd', HINT = 'h'; RAISE WARNING 'w'; END$$"), 1)],
    "settings": [(query(t), 1) for t in ("SET application_name = 'x'", "SET TimeZone = 'Asia/Tokyo'", "SET client_encoding = 'LATIN1'",
                                         "SELECT '\u00e9'", "RESET ALL", "SHOW client_encoding")],
    "prepared in SQL": [(query(t), 1) for t in ("PREPARE p AS SELECT $1::int + 1", "EXECUTE p(1)", "DEALLOCATE p", "EXECUTE p(1)")],
    "a cursor": [(query(t), 1) for t in ("BEGIN", "DECLARE c SCROLL CURSOR FOR SELECT i FROM numbers ORDER BY i", "FETCH 3 FROM c",
                                         "FETCH BACKWARD 1 FROM c", "MOVE 100 IN c", "FETCH c", "CLOSE c", "COMMIT")],
    "copy out": [(query("COPY (SELECT i, i * 2 FROM numbers ORDER BY i LIMIT 5000) TO STDOUT"), 1),
                 (query("COPY (SELECT * FROM churn ORDER BY id LIMIT 3) TO STDOUT (FORMAT binary)"), 1)],
    "copy in": [(query("COPY taken FROM STDIN") + message(b"d", b"1\tone\n2\t") + message(b"d", b"\\N\n") + message(b"c"), 1),
                (query("SELECT * FROM taken ORDER BY a; TRUNCATE taken"), 1)],
    "copy in that fails": [(query("COPY taken FROM STDIN") + message(b"d", b"x\tone\n") + message(b"c"), 1),
                           (query("COPY taken FROM STDIN") + message(b"d", b"1\tone\n") + message(b"f", b"enough\0"), 1)],
    "copy in, extended": [(message(b"P", parse("COPY taken FROM STDIN")) + message(b"B", bind()) + message(b"E", execute()) + SYNC
                           + message(b"d", b"1\tone\n") + message(b"c") + SYNC, 1),
                          (query("TRUNCATE taken"), 1)],
    "rows of no copy": [(message(b"d", b"1\n") + message(b"c") + query("SELECT 1"), 1)],
    "prepared": [(ONE + SYNC, 1), (message(b"B", bind((b"7",), "", "s")) + message(b"D", b"P\0") + message(b"E", execute()) + SYNC, 1),
                 (message(b"C", b"Ss\0") + SYNC, 1), (message(b"B", bind((b"7",), "", "s")) + SYNC, 1)],
    "binary": [(message(b"P", parse("SELECT i, i::float8, i::text, now() - now() FROM numbers WHERE i < $1 ORDER BY i", types=(23,)))
                + message(b"B", bind((struct.pack("!i", 5),), formats=(1,), results=(1,))) + message(b"E", execute()) + SYNC, 1)],
    "portals": [(query("BEGIN"), 1),
                (message(b"P", parse("SELECT i FROM numbers ORDER BY i", "n")) + message(b"B", bind((), "p", "n"))
                 + message(b"E", execute(3, "p")) + SYNC, 1),
                (message(b"E", execute(2, "p")) + message(b"C", b"Pp\0") + message(b"E", execute(2, "p")) + SYNC, 1), (query("COMMIT"), 1)],
    "a pipeline": [(b"".join(message(b"P", parse(f"SELECT {i}")) + message(b"B", bind()) + message(b"D", b"P\0") + message(b"E", execute()) + SYNC
                             for i in range(50)), 50)],
    "a pipeline that fails": [(message(b"P", parse("SELECT 1")) + message(b"B", bind()) + message(b"E", execute())
                               + message(b"P", parse("SELECT missing")) + message(b"B", bind()) + message(b"E", execute())
                               + message(b"P", parse("SELECT 2")) + query("SELECT 3") + SYNC + query("SELECT 4"), 2)],
    "a function call": [(message(b"F", struct.pack("!iHHihh", 1403, 0, 0, 0, 0, 0)[:10]), 1)],
    "messages that make no sense": [(message(b"B", b"x") + SYNC, 1), (message(b"D", b"Xx\0") + SYNC, 1), (message(b"P", b"no end") + SYNC, 1)],
    "words that only look like ours": [(query(t), 1) for t in ("SELECT 1 AS model", "CREATE TEMP TABLE models (predict int)", "SELECT models.amount AS predict FROM churn AS models WHERE id = 1",
                                       "SELECT 'CREATE MODEL m'", "-- PREDICT(MODEL m)\nSELECT 1", "DROP TABLE models")],
}  # fmt: skip


def record(port, steps):
    """All that comes back, but for what names the process of the server."""
    with FleetWire(port) as wire:
        seen = [part for part in wire.greeting if part[0] != b"K"]
        for data, count in steps:
            wire.raw(data)
            for _ in range(count):
                seen += wire.until(b"Z")
        return seen


@pytest.mark.parametrize("name", CORPUS)
def test_the_same_bytes(gateway, cluster, name):
    assert record(gateway.port, CORPUS[name]) == record(cluster.port, CORPUS[name])


def test_notifications(gateway, cluster):
    def listening(port):
        with FleetWire(port) as wire, FleetWire(cluster.port) as other:
            wire.query("LISTEN news")
            other.query("NOTIFY news, 'hello'")
            tag, body = wire.message()
            return tag, body[4:], wire.query("NOTIFY news, 'self'")[-1]

    assert listening(gateway.port) == listening(cluster.port)


@pytest.mark.parametrize(
    "data",
    [
        b"Q\0\0\0\0",
        b"Q\xff\xff\xff\xff",
        b"\0" * 20,
        message(b"z", b"x"),
        b"Q\0\0\0\3SELECT 1",
        message(b"X"),
        b"P\x7f\xff\xff\xff",
    ],
    ids=range(7),
)
def test_how_a_session_ends(gateway, cluster, data):
    def ending(port):
        with FleetWire(port) as wire:
            wire.raw(data)
            seen = b""
            while part := wire.socket.recv(1000):
                seen += part
            return seen

    assert ending(gateway.port) == ending(cluster.port)


def test_a_session_that_the_server_ends(gateway, cluster):
    def ending(port):
        with FleetWire(port) as wire:
            (row,) = [body for tag, body in wire.query("SELECT pg_backend_pid()") if tag == b"D"]
            cluster.query(f"SELECT pg_terminate_backend({row[6:].decode()})")
            message, closed = wire.message(), wire.is_closed()
            return message, closed

    assert ending(gateway.port) == ending(cluster.port)


def test_startup_options_reach_the_server(gateway, cluster):
    def greeted(port):
        with FleetWire(port) as wire:
            wire.socket.close()
            return sorted(body for tag, body in wire.greeting if tag == b"S")

    assert greeted(gateway.port) == greeted(cluster.port)
