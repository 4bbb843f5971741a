"""The dialect from a client that knows nothing of it: results equal those of the Python client on the same database."""

import threading
import time

import psycopg
import pytest

from sqlml.errors import SqlmlError
from tests.server.gateway.conftest import MODEL, FleetWire, dsn_of
from tests.server.wire import Wire, fields, tags

ROWS = "(SELECT id, id % 3 AS r, amount, gone FROM churn)"
QUERIES = {
    "scalar": f"SELECT id, PREDICT(leaves, *) AS p, PREDICT_PROBA(leaves, *) FROM {ROWS} AS t ORDER BY id",
    "table": f"SELECT * FROM ML.PREDICT(MODEL leaves, {ROWS}) ORDER BY id LIMIT 50",
    "flat": f"SELECT * FROM ML.PREDICT(MODEL leaves, {ROWS}, STRUCT(TRUE AS flat)) ORDER BY id LIMIT 50",
    "evaluate": f"SELECT * FROM ML.EVALUATE(MODEL leaves, {ROWS})",
    "stored metrics": "SELECT * FROM ML.EVALUATE(MODEL leaves)",
    "confusion": f"SELECT * FROM ML.CONFUSION_MATRIX(MODEL leaves, {ROWS})",
    "roc": f"SELECT * FROM ML.ROC_CURVE(MODEL leaves, {ROWS})",
    "importance": "SELECT * FROM ML.FEATURE_IMPORTANCE(MODEL leaves)",
    "features": "SELECT * FROM ML.FEATURE_INFO(MODEL leaves)",
    "outside": f"SELECT * FROM ML.EXPLAIN_PREDICT(MODEL leaves, {ROWS}) ORDER BY id LIMIT 50",
    "global": f"SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL leaves, {ROWS})",
    "nested": f"SELECT p, count(*) FROM (SELECT PREDICT(leaves, *) AS p FROM {ROWS} AS t) AS s GROUP BY p ORDER BY p",
    "explained": f"EXPLAIN (COSTS OFF) SELECT PREDICT(leaves, *) FROM {ROWS} AS t",
    "explained as json": f"EXPLAIN (COSTS OFF, FORMAT JSON) SELECT PREDICT(leaves, *) FROM {ROWS} AS t",
    "show": "SHOW MODELS",
    "describe": "DESCRIBE MODEL leaves",
    "create": "SHOW CREATE MODEL leaves",
    "versions": "SHOW MODEL VERSIONS leaves",
    "plain function": "SELECT id, ml_predict('leaves', t) AS p FROM leaf_rows AS t ORDER BY id LIMIT 5",
}


@pytest.fixture
def leaf_rows(direct, model):
    direct.execute(f"CREATE VIEW leaf_rows AS SELECT * FROM {ROWS} AS t")
    yield
    direct.execute("DROP VIEW leaf_rows")


@pytest.mark.parametrize("name", QUERIES)
def test_results_equal_those_of_the_python_client(client, direct, leaf_rows, name):
    direct.execute(QUERIES[name])
    expected = direct.fetchall()
    assert expected
    columns = [column[0] for column in direct.description]
    for prepare in (False, True):
        cursor = client.execute(QUERIES[name], prepare=prepare)
        assert [column.name for column in cursor.description] == columns
        got = cursor.fetchall()
        if name == "explained as json":  # which psycopg reads
            assert got[0][0][0]["Plan"]["Node Type"] == "Seq Scan"
        else:
            assert got == expected


@pytest.mark.parametrize("name", ["scalar", "table", "evaluate", "outside"])
def test_results_in_binary(client, direct, leaf_rows, name):
    direct.execute(QUERIES[name])
    assert client.execute(QUERIES[name], binary=True).fetchall() == direct.fetchall()


def test_a_model_made_here_is_the_one_made_there(client, direct):
    made = client.execute(MODEL.format("here"))
    assert made.statusmessage == "CREATE MODEL"
    direct.execute(MODEL.format("there"))
    hashes = "SELECT DISTINCT artifact_hash FROM sqlml.model_versions WHERE model_name IN ('here', 'there')"
    assert len(client.execute(hashes).fetchall()) == 1
    for name in ("here", "there"):
        assert client.execute(f"DROP MODEL {name}").statusmessage == "DROP MODEL"
    assert direct.execute("SHOW MODELS").fetchall() == []


