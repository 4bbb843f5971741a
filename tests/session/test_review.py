"""What several sessions, transactions and databases do to one another's models."""

from __future__ import annotations

import threading
import time

import pytest

from sqlml.errors import DuplicateColumnError, EngineError

duckdb_only = pytest.mark.duckdb_only
OPTIONS = "OPTIONS (input_label_cols = ['y'], max_iterations = 3, num_threads = 1, data_split_method = 'no_split')"
SUM = "SELECT sum(PREDICT(m, *)) FROM t"


@pytest.fixture
def line(empty):
    """A table and the model m of a rising line."""
    empty.execute(
        "CREATE TABLE t AS SELECT i::FLOAT8 AS x, (i * 7 % 10)::FLOAT8 AS z FROM generate_series(0, 399) r(i)"
    )
    empty.execute(f"CREATE MODEL m {OPTIONS} AS SELECT x, z, 2 * x AS y FROM t")
    return empty


@pytest.fixture
def fall(line):
    """Replaces m by the model of a falling line."""
    return lambda connection=line: connection.execute(
        f"CREATE OR REPLACE MODEL m {OPTIONS} AS SELECT x, z, -3 * x AS y FROM t"
    )


@pytest.fixture
def plain(line, door):
    """Another connection to the same database, without sqlml."""
    if door.name == "duckdb":
        yield line.engine_connection.cursor()
        return
    with door.plain(line.engine_connection.info.dsn) as connection:
        yield connection


def test_a_text_run_in_an_old_snapshot_sees_the_new_version_after_it(line, fall, door):
    with line.cursor() as other:
        other.execute({"duckdb": "BEGIN", "postgres": "BEGIN ISOLATION LEVEL REPEATABLE READ"}[door.name])
        before = other.execute(SUM).fetchone()
        fall()
        assert other.execute(SUM).fetchone() == before
        other.execute("COMMIT")
        assert other.execute(SUM).fetchone() == line.execute(SUM).fetchone() != before


@pytest.mark.postgres_only("DuckDB has one isolation level")
def test_a_transaction_that_reads_what_is_committed_sees_the_new_version_at_once(line, fall):
    with line.cursor() as other:
        other.execute("BEGIN")
        before = other.execute(SUM).fetchone()
        fall()
        assert other.execute(SUM).fetchone() == line.execute(SUM).fetchone() != before
        other.execute("COMMIT")


def test_a_commit_is_published_though_a_later_statement_of_its_text_fails(line, fall, plain):
    line.execute(f"CREATE VIEW v AS {SUM}")
    line.execute("BEGIN")
    fall()
    with pytest.raises(Exception, match="too late"):
        line.execute("COMMIT; SELECT CAST('too late' AS INTEGER)")
    assert plain.execute("TABLE v").fetchone() == line.execute(SUM).fetchone()


def test_a_commit_on_the_engines_own_connection_is_published_by_the_next_statement(line, fall, plain):
    line.execute(f"CREATE VIEW v AS {SUM}")
    line.execute("BEGIN")
    fall()
    line.engine_connection.commit()
    here = line.execute(SUM).fetchone()
    assert here[0] < 0
    assert plain.execute("TABLE v").fetchone() == here


@duckdb_only("a server takes parameters for a single statement")
@pytest.mark.parametrize("first", ["ATTACH ':memory:' AS other", "COMMIT", "SELECT '; COMMIT'"])
def test_a_text_gives_the_result_of_its_last_statement_with_its_parameters(line, fall, first):
    line.execute("BEGIN")
    if not first.startswith("ATTACH"):
        fall()
    assert line.execute(f"{first}; SELECT '; COMMIT', $1", [42]).fetchall() == [("; COMMIT", 42)]


@pytest.mark.parametrize("first", ["COMMIT", "SELECT '; COMMIT'", "CREATE TABLE u AS SELECT 1 AS a"])
def test_a_text_gives_the_result_of_its_last_statement(line, fall, first):
    line.execute("BEGIN")
    fall()
    assert line.execute(f"{first}; SELECT '; COMMIT', 42").fetchall() == [("; COMMIT", 42)]


