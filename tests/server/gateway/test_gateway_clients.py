"""Clients that people use, with Postgres behind us: what works directly works here, and the dialect beside it."""

import asyncio
import io
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest

from sqlml.server.gateway.address import ServerAddress
from sqlml.server.gateway.gateway import Gateway
from sqlml.server.login import Door
from sqlml.server.server import Address, Server
from tests.server.gateway.conftest import MODEL, FleetWire, dsn_of, gateway_to

PREDICT = "SELECT id, PREDICT(leaves, id % 3 AS r, amount) AS p FROM churn WHERE id < 3 ORDER BY id"
PREDICTED = [(0, True), (1, False), (2, False)]


# -- psycopg 3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_psycopg_rows(client, model, binary):
    cursor = client.execute("SELECT * FROM numbers", binary=binary)
    assert sum(i for (i,) in cursor) == 4999950000
    assert client.execute(PREDICT, binary=binary).fetchall() == PREDICTED


def test_psycopg_pipeline(client, model):
    text = PREDICT.replace("%", "%%").replace("< 3", "< %s")
    with client.pipeline():
        cursors = [client.execute(text, (n,)) for n in (1, 2, 3)] + [client.execute("SELECT %s::int", (7,))]
        cursors += [client.execute("SHOW MODELS")]
    assert [len(cursor.fetchall()) for cursor in cursors] == [1, 2, 3, 1, 1]
    with pytest.raises(psycopg.errors.UndefinedObject), client.pipeline() as pipeline:
        client.execute("CREATE TABLE not_made (a int)")
        client.execute("SELECT PREDICT(nope, 1)")
        pipeline.sync()
    assert client.execute("SELECT to_regclass('not_made')").fetchone() == (None,)
    with client.pipeline(), client.transaction():
        client.execute("CREATE TEMP TABLE piped AS " + PREDICT)
        cursor = client.execute("SELECT count(*) FROM piped")
    assert cursor.fetchone() == (3,)


@pytest.mark.parametrize("hold", [False, True], ids=["in-transaction", "with-hold"])
def test_psycopg_server_cursor(dsn, model, hold):
    with psycopg.connect(dsn) as connection:
        cursor = connection.cursor("c", withhold=hold)
        cursor.execute(PREDICT)
        assert cursor.fetchone() == PREDICTED[0]
        assert connection.execute("SHOW MODELS").rowcount == 1
        if hold:
            connection.commit()
        assert cursor.fetchall() == PREDICTED[1:]
        cursor.close()


def test_psycopg_stream(client, model):
    assert list(client.cursor().stream(PREDICT)) == PREDICTED


def test_psycopg_copy(client):
    client.execute("CREATE TEMP TABLE copied (a int, b text)")
    for form in ("TEXT", "BINARY", "CSV"):
        with client.cursor().copy(f"COPY copied FROM STDIN (FORMAT {form})") as copy:
            if form == "CSV":
                copy.write("3,c\n" * 20_000)
            else:
                copy.set_types(["int4", "text"])
                for i in range(20_000):
                    copy.write_row((i, "x" * 20))
    assert client.execute("SELECT count(*), sum(a) FROM copied").fetchone() == (60_000, 2 * 199990000 + 60_000)
    with client.cursor().copy("COPY copied TO STDOUT (FORMAT BINARY)") as copy:
        assert sum(len(block) for block in copy) > 1_000_000
    with pytest.raises(psycopg.errors.BadCopyFileFormat), client.cursor().copy("COPY copied FROM STDIN") as copy:
        copy.write("1\n")


def test_psycopg_notify(client, cluster, fleet):
    client.execute("LISTEN models")
    with psycopg.connect(fleet, autocommit=True) as other:
        other.execute("NOTIFY models, 'here'")
    assert [n.payload for n in client.notifies(timeout=10, stop_after=1)] == ["here"]


def test_psycopg_async(dsn, model):
    async def talk():
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            return await (await connection.execute(PREDICT)).fetchall()

    assert asyncio.run(talk()) == PREDICTED


def test_psycopg_two_phase_and_subtransactions(client, model):
    with client.transaction():
        client.execute("CREATE TEMP TABLE kept (a bool)")
        with client.transaction():
            client.execute("INSERT INTO kept SELECT p FROM (" + PREDICT + ") AS s")
            client.execute(MODEL.format("inside"))
            raise psycopg.Rollback
        client.execute("INSERT INTO kept SELECT p FROM (" + PREDICT + ") AS s")
    assert client.execute("SELECT count(*) FROM kept").fetchone() == (3,)
    assert client.execute("SHOW MODELS").rowcount == 1


