"""What a user of Postgres expects of every statement holds for those with models in them."""

from __future__ import annotations

import threading
import time

import psycopg
import pyarrow as pa
import pytest

import sqlml
from sqlml.errors import CancelledError, EngineError, SqlmlError

pytestmark = pytest.mark.postgres_only("it is about Postgres")

SUM = "SELECT sum(PREDICT(worth, *)) FROM churn"
WORTH = "OPTIONS (input_label_cols = ['value'], max_iterations = 3, num_threads = 1) AS SELECT tenure, charges, plan, senior, value FROM churn"


@pytest.fixture
def expected(con):
    return con.execute(SUM).fetchone()


def test_a_savepoint_takes_a_model_back(con, expected):
    con.execute("BEGIN")
    con.execute("SAVEPOINT before_")
    con.execute(f"CREATE OR REPLACE MODEL worth {WORTH}")
    con.execute(f"CREATE MODEL another {WORTH}")
    assert con.execute(SUM).fetchone() != expected
    con.execute("ROLLBACK TO SAVEPOINT before_")
    assert con.execute(SUM).fetchone() == expected
    con.execute("COMMIT")
    assert con.execute(SUM).fetchone() == expected
    assert con.models == ["churned", "kind", "worth"]


def test_a_failed_prediction_aborts_to_the_savepoint(con, expected):
    con.execute("BEGIN; SAVEPOINT s")
    with pytest.raises(EngineError, match="division by zero"):
        con.execute("SELECT PREDICT(worth, tenure / (id - id) AS tenure, charges, plan, senior) FROM churn").fetchall()
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        con.execute("SELECT 1")
    con.execute("ROLLBACK TO s")
    assert con.execute(SUM).fetchone() == expected
    con.execute("COMMIT")


def test_statement_timeout_ends_a_prediction_and_training(con, expected):
    con.execute("SET statement_timeout = '50ms'")
    with pytest.raises(SqlmlError, match="statement timeout") as caught:
        con.execute("SELECT sum(PREDICT(worth, c.*)) FROM churn c, generate_series(1, 2000) g(i)")
    assert caught.value.sqlstate == "57014"
    with pytest.raises(SqlmlError, match="statement timeout"):
        con.execute(f"CREATE MODEL slow {WORTH}, pg_sleep(1)")
    con.execute("RESET statement_timeout")
    assert con.models == ["churned", "kind", "worth"]
    assert con.execute(SUM).fetchone() == expected


def test_cancel_from_another_thread_ends_a_prediction(con, expected):
    timer = threading.Timer(0.3, con.interrupt)
    timer.start()
    started = time.monotonic()
    with pytest.raises(EngineError, match="canceling statement due to user request"):
        con.execute("SELECT sum(PREDICT(worth, c.*)) FROM churn c, generate_series(1, 20000) g(i)")
    timer.join()
    assert time.monotonic() - started < 20
    assert con.execute(SUM).fetchone() == expected


def test_cancel_from_another_thread_ends_the_reading_of_a_training(con, expected):
    timer = threading.Timer(0.3, con.interrupt)
    timer.start()
    with pytest.raises((CancelledError, EngineError)) as caught:
        con.execute(f"CREATE MODEL slow {WORTH}, pg_sleep(30)")
    timer.join()
    assert caught.value.sqlstate == "57014"
    assert con.models == ["churned", "kind", "worth"]
    assert con.execute(SUM).fetchone() == expected


def test_search_path_finds_models_as_it_finds_tables(con, expected):
    con.execute('CREATE SCHEMA other; CREATE SCHEMA "Mixed Case"')
    con.execute(f"CREATE MODEL other.worth {WORTH}")
    con.execute("CREATE VIEW scored AS SELECT sum(PREDICT(worth, *)) AS s FROM churn")
    con.execute("SET search_path = other, public")
    assert con.execute(SUM).fetchone() != expected
    assert con.execute("SELECT sum(PREDICT(public.worth, *)) FROM churn").fetchone() == expected
    assert con.execute("TABLE scored").fetchone() == expected
    con.execute('SET search_path = "Mixed Case", public')
    assert con.execute(SUM).fetchone() == expected
    con.execute(f"CREATE MODEL worth {WORTH}")
    assert con.execute(SUM).fetchone() != expected
    assert con.execute('SELECT sum(PREDICT("Mixed Case".worth, *)) FROM churn').fetchone() != expected
    con.execute("SET search_path = public")
    assert con.execute(SUM).fetchone() == expected