def test_an_interrupt_ends_a_statement_that_ran_before(line):
    line.execute("CREATE TABLE many AS SELECT 1 AS i")
    text = "SELECT sum(PREDICT(m, t.*) + s) FROM t, (SELECT max(sqrt(a.i * b.i)) AS s FROM many a, many b) q"
    line.execute(text).fetchall()
    line.execute("INSERT INTO many SELECT i FROM generate_series(1, 60000) r(i)")
    stop = threading.Timer(0.3, line.interrupt)
    stop.start()
    started = time.monotonic()
    with pytest.raises(EngineError, match=r"Interrupted|canceling statement due to user request"):
        line.execute(text).fetchall()
    stop.join()
    assert time.monotonic() - started < 3


def test_an_error_of_a_statement_that_ran_before_is_told_in_the_users_words(line):
    line.execute(SUM).fetchall()
    line.execute("BEGIN; ALTER TABLE t DROP COLUMN z")
    with pytest.raises(EngineError, match=r'"z"|\bt\.z\b') as caught:
        line.execute(SUM)
    assert caught.value.text == SUM
    assert "__sqlml" not in str(caught.value)
    line.execute("ROLLBACK")
    assert line.execute(SUM).fetchone()[0] > 0


@duckdb_only('Postgres tells "X" from x')
def test_columns_joined_by_using_are_merged_though_their_case_differs(line):
    line.execute('CREATE TABLE l ("X" DOUBLE); INSERT INTO l VALUES (1), (2)')
    line.execute("CREATE TABLE r (x DOUBLE, z DOUBLE); INSERT INTO r VALUES (2, 5), (300, 6)")
    scores = line.execute("SELECT PREDICT(m, *) FROM l FULL JOIN r USING (x) ORDER BY x").fetchall()
    assert (
        scores
        == line.execute("SELECT PREDICT(m, *) FROM (SELECT x, z FROM l FULL JOIN r USING (x)) ORDER BY x").fetchall()
    )


@duckdb_only("a connection to Postgres knows one database")
@pytest.mark.parametrize(
    ("make", "read"),
    [
        ("PREPARE p AS {}", "EXECUTE p"),
        ("CREATE VIEW v AS {}", "SELECT * FROM v"),
        ("CREATE TEMP VIEW v AS {}", "SELECT * FROM v"),
        ("CREATE MACRO f() AS TABLE {}", "SELECT * FROM f()"),
    ],
)
def test_stored_texts_keep_to_the_model_of_their_own_database(line, make, read):
    line.execute("ATTACH ':memory:' AS b; USE b; CREATE TABLE t AS FROM memory.t")
    line.execute(f"CREATE MODEL m {OPTIONS} AS SELECT x, z, -x AS y FROM t")
    here = line.execute(SUM).fetchone()
    line.execute(make.format(SUM))
    assert line.execute(read).fetchone() == here
    assert here[0] < 0


def test_a_prepared_call_of_constants_uses_the_version_of_each_execute(line, fall):
    line.execute("PREPARE p AS SELECT PREDICT(m, 300.0 AS x, 1.0 AS z)")
    assert line.execute("EXECUTE p").fetchone()[0] > 0
    fall()
    assert line.execute("EXECUTE p").fetchone()[0] < 0


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param("FROM t;", marks=duckdb_only("Postgres has no FROM before SELECT")),
        "TABLE t;",
        "SELECT * FROM t -- all of it",
        "SELECT * FROM t; \n",
    ],
)
def test_a_handle_takes_queries_that_end_in_a_semicolon_or_comment(line, rows):
    assert line.model("m").predict(rows).num_rows == 400


@pytest.mark.parametrize("name", ['a@b "x" y', "m?threshold=0.2", "o'clock.x", "order", "été", "q?class=\"'"])
def test_a_model_of_any_name_can_be_listed_handled_and_stored_in_a_view(line, name):
    quoted = line._session.quote(name)
    line.execute(f"CREATE MODEL {quoted} {OPTIONS} AS SELECT x, z, -x AS y FROM t")
    (listed,) = [other for other in line.models if other != "m"]
    assert line.model(listed).predict("t").num_rows == 400
    assert line.model(quoted + "@1").versions.num_rows == 1
    line.execute(f"CREATE VIEW v AS SELECT sum(PREDICT({quoted}, *)) FROM t")
    assert line.execute("TABLE v").fetchone()[0] < 0


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ("(x > 200)::INTEGER", "0.7::FLOAT8"),
        ("(x > 200)::INTEGER", "99999999999"),
        ("(x > 200)::INTEGER", "'zzz'"),
        ("(CASE WHEN x > 200 THEN 'a' ELSE 'b' END)::ab", "'zzz'"),
        ("DATE '2024-01-01' + (x > 200)::INTEGER", "TIMESTAMP '2024-01-01 12:00:00'"),
    ],
)
def test_a_label_that_is_none_of_the_classes_is_an_error_of_the_model(line, classes, labels):
    line.execute("CREATE TYPE ab AS ENUM ('a', 'b')")
    line.execute(
        "CREATE MODEL c OPTIONS (model_type = 'BOOSTED_TREE_CLASSIFIER', input_label_cols = ['y'], max_iterations = 2, num_threads = 1) "
        f"AS SELECT x, {classes} AS y FROM t"
    )
    assert line.execute(f"SELECT accuracy FROM ML.EVALUATE(MODEL c, (SELECT x, {labels} AS y FROM t))").fetchone() == (
        0.0,
    )


