"""Bad input of predictions: columns, types, models, classes and settings, in every way to ask for one."""

from __future__ import annotations

import duckdb
import pytest

import sqlml

# Statement, SQLSTATE, words of the message, the word under the caret, words of the hint.
duckdb_only, postgres_only = pytest.mark.duckdb_only, pytest.mark.postgres_only
CASES = [
    # columns that fit twice, or lie outside
    ("SELECT PREDICT(reg, *) FROM t JOIN other USING (id)", "42702", 'feature "a" of model "reg" is ambiguous', "PREDICT", "PREDICT(reg, t.*)"),
    ("SELECT PREDICT(reg, *) FROM t, other", "42702", 'feature "a" of model "reg" is ambiguous', "PREDICT", "column AS a"),
    ("SELECT (SELECT PREDICT(reg, *) FROM other o WHERE o.id = t.id) FROM t", "42703", "3 of them missing", "PREDICT", "PREDICT(reg, *, t.b)"),
    ("SELECT (SELECT PREDICT(reg, *)) FROM t", "42703", "4 of them missing", "PREDICT", "PREDICT(reg, *, t.a)"),
    ("SELECT l.p FROM t, LATERAL (SELECT PREDICT(reg, *) AS p FROM (SELECT t.a) i) l", "42703", "3 of them missing", "PREDICT", "t.b"),
    ("SELECT b + 1 AS b, PREDICT(reg, *) FROM (SELECT a, s, f FROM t) q", "42703", "1 of them missing", "PREDICT", "Missing: b."),
    ("SELECT PREDICT(reg, nope.*) FROM t", "42703", 'no relation "nope" in sight', "nope", "In FROM are: t."),
    ("SELECT PREDICT(reg, * EXCEPT (nope)) FROM t", "42703", 'column "nope" in EXCEPT', "*", "Columns are: id, a"),
    ("SELECT PREDICT(reg, * EXCEPT (ss)) FROM t", "42703", 'column "ss" in EXCEPT', "*", 'Did you mean "s"?'),
    # missing
    ("SELECT PREDICT(reg, *) FROM other", "42703", "expects 4 input columns, 3 of them missing", "PREDICT", "Missing: b, s, f."),
    ("SELECT PREDICT(reg, * EXCEPT (a)) FROM t", "42703", "1 of them missing", "PREDICT", "Missing: a."),
    ("SELECT PREDICT(reg, a, b) FROM t", "42703", "2 of them missing", "PREDICT", "Missing: s, f."),
    ("SELECT PREDICT(reg)", "42703", "4 of them missing", "PREDICT", "trained on: a, b, s, f"),
    ("SELECT PREDICT(reg, a + 1, b, s, f) FROM t", "22023", "argument (a + 1) of model", "PREDICT", "expression AS feature"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, (SELECT a, b, s FROM t))", "42703", "1 of them missing", "SELECT a", "Missing: f."),
    ("SELECT * FROM ML.PREDICT(MODEL reg, (SELECT *, a FROM t))", "42701", 'column "a" occurs more than once', "SELECT *, a", "another name with AS"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, (SELECT *, 1 AS predicted_y FROM t))", "42701", 'already has a column "predicted_y"', "SELECT *, 1", "Rename it"),
    ("SELECT * FROM ML.PREDICT(MODEL reg)", "22023", "ML.PREDICT needs rows", "ML.PREDICT", "TABLE t"),
    # types
    ("SELECT PREDICT(reg, *) FROM (SELECT 'q' AS a, b, s, f FROM t) q", "42804", 'column "a" must be a number, got VARCHAR', "a, b", "Cast it"),
    ("SELECT PREDICT(reg, *) FROM (SELECT l AS a, b, s, f FROM t) q", "42804", 'column "a" must be a number, got LIST', "a, b", "Cast it"),
    ("SELECT PREDICT(reg, *) FROM (SELECT st AS a, b, s, f FROM t) q", "42804", 'column "a" must be a number, got STRUCT', "a, b", "Cast it"),
    ("SELECT PREDICT(reg, a, b, 5 AS s, f) FROM t", "42804", 'column "s" must be text, got INTEGER', "s, f", "Cast it"),
    ("SELECT PREDICT(reg, a, b, s, k AS f) FROM t", "42804", 'column "f" must be a BOOLEAN, got VARCHAR', "f)", "Cast it"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, (SELECT d AS a, b, s, f FROM t))", "42804", 'column "a" must be a number, got DATE', "a, b", "Cast it"),
    # tables and columns that the engine does not find
    ("SELECT PREDICT(reg, *) FROM nosuch", "42P01", "nosuch does not exist", "nosuch", ""),
    ("SELECT * FROM ML.PREDICT(MODEL reg, TABLE nosuch)", "42P01", "nosuch does not exist", "nosuch", ""),
    ("SELECT * FROM ML.PREDICT(MODEL reg, (SELECT nosuch FROM t))", "42703", '"nosuch" not found', "nosuch", ""),
    ("SELECT PREDICT(reg, *) FROM t WHERE nosuch = 1", "42703", '"nosuch" not found', "nosuch", ""),
    pytest.param("SELECT PREDICT(reg, CAST(k AS INTEGER) AS a, b, s, f) FROM t", "22018", "Could not convert", "CAST", "", marks=duckdb_only("errors of values have no place in Postgres")),
    pytest.param("SELECT PREDICT(reg, CAST(k AS INTEGER) AS a, b, s, f) FROM t", "22P02", "type integer", "", "", marks=postgres_only("errors of values have no place")),
    pytest.param("SELECT PREDICT(reg, *) OVER () FROM t", "42704", "PREDICT is not an aggregate function", "PREDICT", "", marks=duckdb_only("the function that Postgres calls has another name")),
    # models
    ("SELECT PREDICT(rge, *) FROM t", "42704", 'model "rge" does not exist', "rge", 'Did you mean "reg"?'),
    ("SELECT * FROM ML.PREDICT(MODEL rge, TABLE t)", "42704", 'model "rge" does not exist', "rge", 'Did you mean "reg"?'),
    ("SELECT ml_predict('rge', t) FROM t", "42704", 'model "rge" does not exist', "'rge'", 'Did you mean "reg"?'),
    ("SELECT * FROM ml.evaluate('rge')", "42704", 'model "rge" does not exist', "'rge'", 'Did you mean "reg"?'),
    ("SELECT PREDICT(reg@7, *) FROM t", "42704", 'model "reg" has no version 7', "reg@7", "It has: 1."),
    ("SELECT PREDICT(reg@champion, *) FROM t", "42704", 'model "reg" has no alias "champion"', "reg@champion", "It has no aliases."),
    ("SELECT * FROM ML.PREDICT(MODEL nosuch.reg, TABLE t)", "42704", 'model "nosuch.reg" does not exist', "nosuch", 'Did you mean "reg"?'),
    ("SELECT * FROM ML.PREDICT(MODEL nodb.main.reg, TABLE t)", "42704", "does not exist", "nodb", 'Did you mean "reg"?'),
    ("SELECT ml_predict('a.b.c.d', t) FROM t", "42601", "is not the name of a model", "'a.b.c.d'", "schema.]name"),
    ("SELECT ml_predict('', t) FROM t", "42601", "is not the name of a model", "''", "name"),
    # classes
    ("SELECT PREDICT_PROBA(reg, *) FROM t", "22023", "predicts a number, not a class", "PREDICT_PROBA", "Use PREDICT(reg"),
    ("SELECT PREDICT_PROBA(multi, *) FROM t", "22023", "has 3 classes: name one", "PREDICT_PROBA", "PREDICT_PROBA(multi, 'u'"),
    ("SELECT PREDICT_PROBA(multi, 'zz', *) FROM t", "22023", 'has no class "zz"', "'zz'", "u, v, w"),
    ("SELECT ml_predict_proba('multi', 'zz', t) FROM t", "22023", 'has no class "zz"', "'zz'", "u, v, w"),
    # settings
    ("SELECT * FROM ML.PREDICT(MODEL cls, TABLE t, STRUCT(0.3 AS treshold))", "42602", 'unknown setting "treshold"', "0.3", "Did you mean threshold?"),
    ("SELECT * FROM ML.PREDICT(MODEL cls, TABLE t, STRUCT(3 AS threshold))", "22023", "between 0 and 1", "3 AS", "0.5 AS threshold"),
    ("SELECT * FROM ML.PREDICT(MODEL cls, TABLE t, STRUCT('a' AS threshold))", "22023", "between 0 and 1", "'a'", "0.5 AS threshold"),
    ("SELECT * FROM ML.PREDICT(MODEL cls, TABLE t, STRUCT(1 AS flat))", "22023", "must be TRUE or FALSE", "1 AS", "TRUE AS flat"),
    ("SELECT * FROM ML.PREDICT(MODEL cls, TABLE t, STRUCT(TRUE AS flat, FALSE AS flat))", "42602", "stands twice", "FALSE", "Give it once."),
    ("SELECT * FROM ML.PREDICT(MODEL reg, TABLE t, STRUCT(0.3 AS threshold))", "22023", "binary classifiers only", "0.3", "Leave it out."),
    ("SELECT * FROM ML.TRANSFORM(MODEL reg, TABLE t, STRUCT(1 AS x))", "42602", "has no settings", "1 AS", "Leave out STRUCT"),
    # evaluation
    ("SELECT * FROM ML.EVALUATE(MODEL reg, (SELECT a, b, s, f FROM t))", "22023", 'needs the label column "y"', "SELECT a", "Its columns are: a, b, s, f."),
    pytest.param("SELECT * FROM ML.EVALUATE(MODEL reg, (SELECT a, b, s, f, 'x' AS y FROM t))", "22018", "Could not convert", "ML.EVALUATE", "", marks=duckdb_only("Postgres points at the text itself")),
    pytest.param("SELECT * FROM ML.EVALUATE(MODEL reg, (SELECT a, b, s, f, 'x' AS y FROM t))", "22P02", "type double", "'x'", "", marks=postgres_only("it points at the text itself")),
    ("SELECT * FROM ML.CONFUSION_MATRIX(MODEL reg)", "22023", "predicts a number", "ML.CONFUSION", "ML.EVALUATE(MODEL reg)"),
    ("SELECT * FROM ML.ROC_CURVE(MODEL multi)", "22023", "a ROC curve is of two", "ML.ROC", "ML.CONFUSION_MATRIX"),
    ("SELECT * FROM ML.ROC_CURVE(MODEL cls, TABLE t, STRUCT([0.1, 2] AS thresholds))", "22023", "numbers between 0 and 1", "[0.1", "0.25, 0.5"),
    ("SELECT * FROM ML.FEATURE_INFO(MODEL reg, TABLE t)", "22023", "takes no rows", "t)", "Name only the model."),
    # what is not there yet
    ("SELECT * FROM ML.VALIDATE_DATA_SKEW(MODEL reg, TABLE t)", "0A000", "is not supported yet", "ML.VALIDATE", "ML.FEATURE_INFO"),
    ("SELECT * FROM ML.PREDCT(MODEL reg, TABLE t)", "42601", 'unknown function "ML.PREDCT"', "ML.PREDCT", "Did you mean ML.PREDICT?"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "sqlstate", "message", "word", "hint"), CASES)
