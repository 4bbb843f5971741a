"""The dialect through functions of the server, from a client that knows nothing of it."""

import psycopg
import pytest

from .conftest import CHURN, run, value


def test_create_show_drop(root):
    (created,) = run(root, CHURN.replace("churn OPTIONS", "other OPTIONS"))
    assert created["model"] == "other"
    assert created["version"] == 1
    assert [row["name"] for row in run(root, "SHOW MODELS")] == ["churn", "other"]
    assert run(root, "DROP MODEL other") == [{"status": "DROP MODEL"}]
    assert value(root, "SELECT count(*) FROM sqlml.models") == 1


def test_rows_are_json(root):
    rows = run(
        root, "SELECT id, PREDICT(churn, *) AS p, PREDICT_PROBA(churn, *) AS q FROM customers ORDER BY id LIMIT 3"
    )
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert all(isinstance(row["p"], bool) and 0 < row["q"] < 1 for row in rows)


def test_many_rows_stream(root):
    rows = run(root, "SELECT * FROM ML.PREDICT(MODEL churn, TABLE customers)")
    assert len(rows) == 4000


def test_statements_without_ml_pass_through(root):
    assert run(root, "SELECT 1 AS a, 'x' AS b, 1.50::numeric AS c, NULL AS d") == [
        {"a": 1, "b": "x", "c": 1.5, "d": None}
    ]
    assert run(root, "CREATE TABLE made (x int)") == [{"rows": 0}]
    assert run(root, "INSERT INTO made VALUES (1), (2)") == [{"rows": 2}]
    assert run(root, "INSERT INTO made VALUES (3) RETURNING x, x + 1 AS y") == [{"x": 3, "y": 4}]
    assert run(root, "WITH gone AS (DELETE FROM made RETURNING x) SELECT count(*) AS n FROM gone") == [{"n": 3}]


def test_columns_of_one_name_are_numbered(root):
    assert run(root, "SELECT 1 AS a, 2 AS a") == [{"a": 1, "a_2": 2}]


def test_a_view_is_an_ordinary_view(root):
    run(root, "CREATE VIEW scores AS SELECT id, PREDICT(churn, *) AS p, PREDICT_PROBA(churn, *) AS q FROM customers")
    types = root.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'scores'::regclass"
    ).fetchall()
    assert types == [("id", "integer"), ("p", "boolean"), ("q", "double precision")]
    assert value(root, "SELECT count(*) FROM scores WHERE q > 0.5 AND p") > 0
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match='cannot drop model "churn"') as caught:
        run(root, "DROP MODEL churn")
    assert "In use by: view public.scores." in caught.value.diag.message_detail


def test_rollback_undoes_a_training(root):
    root.execute("BEGIN")
    run(root, CHURN)
    assert value(root, "SELECT last_version FROM sqlml.models") == 2
    root.execute("ROLLBACK")
    assert value(root, "SELECT last_version FROM sqlml.models") == 1
    assert value(root, "SELECT count(*) FROM sqlml.artifacts") == 1


def test_temporary_tables_and_uncommitted_rows_are_seen(root):
    with root.transaction():
        root.execute("CREATE TEMP TABLE mine AS SELECT age, spend, churned FROM customers LIMIT 500")
        root.execute("INSERT INTO mine SELECT age, spend, churned FROM customers LIMIT 500")
        (created,) = run(root, "CREATE MODEL small OPTIONS (input_label_cols = ['churned']) AS SELECT * FROM mine")
    assert created["training_rows"] + created["evaluation_rows"] == 1000


