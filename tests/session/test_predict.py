"""PREDICT as a table and as an expression, against LightGBM's own predictions."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sqlml.errors import (
    AmbiguousColumnError,
    DuplicateColumnError,
    InputMismatchError,
    MissingColumnError,
    NotSupportedYetError,
    OptionError,
    OptionValueError,
    UnknownModelError,
)

duckdb_only = pytest.mark.duckdb_only


def test_probabilities_equal_lightgbm(con, features):
    own, _, rows = features(con, "churned")
    expected = own.predict(rows)
    got = np.array(con.execute("SELECT PREDICT_PROBA(churned, *) FROM churn ORDER BY id").fetchall())[:, 0]
    assert np.array_equal(got, expected)


def test_regression_equals_lightgbm(con, features):
    own, _, rows = features(con, "worth")
    got = np.array(con.execute("SELECT PREDICT(worth, *) FROM churn ORDER BY id").fetchall())[:, 0]
    assert np.array_equal(got, own.predict(rows))


def test_multiclass_equals_lightgbm(con, features):
    own, _, rows = features(con, "kind")
    expected = own.predict(rows)
    table = con.execute("SELECT * FROM ML.PREDICT(MODEL kind, TABLE churn, STRUCT(TRUE AS flat)) ORDER BY id").arrow()
    classes = ["big", "new", "small"]
    for index, name in enumerate(classes):
        assert np.array_equal(table[f"predicted_segment_prob_{name}"].to_numpy(), expected[:, index])
    assert table["predicted_segment"].to_pylist() == [classes[i] for i in expected.argmax(axis=1)]


def test_table_function_columns(con):
    columns = [d[0] for d in con.execute("SELECT * FROM ML.PREDICT(MODEL churned, TABLE churn)").description]
    assert columns[:3] == ["id", "tenure", "charges"]
    assert columns[-2:] == ["predicted_left_us", "predicted_left_us_probs"]


def test_label_has_its_own_type(con, door):
    typeof = {"duckdb": "typeof", "postgres": "pg_typeof"}[door.name]
    calls = ", ".join(f"{typeof}(PREDICT({name}, *))::VARCHAR" for name in ("churned", "worth", "kind"))
    types = {"duckdb": ("BOOLEAN", "DOUBLE", "VARCHAR"), "postgres": ("boolean", "double precision", "text")}
    assert con.execute(f"SELECT {calls} FROM churn").fetchone() == types[door.name]


def test_probs_carry_labels(con):
    probs, p = con.execute(
        "SELECT predicted_left_us_probs, PREDICT_PROBA(churned, *) "
        "FROM ML.PREDICT(MODEL churned, (SELECT * FROM churn WHERE id = 5))"
    ).fetchone()
    assert [entry["label"] for entry in probs] == [False, True]
    assert probs[1]["prob"] == p
    assert sum(entry["prob"] for entry in probs) == pytest.approx(1)


def test_threshold(con):
    loose, strict = con.execute(
        "SELECT (SELECT count(*) FROM ML.PREDICT(MODEL churned, TABLE churn, STRUCT(0.1 AS threshold)) WHERE predicted_left_us),"
        "       (SELECT count(*) FROM ML.PREDICT(MODEL churned, TABLE churn, STRUCT(0.9 AS threshold)) WHERE predicted_left_us)"
    ).fetchone()
    expected = con.execute(
        "SELECT count(*) FILTER (WHERE p > 0.1), count(*) FILTER (WHERE p > 0.9) FROM (SELECT PREDICT_PROBA(churned, *) p FROM churn) q"
    ).fetchone()
    assert (loose, strict) == expected
    assert loose > strict


def test_keep_original_columns(con):
    con.execute("SELECT * FROM ML.PREDICT(MODEL worth, TABLE churn, STRUCT(FALSE AS keep_original_columns))")
    assert [d[0] for d in con.description] == ["predicted_value"]


@pytest.mark.parametrize(
    "query",
    [
        "WITH p AS (SELECT * FROM ML.PREDICT(MODEL worth, TABLE churn)) SELECT sum(predicted_value) FROM p",
        "SELECT sum(predicted_value) FROM (SELECT * FROM ML.PREDICT(MODEL worth, TABLE churn)) q",
        "SELECT sum(predicted_value) FROM ML.PREDICT(MODEL worth, TABLE churn) AS q",
        "SELECT sum(predicted_value) FROM PREDICT(MODEL worth, TABLE churn)",
        "SELECT sum(predicted_value) FROM PREDICT(MODEL 'worth', TABLE churn)",
        "SELECT sum(p.predicted_value) FROM ML.PREDICT(MODEL worth, (SELECT * FROM churn)) p JOIN churn c ON c.id = p.id",
        (
            "SELECT sum(x) FROM (SELECT predicted_value AS x FROM ML.PREDICT(MODEL worth, TABLE churn) WHERE id < 1000 "
            "UNION ALL SELECT predicted_value FROM ML.PREDICT(MODEL worth, (SELECT * FROM churn)) WHERE id >= 1000) q"
        ),
        "SELECT sum(PREDICT(worth, *)) FROM churn",
        "SELECT sum(PREDICT(worth, c.*)) FROM churn c JOIN generate_series(0, 2999) r(i) ON c.id = r.i",
        "SELECT sum(PREDICT(worth USING *)) FROM churn",
        "SELECT sum(PREDICT(worth, tenure, charges, plan, senior)) FROM churn",
        "SELECT sum(PREDICT(worth, senior, plan, charges, tenure)) FROM churn",
        (
            "SELECT sum(PREDICT(worth, a AS tenure, b AS charges, p AS plan, s AS senior)) "
            "FROM (SELECT tenure a, charges b, plan p, senior s FROM churn) q"
        ),
        "SELECT sum(PREDICT(worth, * EXCEPT (id))) FROM churn",
        "SELECT sum(ml_predict('worth', churn)) FROM churn",
        "SELECT sum(ml_predict('worth', c)) FROM churn c",
        "SELECT sum(PREDICT(`{schema}.worth`, *)) FROM churn",
        "SELECT sum(PREDICT({schema}.worth, *)) FROM churn",
        'SELECT sum(PREDICT("worth", *)) FROM churn',
        "SELECT sum(PREDICT(WORTH, *)) FROM churn",
        "SELECT sum(PREDICT(worth@1, *)) FROM churn",
        "SELECT sum(PREDICT(MODEL worth, tenure, charges, plan, senior)) FROM churn",
        pytest.param(
            "FROM churn SELECT sum(PREDICT(worth, *))", marks=duckdb_only("Postgres has no FROM before SELECT")
        ),
        "SELECT sum((SELECT PREDICT(worth, *) FROM (SELECT c.tenure, c.charges, c.plan, c.senior) i)) FROM churn c",
        "SELECT sum(l.p) FROM churn c, LATERAL (SELECT PREDICT(worth, *) AS p FROM (SELECT c.tenure, c.charges, c.plan, c.senior) i) l",
        "SELECT sum((WITH i AS (SELECT c.tenure, c.charges, c.plan, c.senior) SELECT PREDICT(worth, *) FROM i)) FROM churn c",
        (
            "WITH RECURSIVE r(n, s) AS (SELECT 1, sum(PREDICT(worth, *)) FROM churn UNION ALL SELECT n + 1, s FROM r WHERE n < 3) "
            "SELECT max(s) FROM r"
        ),
        "/* PREDICT(x */ SELECT sum(PREDICT(worth, *)) -- ML.PREDICT(\nFROM churn",
        "SELECT sum(PREDICT(worth, *)) FILTER (WHERE $$PREDICT(worth, *)$$ IS NOT NULL) FROM churn",
    ],
)
def test_every_spelling_gives_the_same_sum(reader, query, door):
    expected = reader.execute("SELECT sum(PREDICT(worth, *)) FROM churn").fetchone()[0]
    assert reader.execute(query.replace("{schema}", door.schema)).fetchone()[0] == pytest.approx(expected, rel=1e-12)


def test_in_where_order_by_group_by(con):
    rows = con.execute(
        "SELECT plan, count(*), avg(PREDICT_PROBA(churned, *)) FROM churn WHERE PREDICT_PROBA(churned, *) > 0.5 "
        "GROUP BY plan ORDER BY plan"
    ).fetchall()
    assert len(rows) == 4
    assert all(p > 0.5 for _, _, p in rows)
    ordered = [
        r[0] for r in con.execute("SELECT PREDICT(worth, *) FROM churn ORDER BY PREDICT(worth, *) LIMIT 50").fetchall()
    ]
    assert ordered == sorted(ordered)


def test_create_table_insert_copy(con, tmp_path):
    con.execute("CREATE TABLE scored AS SELECT * FROM ML.PREDICT(MODEL worth, TABLE churn)")
    con.execute("INSERT INTO scored SELECT * FROM ML.PREDICT(MODEL worth, (SELECT * FROM churn WHERE id < 10))")
    assert con.execute("SELECT count(predicted_value) FROM scored").fetchone() == (3010,)
    tmp_path.chmod(0o777)  # the server writes as another user
    for folder in tmp_path.relative_to(tempfile.gettempdir()).parents[:-1]:
        Path(tempfile.gettempdir(), folder).chmod(0o755)
    target = tmp_path / "scored.csv"
    con.execute(f"COPY (SELECT id, predicted_value FROM ML.PREDICT(MODEL worth, TABLE churn)) TO '{target}' (HEADER)")
    assert target.read_text().count("\n") == 3001


def test_update_and_delete(con):
    con.execute("ALTER TABLE churn ADD COLUMN score FLOAT8")
    con.execute("UPDATE churn SET score = PREDICT(worth, *)")
    expected = con.execute("SELECT sum(PREDICT(worth, *)) FROM churn").fetchone()[0]
    assert con.execute("SELECT sum(score) FROM churn").fetchone()[0] == pytest.approx(expected)
    con.execute("DELETE FROM churn WHERE PREDICT(worth, *) > 100")
    assert con.execute("SELECT max(PREDICT(worth, *)) <= 100 FROM churn").fetchone() == (True,)


@pytest.mark.parametrize("mark", [pytest.param("?", marks=duckdb_only("Postgres has operators called ?")), "$1"])
def test_parameters(con, mark):
    expected = con.execute("SELECT sum(PREDICT(worth, *)) FROM churn WHERE id < 100").fetchone()[0]
    got = con.execute(f"SELECT sum(PREDICT(worth, *)) FROM churn WHERE id < {mark}", [100]).fetchone()[0]
    assert got == expected


def test_parameters_as_inputs(con):
    expected = con.execute(
        "SELECT PREDICT(worth, *) FROM (SELECT 5 tenure, 20.5 charges, 'pro' plan, TRUE senior) q"
    ).fetchone()
    assert con.execute("SELECT PREDICT(worth, $1, $2, $3, $4)", [5, 20.5, "pro", True]).fetchone() == expected
    assert (
        con.execute(
            "SELECT PREDICT(worth, $4 AS senior, $1 AS tenure, $3 AS plan, $2 AS charges)", [5, 20.5, "pro", True]
        ).fetchone()
        == expected
    )


def test_prepared_statement_uses_the_default_of_each_execution(con):
    con.execute("PREPARE q AS SELECT PREDICT(worth, *) FROM churn WHERE id = $1")
    first = con.execute("EXECUTE q(7)").fetchone()
    con.execute(
        "CREATE OR REPLACE MODEL worth OPTIONS (input_label_cols = ['value'], max_iterations = 1) "
        "AS SELECT tenure, charges, plan, senior, value FROM churn"
    )
    second = con.execute("EXECUTE q(7)").fetchone()
    assert first != second
    assert second == con.execute("SELECT PREDICT(worth@2, *) FROM churn WHERE id = 7").fetchone()


def test_result_column_names(con):
    con.execute(
        "SELECT PREDICT(worth, *), PREDICT_PROBA(churned, *), PREDICT(worth, *) AS x, PREDICT(worth, *) + 1 FROM churn"
    )
    assert [d[0] for d in con.description] == [
        "predicted_value",
        "predicted_left_us_prob",
        "x",
        "PREDICT(worth, *) + 1",
    ]


def test_star_is_of_this_select_only(con):
    with pytest.raises(MissingColumnError, match="expects 4 input columns"):
        con.execute("SELECT (SELECT PREDICT(worth, *) FROM (SELECT 1 AS tenure) i) FROM churn")


def test_ambiguous_column(con):
    with pytest.raises(AmbiguousColumnError, match='feature "tenure" of model "worth" is ambiguous') as caught:
        con.execute("SELECT PREDICT(worth, *) FROM churn a JOIN churn b ON a.id = b.id")
    assert "a.tenure or b.tenure" in caught.value.detail
    assert caught.value.position == 7


def test_using_column_counts_once(con):
    query = "SELECT count(PREDICT(worth, *)) FROM churn a JOIN (SELECT tenure, min(id) FROM churn GROUP BY tenure) b USING (tenure)"
    assert con.execute(query).fetchone() == (3000,)


def test_missing_column_lists_it(con):
    with pytest.raises(MissingColumnError, match="1 of them missing") as caught:
        con.execute("SELECT PREDICT(worth, *) FROM (SELECT tenure, charges, plan AS plam, senior FROM churn) q")
    assert "Missing: plan" in caught.value.hint
    assert '"plam" for "plan"' in caught.value.hint


def test_wrong_type(con):
    with pytest.raises(Exception, match="tenure"):
        con.execute(
            "SELECT PREDICT(worth, *) FROM (SELECT 'x' AS tenure, charges, plan, senior FROM churn) q"
        ).fetchall()


def test_unknown_model_names_the_nearest(con):
    with pytest.raises(UnknownModelError, match='model "wort" does not exist') as caught:
        con.execute("SELECT * FROM ML.PREDICT(MODEL wort, TABLE churn)")
    assert "worth" in caught.value.hint


def test_unknown_model_in_scalar_spelling(con):
    with pytest.raises(UnknownModelError, match='model "wort" does not exist'):
        con.execute("SELECT PREDICT(wort, *) FROM churn")


def test_unknown_version_and_alias(con):
    with pytest.raises(UnknownModelError, match="version 9"):
        con.execute("SELECT PREDICT(worth@9, *) FROM churn")
    with pytest.raises(UnknownModelError, match="best"):
        con.execute("SELECT PREDICT(worth@best, *) FROM churn")


def test_multiclass_probability_asks_which_class(con):
    with pytest.raises(InputMismatchError, match="3 classes: name one"):
        con.execute("SELECT PREDICT_PROBA(kind, *) FROM churn")
    assert con.execute("SELECT count(PREDICT_PROBA(kind, 'new', *)) FROM churn").fetchone() == (3000,)
    with pytest.raises(InputMismatchError, match='no class "huge"'):
        con.execute("SELECT PREDICT_PROBA(kind, 'huge', *) FROM churn")


def test_probability_of_a_number_is_refused(con):
    with pytest.raises(InputMismatchError, match="predicts a number"):
        con.execute("SELECT PREDICT_PROBA(worth, *) FROM churn")


def test_settings_are_checked(con):
    with pytest.raises(OptionError, match='unknown setting "treshold"'):
        con.execute("SELECT * FROM ML.PREDICT(MODEL churned, TABLE churn, STRUCT(0.3 AS treshold))")
    with pytest.raises(OptionValueError, match="between 0 and 1"):
        con.execute("SELECT * FROM ML.PREDICT(MODEL churned, TABLE churn, STRUCT(3 AS threshold))")
    with pytest.raises(OptionValueError, match="binary classifiers only"):
        con.execute("SELECT * FROM ML.PREDICT(MODEL worth, TABLE churn, STRUCT(0.3 AS threshold))")


def test_collision_with_a_predicted_column(con):
    with pytest.raises(DuplicateColumnError, match='already has a column "predicted_value"'):
        con.execute("SELECT * FROM ML.PREDICT(MODEL worth, (SELECT *, 1 AS predicted_value FROM churn))")


def test_duplicate_column_in_the_input(con):
    with pytest.raises(DuplicateColumnError, match='column "tenure" occurs more than once'):
        con.execute("SELECT * FROM ML.PREDICT(MODEL worth, (SELECT *, 1 AS tenure FROM churn))")


def test_functions_of_later_releases_say_so(con):
    with pytest.raises(NotSupportedYetError, match="not supported yet") as caught:
        con.execute("SELECT * FROM ML.WEIGHTS(MODEL worth)")
    assert caught.value.sqlstate == "0A000"


def test_explain_names_version_scorer_columns_and_trees(con, door):
    rows = con.execute("EXPLAIN SELECT PREDICT(worth, *) FROM churn").fetchall()
    assert "sqlml" in rows[-1][0]
    assert f"{door.schema}.worth@1" in rows[-1][-1]
    assert "20 trees" in rows[-1][-1]
    assert "reads 3 of 4 columns: tenure, charges, senior" in rows[-1][-1]  # no tree asks for the plan
    plan = rows[0][-1]
    assert "since" not in plan
    assert "segment" not in plan


def _explained(con, query):
    return con.execute(f"EXPLAIN {query}").fetchall()[-1][-1]


def test_explain_tells_what_a_where_leaves_of_the_trees(con):
    whole = _explained(con, "SELECT PREDICT(worth, *) FROM churn")
    nodes = int(re.search(r"20 trees of ([\d,]+) nodes, reads", whole)[1].replace(",", ""))
    fixed = "SELECT PREDICT(worth, c.*) FROM churn AS c WHERE c.plan = 'pro' AND senior = TRUE AND charges > 5"
    found = re.search(r"\((\d+) of ([\d,]+) where plan = 'pro' and senior = TRUE\)", _explained(con, fixed))
    assert 1 <= int(found[1]) <= 20
    assert 0 < int(found[2].replace(",", "")) < nodes
    both = _explained(
        con, "SELECT * FROM ML.PREDICT(MODEL worth, (SELECT * FROM churn WHERE plan IN ('pro', 'basic')))"
    )
    assert "where plan IN ('pro', 'basic'))" in both
    assert "where plan = 'it''s')" in _explained(con, "SELECT PREDICT(worth, *) FROM churn WHERE plan = 'it''s'")
    for other in ("plan = 'pro' OR senior", "lower(plan) = 'pro'", "plan <> 'pro'", "tenure = id"):
        assert " where " not in _explained(con, f"SELECT PREDICT(worth, *) FROM churn WHERE {other}")


def test_a_column_that_no_tree_asks_for_is_not_read(con):
    con.execute(
        "CREATE TABLE dull AS SELECT tenure, charges, CAST(7 AS INTEGER) AS fixed_fee, charges > 50 AS dear FROM churn"
    )
    con.execute("CREATE MODEL dear OPTIONS (label = 'dear', num_iterations = 3) AS SELECT * FROM dull")
    rows = con.execute("EXPLAIN SELECT PREDICT(dear, *) FROM dull").fetchall()
    assert "of 3 columns: " in rows[-1][-1]
    assert "fixed_fee" not in rows[-1][-1]
    assert not any("fixed_fee" in row[-1] for row in rows[:-1])
    with pytest.raises(MissingColumnError, match="1 of them missing"):
        con.execute("SELECT PREDICT(dear, tenure, charges AS charges) FROM dull")
    con.execute("CREATE VIEW dears AS SELECT PREDICT(dear, *) AS p FROM dull")
    con.execute("CREATE VIEW pinned AS SELECT PREDICT(dear@1, *) AS p FROM dull")
    wanted = con.execute("SELECT PREDICT(dear, *) AS p FROM dull ORDER BY p").fetchall()
    assert con.execute("SELECT p FROM dears ORDER BY p").fetchall() == wanted
    assert con.execute("SELECT p FROM pinned ORDER BY p").fetchall() == wanted
    con.execute(
        "CREATE OR REPLACE MODEL dear OPTIONS (label = 'dear', num_iterations = 3) AS SELECT tenure, charges, charges > 50 AS fixed_fee, dear FROM dull"
    )
    assert len(con.execute("SELECT DISTINCT p FROM pinned").fetchall()) == 2
    assert con.execute("SELECT * FROM ML.TRANSFORM(MODEL dear@1, TABLE dull) LIMIT 1").fetchall()


def test_engine_error_points_into_the_users_text(con):
    text = "SELECT PREDICT(worth, *),\n  nosuch FROM churn"
    with pytest.raises(Exception, match="nosuch") as caught:
        con.execute(text)
    assert caught.value.position == text.index("nosuch")


def test_engine_error_inside_the_input_points_there(con):
    text = "SELECT *\nFROM ML.PREDICT(MODEL worth, (SELECT tenure, wrong FROM churn))"
    with pytest.raises(Exception, match="wrong") as caught:
        con.execute(text)
    assert caught.value.position == text.index("wrong")


def test_column_of_a_subquery_is_named_as_written(con):
    con.execute("SELECT (SELECT max(PREDICT(worth, *)) FROM churn)")
    assert con.description[0][0] == "(SELECT max(PREDICT(worth, *)) FROM churn)"


@duckdb_only("a server sees no variables of the program")
def test_data_frame_of_the_caller(con):
    pa = pytest.importorskip("pyarrow")
    mine = pa.table({"tenure": [1, 2], "charges": [1.0, None], "plan": ["pro", None], "senior": [True, False]})
    assert len(mine) == 2
    assert con.execute("SELECT count(*) FROM ML.PREDICT(MODEL worth, TABLE mine)").fetchone() == (2,)
    assert con.execute("SELECT PREDICT(worth, *) FROM mine").fetchall()
    assert con.sql("SELECT PREDICT(worth, *) FROM mine").fetchall()


def test_input_with_a_null_where_training_saw_none_gives_one_notice(con):
    con.execute("SELECT PREDICT(worth, *) FROM churn").fetchall()
    assert any("scores as 0" in notice and "tenure" in notice for notice in con.notices)
    con.execute("SELECT PREDICT(worth, *) FROM churn").fetchall()
    assert con.notices == []


@duckdb_only("Postgres knows the columns of every query, and a parameter without a type is text")
@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM ML.PREDICT(MODEL worth, (PIVOT churn ON plan))",
        "SELECT PREDICT(worth, *) FROM (PIVOT churn ON plan)",
        "SELECT * FROM ML.PREDICT(MODEL worth, (SELECT ? AS tenure, charges, plan, senior FROM churn))",
    ],
)
def test_rows_whose_columns_only_running_tells(con, query):
    with pytest.raises(NotSupportedYetError, match="known only when the statement runs") as caught:
        con.execute(query, [5] if "?" in query else None)
    assert "CAST" in caught.value.hint
    assert con.execute(query.replace("?", "CAST(? AS INTEGER)"), [5]).fetchone() if "?" in query else True
