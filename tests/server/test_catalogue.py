"""Catalogue statements of real tools, and the tools themselves: the oracle is a real Postgres with the same tables."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from sqlml.server.listen import open_upstream
from sqlml.server.shadow import Shadow
from tests.server.conftest import TABLES, dsn_of, serving

FOLDER = Path(__file__).parent / "clients"
STATEMENTS = json.loads((FOLDER / "catalog_queries.json").read_text())
EXTRA = """
    CREATE SCHEMA extra;
    CREATE TABLE extra.metrics (id INTEGER PRIMARY KEY, v DECIMAL(10, 2) NOT NULL);
    CREATE VIEW few AS SELECT id, amount FROM churn;
    COMMENT ON TABLE churn IS 'who left';
    COMMENT ON COLUMN churn.amount IS 'in euro';
"""
TWIN = """
    CREATE TABLE churn (id INTEGER, amount FLOAT8, name TEXT, gone BOOLEAN, day DATE);
    CREATE TABLE numbers (i INTEGER);
    CREATE SCHEMA extra;
    GRANT USAGE ON SCHEMA extra TO PUBLIC;
    CREATE TABLE extra.metrics (id INTEGER PRIMARY KEY, v NUMERIC(10, 2) NOT NULL);
    CREATE VIEW few AS SELECT NULL::integer AS id, NULL::double precision AS amount WHERE false;
    COMMENT ON TABLE churn IS 'who left';
    COMMENT ON COLUMN churn.amount IS 'in euro';
    GRANT SELECT ON churn, numbers, few, extra.metrics TO PUBLIC;
"""
CHURN, FEW = "16687", "16692"  # what the tools that were listened to had as object ids


@pytest.fixture(scope="module")
def served(cluster, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served") / "warehouse.duckdb", tables=TABLES + EXTRA) as server:
        engine = server.behind.connection.cursor().session.engine
        shadow = Shadow(lambda: open_upstream("127.0.0.1", cluster.port), engine)
        server.behind.catalogue_for = lambda client: shadow.session(client.user)
        yield server
        server.stop()
        shadow.close()


@pytest.fixture(scope="module")
def twin(cluster, served):
    """A database whose catalogue is what the served one's should look like."""
    psycopg.connect(dsn_of(served)).close()
    dsn = cluster.create_database("twin")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TWIN)
    return dsn