@pytest.mark.parametrize(
    ("statement", "state", "message", "place"),
    [
        ("CREATE MODEL m AS SELECT nope FROM customers", "42703", 'column "nope" does not exist', 26),
        ("CREATE MODEL m OPTIONS (zap = 1) AS SELECT 1 AS a", "42602", 'unknown option "zap"', 25),
        ("DROP MODEL chum", "42704", 'model "chum" does not exist', 12),
        ("CREATE MODEL churn AS SELECT 1 AS label", "42710", 'model "churn" already exists', 14),
        ("SELECT PREDICT(churn, age) FROM customers", "42703", "churn", None),
        ("SELECT 1 +", "42601", "syntax error", None),
        ("COMMIT", "2D000", "a transaction cannot begin or end inside of a function", None),
    ],
)
def test_errors_keep_their_words(root, statement, state, message, place):
    with pytest.raises(psycopg.Error, match=message) as caught:
        run(root, statement)
    diagnosis = caught.value.diag
    assert diagnosis.sqlstate == state
    assert not diagnosis.message_primary.startswith(("plpy", "spiexceptions"))
    if place is not None:
        assert f"At column {place} of line 1" in diagnosis.message_detail


def test_an_error_of_a_statement_undoes_only_what_the_client_rolls_back(root):
    with root.transaction():
        root.execute("CREATE TABLE kept (x int)")
        with pytest.raises(psycopg.Error, match="does not exist"), root.transaction():
            run(root, "DROP MODEL chum")
    assert value(root, "SELECT count(*) FROM kept") == 0


def test_notices_reach_the_client(root):
    heard = []
    root.add_notice_handler(lambda diagnosis: heard.append(diagnosis.message_primary))
    run(root, "DROP MODEL IF EXISTS nope")
    assert heard == ['model "nope" does not exist, skipping']


def test_function_forms(root):
    metrics = dict(root.execute("SELECT metric, value FROM sqlml.evaluate('churn')").fetchall())
    assert set(metrics) == {"precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc"}
    given = dict(root.execute("SELECT * FROM sqlml.evaluate('churn', 'SELECT * FROM customers -- all')").fetchall())
    assert given["accuracy"] > 0.8
    loose = dict(
        root.execute("SELECT * FROM sqlml.evaluate('churn', 'TABLE customers', '{\"threshold\": 0.01}')").fetchall()
    )
    assert loose["recall"] == 1.0
    names = {row["feature"] for (row,) in root.execute("SELECT * FROM sqlml.feature_importance('churn')")}
    assert {"age", "spend"} <= names
    for function in ("confusion_matrix", "roc_curve", "feature_info", "training_info", "metrics"):
        assert value(root, f"SELECT count(*) FROM sqlml.{function}('churn')") > 0
    for function in ("global_explain", "explain_predict", "predict_rows", "transform"):
        rows = f"SELECT count(*) FROM sqlml.{function}('churn', 'SELECT * FROM customers LIMIT 3')"
        assert value(root, rows) > 0


def test_create_and_drop_as_functions(root):
    made = value(
        root,
        "SELECT result FROM sqlml.create_model('made', 'SELECT age, spend, churned FROM customers; ', %s)",
        '{"input_label_cols": ["churned"], "max_iterations": 3, "description": "it\'s a \\\\ test"}',
    )
    assert made["iterations"] <= 3
    assert value(root, "SELECT description FROM sqlml.models WHERE model_name = 'made'") == "it's a \\ test"
    with pytest.raises(psycopg.Error, match="already exists"):
        root.execute("SELECT sqlml.create_model('made', 'SELECT 1 AS label')")
    root.execute(
        "SELECT sqlml.create_model('made', 'SELECT age, churned FROM customers', %s, or_replace => true)",
        ['{"input_label_cols": ["churned"]}'],
    )
    root.execute("SELECT sqlml.drop_model('made')")
    root.execute("SELECT sqlml.drop_model('made', if_exists => true)")
    with pytest.raises(psycopg.Error, match='model "made" does not exist'):
        root.execute("SELECT sqlml.drop_model('made')")


@pytest.mark.parametrize("name", ["churn; DROP TABLE customers", "churn AS SELECT 1", "", "churn OPTIONS (a = 1)"])
def test_a_name_is_only_a_name(root, name):
    with pytest.raises(psycopg.Error):
        root.execute("SELECT sqlml.create_model(%s, 'SELECT 1 AS label')", [name])
    assert value(root, "SELECT count(*) FROM customers") == 4000
