"""The libraries that people use: each asks for rows, gives parameters, meets an error, and ends a transaction."""

import asyncio
import datetime as dt
import shutil
import signal
import subprocess

import psycopg
import pytest

from tests.server.conftest import dsn_of

ROW = (3, 1.5, "n3", True, dt.date(2020, 1, 4))


# -- psycopg 3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_psycopg_reads(client, binary):
    assert client.execute("SELECT * FROM churn WHERE id = %s", (3,), binary=binary).fetchone() == ROW
    cursor = client.execute("SELECT * FROM numbers", binary=binary)
    assert (cursor.statusmessage, cursor.rowcount) == ("SELECT 100000", 100000)
    assert sum(i for (i,) in cursor) == 4999950000


def test_psycopg_writes_and_counts(client):
    client.execute("CREATE OR REPLACE TABLE t (a INTEGER, b VARCHAR)")
    cursor = client.cursor()
    cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(i, f"b{i}") for i in range(5)])
    assert cursor.rowcount == 5
    assert client.execute("UPDATE t SET b = 'x' WHERE a < 2").statusmessage == "UPDATE 2"
    assert client.execute("DELETE FROM t WHERE a = 0").statusmessage == "DELETE 1"
    assert client.execute("INSERT INTO t VALUES (9, NULL) RETURNING a, b").fetchall() == [(9, None)]
    assert client.execute("CREATE TABLE t2 AS SELECT * FROM t").statusmessage == "SELECT 5"
    assert client.execute("DROP TABLE t2").statusmessage == "DROP TABLE"


def test_psycopg_transactions(server, client):
    client.execute("CREATE OR REPLACE TABLE kept (a INTEGER)")
    with client.transaction():
        client.execute("INSERT INTO kept VALUES (1)")
    with pytest.raises(psycopg.errors.UndefinedTable), client.transaction():
        client.execute("INSERT INTO kept VALUES (2)")
        client.execute("SELECT * FROM missing")
    with psycopg.connect(dsn_of(server)) as other:
        assert other.execute("SELECT a FROM kept").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.SyntaxError):
            other.execute("SELEC")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            other.execute("SELECT 1")
        other.rollback()
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_psycopg_pipeline(client):
    with client.pipeline():
        cursors = [client.execute("SELECT %s::integer + 1", (i,)) for i in range(20)]
    assert [cursor.fetchone() for cursor in cursors] == [(i + 1,) for i in range(20)]
    with pytest.raises(psycopg.errors.UndefinedColumn), client.pipeline() as pipeline:
        client.execute("SELECT missing")
        pipeline.sync()
    assert client.execute("SELECT 1").fetchone() == (1,)


def test_psycopg_prepared(client):
    for i in range(10):  # psycopg prepares by itself from the fifth time on
        assert client.execute("SELECT name FROM churn WHERE id = %s", (i,)).fetchone() == (f"n{i}",)
    client.execute("CREATE OR REPLACE TABLE shape AS SELECT 1 AS a")
    assert client.execute("SELECT * FROM shape", prepare=True).fetchall() == [(1,)]
    client.execute("DEALLOCATE ALL")


@pytest.mark.parametrize("hold", [False, True], ids=["in-transaction", "with-hold"])
def test_psycopg_server_cursor(server, hold):
    with psycopg.connect(dsn_of(server)) as connection:
        cursor = connection.cursor("c", withhold=hold)
        cursor.execute("SELECT i FROM numbers WHERE i >= %s ORDER BY i", (10,))
        assert cursor.description[0].name == "i"
        assert cursor.fetchmany(3) == [(10,), (11,), (12,)]
        assert connection.execute("SELECT 'between'").fetchone() == ("between",)
        cursor.scroll(100)
        assert cursor.fetchone() == (113,)
        connection.commit()
        if hold:
            assert cursor.fetchone() == (114,)
        else:
            with pytest.raises(psycopg.errors.InvalidCursorName):
                cursor.fetchone()
            connection.rollback()
        cursor.close()


def test_psycopg_stream(client):
    assert sum(row[0] for row in client.cursor().stream("SELECT i FROM numbers")) == 4999950000


def test_psycopg_async(dsn):
    async def talk():
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            cursor = await connection.execute("SELECT * FROM churn WHERE name = %s", ("n3",))
            return await cursor.fetchone()

    assert asyncio.run(talk()) == ROW


def test_psycopg_async_pipeline_copy_and_channels(dsn):
    async def talk():
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            async with connection.pipeline():
                cursors = [await connection.execute("SELECT %s::integer * 2", (i,), binary=True) for i in range(10)]
            doubled = [(await cursor.fetchone())[0] for cursor in cursors]
            await connection.execute("CREATE OR REPLACE TABLE poured (a INTEGER, b VARCHAR)")
            async with connection.cursor().copy("COPY poured FROM STDIN") as copy:
                for i in range(100):
                    await copy.write_row((i, f"b{i}"))
            async with connection.cursor().copy("COPY (SELECT a FROM poured ORDER BY a) TO STDOUT") as copy:
                back = [int(row[0]) async for row in copy.rows()]
            await connection.execute("LISTEN here")
            await connection.execute("NOTIFY here, 'news'")
            told = [notify.payload async for notify in connection.notifies(timeout=10, stop_after=1)]
            return doubled, back, told

    assert asyncio.run(talk()) == (list(range(0, 20, 2)), list(range(100)), ["news"])