def test_the_error_and_its_place(sql, sqlstate, message, word, hint, shared, refuse, said):
    message, sqlstate = said(message, sqlstate)
    failure = refuse(shared, sql)
    assert message in failure.message
    assert failure.sqlstate == sqlstate
    assert failure.word.startswith(word), failure.rendered
    assert hint in failure.hint


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT PREDICT(rge, *) FROM t",
        "SELECT PREDICT(reg, *) FROM other",
        "SELECT PREDICT(reg, *) FROM (SELECT 'q' AS a, b, s, f FROM t)",
        "SELECT * FROM ML.PREDICT(MODEL reg, TABLE nosuch)",
    ],
)
def test_the_lazy_door_tells_the_same(sql, shared, refuse):
    assert refuse(shared, sql, door="sql").rendered == refuse(shared, sql).rendered


def test_the_outer_query_is_named(shared, refuse):
    failure = refuse(shared, "SELECT (SELECT PREDICT(reg, *) FROM other o WHERE o.id = t.id) FROM t")
    assert failure.detail == "The query around it has t.b, t.s, t.f, which * does not reach."
    query = "SELECT (SELECT PREDICT(reg, *, t.b, t.s, t.f) FROM other o WHERE o.id = t.id) FROM t"
    assert len(shared.execute(query).fetchall()) == 400