# -- others -----------------------------------------------------------------------------------------------------------------


def test_psycopg2(dsn, model):
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    cursor.execute(PREDICT)
    assert cursor.fetchall() == PREDICTED
    named = connection.cursor("named")
    named.execute(PREDICT)
    assert named.fetchall() == PREDICTED
    with pytest.raises(psycopg2.errors.UndefinedObject):
        cursor.execute("SELECT PREDICT(nope, 1)")
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        cursor.execute("SELECT 1")
    connection.rollback()
    out = io.StringIO()
    cursor.copy_expert(f"COPY ({PREDICT}) TO STDOUT", out)
    assert out.getvalue() == "0\tt\n1\tf\n2\tf\n"
    connection.close()


def test_asyncpg(gateway, model):
    asyncpg = pytest.importorskip("asyncpg")

    async def talk():
        connection = await asyncpg.connect(host="127.0.0.1", port=gateway.port, user="postgres", database="fleet")
        text = PREDICT.replace("< 3", "< $1")
        assert [tuple(row) for row in await connection.fetch(text, 3)] == PREDICTED
        statement = await connection.prepare(text)
        assert [len(await statement.fetch(n)) for n in (1, 2, 3)] == [1, 2, 3]
        assert len(await connection.fetch("SHOW MODELS")) == 1
        async with connection.transaction():
            seen = [tuple(row) async for row in connection.cursor(PREDICT, prefetch=2)]
        assert seen == PREDICTED
        with pytest.raises(asyncpg.exceptions.UndefinedObjectError):
            await connection.fetch("SELECT PREDICT(nope, 1)")
        assert await connection.execute(MODEL.format("async_made")) == "CREATE MODEL"
        assert await connection.execute("DROP MODEL async_made") == "DROP MODEL"
        await connection.close()

    asyncio.run(talk())


def test_pg8000(gateway, model):
    pg8000 = pytest.importorskip("pg8000.native")
    connection = pg8000.Connection("postgres", host="127.0.0.1", port=gateway.port, database="fleet")
    assert connection.run(PREDICT.replace("< 3", "< :n"), n=3) == [list(row) for row in PREDICTED]
    assert len(connection.run("SHOW MODELS")) == 1
    with pytest.raises(pg8000.DatabaseError, match="42704"):
        connection.run("SELECT PREDICT(nope, 1)")
    connection.close()


def test_adbc(gateway, model):
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    address = f"postgresql://postgres@127.0.0.1:{gateway.port}/fleet"
    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(PREDICT)
        assert cursor.fetch_arrow_table().to_pydict() == {"id": [0, 1, 2], "p": [True, False, False]}