def test_parameters(client, direct, model):
    text = "SELECT id, PREDICT_PROBA(leaves, id % 3 AS r, amount) FROM churn WHERE id < {} AND name <> {} ORDER BY id"
    direct.execute(text.format(20, "'n3'"))
    expected = direct.fetchall()
    for _ in range(8):  # psycopg prepares by itself from the fifth time on
        assert client.execute(text.replace("%", "%%").format("%s", "%s"), (20, "n3")).fetchall() == expected
    binary = client.execute(text.replace("%", "%%").format("%b", "%b"), (20, "n3"), binary=True)
    assert binary.fetchall() == expected
    row = client.execute("SELECT PREDICT(leaves, %s::int AS r, %s::float8 AS amount)", (0, 1.5)).fetchone()
    direct.execute("SELECT PREDICT(leaves, 0 AS r, 1.5::float8 AS amount)")
    assert row == direct.fetchone()


def test_a_prepared_statement_follows_the_model(client, model, direct):
    text = "SELECT PREDICT(leaves, 0 AS r, %s::float8 AS amount)"
    assert [client.execute(text, (1.5,), prepare=True).fetchone() for _ in range(3)] == [(True,)] * 3
    direct.execute(MODEL.format("leaves").replace("gone FROM churn", "NOT gone AS gone FROM churn"))
    assert client.execute(text, (1.5,), prepare=True).fetchone() == (False,)
    direct.execute("ALTER MODEL leaves SET DEFAULT VERSION 1")
    assert client.execute(text, (1.5,), prepare=True).fetchone() == (True,)
    client.execute("PREPARE mine (float8) AS SELECT PREDICT(leaves, 0 AS r, $1 AS amount)")
    assert client.execute("EXECUTE mine (1.5)").fetchone() == (True,)
    direct.execute("ALTER MODEL leaves SET DEFAULT VERSION 2")
    assert client.execute("EXECUTE mine (1.5)").fetchone() == (False,)


def test_uncommitted_rows_and_temporary_tables(client, direct, dsn):
    with client.transaction():
        client.execute(
            "CREATE TEMP TABLE fresh AS SELECT i AS a, i % 2 = 0 AS gone FROM generate_series(1, 500) AS t(i)"
        )
        client.execute("INSERT INTO fresh SELECT i, true FROM generate_series(501, 600) AS t(i)")
        client.execute(
            "CREATE MODEL fresh_model OPTIONS (model_type = 'boosted_tree_classifier', input_label_cols = ['gone'], "
            "num_iterations = 3, num_threads = 1) AS SELECT * FROM fresh"
        )
        assert client.execute("SELECT count(PREDICT(fresh_model, a)) FROM fresh").fetchone() == (600,)
        (rows,) = client.execute(
            "SELECT training_rows FROM sqlml.model_versions WHERE model_name = 'fresh_model'"
        ).fetchone()
        assert 0 < rows <= 600
        with psycopg.connect(dsn) as other, pytest.raises(psycopg.errors.UndefinedObject):
            other.execute("SELECT PREDICT(fresh_model, 1)")
        raise psycopg.Rollback
    with pytest.raises(psycopg.errors.UndefinedObject, match='model "fresh_model" does not exist'):
        client.execute("SELECT PREDICT(fresh_model, 1)")


def test_views(client, direct, model):
    made = client.execute(f"CREATE VIEW scored AS SELECT id, PREDICT_PROBA(leaves, *) AS p FROM {ROWS} AS t")
    assert made.statusmessage == "CREATE VIEW"
    direct.execute(f"SELECT id, PREDICT_PROBA(leaves, *) AS p FROM {ROWS} AS t ORDER BY id")
    assert client.execute("SELECT * FROM scored ORDER BY id").fetchall() == direct.fetchall()
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="scored"):
        client.execute("DROP MODEL leaves")
    made = client.execute(f"CREATE MATERIALIZED VIEW kept AS SELECT id, PREDICT(leaves, *) AS p FROM {ROWS} AS t")
    assert made.statusmessage == "SELECT 1000"
    client.execute("DROP MATERIALIZED VIEW kept; DROP VIEW scored")


def test_statements_that_hold_calls(client, model):
    source = f"SELECT id, PREDICT(leaves, *) AS p FROM {ROWS} AS t"
    assert client.execute(f"CREATE TEMP TABLE made AS {source}").statusmessage == "SELECT 1000"
    assert client.execute(f"INSERT INTO made {source}").statusmessage == "INSERT 0 1000"
    with client.transaction():
        client.execute(f"DECLARE c CURSOR FOR {source} ORDER BY id")
        assert len(client.execute("FETCH 10 FROM c").fetchall()) == 10
    with client.cursor().copy(f"COPY ({source} ORDER BY id) TO STDOUT") as copy:
        assert list(copy.rows())[:2] == [("0", "t"), ("1", "f")]
    assert client.execute("UPDATE made SET p = PREDICT(leaves, id % 3 AS r, 1.5::float8 AS amount)").rowcount == 2000