def asked(connection, statement):
    """The columns and rows of a statement, with object ids and the database's name left out."""
    ids = {
        old: str(connection.pgconn.exec_(f"SELECT '{name}'::pg_catalog.regclass::pg_catalog.oid FROM pg_catalog.pg_class LIMIT 1".encode()).get_value(0, 0), "ascii")
        for old, name in ((CHURN, "churn"), (FEW, "few"))
    }  # fmt: skip
    text = re.sub(r"\b(16687|16692)\b", lambda match: ids[match[0]], statement["sql"])
    values = ast.literal_eval(statement["params"]) if statement["params"] not in ("None", "[]") else None
    if values:
        result = connection.pgconn.exec_params(text.encode(), [str(value).encode() for value in values])
    else:
        result = connection.pgconn.exec_(text.encode())
    if result.error_message:
        return result.error_message.decode()
    rows = [
        tuple(_shown(result.get_value(row, column)) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]
    return [(result.fname(column), result.ftype(column)) for column in range(result.nfields)], sorted(rows, key=repr)


def _shown(value):
    text = None if value is None else value.decode()
    return text and re.sub(r"(?<!\d)(1[6-9]|[2-9]\d)\d{3}(?!\d)", "oid", text).replace("twin", "warehouse")


NOT_CATALOGUE = re.compile(r"(?i)^\s*(SET|SHOW|DEALLOCATE)\b")


@pytest.mark.parametrize("statement", STATEMENTS, ids=[f"{s['client']}-{i}" for i, s in enumerate(STATEMENTS)])
def test_statements_of_tools(served, twin, statement):
    with psycopg.connect(dsn_of(served, "postgres"), autocommit=True) as ours:
        got = asked(ours, statement)
    if NOT_CATALOGUE.match(statement["sql"]):
        assert not isinstance(got, str) or "does not exist" in got
        return
    with psycopg.connect(twin, autocommit=True) as theirs:
        wanted = asked(theirs, statement)
    if "version()" in statement["sql"]:
        assert got == wanted
        return
    assert not isinstance(got, str), got
    assert got[0] == wanted[0]
    ignored = {("warehouse",), ("twin",)}
    assert [row for row in got[1] if "warehouse" not in row and row not in ignored] == [
        row for row in wanted[1] if "warehouse" not in row and row not in ignored
    ]


def test_a_word_of_the_catalogue_leads_nowhere(served):
    with psycopg.connect(dsn_of(served)) as client:
        assert client.execute("SELECT current_user, count(*) FROM churn").fetchone()[1] == 1000
        assert client.execute('SELECT count(*) FROM "public"."churn"').fetchone() == (1000,)
        assert client.execute("SELECT count(*) FROM warehouse.public.churn c").fetchone() == (1000,)


@pytest.mark.parametrize("user", ["ann", "postgres"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT pg_read_file('/etc/hostname')",
        "SELECT pg_ls_dir('/') FROM pg_class",
        "SELECT pg_reload_conf()",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' AND pid <> pg_backend_pid()",
        "SELECT query_to_xml('CREATE ROLE eve SUPERUSER', true, true, '') FROM pg_class",
    ],
)
def test_nobody_is_master_of_the_catalogue(served, user, query):
    """Also not who is called as the private server's own superuser."""
    with psycopg.connect(dsn_of(served, user), autocommit=True) as client:
        with pytest.raises(psycopg.Error) as caught:
            client.execute(query)
        assert caught.value.sqlstate in ("42501", "0A000"), caught.value
        assert client.execute("SELECT count(*) > 0 FROM pg_class").fetchone() == (True,)


def test_new_relations_are_seen_and_old_ids_stay(served):
    oid = "SELECT oid FROM pg_class WHERE relname = %s"
    with psycopg.connect(dsn_of(served), autocommit=True) as client:
        before = client.execute(oid, ("churn",)).fetchone()
        client.execute("CREATE TABLE newer (a DECIMAL(12, 3), b INTEGER[])")
        columns = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'newer' ORDER BY 1"
        assert client.execute(columns).fetchall() == [("a", "numeric"), ("b", "json")]
        assert client.execute(oid, ("churn",)).fetchone() == before
        client.execute("DROP TABLE newer")
        assert client.execute(oid, ("newer",)).fetchone() is None


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (r"\d", ["public | churn   | table | postgres", "public | few     | view  | postgres"]),
        (r"\d churn", ['Table "public.churn"', "amount | double precision |", "day    | date             |"]),
        (r"\dt+", ["who left"]),
        (r"\d+ churn", ["in euro"]),
        (r"\l", ["warehouse | postgres | UTF8"]),
        (r"\df", ["List of functions"]),
        (r"\dn", ["extra"]),
        (
            r"\d extra.metrics",
            ['"metrics_pkey" PRIMARY KEY, btree (id)', "v      | numeric(10,2) |           | not null |"],
        ),
    ],
)
def test_psql(served, command, expected):
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed")
    done = subprocess.run(
        ["psql", "-X", dsn_of(served), "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    for line in expected:  # columns are as wide as what else is in the server
        assert re.sub(" +", " ", line) in re.sub(" +", " ", done.stdout)


def test_jdbc(served, tmp_path):
    jars = [
        Path("/usr/share/java") / name
        for name in ("postgresql.jar", "scram-client.jar", "scram-common.jar", "stringprep.jar")
    ]
    if shutil.which("javac") is None or not jars[0].exists():
        pytest.skip("java or its driver (Debian: libpostgresql-jdbc-java) is not installed")
    subprocess.run(["javac", "-d", tmp_path, FOLDER / "Probe.java"], check=True, timeout=120)
    path = ":".join(map(str, [*jars, tmp_path]))
    done = subprocess.run(
        ["java", "-cp", path, "Probe", str(served.port)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[3] == "3 1.5 n3 true 2020-01-04"
    assert {"churn TABLE who left", "few VIEW null", "amount float8 8 in euro", "day date 91 null", "key id"} <= set(
        lines
    )
    assert lines[-3:] == ["rows 100000", "error 42703", "batch [1, 1, 1]"]


def test_odbc(served):
    pyodbc = pytest.importorskip("pyodbc", exc_type=ImportError)
    if "PostgreSQL Unicode" not in pyodbc.drivers():
        pytest.skip("the driver (Debian: odbc-postgresql) is not installed")
    connection = pyodbc.connect(
        f"DRIVER={{PostgreSQL Unicode}};SERVER=127.0.0.1;PORT={served.port};DATABASE=warehouse;UID=ann", autocommit=True
    )
    cursor = connection.cursor()
    assert cursor.execute("SELECT id, name FROM churn WHERE id = ?", 3).fetchone().name == "n3"
    assert {(row.table_name, row.table_type) for row in cursor.tables(schema="public")} >= {
        ("churn", "TABLE"),
        ("few", "VIEW"),
    }
    assert [row.column_name for row in cursor.columns(table="churn")] == ["id", "amount", "name", "gone", "day"]
    with pytest.raises(pyodbc.ProgrammingError, match="missing"):
        cursor.execute("SELECT missing FROM churn")
    connection.autocommit = False
    cursor.execute("INSERT INTO extra.metrics VALUES (7, 1.5)")
    connection.rollback()
    assert cursor.execute("SELECT count(*) FROM extra.metrics").fetchval() == 0
    connection.close()


def test_node(served):
    roots = [FOLDER, Path(__file__).parents[2]]
    root = next((root for root in roots if (root / "node_modules" / "pg").exists()), None)
    if shutil.which("node") is None or root is None:
        pytest.skip("node or its package pg (npm install pg in the project's folder) is not installed")
    script = (FOLDER / "probe.js").read_text()
    done = subprocess.run(
        ["node", "-e", script, "-", str(served.port)], capture_output=True, text=True, timeout=60, cwd=root, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ['[{"id":3,"amount":1.5,"name":"n3","gone":true}]', "42703 8", "1000"]


def test_sqlalchemy_and_pandas(served):
    sa = pytest.importorskip("sqlalchemy")
    pd = pytest.importorskip("pandas")
    engine = sa.create_engine(f"postgresql+psycopg://ann@127.0.0.1:{served.port}/warehouse")
    inspector = sa.inspect(engine)
    assert {"churn", "numbers"} <= set(inspector.get_table_names())
    assert inspector.get_view_names() == ["few"]
    assert [column["name"] for column in inspector.get_columns("churn")] == ["id", "amount", "name", "gone", "day"]
    assert inspector.get_pk_constraint("metrics", schema="extra")["constrained_columns"] == ["id"]
    assert inspector.get_table_comment("churn") == {"text": "who left"}
    frame = pd.read_sql("SELECT id, amount FROM churn ORDER BY id LIMIT 3", engine)
    assert frame.amount.tolist() == [0.0, 0.5, 1.0]
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}).to_sql("frame", engine, index=False)
    assert pd.read_sql_table("frame", engine).a.tolist() == [1, 2]
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE frame"))
    engine.dispose()


def test_adbc(served):
    adbc = pytest.importorskip("adbc_driver_postgresql.dbapi")
    pa = pytest.importorskip("pyarrow")
    with (
        adbc.connect(f"postgresql://ann@127.0.0.1:{served.port}/warehouse") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM churn WHERE id < 3")
        assert cursor.fetch_arrow_table().column("name").to_pylist() == ["n0", "n1", "n2"]
        cursor.adbc_ingest("ingested", pa.table({"a": [1, 2], "b": ["x", None], "c": [0.5, None]}), mode="create")
        connection.commit()
        cursor.execute("SELECT a, b, c FROM ingested ORDER BY a")
        assert cursor.fetchall() == [(1, "x", 0.5), (2, None, None)]
        cursor.execute("DROP TABLE ingested")
        connection.commit()
