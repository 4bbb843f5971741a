"""Prediction views: read by plain connections, following the default version, guarding the signature."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import sqlml
from sqlml.errors import DependencyError, NotSupportedYetError, SignatureError

native_only = pytest.mark.skipif(
    os.environ.get("SQLML_SCORER") == "arrow",
    reason="a Python function knows no plain connection before a session, no own type, and no transaction",
)
RETRAIN = """CREATE OR REPLACE MODEL worth OPTIONS (input_label_cols = ['value'], max_iterations = 3, num_threads = 1)
    AS SELECT tenure, charges, plan, senior, value FROM churn"""


@native_only
def test_view_read_by_a_plain_connection(database, door):
    with sqlml.connect(database) as con:
        con.execute("CREATE VIEW scored AS SELECT id, predicted_value FROM ML.PREDICT(MODEL worth, TABLE churn)")
        expected = con.execute("SELECT id, PREDICT(worth, *) FROM churn ORDER BY id").fetchall()
    with door.plain(database) as plain:
        assert plain.execute("SELECT * FROM scored ORDER BY id").fetchall() == expected
        if door.name == "duckdb":
            assert plain.execute("SELECT count(ml_predict('worth', churn)) FROM churn").fetchone() == (3000,)


def test_swapping_the_default_shows_at_once_in_views_and_other_connections(database, door):
    with sqlml.connect(database) as con, door.plain(database) as plain:
        con.execute("CREATE VIEW scored AS SELECT sum(PREDICT(worth, *)) AS s FROM churn")
        first = plain.execute("TABLE scored").fetchone()
        con.execute(RETRAIN)
        second = plain.execute("TABLE scored").fetchone()
        assert first != second
        assert con.execute("TABLE scored").fetchone() == second
        con.execute("ALTER MODEL worth SET DEFAULT VERSION 1")
        assert plain.execute("TABLE scored").fetchone() == first


def test_a_pinned_view_does_not_follow(con):
    con.execute("CREATE VIEW pinned AS SELECT sum(PREDICT(worth@1, *)) AS s FROM churn")
    first = con.execute("TABLE pinned").fetchone()
    con.execute(RETRAIN)
    assert con.execute("TABLE pinned").fetchone() == first


def test_alias_view_follows_the_alias(con):
    con.execute("ALTER MODEL worth SET ALIAS champion = 1")
    con.execute("CREATE VIEW best AS SELECT sum(PREDICT(worth@champion, *)) AS s FROM churn")
    first = con.execute("TABLE best").fetchone()
    con.execute(RETRAIN)
    assert con.execute("TABLE best").fetchone() == first
    con.execute("ALTER MODEL worth SET ALIAS champion = 2")
    assert con.execute("TABLE best").fetchone() != first


@native_only
def test_uncommitted_default_is_seen_by_this_session_only(database, door):
    with sqlml.connect(database) as con:
        con.execute("CREATE VIEW scored AS SELECT sum(PREDICT(worth, *)) AS s FROM churn")
        with door.plain(database) as plain:
            before = plain.execute("TABLE scored").fetchone()
            con.execute("BEGIN")
            con.execute(RETRAIN)
            own = con.execute("SELECT sum(PREDICT(worth, *)) FROM churn").fetchone()
            assert own != before
            assert plain.execute("TABLE scored").fetchone() == before
            con.execute("COMMIT")
            assert plain.execute("TABLE scored").fetchone() == own


def test_rollback_leaves_nothing(con):
    before = con.execute("SELECT sum(PREDICT(worth, *)) FROM churn").fetchone()
    con.execute("BEGIN")
    con.execute(RETRAIN)
    con.execute("ROLLBACK")
    assert con.execute("SELECT sum(PREDICT(worth, *)) FROM churn").fetchone() == before
    assert con.execute("SHOW MODEL VERSIONS worth").arrow().num_rows == 1


OTHER_INPUTS = (
    "CREATE OR REPLACE MODEL worth OPTIONS (input_label_cols = ['value']) AS SELECT tenure, charges, value FROM churn"
)


def test_other_signature_does_not_become_the_default_under_a_view(con, door):
    con.execute("CREATE VIEW scored AS SELECT PREDICT(worth, *) AS p FROM churn")
    before = con.execute("SELECT sum(p) FROM scored").fetchone()
    con.execute(OTHER_INPUTS)
    assert any("REBUILD VIEWS" in notice for notice in con.notices)
    assert con.execute("SELECT sum(p) FROM scored").fetchone() == before
    with pytest.raises(SignatureError, match="another signature") as caught:
        con.execute("ALTER MODEL worth SET DEFAULT VERSION 2")
    assert f"{door.schema}.scored" in caught.value.detail
    assert "plan, senior" in caught.value.detail


def test_rebuild_views_takes_them_along(con):
    con.execute("CREATE VIEW scored AS SELECT id, PREDICT(worth, *) AS p FROM churn")
    con.execute(OTHER_INPUTS)
    con.execute("ALTER MODEL worth SET DEFAULT VERSION 2 REBUILD VIEWS")
    expected = con.execute("SELECT sum(PREDICT(worth@2, *)) FROM churn").fetchone()
    assert con.execute("SELECT sum(p) FROM scored").fetchone() == expected


def test_a_new_class_does_not_slip_into_a_view(con, door):
    con.execute("CREATE VIEW kinds AS SELECT * FROM ML.PREDICT(MODEL kind, TABLE churn)")
    con.execute(
        "CREATE OR REPLACE MODEL kind OPTIONS (input_label_cols = ['segment'], max_iterations = 3, num_threads = 1) AS "
        "SELECT tenure, charges, plan, CASE WHEN id % 2 = 0 THEN 'another' ELSE segment END AS segment FROM churn"
    )
    label = {
        "duckdb": "unnest(predicted_segment_probs).label",
        "postgres": "jsonb_array_elements(predicted_segment_probs)->>'label'",
    }[door.name]
    labels = con.execute(f"SELECT DISTINCT {label} FROM kinds ORDER BY 1").fetchall()
    assert labels == [("big",), ("new",), ("small",)]
    with pytest.raises(SignatureError, match="another signature"):
        con.execute("ALTER MODEL kind SET DEFAULT VERSION 2")


def test_drop_is_refused_while_a_view_needs_the_model(con):
    con.execute("CREATE VIEW scored AS SELECT PREDICT(worth, *) AS p FROM churn")
    with pytest.raises(DependencyError, match="worth") as caught:
        con.execute("DROP MODEL worth")
    assert "scored" in (caught.value.detail or "") + str(caught.value)
    con.execute("DROP VIEW scored")
    con.execute("DROP MODEL worth")
    assert "worth" not in con.models


def test_drop_cascade_takes_the_views(con):
    con.execute("CREATE VIEW scored AS SELECT PREDICT(worth, *) AS p FROM churn")
    con.execute("DROP MODEL worth CASCADE")
    assert "worth" not in con.models
    assert con.execute("SELECT count(*) FROM information_schema.tables WHERE table_name = 'scored'").fetchone() == (0,)


@native_only
def test_view_on_a_model_of_the_same_transaction(con):
    con.execute("BEGIN")
    con.execute(RETRAIN.replace("MODEL worth", "MODEL fresh"))
    con.execute("CREATE VIEW scored AS SELECT sum(PREDICT(fresh, *)) AS s FROM churn")
    own = con.execute("TABLE scored").fetchone()
    con.execute("COMMIT")
    assert con.execute("TABLE scored").fetchone() == own


@native_only
def test_view_of_the_own_transaction_sees_its_default(con):
    con.execute("CREATE VIEW scored AS SELECT sum(PREDICT(worth, *)) AS s FROM churn")
    before = con.execute("TABLE scored").fetchone()
    con.execute("BEGIN")
    con.execute(RETRAIN)
    own = con.execute("TABLE scored").fetchone()
    assert own != before
    with con.cursor() as other:
        assert other.execute("TABLE scored").fetchone() == before
    con.execute("ROLLBACK")
    assert con.execute("TABLE scored").fetchone() == before


@pytest.mark.duckdb_only("Postgres has no macros")
def test_macro_with_a_prediction(con):
    con.execute(
        "CREATE MACRO worth_of(a, b, c, d) AS PREDICT(worth, a AS tenure, b AS charges, c AS plan, d AS senior)"
    )
    expected = con.execute("SELECT sum(PREDICT(worth, *)) FROM churn").fetchone()
    assert con.execute("SELECT sum(worth_of(tenure, charges, plan, senior)) FROM churn").fetchone() == expected


@pytest.mark.duckdb_only("the scorers of Postgres are the server's: there is no reading without them")
def test_without_sqlml_everything_but_the_scores_reads(database):
    with sqlml.connect(database) as con:
        con.execute("CREATE VIEW scored AS SELECT id, PREDICT(worth, *) AS p FROM churn")
    program = f"""
