"""Statements broken at every clause: always 42601, a caret where reading stopped, and nothing is run."""

from __future__ import annotations

import pytest

from sqlml.errors import SqlmlError

# Statement and the text under the caret; "" is the end of the statement.
CASES = [
    ("CREATE MODEL", ""),
    ("CREATE MODEL AS SELECT 1", "AS"),
    ("CREATE MODEL 5 AS SELECT 1", "5"),
    ("CREATE TEMP MODEL m AS SELECT 1", "TEMP"),
    ("CREATE MODEL IF EXISTS m AS SELECT 1", "EXISTS"),
    ("CREATE MODEL m", ""),
    ("CREATE MODEL m SELECT 1", "SELECT"),
    ("CREATE MODEL m AS", ""),
    ("CREATE MODEL m AS 5", "5"),
    ("CREATE MODEL m AS DELETE FROM t", "DELETE"),
    ("CREATE MODEL m@2 AS SELECT 1", "@2"),
    ("CREATE MODEL a.b.c.d AS SELECT 1", "a.b"),
    ("CREATE MODEL m OPTIONS AS SELECT 1", "AS"),
    ("CREATE MODEL m OPTIONS (seed) AS SELECT 1", ")"),
    ("CREATE MODEL m OPTIONS (seed = ) AS SELECT 1", ")"),
    ("CREATE MODEL m OPTIONS (seed = 1 seed = 2) AS SELECT 1", "seed = 2"),
    ("CREATE MODEL m OPTIONS (= 1) AS SELECT 1", "="),
    ("CREATE MODEL m OPTIONS (seed = abc) AS SELECT 1", "abc"),
    ("CREATE MODEL m OPTIONS (exclude = ['a', ) AS SELECT 1", ")"),
    ("CREATE MODEL m OPTIONS (seed = 1 AS SELECT 1", "AS"),
    ("CREATE MODEL m TRANSFORM AS SELECT 1", "AS"),
    ("CREATE MODEL m TRANSFORM () AS SELECT 1", "()"),
    ("CREATE MODEL m TRANSFORM (a", "(a"),
    ("CREATE MODEL m AS SELECT 'abc", "'abc"),
    pytest.param("CREATE MODEL m AS SELECT a FROM (t", "t", marks=pytest.mark.duckdb_only("Postgres reads on to the end")),
    pytest.param("CREATE MODEL m AS SELECT a FROM (t", "", marks=pytest.mark.postgres_only("DuckDB stops before the end")),
    ("CREATE MODEL m AS SELECT a FRM t", "t"),
    ("CREATE MODEL m AS SELECT FROM WHERE", "WHERE"),
    ("CREATE MODEL m OPTIONS (input_label_cols = ['y']) AS SELECT a, , y FROM t", ","),
    ("DROP MODEL", ""),
    ("DROP MODEL IF m", "m"),
    ("DROP MODEL reg VERSION", ""),
    ("DROP MODEL reg VERSION x", "x"),
    ("DROP MODEL reg VERSION 0", "0"),
    ("DROP MODEL reg nonsense", "nonsense"),
    ("ALTER MODEL", ""),
    ("ALTER MODEL reg", ""),
    ("ALTER MODEL reg SET", "SET"),
    ("ALTER MODEL reg SET DEFAULT", ""),
    ("ALTER MODEL reg SET DEFAULT VERSION", ""),
    ("ALTER MODEL reg SET ALIAS", ""),
    ("ALTER MODEL reg SET ALIAS a", ""),
    ("ALTER MODEL reg SET ALIAS a = b", "b"),
    ("ALTER MODEL reg DROP", "DROP"),
    ("ALTER MODEL reg RENAME", ""),
    ("ALTER MODEL reg RENAME TO", ""),
    ("ALTER MODEL reg KEEP", ""),
    ("ALTER MODEL reg KEEP 0 VERSIONS", "0"),
    ("ALTER MODEL reg KEEP 2", ""),
    ("SHOW MODELS LIKE", ""),
    ("SHOW MODELS LIKE 5", "5"),
    ("SHOW CREATE MODEL", ""),
    ("SHOW MODEL VERSIONS", ""),
    ("EXPORT MODEL reg", ""),
    ("EXPORT MODEL reg TO", ""),
    ("EXPORT MODEL reg TO x", "x"),
    ("EXPORT MODEL reg TO 'x' OPTIONS", ""),
    ("IMPORT MODEL m", ""),
    ("IMPORT MODEL m FROM", ""),
    ("IMPORT MODEL m FROM x", "x"),
    ("SELECT * FROM ML.PREDICT(MODEL reg TABLE t)", "TABLE"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, TABLE)", ")"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, SELECT 1)", "SELECT 1"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, (SELECT FROM WHERE))", "WHERE"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, TABLE t, STRUCT(0.5))", "))"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, TABLE t, STRUCT(AS x))", "AS"),
    ("SELECT * FROM ML.PREDICT(MODEL reg, TABLE t", "("),
    ("SELECT * FROM ML.NOSUCH(MODEL reg)", "ML.NOSUCH"),
    ("SELECT ML.PREDICT(MODEL reg, TABLE t)", "ML.PREDICT"),
    ("SELECT * FROM ml_predict('reg', t)", "ml_predict"),
    ("SELECT PREDICT(reg, * EXCEPT) FROM t", ")"),
    ("SELECT PREDICT(reg, * REPLACE (1 AS a)) FROM t", "REPLACE"),
    ("SELECT PREDICT(reg, a b c) FROM t", "b c"),
    ("SELECT PREDICT(reg, a AS) FROM t", "AS"),
    ("SELECT PREDICT(reg, *) FRM t", "t"),
    ("SELECT PREDICT(reg, a +, b, s, f) FROM t", ", b"),
    ("SELECT PREDICT(reg, *, ) FROM t", ") FROM"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "word"), CASES)
def test_the_place_where_reading_stops(sql, word, shared, refuse):
    failure = refuse(shared, sql)
    assert failure.sqlstate == "42601"
    assert "LINE 1:" in failure.rendered
    assert failure.word.startswith(word), failure.rendered
    assert word or failure.word == "" or sql.startswith("SELECT"), failure.rendered


@pytest.mark.parametrize(("sql", "word"), CASES)
def test_a_broken_statement_stops_a_script_where_it_stands(sql, word, shared, door):
    """Statements in front of it have run, those behind it have not, and the caret is in the text of all of them."""
    script = f"CREATE OR REPLACE VIEW before_ AS SELECT 1 AS a;\n\n{sql};\nCREATE TABLE after_ AS SELECT 1 AS a"
    with pytest.raises((SqlmlError, door.errors["any"])) as caught:
        shared.execute(script)
    assert getattr(caught.value, "sqlstate", "42601") == "42601"
    names = shared.execute("SELECT table_name FROM information_schema.tables WHERE table_name = 'after_'").fetchall()
    assert names == []
