"""What users may do: readers, writers and admins, and the models that were granted to them."""

import psycopg
import pytest

from sqlml.server.login import Door
from sqlml.server.roles import Roles
from tests.server.conftest import TABLES, dsn_of, serving

MODEL = """
    CREATE MODEL leaves OPTIONS (model_type = 'boosted_tree_classifier', input_label_cols = ['gone'], num_iterations = 5,
        num_threads = 1) AS SELECT id % 3 AS r, name, gone FROM churn;
    CREATE VIEW scored AS SELECT id, PREDICT_PROBA(leaves, id % 3 AS r, name) AS p FROM churn;
    CREATE VIEW leak AS SELECT * FROM sqlml.artifacts;
    CREATE VIEW hidden AS SELECT * FROM leak;
    CREATE MACRO stolen() AS TABLE SELECT * FROM sqlml._features;
    CREATE MACRO guess(a, b) AS ml_predict_proba('leaves', true, a, b);
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    roles = Roles(folder / "users.json")
    for name, role in (("root", "admin"), ("wendy", "writer"), ("rita", "reader"), ("rob", "reader")):
        roles.add(name, name, role)
    with serving(folder / "warehouse.duckdb", tables=TABLES, door=Door(roles)) as server:
        with login(server, "root") as admin:
            for statement in MODEL.split(";")[:-1]:
                admin.execute(statement)
        yield server


def login(server, name):
    return psycopg.connect(dsn_of(server, name, password=name), autocommit=True)


def refused(connection, statement, values=None):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement, values)
    assert caught.value.sqlstate in ("42501", "25006"), (statement, caught.value)


def test_readers_read(guarded):
    with login(guarded, "rita") as client:
        assert client.execute("SELECT count(*) FROM churn WHERE id < %s", (10,)).fetchone() == (10,)
        assert client.execute("WITH t AS (SELECT 1 AS a) SELECT * FROM t").fetchall() == [(1,)]
        assert client.execute("EXPLAIN SELECT 1").fetchall()
        assert client.execute("SHOW MODELS").fetchall()
        client.execute("SET application_name = 'x'")
        with client.transaction():
            assert client.execute("SELECT count(*) FROM churn").fetchone() == (1000,)


def test_rows_come_to_readers_as_they_are_made(guarded):
    """The first of more than could ever be put aside; and nothing stays open behind them."""
    with login(guarded, "rita") as client, login(guarded, "root") as admin:
        rows = client.cursor().stream("SELECT a.i FROM numbers a, numbers b, numbers c")
        assert len([row for row, _ in zip(rows, range(5), strict=False)]) == 5
        client.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            list(rows)
        assert client.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        admin.execute("CREATE TABLE later AS SELECT 1 AS a")
        assert client.execute("SELECT a FROM later").fetchall() == [(1,)]
        (member,) = [member for member in guarded.sessions.clients() if member.user == "rita"]
        assert not member.executor.reads
        admin.execute("DROP TABLE later")


def test_readers_hold_cursors(guarded):
    with login(guarded, "rita") as client:
        client.execute("DECLARE held CURSOR WITH HOLD FOR SELECT i FROM numbers ORDER BY i")
        assert client.execute("FETCH 2 FROM held").fetchall() == [(0,), (1,)]
        refused(client, "DELETE FROM numbers")
        assert client.execute("FETCH 1 FROM held").fetchall() == [(2,)]
        with client.pipeline():
            cursors = [client.execute("SELECT count(*) + %s FROM numbers", (i,)) for i in range(3)]
        assert [cursor.fetchone()[0] for cursor in cursors] == [100000, 100001, 100002]
        assert len(client.execute("FETCH ALL FROM held").fetchall()) == 99997


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO churn (id) VALUES (1)",
        "UPDATE churn SET id = 1",
        "DELETE FROM churn",
        "CREATE TABLE t (a INTEGER)",
        "CREATE TEMP TABLE t (a INTEGER)",
        "DROP TABLE churn",
        "ALTER TABLE churn ADD COLUMN z INTEGER",
        "WITH x AS (SELECT 1) INSERT INTO numbers SELECT * FROM x",
        "INSERT INTO churn (id) VALUES (1) RETURNING id",
        "CREATE MODEL m OPTIONS (input_label_cols = ['gone']) AS SELECT id, gone FROM churn",
        "DROP MODEL leaves",
        "EXPORT MODEL leaves TO '/tmp/leaves.bin'",
        "IMPORT MODEL mine FROM '/tmp/leaves.bin'",
        "COPY churn TO '/tmp/churn.csv'",
        "COPY numbers FROM STDIN",
        "ATTACH ':memory:' AS other",
        "PREPARE p AS SELECT * FROM sqlml.artifacts",
        "INSTALL httpfs",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "CHECKPOINT",
        "EXPORT DATABASE '/tmp/x'",
        "SET memory_limit = '1MB'",
        "SET explain_output = 'all'",
        "USE warehouse",
        "GRANT USAGE ON MODEL leaves TO rita",
        "EXPLAIN ANALYZE DELETE FROM churn",
    ],
)
def test_readers_do_not_write(guarded, statement):
    with login(guarded, "rita") as client:
        refused(client, statement)
        with pytest.raises(psycopg.Error), client.transaction():
            client.execute(statement)
        assert client.execute("SELECT count(*) FROM churn").fetchone() == (1000,)


@pytest.mark.parametrize("user", ["rita", "wendy", "root"])
@pytest.mark.parametrize(
    "query",
    ["SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_csv('/etc/passwd')"],
)
def test_files_of_the_server_are_closed(guarded, user, query):
    with (
        login(guarded, user) as client,
        pytest.raises(psycopg.Error, match=r"disabled by configuration|does not exist|permission"),
    ):
        client.execute(query)


@pytest.mark.parametrize("user", ["rita", "wendy"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM sqlml.artifacts",
        "SELECT count(*) FROM sqlml.artifacts",
        'SELECT max(size) FROM warehouse."SQLML".Artifacts',
        "SELECT * FROM sqlml._features",
        "SELECT * FROM sqlml.model_features",
        "SELECT * FROM sqlml._versions",
        "SELECT * FROM hidden",
        "SELECT * FROM stolen()",
        "SELECT (SELECT min(body) FROM leak)",
        "SELECT * FROM churn WHERE id IN (SELECT size FROM sqlml.artifacts) AND id = %s",
        "EXPLAIN ANALYZE SELECT * FROM hidden",
        "COPY (SELECT * FROM hidden) TO STDOUT",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM hidden",
    ],
)
def test_raw_values_of_the_catalog_are_closed(guarded, user, query):
    with login(guarded, user) as client:
        if query.startswith("COPY"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), client.cursor().copy(query) as copy:
                copy.read()
        else:
            refused(client, query, (1,) if "%s" in query else None)


SCORES = [
    "SELECT PREDICT(leaves, id %% 3 AS r, name) FROM churn LIMIT %s",
    "SELECT ml_predict_proba('leaves', 'true', id %% 3 AS r, name) FROM churn LIMIT %s",
    "SELECT p FROM scored LIMIT %s",
    "SELECT guess(id %% 3, name) FROM churn LIMIT %s",
    "SELECT * FROM ML.PREDICT(MODEL leaves, (SELECT id %% 3 AS r, name FROM churn)) LIMIT %s",
]


@pytest.mark.parametrize("query", SCORES)
def test_models_need_a_grant(guarded, query):
    with login(guarded, "root") as admin, login(guarded, "rita") as rita, login(guarded, "rob") as rob:
        assert len(admin.execute(query, (3,)).fetchall()) == 3
        refused(rita, query, (3,))
        admin.execute("GRANT USAGE ON MODEL leaves TO rita")
        assert len(rita.execute(query, (3,), prepare=True).fetchall()) == 3
        refused(rob, query, (3,))
        admin.execute("REVOKE USAGE ON MODEL leaves FROM rita")
        refused(rita, query, (3,))  # the statement that was prepared, too


def test_scoring_by_a_hash_needs_a_grant(guarded):
    with login(guarded, "root") as admin, login(guarded, "wendy") as wendy:
        ((found,),) = admin.execute("SELECT artifact_hash FROM sqlml.artifacts").fetchall()
        query = f"SELECT __sqlml_prob('sha256:{found}?class=1', 1, 'x')"
        refused(wendy, query)


def test_writers_write_and_own_their_models(guarded):
    with login(guarded, "wendy") as wendy, login(guarded, "rob") as rob:
        wendy.execute("CREATE TABLE own (a INTEGER, b BOOLEAN)")
        wendy.execute("INSERT INTO own SELECT i, i % 2 = 0 FROM numbers WHERE i < 100")
        wendy.execute(
            "CREATE MODEL wendys OPTIONS (model_type = 'boosted_tree_classifier', input_label_cols = ['b'], "
            "num_iterations = 3, num_threads = 1) AS SELECT * FROM own"
        )
        query = "SELECT PREDICT(wendys, a) FROM own LIMIT 1"
        assert len(wendy.execute(query).fetchall()) == 1
        refused(rob, query)
        refused(wendy, "GRANT USAGE ON MODEL wendys TO rob")
        wendy.execute("DROP MODEL wendys")
        wendy.execute("DROP TABLE own")


def test_a_grant_to_nobody(guarded):
    with login(guarded, "root") as admin, pytest.raises(psycopg.Error, match='role "nobody" does not exist'):
        admin.execute("GRANT USAGE ON MODEL leaves TO nobody")