import duckdb
con = duckdb.connect({str(database)!r})
assert con.execute("SELECT count(*) FROM churn").fetchone() == (3000,)
assert ("worth",) in con.execute("SELECT model_name FROM sqlml.models").fetchall()
assert con.execute("SELECT view_name FROM duckdb_views() WHERE view_name = 'scored'").fetchall() == [("scored",)]
try:
    con.execute("SELECT sum(p) FROM scored").fetchall()
except duckdb.CatalogException as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "does not exist" in done.stdout


@native_only
def test_view_in_a_renamed_database(database, door):
    with sqlml.connect(database) as con:
        con.execute("CREATE VIEW scored AS SELECT count(PREDICT(worth, *)) AS n FROM churn")
    moved = door.rename(database)
    with door.plain(moved) as plain:
        assert plain.execute("TABLE scored").fetchone() == (3000,)
    with sqlml.connect(moved) as con:
        assert con.execute("TABLE scored").fetchone() == (3000,)
        con.execute("DROP MODEL worth CASCADE")
    door.drop(moved)


def test_view_on_an_alias_keeps_the_alias_alive(con):
    con.execute("ALTER MODEL worth SET ALIAS champion = 1")
    con.execute("CREATE VIEW two AS SELECT PREDICT(worth, *) - PREDICT(worth@champion, *) AS d FROM churn")
    with pytest.raises(DependencyError, match="alias"):
        con.execute("ALTER MODEL worth DROP ALIAS champion")
    assert con.execute("SELECT count(*) FROM sqlml.model_views WHERE view_name = 'two'").fetchone() == (2,)
    con.execute("CREATE OR REPLACE VIEW two AS SELECT 0.0::FLOAT8 AS d")
    con.execute("ALTER MODEL worth DROP ALIAS champion")


def test_features_in_a_view_need_a_pinned_version(con):
    with pytest.raises(NotSupportedYetError, match="cannot follow the default"):
        con.execute("CREATE VIEW features AS SELECT * FROM ML.TRANSFORM(MODEL worth, TABLE churn)")
    con.execute("CREATE VIEW features AS SELECT * FROM ML.TRANSFORM(MODEL worth@1, TABLE churn)")
    assert con.execute("SELECT count(*) FROM features").fetchone() == (3000,)