def test_quoted_names_keep_their_case(con):
    con.execute('CREATE TABLE "Cust" AS SELECT tenure AS "Tenure", charges AS "CHARGES", value AS "Value" FROM churn')
    con.execute(
        """CREATE MODEL "Cust Worth" OPTIONS (input_label_cols = ['Value'], max_iterations = 2, num_threads = 1) AS TABLE "Cust" """
    )
    assert sorted(con.models) == ['"Cust Worth"', "churned", "kind", "worth"]
    total = con.execute('SELECT sum(PREDICT("Cust Worth", *)) FROM "Cust"').fetchone()
    con.execute('SELECT * FROM ML.PREDICT(MODEL "Cust Worth", TABLE "Cust")')
    assert [column[0] for column in con.description] == ["Tenure", "CHARGES", "Value", "predicted_Value"]
    query = 'SELECT sum(PREDICT("Cust Worth", *)) FROM (SELECT tenure, charges FROM churn) AS q'
    assert con.execute(query).fetchone() == total
    con.execute('CREATE VIEW "Scored" AS SELECT PREDICT("Cust Worth", *) AS "P" FROM "Cust"')
    assert con.execute('SELECT sum("P") FROM "Scored"').fetchone() == total


def test_numbered_parameters_may_repeat(con):
    query = "SELECT count(*) FROM churn WHERE PREDICT(worth, *) > $1 AND tenure > $2 AND PREDICT(worth, *) < $1 + 50"
    literal = query.replace("$1", "60").replace("$2", "10")
    assert con.execute(query, [60, 10]).fetchone() == con.execute(literal).fetchone()


def test_operators_called_question_mark_stay(con, expected):
    con.execute("""ALTER TABLE churn ADD COLUMN extra jsonb DEFAULT '{"vip": true, "a": 1}'""")
    query = "SELECT sum(PREDICT(worth, *)) FROM churn WHERE extra ? 'vip' AND extra ?| array['vip', 'no'] AND extra ?& array['a'] AND id < $1"
    assert con.execute(query, [3000]).fetchone() == expected
    query = "SELECT count(*) FROM ML.PREDICT(MODEL worth, (SELECT * FROM churn WHERE extra @? '$.a ? (@ == 1)')) WHERE extra ? 'vip'"
    assert con.execute(query).fetchone() == (3000,)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("SELECT PREDICT(worth, *),\n  nosuch FROM churn", "nosuch"),
        ("SELECT PREDICT(worth, *) FROM churn WHERE nosuch(tenure) > 1", "nosuch"),
        ("SELECT *\nFROM ML.PREDICT(MODEL worth, (SELECT tenure, wrong FROM churn))", "wrong"),
        ("SELECT PREDICT(worth, *) FROM churn GROUP BY plan", "PREDICT"),
        ("SELECT 'é', PREDICT(worth, *), count(*) FROM churn ORDER BY nosuch", "nosuch"),
        ("SELECT PREDICT(worth, *) + 'x' FROM churn", "'x'"),
    ],
)
def test_errors_point_into_the_text_of_the_user(reader, text, word):
    with pytest.raises(SqlmlError) as caught:
        reader.execute(text)
    assert caught.value.text == text
    assert text[caught.value.position :].startswith(word)
    assert "__sqlml" not in str(caught.value)


def test_a_connection_that_opens_transactions_by_itself(database):
    with psycopg.connect(database) as plain:
        con = sqlml.attach(plain)
        first = con.execute(SUM).fetchone()
        assert plain.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        con.execute(f"CREATE OR REPLACE MODEL worth {WORTH}")
        assert con.execute(SUM).fetchone() != first
        with psycopg.connect(database, autocommit=True) as other:
            assert sqlml.attach(other).execute(SUM).fetchone() == first
        plain.rollback()
        assert con.execute(SUM).fetchone() == first
        con.execute(f"CREATE OR REPLACE MODEL worth {WORTH}")
        second = con.execute(SUM).fetchone()
        plain.commit()
        with psycopg.connect(database, autocommit=True) as other:
            assert sqlml.attach(other).execute(SUM).fetchone() == second != first