@pytest.fixture
def psql(gateway):
    program = shutil.which("psql")
    if program is None:
        pytest.skip("psql is not installed")

    def run(*arguments, script=None):
        done = subprocess.run(
            [program, "-X", "-w", dsn_of(gateway), *arguments],
            capture_output=True, text=True, input=script, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout, done.stderr

    return run


def test_psql(psql, model):
    script = f"""
        BEGIN;
        CREATE TABLE scripted (a int, b bool);
        COPY scripted FROM STDIN;
1\tt
2\t\\N
\\.
        INSERT INTO scripted {PREDICT};
        SELECT count(*) FROM scripted;
        {PREDICT.replace("ORDER BY id", "ORDER BY id DESC")} \\gdesc
        ROLLBACK;
        \\set FETCH_COUNT 2
        {PREDICT};
        \\dt churn
    """
    out, err = psql("-At", script=script)
    assert err == 'NOTICE:  model "leaves" saw no NULL in r, amount while it was trained: a NULL there scores as 0\n'
    lines = [
        "BEGIN",
        "CREATE TABLE",
        "COPY 2",
        "INSERT 0 3",
        "5",
        "id|integer",
        "p|boolean",
        "ROLLBACK",
        "0|t",
        "1|f",
        "2|f",
    ]
    assert out.splitlines() == [*lines, "public|churn|table|postgres"]


def test_psql_errors(psql, model):
    _, err = psql("-c", "SELECT id,\n PREDICT(leaves, amount) FROM churn")
    assert 'ERROR:  model "leaves" expects' in err
    assert "LINE 2:  PREDICT(leaves, amount) FROM churn\n         ^" in err
    _, err = psql("-c", "SELECT 1; SHOW MODELS; SELECT 1/0")
    assert "ERROR:  division by zero" in err


JARS = [
    Path("/usr/share/java") / f"{name}.jar" for name in ("postgresql", "scram-client", "scram-common", "stringprep")
]


def test_jdbc(gateway, model, tmp_path):
    if shutil.which("javac") is None or not JARS[0].exists():
        pytest.skip("java or its driver (Debian: libpostgresql-jdbc-java) is not installed")
    source = Path(__file__).parents[1] / "clients" / "Gateway.java"
    subprocess.run(["javac", "-d", tmp_path, source], check=True, timeout=120)
    done = subprocess.run(
        ["java", "-cp", ":".join(map(str, [*JARS, tmp_path])), "Gateway", str(gateway.port)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "1 1 1 2 2 2 3 3 ", "rows 100", "models 1", "scored 1000", "error 42704", "batch [1, 1, 1]", "left null", "error 42704",
    ]  # fmt: skip


def test_sqlalchemy_and_pandas(gateway, model):
    sa = pytest.importorskip("sqlalchemy")
    pd = pytest.importorskip("pandas")
    engine = sa.create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{gateway.port}/fleet")
    assert {"churn", "numbers"} <= set(sa.inspect(engine).get_table_names())
    assert pd.read_sql(sa.text(PREDICT), engine).p.tolist() == [True, False, False]
    engine.dispose()


# -- operators --------------------------------------------------------------------------------------------------------------


def test_log_and_metrics(cluster, fleet):
    log = io.StringIO()
    behind = Gateway(ServerAddress("127.0.0.1", cluster.port), Door(trust=True))
    with Server(behind, Address(port=0), log=log, metrics_port=0) as server:
        with psycopg.connect(dsn_of(server), autocommit=True) as client:
            client.execute("SELECT i FROM numbers LIMIT 5")
            client.execute("SELECT 'prepared'", prepare=True)
            client.execute("SHOW MODELS")
            for text in ("SELECT missing", "SELECT PREDICT(nope, 1)"):
                with pytest.raises(psycopg.Error):
                    client.execute(text)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics.port}/metrics") as answer:
            metrics = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics.port}/ready") as answer:
            assert answer.read() == b"ok\n"
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    events = [line["event"] for line in lines]
    assert [events.count(name) for name in ("started", "connected", "disconnected", "stopped")] == [1, 1, 1, 1]
    statements = {line["text"]: line for line in lines if line["event"] == "statement"}
    assert statements["SELECT missing"]["sqlstate"] == "42703"
    assert {"SELECT i FROM numbers LIMIT 5", "SELECT 'prepared'", "SHOW MODELS"} <= statements.keys()
    assert statements["SHOW MODELS"]["milliseconds"] > 0
    assert int(metrics["sqlml_statements_total"]) >= 4
    assert metrics['sqlml_errors_total{sqlstate="42703"}'] == "1"
    assert metrics['sqlml_errors_total{sqlstate="42704"}'] == "1"
    assert int(metrics["sqlml_rows_sent_total"]) >= 6


def test_sessions_do_not_wait_for_each_other(gateway, dsn, model):
    """One trains, one is sent rows that it does not read, others score."""
    trained = MODEL.format("slow").replace("= 5", "= 2000")
    with FleetWire(gateway.port) as trains, FleetWire(gateway.port) as idle, psycopg.connect(dsn) as scores:
        trains.send(b"Q", trained.encode() + b"\0")
        trains.until(b"N")
        idle.send(b"Q", b"SELECT i, repeat('x', 100) FROM numbers, generate_series(1, 10) AS s(n)\0")
        assert [scores.execute(PREDICT).fetchall() for _ in range(20)] == [PREDICTED] * 20
        assert trains.until(b"Z")[-2] == (b"C", b"CREATE MODEL\0")
        trains.query("DROP MODEL slow")


def test_nothing_stays_behind(cluster, fleet, model):
    before = threading.active_count()
    with gateway_to(cluster) as server, psycopg.connect(dsn_of(server), autocommit=True) as client:
        client.execute(PREDICT)
        assert threading.active_count() > before + 3
        folder = Path(server.behind.office.folder)
        assert folder.stat().st_mode & 0o777 == 0o700
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before
    assert not folder.exists()
    with psycopg.connect(fleet, autocommit=True) as direct:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'fleet' AND pid <> pg_backend_pid()"
        while direct.execute(query).fetchone() != (1,):  # the fixture's own
            time.sleep(0.02)