def test_psycopg_model_life(client):
    notices = []
    client.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    made = client.execute(
        "CREATE OR REPLACE MODEL leaves OPTIONS (model_type = 'boosted_tree_classifier', input_label_cols = ['gone'], "
        "num_iterations = 5, num_threads = 1) AS SELECT id % 3 AS r, amount, gone FROM churn"
    )
    assert made.statusmessage == "CREATE MODEL"
    rows = client.execute(
        "SELECT PREDICT(leaves, r, amount) AS p, gone FROM (SELECT id %% 3 AS r, * FROM churn) LIMIT %s", (5,)
    )
    assert len(rows.fetchall()) == 5
    assert client.execute("SHOW MODELS").fetchall()
    assert client.execute("SELECT * FROM ML.FEATURE_INFO(MODEL leaves)").fetchall()
    client.execute(
        "CREATE OR REPLACE VIEW scored AS SELECT id, PREDICT_PROBA(leaves, id % 3 AS r, amount) AS p FROM churn"
    )
    prepared = [client.execute("SELECT p FROM scored WHERE id = %s", (i,), prepare=True).fetchone() for i in range(3)]
    assert all(0 <= p <= 1 for (p,) in prepared)
    assert client.execute("DROP MODEL leaves CASCADE").statusmessage == "DROP MODEL"


# -- others -----------------------------------------------------------------------------------------------------------------


def test_psycopg2(dsn):
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    cursor.execute("SELECT * FROM churn WHERE name = %s AND gone", ("n3",))
    assert cursor.fetchall() == [ROW]
    with pytest.raises(psycopg2.errors.UndefinedTable):
        cursor.execute("SELECT * FROM missing")
    connection.rollback()
    named = connection.cursor("named")
    named.execute("SELECT i FROM numbers ORDER BY i")
    assert named.fetchmany(2) == [(0,), (1,)]
    connection.close()


def test_asyncpg(server):
    asyncpg = pytest.importorskip("asyncpg")

    async def talk():
        connection = await asyncpg.connect(host="127.0.0.1", port=server.port, user="ann", database="warehouse")
        assert tuple(await connection.fetchrow("SELECT * FROM churn WHERE id = $1", 3)) == ROW
        now = dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC)
        assert await connection.fetchval("SELECT $1::timestamptz", now) == now
        assert await connection.fetchval("SELECT $1::text", "x") == "x"
        with pytest.raises(asyncpg.exceptions.UndefinedTableError):
            await connection.fetch("SELECT * FROM missing")
        async with connection.transaction():
            seen = [row["i"] async for row in connection.cursor("SELECT i FROM numbers WHERE i < 200 ORDER BY i")]
        assert seen == list(range(200))
        await connection.executemany("SELECT $1::integer", [(1,), (2,)])
        statement = await connection.prepare("SELECT name FROM churn WHERE id = $1")
        assert [await statement.fetchval(i) for i in range(3)] == ["n0", "n1", "n2"]
        await connection.close()

    asyncio.run(talk())


def test_pg8000(server):
    pg8000 = pytest.importorskip("pg8000.native")
    connection = pg8000.Connection("ann", host="127.0.0.1", port=server.port, database="warehouse")
    assert connection.run("SELECT * FROM churn WHERE id = :id", id=3) == [list(ROW)]
    with pytest.raises(pg8000.DatabaseError, match="42P01"):
        connection.run("SELECT * FROM missing")
    assert len(connection.run("SELECT * FROM numbers")) == 100000
    connection.close()


# -- psql -------------------------------------------------------------------------------------------------------------------


def test_psql_rows(psql):
    out, err = psql("-At", "-c", "SELECT * FROM churn WHERE id = 3")
    assert (out, err) == ("3|1.5|n3|t|2020-01-04\n", "")


def test_psql_errors(psql):
    _, err = psql("-c", "SELECT id,\n missing FROM churn")
    assert 'ERROR:  Referenced column "missing" not found' in err
    assert "LINE 2:  missing FROM churn\n         ^" in err


def test_psql_script(psql):
    script = """
        BEGIN;
        CREATE TABLE scripted (a INTEGER, b VARCHAR);
        COPY scripted FROM STDIN;
1\tone
2\t\\N
\\.
        SELECT * FROM scripted ORDER BY a;
        ROLLBACK;
    """
    out, err = psql("-At", script=script)
    assert err == ""
    assert out.splitlines() == ["BEGIN", "CREATE TABLE", "COPY 2", "1|one", "2|", "ROLLBACK"]


def test_psql_watch(server, client):
    """Again and again until it is interrupted, seeing what others change meanwhile."""
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    client.execute("CREATE OR REPLACE TABLE watched AS SELECT 1 AS a")
    command = [psql, "-X", "-w", "-At", dsn_of(server)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write("SELECT 'sum', sum(a) FROM watched \\watch 0.1\n")
        process.stdin.flush()
        seen = (line.strip() for line in process.stdout if line.startswith("sum"))
        assert [next(seen), next(seen)] == ["sum|1", "sum|1"]
        client.execute("INSERT INTO watched VALUES (2)")
        assert next(line for line in seen if line != "sum|1") == "sum|3"
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        process.stdout.read()
    assert process.returncode >= 0  # it left, and was not killed


def test_psql_variables_and_fetch_count(psql):
    out, err = psql("-At", "-v", "FETCH_COUNT=1000", "-c", "SELECT 1", script=None)
    assert (out, err) == ("1\n", "")
    out, _ = psql("-At", script="\\set FETCH_COUNT 1000\nSELECT i FROM numbers ORDER BY i;\n")
    assert out.splitlines()[-1] == "99999"
    assert len(out.splitlines()) == 100000