def test_a_change_of_a_model_waits_for_the_commit_without_autocommit(database):
    with psycopg.connect(database) as plain:
        con = sqlml.attach(plain)
        con.execute("ALTER MODEL worth SET ALIAS mine = 1")  # the first statement, which opens the transaction
        plain.rollback()
        assert con.execute("SELECT count(*) FROM sqlml.model_aliases").fetchone() == (0,)
        plain.rollback()
        con.execute("DROP MODEL worth")
        plain.rollback()
        assert con.models == ["churned", "kind", "worth"]


def test_a_connection_is_no_address(database):
    with psycopg.connect(database) as plain, pytest.raises(SqlmlError, match="opened by its address") as caught:
        sqlml.connect(plain)
    assert "sqlml.attach" in caught.value.hint


def test_aliases_that_begin_alike(con):
    for alias in ("a", "ab"):
        con.execute(f"ALTER MODEL worth SET ALIAS {alias} = 1")
        con.execute(f"CREATE VIEW by_{alias} AS SELECT PREDICT(MODEL worth@{alias}, *) AS p FROM churn")
    expected = con.execute("SELECT sum(p) FROM by_ab").fetchone()
    con.execute("DROP VIEW by_a")
    con.execute("ALTER MODEL worth DROP ALIAS a")
    assert con.execute("SELECT sum(p) FROM by_ab").fetchone() == expected


def test_functions_that_lead_where_they_should_are_left_alone(con):
    con.execute("CREATE VIEW risks AS SELECT PREDICT(MODEL worth, *) AS p FROM churn")
    query = (
        "SELECT oid, xmin::text FROM pg_proc WHERE pronamespace = 'sqlml'::regnamespace AND proname ^@ 'n_' ORDER BY 1"
    )
    before = con.execute(query).fetchall()
    con.execute("ALTER MODEL churned SET ALIAS mine = 1")  # of another model
    assert con.execute(query).fetchall() == before != []


def test_rows_that_cannot_be_sent_leave_nothing_behind(con):
    engine = con._session.engine
    with pytest.raises(EngineError, match="NUL"), engine.lending(pa.table({"x": ["a\0b"]})):
        pass
    with engine.lending(pa.table({"x": ["fine"]})) as name:
        assert engine.rows(f"SELECT x FROM {name}") == [("fine",)]


def test_transaction_blocks_of_psycopg(database):
    with psycopg.connect(database, autocommit=True) as plain:
        con = sqlml.attach(plain)
        first = con.execute(SUM).fetchone()
        with plain.transaction(force_rollback=True):
            con.execute(f"CREATE OR REPLACE MODEL worth {WORTH}")
        assert con.execute(SUM).fetchone() == first
        with plain.transaction(), pytest.raises(SqlmlError, match="does not exist"):
            con.execute("SELECT PREDICT(wort, *) FROM churn")
        assert con.execute(SUM).fetchone() == first


def test_an_attached_connection_keeps_its_settings(database):
    from psycopg.rows import dict_row

    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as plain:
        con = sqlml.attach(plain)
        assert con.execute("SELECT count(PREDICT(worth, *)) AS n FROM churn").fetchone() == {"n": 3000}
        assert con.models == ["churned", "kind", "worth"]
        con.execute(f"CREATE OR REPLACE MODEL worth {WORTH}")
        assert plain.execute("SELECT 1 AS a").fetchone() == {"a": 1}


def test_notices_of_the_server_arrive(con):
    heard = []
    con.on_notice = heard.append
    con.execute("DO $$ BEGIN RAISE NOTICE 'from the server'; END $$")
    assert heard == ["from the server"] == con.notices
    con.execute("CREATE FUNCTION tell(x integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'told'; RETURN x; END $$")  # fmt: skip
    con.execute("SELECT PREDICT(worth, tell(5) AS tenure, charges, plan, senior) FROM churn LIMIT 1").fetchall()
    assert "told" in con.notices


