"""COPY in its three formats, out and in; the oracle is a real Postgres with the same rows."""

import datetime as dt
import decimal

import psycopg
import pytest

from tests.server.conftest import dsn_of

ROWS = [
    (1, "plain", 1.5, True, dt.date(2024, 2, 29), b"\x00\xff"),
    (2, 'tab\there "quoted", comma', -0.25, False, None, b""),
    (3, "line\nend\r\\back\\slash", None, None, dt.date(1969, 1, 1), None),
    (4, "", 1e300, True, dt.date(2000, 1, 1), b"\\x"),
    (5, None, 0.0, False, dt.date(9999, 12, 31), b"abc"),
    (6, "\\N", 2.0, True, dt.date(2000, 1, 1), b"'"),
    (7, "\\.", 2.0, True, dt.date(2000, 1, 1), b"'"),
]
TABLE = "CREATE TABLE {} (a INTEGER, b TEXT, c FLOAT8, d BOOLEAN, e DATE, f BYTEA)"
FORMATS = ["text", "csv", "binary", "csv, header", "text, delimiter '|', null 'nil'", "csv, delimiter ';', null 'nil'"]


@pytest.fixture(scope="module")
def both(server, cluster):
    with (
        psycopg.connect(dsn_of(server), autocommit=True) as ours,
        psycopg.connect(cluster.dsn(), autocommit=True) as theirs,
    ):
        for connection in (ours, theirs):
            connection.execute("DROP TABLE IF EXISTS copied")
            connection.execute(TABLE.format("copied"))
            connection.cursor().executemany("INSERT INTO copied VALUES (%s, %s, %s, %s, %s, %b)", ROWS)
        yield ours, theirs


def copied(connection, statement):
    with connection.cursor().copy(statement) as copy:
        return [bytes(data) for data in copy]


@pytest.mark.parametrize("form", FORMATS)
def test_rows_go_out_as_from_postgres(both, form):
    ours, theirs = (copied(connection, f"COPY copied TO STDOUT (FORMAT {form})") for connection in both)
    assert b"".join(ours) == b"".join(theirs)
    assert ours[1:-1] == theirs[1:-1]  # a message a row


@pytest.mark.parametrize("form", FORMATS)
def test_rows_of_postgres_come_in(both, form):
    data = b"".join(copied(both[1], f"COPY copied TO STDOUT (FORMAT {form})"))
    both[0].execute("DROP TABLE IF EXISTS arrived")
    both[0].execute(TABLE.format("arrived"))
    with both[0].cursor().copy(f"COPY arrived FROM STDIN (FORMAT {form})") as copy:
        for start in range(0, len(data), 7):
            copy.write(data[start : start + 7])
    assert both[0].execute("SELECT * FROM arrived ORDER BY a").fetchall() == ROWS
    both[0].execute("DROP TABLE arrived")


def test_queries_and_columns(both):
    assert copied(both[0], "COPY (SELECT a, b FROM copied WHERE a = 1) TO STDOUT") == [b"1\tplain\n"]
    assert copied(both[0], "COPY copied (c, a) TO STDOUT CSV HEADER")[:2] == [b"c,a\n", b"1.5,1\n"]


def test_psycopg_writes_rows(client):
    client.execute("CREATE OR REPLACE TABLE written (a INTEGER, b VARCHAR, c DECIMAL(10,2), d TIMESTAMP)")
    when = dt.datetime(2024, 1, 2, 3, 4, 5, 6)
    with client.cursor().copy("COPY written FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "numeric", "timestamp"])
        for i in range(1000):
            copy.write_row((i, f"b{i}", decimal.Decimal("1.50"), when))
    assert client.execute("SELECT count(*), max(b), sum(c), max(d) FROM written").fetchone() == (
        1000,
        "b999",
        1500,
        when,
    )


@pytest.mark.parametrize(
    ("form", "data", "sqlstate"),
    [
        ("text", b"1\ttoo\tmany\n", "22P04"),
        ("text", b"x\ty\n", "22018"),
        ("csv", b"1\n", "22P04"),
        ("binary", b"no signature at all, but long enough", "22P04"),
    ],
)
def test_wrong_rows_leave_nothing(client, form, data, sqlstate):
    client.execute("CREATE OR REPLACE TABLE strict (a INTEGER, b VARCHAR)")
    with (
        pytest.raises(psycopg.Error) as caught,
        client.cursor().copy(f"COPY strict FROM STDIN (FORMAT {form})") as copy,
    ):
        if form == "text":
            copy.write(b"7\tfine\n")
        copy.write(data)
    assert caught.value.sqlstate == sqlstate
    assert client.execute("SELECT count(*) FROM strict").fetchone() == (0,)


def test_a_copy_that_the_client_gives_up(client):
    client.execute("CREATE OR REPLACE TABLE given_up (a INTEGER)")
    with pytest.raises(ZeroDivisionError), client.cursor().copy("COPY given_up FROM STDIN") as copy:
        copy.write(b"1\n")
        raise ZeroDivisionError
    assert client.execute("SELECT count(*) FROM given_up").fetchone() == (0,)


def test_a_copy_inside_a_transaction(client):
    client.execute("CREATE OR REPLACE TABLE undone (a INTEGER)")
    with pytest.raises(ZeroDivisionError), client.transaction():
        with client.cursor().copy("COPY undone FROM STDIN") as copy:
            copy.write(b"1\n")
        assert client.execute("SELECT count(*) FROM undone").fetchone() == (1,)
        raise ZeroDivisionError
    assert client.execute("SELECT count(*) FROM undone").fetchone() == (0,)