def test_scores_from_outside_leave_nothing_behind(client, model):
    text = f"SELECT id FROM ML.EXPLAIN_PREDICT(MODEL leaves, {ROWS}) ORDER BY id LIMIT 3"
    left = "SELECT count(*) FROM pg_class WHERE relname LIKE '\\_\\_sqlml%'"
    for prepare in (False, True):
        assert client.execute(text, prepare=prepare).fetchall() == [(0,), (1,), (2,)]
        assert client.execute(left).fetchone() == (0,)
    with client.transaction():
        assert len(client.execute(text).fetchall()) == 3
        assert len(client.execute(text).fetchall()) == 3
    assert client.execute(left).fetchone() == (0,)
    with client.transaction(), client.cursor("c") as cursor:
        cursor.execute(text)
        assert cursor.fetchall() == [(0,), (1,), (2,)]
    assert client.execute(left).fetchone() == (0,)
    made = client.execute(f"CREATE TEMP TABLE why AS SELECT * FROM ML.EXPLAIN_PREDICT(MODEL leaves, {ROWS})")
    assert (made.statusmessage, client.execute(left).fetchone()) == ("SELECT 1000", (0,))


BAD = {
    "unknown model": "SELECT PREDICT(nope, 1)",
    "unknown model in FROM": "SELECT 1;\n SELECT * FROM ML.PREDICT(MODEL nope, TABLE churn)",
    "missing column": "SELECT\n PREDICT(leaves, id % 3 AS r) FROM churn",
    "the server's own": f"SELECT PREDICT(leaves, *),\n missing FROM {ROWS} AS t",
    "after the call": f"SELECT PREDICT(leaves, *) FROM {ROWS} AS t WHERE misisng = 1",
    "at run time": f"SELECT PREDICT(leaves, *), 1 / (id - id) FROM {ROWS} AS t",
    "syntax": "CREATE MODEL m OPTIONS (a = ) AS SELECT 1",
    "option": "CREATE MODEL m OPTIONS (learn_rat = 0.1) AS SELECT * FROM churn",
    "training query": "CREATE MODEL m OPTIONS (input_label_cols = ['gone']) AS SELECT gone, missing FROM churn",
    "wrong type": "SELECT PREDICT(leaves, 'x' AS r, amount) FROM churn",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_errors(client, direct, model, name, extended):
    text = BAD[name]
    if extended and ";" in text:
        pytest.skip("one statement at a time")
    with pytest.raises((SqlmlError, psycopg.Error)) as expected:
        direct.execute(text)
    error = expected.value
    if isinstance(error, psycopg.Error):  # a statement of a text of several, which is Postgres' alone
        pytest.fail("no error of ours")
    with pytest.raises(psycopg.Error) as met:
        client.execute(text, prepare=extended)
    diagnosis = met.value.diag
    assert (diagnosis.message_primary, diagnosis.sqlstate) == (error.message, error.sqlstate)
    assert (diagnosis.message_hint, diagnosis.message_detail) == (error.hint, error.detail)
    assert diagnosis.statement_position == (None if error.position is None else str(error.position + 1))
    assert client.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("name", ["unknown model", "the server's own", "syntax", "at run time"])
def test_an_error_ends_the_transaction(client, model, name, extended):
    client.execute("BEGIN")
    client.execute("CREATE TABLE never (a int)")
    with pytest.raises(psycopg.Error):
        client.execute(BAD[name], prepare=extended)
    assert client.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    for text in ("SELECT 1", "SHOW MODELS", "SELECT PREDICT(leaves, 1 AS r, 1.5 AS amount)"):
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            client.execute(text, prepare=extended)
    assert client.execute("ROLLBACK").statusmessage == "ROLLBACK"
    assert client.execute("SELECT to_regclass('never')").fetchone() == (None,)


def test_back_to_a_savepoint(client, model):
    with client.transaction():
        client.execute("CREATE TEMP TABLE stays (a int)")
        with pytest.raises(psycopg.errors.UndefinedObject), client.transaction():
            client.execute("SELECT PREDICT(nope, 1)")
        client.execute("INSERT INTO stays SELECT PREDICT(leaves, 0 AS r, 1.5 AS amount)::int")
    assert client.execute("SELECT a FROM stays").fetchall() == [(1,)]


def test_several_statements_are_one_transaction(gateway, wire, model):
    wire.query("CREATE TABLE several AS SELECT 0 AS a WHERE PREDICT(leaves, 0 AS r, 1.5 AS amount) IS NULL")
    messages = wire.query(
        "INSERT INTO several VALUES (1); SHOW MODELS; SELECT PREDICT(leaves, 0 AS r, 1.5 AS amount); SELECT 2"
    )
    assert tags(messages) == "CTDCTDCTDCZ"
    messages = wire.query("INSERT INTO several VALUES (2); SHOW MODELS; SELECT missing; SELECT PREDICT(leaves, 0, 1)")
    assert tags(messages) == "CTDCEZ"
    assert fields(messages[-2][1])["P"] == str(len("INSERT INTO several VALUES (2); SHOW MODELS; SELECT ") + 1)
    messages = wire.query("BEGIN; INSERT INTO several VALUES (3); SHOW MODELS; COMMIT; SELECT 1")
    assert (tags(messages), messages[-1]) == ("CCTDCCTDCZ", (b"Z", b"I"))
    messages = wire.query("BEGIN; SHOW MODELS; SELECT PREDICT(nope, 1)")
    assert (tags(messages), messages[-1]) == ("CTDCEZ", (b"Z", b"E"))
    messages = wire.query("ROLLBACK; SHOW MODELS")
    assert (tags(messages), messages[-1]) == ("CTDCZ", (b"Z", b"I"))
    messages = wire.query("SELECT count(*) FROM several; DROP TABLE several")
    assert messages[1][1].endswith(b"2")


def test_notices_of_training_and_of_the_server(client):
    notices = []
    client.add_notice_handler(lambda notice: notices.append((notice.severity, notice.message_primary)))
    client.execute(MODEL.format("leaves"))
    client.execute("DROP MODEL IF EXISTS nothing")
    client.execute("DROP TABLE IF EXISTS nothing")
    assert ("NOTICE", "reading, 1000 rows") in notices
    assert ("NOTICE", 'table "nothing" does not exist, skipping') in notices
    assert any("nothing" in text and "model" in text for _, text in notices)
    client.execute("DROP MODEL leaves")


LONG = MODEL.format("long").replace("num_iterations = 5", "num_iterations = 100000, early_stop = false")


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_training_can_be_cancelled(client, extended):
    begun = threading.Event()
    client.add_notice_handler(lambda notice: begun.set())

    def cancel():
        begun.wait(60)
        client.cancel_safe(timeout=10)

    stopper = threading.Thread(target=cancel)
    stopper.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        client.execute(LONG, prepare=extended)
    stopper.join()
    assert client.execute("SHOW MODELS").fetchall() == []
    assert client.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_query_can_be_cancelled(client, dsn):
    with psycopg.connect(dsn, autocommit=True) as sleeper:
        met = []

        def sleep():
            try:
                sleeper.execute("SELECT pg_sleep(60)")
            except psycopg.errors.QueryCanceled as error:
                met.append(error)

        thread = threading.Thread(target=sleep)
        thread.start()
        active = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
        while not client.execute(active).fetchone():
            time.sleep(0.01)
        sleeper.cancel_safe(timeout=10)
        thread.join()
        assert len(met) == 1
        assert sleeper.execute("SELECT 1").fetchone() == (1,)


def test_the_wrong_key_cancels_nothing(gateway, client):
    with FleetWire(gateway.port) as wire:
        wire.send(b"Q", b"SELECT pg_sleep(0.5)\0")
        (key,) = [body for tag, body in wire.greeting if tag == b"K"]
        with Wire(gateway.port) as stranger:
            wrong = bytes([key[-1] ^ 1])
            stranger.raw((16).to_bytes(4) + (80877102).to_bytes(4) + key[:-1] + wrong)
            assert stranger.is_closed()
        assert tags(wire.until(b"Z")) == "TDCZ"


def test_rights_are_the_servers(cluster, gateway, direct, model):
    direct.execute("CREATE ROLE reads LOGIN; GRANT SELECT ON churn TO reads")
    try:
        with psycopg.connect(dsn_of(gateway, user="reads"), autocommit=True) as client:
            assert client.execute("SELECT count(*) FROM churn").fetchone() == (1000,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                client.execute("SELECT * FROM numbers")
            with pytest.raises(psycopg.Error) as met:
                client.execute(MODEL.format("mine"))
            assert met.value.diag.sqlstate == "42501"
    finally:
        direct.execute("DROP OWNED BY reads; DROP ROLE reads")


@pytest.mark.parametrize("text", ["EXPORT MODEL leaves TO '{}'", "SELECT 1; IMPORT MODEL got FROM '{}'"])
def test_files_of_the_serving_machine_are_closed(client, model, tmp_path, text):
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="files of the machine that serves are closed"):
        client.execute(text.format(tmp_path / "model"))
    assert not list(tmp_path.iterdir())


def test_other_encodings(gateway, model):
    with FleetWire(gateway.port) as wire:
        wire.query("SET client_encoding = 'LATIN1'")
        (error,) = [fields(body) for tag, body in wire.query("SHOW MODELS") if tag == b"E"]
        assert (error["C"], error["H"]) == ("0A000", "SET client_encoding = 'UTF8'.")
        wire.query("SET client_encoding = 'SQL_ASCII'")
        assert tags(wire.query("SHOW MODELS")) == "TDCZ"