STORED = {
    "table": "CREATE TABLE scored AS SELECT id, PREDICT(worth, *) AS p FROM churn",
    "temporary table": "CREATE TEMP TABLE scored ON COMMIT PRESERVE ROWS AS SELECT id, PREDICT(worth, *) AS p FROM churn",
    "select into": "SELECT id, PREDICT(worth, *) AS p INTO scored FROM churn",
    "view": "CREATE VIEW scored AS SELECT id, PREDICT(worth, *) AS p FROM churn",
    "temporary view": "CREATE TEMP VIEW scored AS SELECT id, PREDICT(worth, *) AS p FROM churn",
    "view with columns": "CREATE OR REPLACE VIEW scored (id, p) AS SELECT id, PREDICT(worth, *) FROM churn",
    "materialized view": "CREATE MATERIALIZED VIEW scored AS SELECT id, PREDICT(worth, *) AS p FROM churn",
    "materialized view later": "CREATE MATERIALIZED VIEW scored AS SELECT id, PREDICT(worth, *) AS p FROM churn WITH NO DATA; REFRESH MATERIALIZED VIEW scored",
    "table function": "CREATE VIEW scored AS SELECT id, predicted_value AS p FROM ML.PREDICT(MODEL worth, TABLE churn)",
    "insert": "CREATE TABLE scored (id bigint, p float8); INSERT INTO scored SELECT id, PREDICT(worth, *) FROM churn",
    "cte": "CREATE TABLE scored AS WITH p AS MATERIALIZED (SELECT * FROM ML.PREDICT(MODEL worth, TABLE churn)) SELECT id, predicted_value AS p FROM p",
    "cursor": "BEGIN; DECLARE c CURSOR FOR SELECT id, PREDICT(worth, *) AS p FROM churn ORDER BY id; CREATE TABLE scored (id bigint, p float8); INSERT INTO scored SELECT id, PREDICT(worth, *) FROM churn; COMMIT",
}  # fmt: skip


@pytest.mark.parametrize("name", STORED)
def test_scores_are_kept_in_every_way(con, name):
    wanted = con.execute("SELECT id, PREDICT(worth, *) AS p FROM churn ORDER BY id").fetchall()
    con.execute(STORED[name])
    assert con.execute("SELECT id, p FROM scored ORDER BY id").fetchall() == wanted


def test_a_materialized_view_changes_when_it_is_refreshed(con, expected):
    con.execute("CREATE MATERIALIZED VIEW kept AS SELECT sum(PREDICT(worth, *)) AS s FROM churn")
    con.execute(f"CREATE OR REPLACE MODEL worth {WORTH}")
    assert con.execute("TABLE kept").fetchone() == expected
    con.execute("REFRESH MATERIALIZED VIEW kept")
    assert con.execute("TABLE kept").fetchone() == con.execute(SUM).fetchone() != expected
    with pytest.raises(SqlmlError, match="worth") as caught:
        con.execute("DROP MODEL worth")
    assert "public.kept" in caught.value.detail
    con.execute("DROP MODEL worth CASCADE")
    with pytest.raises(psycopg.errors.UndefinedTable):
        con.execute("TABLE kept")


def test_upserts_and_returning(con):
    con.execute("CREATE TABLE best (id bigint PRIMARY KEY, p float8)")
    insert = "INSERT INTO best SELECT id, PREDICT(worth, *) FROM churn WHERE id < 10 ON CONFLICT (id) DO UPDATE SET p = excluded.p + 1 RETURNING id, p"
    first = con.execute(insert).fetchall()
    second = con.execute(insert).fetchall()
    assert second == [(i, pytest.approx(p + 1)) for i, p in first]
    updated = con.execute(
        "UPDATE best b SET p = PREDICT(worth, c.*) FROM churn c WHERE c.id = b.id RETURNING b.id, b.p"
    )
    assert sorted(updated.fetchall()) == sorted(first)
    deleted = con.execute("DELETE FROM churn WHERE id < 10 AND PREDICT(worth, *) > 0 RETURNING id, PREDICT(worth, *)")
    assert sorted(deleted.fetchall()) == sorted((i, p) for i, p in first if p > 0)


def test_windows_unions_and_laterals(reader):
    total = reader.execute(SUM).fetchone()[0]
    for query in (
        "SELECT max(s) FROM (SELECT sum(PREDICT(worth, *)) OVER () AS s FROM churn) q",
        "SELECT sum(p) FROM (SELECT PREDICT(worth, *) AS p FROM churn WHERE senior UNION ALL SELECT PREDICT(worth, *) FROM churn WHERE NOT senior) q",
        "SELECT sum(l.p) FROM churn c CROSS JOIN LATERAL (SELECT PREDICT(worth, c.tenure, c.charges, c.plan, c.senior) AS p) l",
        "SELECT sum(p.predicted_value) FROM churn c, LATERAL (SELECT * FROM ML.PREDICT(MODEL worth, (SELECT c.tenure, c.charges, c.plan, c.senior))) p",
        "SELECT sum(p) FROM (SELECT DISTINCT ON (id) id, PREDICT(worth, *) AS p FROM churn ORDER BY id, p) q",
        "SELECT sum(PREDICT(worth, *)) FROM ONLY churn",
        "SELECT sum(PREDICT(worth, *)) FROM churn TABLESAMPLE SYSTEM (100)",
        "SELECT sum(PREDICT(worth, (churn).tenure AS tenure, charges, plan, senior)) FROM churn",
        "SELECT sum(x) FROM unnest(ARRAY(SELECT PREDICT(worth, *) FROM churn)) AS u(x)",
    ):
        assert reader.execute(query).fetchone()[0] == pytest.approx(total, rel=1e-12), query