def test_the_place_in_a_text_of_many_lines_and_statements(shared, refuse):
    failure = refuse(shared, "SELECT 1;\n-- ö 日本\nSELECT '日本',\n\tPREDICT(reg, *)\nFROM other")
    assert failure.word.startswith("PREDICT")
    assert "LINE 4:" in failure.rendered


PLAIN = [
    ("ml_predict('rge', t)", 'model "rge" does not exist; hint: Did you mean "reg"?'),
    ("ml_predict('reg@9', t)", 'model "reg" has no version 9; hint: It has 1.'),
    ("ml_predict('reg@best', t)", 'model "reg" has no alias "best"; hint: It has no aliases.'),
    ("ml_predict('reg', a, b)", "takes 4 columns, got 2; hint: Pass them in this order: a, b, s, f."),
    ("ml_predict('reg', {'a': a})", 'missing columns "b", "s", "f"; hint: The row has a.'),
    ("ml_predict('reg', {'a': 'q', 'b': b, 's': s, 'f': f})", 'column "a" must be a number, got VARCHAR; hint: Cast it'),
    ("ml_predict('reg')", "no columns given; hint: Pass a row of a table"),
    ("ml_predict('bound', t)", "the model needs ascii(s) + strlen(s), which only the database can compute; hint: Use PREDICT"),
    ("ml_predict('bound', a, 5)", "the model needs ascii(s) + strlen(s), which only the database can compute; hint: Use PREDICT"),
    ("ml_predict(NULL, t)", "the name of a model must not be NULL"),
    ("ml_predict(s, t)", "must be a constant expression"),
    ("ml_predict_proba('reg', t)", "it has no classes; hint: Ask for its value"),
    ("ml_predict_proba('multi', t)", "more than two classes; hint: Name the class"),
    ("ml_predict_proba('multi', 'zz', t)", 'has no class "zz"; hint: Name the class'),
    ("ml_predict('reg?threshold=7', t)", 'invalid threshold "7"; hint: Use a number from 0 to 1.'),
]  # fmt: skip


@duckdb_only("plain connections to Postgres call functions of their own, where they are installed")
@pytest.mark.parametrize(("call", "message"), PLAIN)
def test_plain_connections_are_told_in_one_line(call, message, trained):
    with duckdb.connect(str(trained), read_only=True) as plain:
        with pytest.raises(duckdb.Error) as caught:
            plain.execute(f"SELECT {call} FROM t").fetchall()
        first = str(caught.value).split("\n")[0]
        assert message in first
        assert "Error:" not in first.partition(": ")[2]
        assert plain.execute("SELECT count(ml_predict('reg', t)) FROM t").fetchone() == (400,)


def test_an_engine_bound_view_scores_on_plain_connections(database, door):
    with sqlml.connect(database) as con:
        con.execute("CREATE VIEW scored AS SELECT id, PREDICT(bound, *) AS p FROM t")
        expected = con.execute("SELECT id, PREDICT(bound, *) FROM t ORDER BY id").fetchall()
    with door.plain(database) as plain:
        assert plain.execute("SELECT * FROM scored ORDER BY id").fetchall() == expected