@pytest.mark.parametrize(("column", "flat"), [("predicted_y_probs", "FALSE"), ("PREDICTED_Y_PROB_1", "TRUE")])
def test_an_input_called_like_a_probability_is_refused(line, column, flat):
    line.execute(
        "CREATE MODEL c OPTIONS (model_type = 'BOOSTED_TREE_CLASSIFIER', input_label_cols = ['y'], max_iterations = 2, num_threads = 1) "
        "AS SELECT x, (x > 200)::INTEGER AS y FROM t"
    )
    with pytest.raises(DuplicateColumnError, match="already has a column"):
        line.execute(f"SELECT * FROM ML.PREDICT(MODEL c, (SELECT x, 7 AS {column} FROM t), STRUCT({flat} AS flat))")


@duckdb_only("a connection to Postgres knows one database")
def test_a_view_of_a_database_attached_under_another_name_never_uses_another_model(line, tmp_path):
    import sqlml

    with sqlml.connect(tmp_path / "b.duckdb") as con:
        con.execute("CREATE TABLE t AS SELECT i::DOUBLE AS x, 1.0 AS z FROM range(100) r(i)")
        con.execute(f"CREATE MODEL m {OPTIONS} AS SELECT x, z, -x AS y FROM t")
        con.execute(f"CREATE VIEW v AS {SUM}")
        expected = con.execute(SUM).fetchone()
    line.execute(f"ATTACH '{tmp_path}/b.duckdb' AS other")
    with pytest.raises(Exception, match="ambiguous"):
        line.execute("FROM other.v")
    line.execute(f"DETACH other; ATTACH '{tmp_path}/b.duckdb' AS b")
    assert line.execute("FROM b.v").fetchone() == expected


@duckdb_only("the plain function of Postgres takes its rows otherwise")
@pytest.mark.parametrize(
    "text",
    [
        "SELECT ml_predict('m', {'z': 2.0, 'x': 300.0})",
        "SELECT ml_predict('m', s) FROM (SELECT {'X': 300.0, 'other': 1, 'z': 2.0} AS s)",
        "SELECT ml_predict('m', q.s) FROM (SELECT {'x': 300.0, 'z': 2.0} AS s) q",
    ],
)
def test_a_row_given_as_one_value_scores_as_on_a_plain_connection(line, text):
    assert line.execute(text).fetchone() == line.engine_connection.cursor().execute(text).fetchone()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "SELECT list_transform([299.0], lambda v: PREDICT(one, v + 1))[1]",
            marks=duckdb_only("Postgres has no lambdas"),
        ),
        pytest.param(
            "SELECT 299 AS v, PREDICT(one, v + 1) AS p",
            marks=duckdb_only("columns of a SELECT are not in its own sight"),
        ),
        "SELECT v, PREDICT(one, v + 1) AS p FROM (SELECT 299 AS v) q",
        "SELECT PREDICT(one, $1)",
        "SELECT PREDICT(one, max(x) - 99) FROM t",
    ],
)
def test_the_only_input_is_given_by_position(line, text):
    line.execute(f"CREATE MODEL one {OPTIONS} AS SELECT x, 2 * x AS y FROM t")
    expected = line.execute("SELECT PREDICT(one, 300 AS x)").fetchone()
    assert line.execute(text, [300.0] if "$1" in text else None).fetchone()[-1] == expected[0]


def test_a_comment_that_reads_like_statements_is_left_to_the_engine(line):
    line.execute("-- done; COMMIT")
    assert line.execute("SELECT 1").fetchall() == [(1,)]