def test_parallel_workers_give_the_same(con):
    con.execute("SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET max_parallel_workers_per_gather = 2")  # fmt: skip
    query = "SELECT id, PREDICT(worth, *) FROM churn WHERE PREDICT(worth, *) > 50"
    assert "Gather" in str(con.execute(f"EXPLAIN {query}").fetchall())
    parallel = sorted(con.execute(query).fetchall())
    con.execute("SET max_parallel_workers_per_gather = 0")
    assert sorted(con.execute(query).fetchall()) == parallel != []


@pytest.mark.not_yet_on_postgres("calls in the bodies of functions are not found")
def test_a_function_with_a_prediction(con, expected):
    con.execute(
        "CREATE FUNCTION worth_of(a integer, b float8, c text, d boolean) RETURNS float8 STABLE "
        "RETURN PREDICT(worth, a AS tenure, b AS charges, c AS plan, d AS senior)"
    )
    query = "SELECT sum(worth_of(tenure, charges, plan, senior)) FROM churn"
    assert con.execute(query).fetchone() == expected
    con.execute(f"CREATE OR REPLACE MODEL worth {WORTH}")
    assert con.execute(query).fetchone() == con.execute(SUM).fetchone() != expected


def test_copy_of_predictions_to_the_client(con):
    con.execute("CREATE VIEW scored AS SELECT id, PREDICT(worth, *) AS p FROM churn")
    wanted = con.execute("SELECT id, p FROM scored ORDER BY id").fetchall()
    with con.engine_connection.cursor().copy("COPY (SELECT * FROM scored ORDER BY id) TO STDOUT") as copy:
        copy.set_types(["int8", "float8"])
        assert list(copy.rows()) == wanted


def test_domains_enums_arrays_and_odd_types_as_inputs(con):
    con.execute(
        "CREATE TYPE tariff AS ENUM ('basic', 'plus', 'pro'); CREATE DOMAIN months AS integer CHECK (value >= 0)"
    )
    con.execute("CREATE TABLE odd AS SELECT tenure::months AS tenure, charges::numeric(10, 2) AS charges, plan::tariff AS plan, senior, value FROM churn")  # fmt: skip
    got = con.execute("SELECT sum(PREDICT(worth, *)) FROM odd").fetchone()
    same = "SELECT sum(PREDICT(worth, *)) FROM (SELECT tenure, charges::numeric(10, 2)::float8 AS charges, plan, senior FROM churn) q"
    assert got == con.execute(same).fetchone()
    con.execute("CREATE MODEL odd_one OPTIONS (input_label_cols = ['value'], max_iterations = 2, num_threads = 1) AS TABLE odd")  # fmt: skip
    assert con.execute("SELECT count(PREDICT(odd_one, *)) FROM odd").fetchone() == (3000,)


def test_the_same_rows_give_the_same_trees_on_both_engines(con, booster):
    table = con.execute("SELECT * FROM churn ORDER BY id").arrow()
    with sqlml.connect() as other:
        other.register("given", table)
        other.execute("CREATE TABLE churn AS FROM given")
        other.execute("CREATE MODEL worth OPTIONS (input_label_cols = ['value'], max_iterations = 20, num_threads = 1) AS SELECT tenure, charges, plan, senior, value FROM churn")  # fmt: skip
        ours, _ = booster(con, "worth")
        theirs, _ = booster(other, "worth")
        assert ours.model_to_string() == theirs.model_to_string()
        here = con.execute("SELECT id, PREDICT(worth, *) FROM churn ORDER BY id").fetchall()
        assert other.execute("SELECT id, PREDICT(worth, *) FROM churn ORDER BY id").fetchall() == here
