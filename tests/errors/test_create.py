"""Bad input of CREATE MODEL: options, label, data, features, names; nothing is left behind by any of it."""

from __future__ import annotations

import pytest

duckdb_only, postgres_only = pytest.mark.duckdb_only, pytest.mark.postgres_only
ONE_DATABASE = duckdb_only("a connection to Postgres knows one database")
FAST = "max_iterations = 2, num_threads = 1"
Y = f"OPTIONS (input_label_cols = ['y'], {FAST})"


def options(text):
    return f"CREATE MODEL m OPTIONS ({text}) AS SELECT a, b, y FROM t"


def query(text):
    return f"CREATE MODEL m {Y} AS {text}"


def labelled(label, sql, more=""):
    return f"CREATE MODEL m OPTIONS (input_label_cols = ['{label}'], {FAST}{more}) AS {sql}"


def transform(items, columns="a, s, l, y"):
    return f"CREATE MODEL m TRANSFORM ({items}) {Y} AS SELECT {columns} FROM t"


# Statement, SQLSTATE, words of the message, the word under the caret, words of the hint.
OPTIONS = [
    (options("input_label_col = ['y']"), "42602", 'unknown option "input_label_col"', "input_label_col =", "Did you mean input_label_cols"),
    (options("num_leavs = 5"), "42602", 'unknown option "num_leavs"', "num_leavs", "Did you mean num_leaves"),
    (options("wibble = 5"), "42602", 'unknown option "wibble"', "wibble", ""),
    (options("num_leaves = 'many'"), "22023", "must be an integer at least 2 and at most 131072, got 'many'", "num_leaves", "Leave it out"),
    (options("num_leaves = 1"), "22023", "got 1", "num_leaves", "Leave it out"),
    (options("num_leaves = 2.5"), "22023", "must be an integer", "num_leaves", "Leave it out"),
    (options("learn_rate = -0.1"), "22023", "must be a number above 0, got -0.1", "learn_rate", "Leave it out"),
    (options("early_stop = 'perhaps'"), "22023", "must be", "early_stop", "Leave it out"),
    (options("model_type = 'boosted_tree_classifer'"), "22023", "must be one of", "model_type", "Did you mean boosted_tree_classifier?"),
    (options("model_type = 'linear_reg'"), "22023", "must be one of", "model_type", "Boosted trees and random forests"),
    (options("seed = NULL"), "22023", "got NULL", "seed", "Leave it out"),
    (options("memory_limit = 'lots'"), "22023", "must be a size such as '2GB'", "memory_limit", "Leave it out"),
    (options("max_iterations = 5, num_trees = 6"), "42602", "two names of one option", "num_trees", "Give one of them."),
    (options("max_iterations = 5, max_iterations = 6"), "42602", "stands twice", "max_iterations = 6", "Give one of them."),
    (options("input_label_cols = ['y', 'k']"), "22023", "the name of one column", "input_label_cols", "predicts one column"),
    (options("input_label_cols = []"), "22023", "the name of one column", "input_label_cols", "predicts one column"),
    (options("input_label_cols = ['yy']"), "42703", 'label column "yy" is not in the training query', "input_label_cols", 'Did you mean "y"?'),
    (options("num_threads = 1"), "42703", 'label column "label" is not in the training query', "SELECT", "input_label_cols"),
    (options("input_label_cols = ['y'], exclude = ['nope']"), "22023", 'names column "nope"', "'nope'", "Columns are: a, b, y."),
    (options("input_label_cols = ['y'], categorical_features = ['aa']"), "22023", 'names column "aa"', "'aa'", 'Did you mean "a"?'),
    (options("input_label_cols = ['y'], exclude = ['a', 'b']"), "22000", "no column to use as a feature", "SELECT", "at least one column"),
    (options("input_label_cols = ['y'], data_split_method = 'seq'"), "42602", 'needs option "data_split_col"', "data_split_method", "data_split_col = 'day'"),
    (options("input_label_cols = ['y'], data_split_method = 'seq', data_split_col = 'nope'"), "42703", 'split column "nope"', "data_split_col", "Columns are"),
    (options("input_label_cols = ['y'], instance_weight_col = 'nope'"), "42703", 'weight column "nope"', "instance_weight_col", "Columns are"),
    (options("input_label_cols = ['y'], memory_limit = '1MB'"), "53000", "needs about", "memory_limit", "sample in the query"),
    (options("num_trials = 5"), "0A000", 'option "num_trials" is not supported', "num_trials", "compare with ML.EVALUATE"),
    (options("seed = ?"), "42601", 'expected a value, found "?"', "?", "A value is a literal"),
]  # fmt: skip

LABELS = [
    (labelled("nothing", "SELECT a, nothing FROM t"), "22000", 'label "nothing" is NULL in every row', "input_label_cols", "whose label is known"),
    (labelled("c", "SELECT a, 5 AS c FROM t"), "22000", "is constant: every row has 5", "input_label_cols", "two different labels"),
    (labelled("c", "SELECT a, 'u' AS c FROM t"), "22000", "is constant: every row has u", "input_label_cols", "two different labels"),
    (labelled("u", "SELECT a, each || i AS u FROM t, generate_series(0, 9) r(i)"), "22000", "more than 1000 classes", "input_label_cols", "Group rare classes"),
    (labelled("l", "SELECT a, l FROM t"), "42804", "of type BIGINT[] cannot be a label", "input_label_cols", "Take a number"),
    (labelled("s", "SELECT a, s FROM t", ", model_type = 'boosted_tree_regressor'"), "42804", "cannot be the label of a regression", "input_label_cols", "train a classifier"),
    (labelled("y", "SELECT a, CASE WHEN a = 5 THEN 'inf'::FLOAT8 ELSE y END AS y FROM t"), "22000", 'label "y" has infinite values', "input_label_cols", "Leave such rows out"),
    (labelled("y", "SELECT a, y FROM t WHERE FALSE"), "22000", "returned no rows", "SELECT", "WHERE clause"),
    (labelled("y", "SELECT a, y FROM t LIMIT 1"), "22000", "returned one labelled row", "input_label_cols", "two rows or more"),
]  # fmt: skip

QUERIES = [
    (query("SELECT y FROM t"), "22000", "no column to use as a feature", "SELECT", "at least one column"),
    (query("SELECT a, a, y FROM t"), "42701", 'two columns called "a"', "a, y", "Rename one with AS"),
    (query('SELECT a, b AS "A", y FROM t'), "42701", 'two columns called "A"', '"A", y', "Rename one with AS"),
    (query("SELECT * FROM t JOIN other ON t.id = other.id"), "42701", "two columns called", "", "EXCLUDE"),
    (query("SELECT a, l, y FROM t"), "42804", 'column "l" of type BIGINT[] cannot be a feature', "l, y", "MULTI_HOT_ENCODER"),
    pytest.param(query("SELECT a, st, y FROM t"), "42804", 'column "st" of type STRUCT', "st, y", "Select its fields", marks=duckdb_only("rows have types of their own names")),
    pytest.param(query("SELECT a, st, y FROM t"), "42804", 'column "st" of type one', "st, y", "Cast it", marks=postgres_only("one is a type")),
    pytest.param(query("SELECT a, MAP {'k': a} AS mp, y FROM t"), "42804", 'column "mp" of type MAP', "mp, y", "Select the entries", marks=duckdb_only("Postgres has no maps")),
    pytest.param(query("SELECT a, '{}'::jsonb AS mp, y FROM t"), "42804", 'column "mp" of type jsonb', "mp, y", "Extract the fields", marks=postgres_only("DuckDB has no jsonb")),
    (query("SELECT a, 'x'::BYTEA AS bl, y FROM t"), "42804", 'column "bl" of type BLOB', "bl, y", "exclude"),
    (query("SELECT a, INTERVAL '1 day' AS iv, y FROM t"), "42804", 'column "iv" of type INTERVAL', "iv, y", "extract(epoch FROM x)"),
    pytest.param(query("SELECT a, NULL AS nn, y FROM t"), "42804", 'column "nn" of type NULL', "nn, y", "Cast it", marks=duckdb_only("an untyped NULL is text in Postgres")),
    (query("SELECT a, y FROM nosuch"), "42P01", "nosuch does not exist", "nosuch", ""),
    (query("TABLE nosuch"), "42P01", "nosuch does not exist", "nosuch", ""),
    (query("SELECT a, yy FROM t"), "42703", '"yy" not found', "yy", "y"),
    (query("SELECT a, nofn(a) AS n, y FROM t"), "42883", "nofn does not exist", "nofn", ""),
    (query("SELECT a, y FRM t"), "42601", "syntax error", "t", ""),
    pytest.param(query("SELECT CAST(CASE WHEN id = 399 THEN 'q' ELSE '1' END AS INTEGER) AS z, y FROM t"), "22018", "Could not convert string 'q'", "CAST", "", marks=duckdb_only("errors of values have no place in Postgres")),
    pytest.param(query("SELECT CAST(CASE WHEN id = 399 THEN 'q' ELSE '1' END AS INTEGER) AS z, y FROM t"), "22P02", 'type integer: "q"', "", "", marks=postgres_only("errors of values have no place")),
    pytest.param(query("SELECT a, y FROM t WHERE id < ?"), "42601", "cannot have parameters", "?", "write the values into it", marks=duckdb_only("? is an operator of Postgres")),
    (query("SELECT a, y FROM t WHERE id < $1"), "42601", "cannot have parameters", "$1", "write the values into it"),
]  # fmt: skip

TRANSFORMS = [
    (transform("ML.STANDRD_SCALER(a) OVER () AS a, y"), "42P17", "ML.STANDRD_SCALER does not exist", "ML.STANDRD", "Did you mean ML.STANDARD_SCALER?"),
    (transform("ML.STANDARD_SCALER(a, 1) OVER () AS a, y"), "42P17", "expects 1 argument, got 2", "ML.STANDARD", "Write ML.STANDARD_SCALER("),
    (transform("ML.STANDARD_SCALER(s) OVER () AS a, y"), "42P17", "expects a number, got text", "s)", "Encode text"),
    (transform("ML.STANDARD_SCALER(nope) OVER () AS a, y"), "42703", 'column "nope" does not exist', "nope", "Columns are"),
    (transform("ML.STANDARD_SCALER(a) OVER (), y"), "42P17", "has no name", "ML.STANDARD", "AS name"),
    (transform("ML.STANDARD_SCALER(ML.MIN_MAX_SCALER(a) OVER ()) OVER () AS q, y"), "42P17", "cannot stand inside another", "ML.MIN_MAX", "a name of its own"),
    (transform("ML.BUCKETIZE(a, 5) AS q, y"), "22023", "expects a list of numbers", "5)", "Write ML.BUCKETIZE("),
    (transform("ML.QUANTILE_BUCKETIZE(a, 0) OVER () AS q, y"), "22023", "a whole number from 2 to 65535", "0)", "Write ML.QUANTILE"),
    (transform("ML.IMPUTER(a, 'avg') OVER () AS q, y"), "22023", "'most_frequent'", "'avg'", "Write ML.IMPUTER("),
    (transform("a, nope + 1 AS z, y"), "42703", 'column "nope" does not exist', "nope", "Columns are"),
    (transform("a, nofunc(a) AS z, y"), "42883", "nofunc does not exist", "nofunc", ""),
    (transform("a, a || nofunc(s) AS z, y"), "42883", "nofunc does not exist", "nofunc", ""),
    (transform("a, sum(a) AS z, y"), "42P17", "sum(a) is not computed from one row", "sum", "Use a preprocessor"),
    (transform("a, sum(a) OVER () AS z, y"), "42P17", "is not computed from one row", "sum", "Use a preprocessor"),
    (transform("a, lag(a) OVER (ORDER BY a) AS z, y"), "42P17", "is not computed from one row", "lag", "Use a preprocessor"),
    (transform("a, (SELECT max(id) FROM t) AS z, y"), "42P17", "cannot hold a query", "SELECT", "Join what it needs"),
    (transform("a, random() AS z, y"), "42P17", "another value each time", "random", "same value"),
    (transform("a, y * 2 AS z, y"), "42P17", 'computed from the label "y"', "y * 2", "not known when the model predicts"),
    (transform("y"), "42P17", "TRANSFORM has no feature", "y)", "at least one column"),
    (transform("a, a, y"), "42701", 'two features would be called "a"', "a, y)", "Rename"),
    (transform("a AS x, s AS X, y"), "42701", 'two features would be called "X"', "X, y)", "Rename"),
    (transform("* EXCEPT (nope)"), "42703", 'column "nope" does not exist', "nope", "Columns are"),
    (transform("* EXCEPT (l) REPLACE (1 AS nope)"), "42703", 'column "nope" does not exist', "", "Columns are"),
    (transform("a, l, y"), "42804", 'column "l" of type BIGINT[]', "l, y", "MULTI_HOT_ENCODER"),
    (transform("a, , y"), "42601", "expected an expression", ", y", ""),
    (transform("a, (b, y"), "42601", "never closed", "", ""),
    (transform(""), "42601", "TRANSFORM is empty", "", "TRANSFORM (*)"),
]  # fmt: skip

NAMES = [
    (f"CREATE MODEL reg {Y} AS SELECT a, y FROM t", "42710", 'model "reg" already exists', "reg", "CREATE OR REPLACE MODEL"),
    (f'CREATE MODEL "REG" {Y} AS SELECT a, y FROM t', "42710", "already exists", '"REG"', "CREATE OR REPLACE MODEL"),
    (f"CREATE MODEL nosuch.m {Y} AS SELECT a, y FROM t", "42704", 'schema "nosuch" does not exist', "nosuch.m", 'CREATE SCHEMA "nosuch" first.'),
    (f"CREATE MODEL nodb.main.m {Y} AS SELECT a, y FROM t", "42704", 'database "nodb" does not exist', "nodb.main.m", "There are: "),
    pytest.param(f"CREATE MODEL temp.main.m {Y} AS SELECT a, y FROM t", "25006", 'database "temp" cannot hold models', "temp.main.m", "no temporary models", marks=ONE_DATABASE),
    pytest.param(f"CREATE MODEL system.main.m {Y} AS SELECT a, y FROM t", "25006", 'database "system" cannot hold models', "system.main.m", "database of its tables", marks=ONE_DATABASE),
    ("DROP MODEL rge", "42704", 'model "rge" does not exist', "rge", 'Did you mean "reg"?'),
    ("DROP MODEL zzzzz", "42704", "does not exist", "zzzzz", "SHOW MODELS"),
    ("DROP MODEL reg VERSION 9", "42704", 'model "reg" has no version 9', "9", "It has: 1."),
    ("DROP MODEL reg VERSION 1", "2BP01", "is the only one", "reg", "DROP MODEL reg drops the model."),
    ("ALTER MODEL rge SET DEFAULT VERSION 1", "42704", "does not exist", "rge", 'Did you mean "reg"?'),
    ("ALTER MODEL reg SET DEFAULT VERSION 9", "42704", "has no version 9", "9", "It has: 1."),
    ("ALTER MODEL reg SET DEFAULT VERSION champion", "42704", 'no alias "champion"', "champion", "It has no aliases."),
    ("ALTER MODEL reg SET ALIAS best = 9", "42704", "has no version 9", "9", "It has: 1."),
    ("ALTER MODEL reg DROP ALIAS best", "42704", 'no alias "best"', "best", "It has no aliases."),
    ("ALTER MODEL reg SET OPTIONS (descripton = 'x')", "42602", 'unknown option "descripton"', "descripton", "Did you mean description?"),
    ("ALTER MODEL reg SET OPTIONS (max_iterations = 5)", "42602", "belongs to a version", "max_iterations", "CREATE OR REPLACE MODEL"),
    ("ALTER MODEL reg SET OPTIONS (threshold = 5)", "22023", "must be a number at least 0 and at most 1", "threshold", "Leave it out"),
    ("ALTER MODEL reg RENAME TO cls", "42710", 'model "cls" already exists', "cls", "another name"),
    ("ALTER MODEL reg RENAME TO nodb.main.x", "42704", 'database "nodb" does not exist', "nodb", "There are: "),
    ("DESCRIBE MODEL rge", "42704", "does not exist", "rge", 'Did you mean "reg"?'),
    ("SHOW CREATE MODEL rge", "42704", "does not exist", "rge", 'Did you mean "reg"?'),
    ("SHOW MODEL VERSIONS rge", "42704", "does not exist", "rge", 'Did you mean "reg"?'),
    ("EXPORT MODEL rge TO 'x'", "42704", "does not exist", "rge", 'Did you mean "reg"?'),
    ("EXPORT MODEL reg TO '/no/where/x'", "58P01", "could not write file", "'/no/where/x'", "directory must exist"),
    ("EXPORT MODEL reg TO '/tmp'", "42809", "could not write file", "'/tmp'", "not a directory"),
    ("EXPORT MODEL reg TO '/tmp/x' OPTIONS (format = 'onnx')", "22023", "must be one of sqlml, lightgbm", "format", "artifact"),
    ("IMPORT MODEL x FROM '/no/where/x'", "58P01", "could not read file", "'/no/where/x'", "directory must exist"),
    ("IMPORT MODEL x FROM '/tmp'", "42809", "could not read file", "'/tmp'", "not a directory"),
    ("IMPORT MODEL reg FROM '/no/where/x'", "42710", 'model "reg" already exists', "reg", "IMPORT OR REPLACE MODEL"),
    ("REFRESH MODEL reg", "0A000", "is not supported yet", "REFRESH", "CREATE OR REPLACE MODEL"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message", "word", "hint"), [*OPTIONS, *LABELS, *QUERIES, *TRANSFORMS, *NAMES]
)
def test_the_error_and_its_place(sql, sqlstate, message, word, hint, shared, refuse, said):
    message, sqlstate = said(message, sqlstate)
    failure = refuse(shared, sql)
    assert message in failure.message
    assert failure.sqlstate == sqlstate
    assert failure.word.startswith(word), failure.rendered
    assert hint in failure.hint
    assert not shared._session.engine.in_transaction()


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (query("SELECT a, y FROM t LIMIT 2"), "the trees found no split"),
        (query("SELECT each, y FROM t"), "the trees found no split"),
        (labelled("y", "SELECT a, CASE WHEN a > 5 THEN y END AS y FROM t"), 'rows were left out of training because label "y" is NULL'),
        (query("SELECT 'level ' || i AS huge, i % 7 AS a, i * 1.0 AS y FROM generate_series(1, 90000) r(i)"), 'feature "huge" has'),
        (query("SELECT a, 9007199254740993 + id AS big, y FROM t"), "beyond 2^53"),
    ],
)  # fmt: skip
def test_what_is_only_told(sql, told, con):
    con.execute(sql)
    assert any(told in notice for notice in con.notices)
    con.execute("DROP MODEL m")


@pytest.mark.parametrize(
    "name",
    ['"select"', '"with ""quotes"""', '"größe"', '"名前"', '"a.b"', '"x; DROP TABLE t; --"', "`back tick`", '"a@1"', '"it\'s"', '"$1"', '"?"', '"new\nline"'],
)  # fmt: skip
def test_names_with_anything_in_them(name, con, refuse):
    """A wrong one is told in its own words; a right one serves everywhere, and nothing inside it runs."""
    failure = refuse(con, f"SELECT * FROM ML.PREDICT(MODEL {name}, TABLE t)")
    assert failure.sqlstate == "42704"
    assert failure.word.startswith(name)
    con.execute(f"CREATE MODEL {name} {Y} AS SELECT a, s, y FROM t")
    assert con.execute(f"SELECT count(PREDICT({name}, *)) FROM t").fetchone() == (400,)
    con.execute(f"CREATE VIEW v AS SELECT PREDICT({name}, *) AS p FROM t")
    assert con.execute("SELECT count(p) FROM v").fetchone() == (400,)
    assert con.execute(f"SELECT count(*) FROM ML.FEATURE_INFO(MODEL {name})").fetchone() == (2,)
    con.execute(f"ALTER MODEL {name} SET ALIAS {name} = 1" if name[0] != "`" else f"ALTER MODEL {name} SET ALIAS b = 1")
    con.execute(f"DROP MODEL {name} CASCADE")


def test_columns_with_anything_in_their_names(con):
    names = [
        '"select"',
        '"a ""b"""',
        '"ö; -- x"',
        '"名前"',
        '"it\'s"',
        '"$1"',
        '"a.b"',
        '"ML.PREDICT(MODEL x)"',
        '"{}"',
        '"%s"',
    ]
    columns = ", ".join(f"id % {7 + place} AS {name}" for place, name in enumerate(names))
    con.execute(f'CREATE TABLE odd AS SELECT {columns}, y AS "the ""label"" ö" FROM t')
    con.execute(f"""CREATE MODEL m OPTIONS (input_label_cols = ['the "label" ö'], {FAST}) AS SELECT * FROM odd""")
    expected = con.execute("SELECT sum(PREDICT(m, *)) FROM odd").fetchone()
    listed = ", ".join(names)
    for call in (f"PREDICT(m, {listed})", "ml_predict('m', odd)", "PREDICT(m, odd.*)"):
        assert con.execute(f"SELECT sum({call}) FROM odd").fetchone() == expected
    rows = con.execute("SELECT * FROM ML.PREDICT(MODEL m, TABLE odd)").arrow()
    assert rows.schema.names[-1] == 'predicted_the "label" ö'
    con.execute(f"CREATE MODEL n TRANSFORM (\"ö; -- x\" * 2 AS \"Ä 'x'\", ascii(\"名前\"::VARCHAR) AS n, \"the \"\"label\"\" ö\") "
                f"OPTIONS (input_label_cols = ['the \"label\" ö'], {FAST}) AS TABLE odd")  # fmt: skip
    assert con.execute("SELECT count(PREDICT(n, *)) FROM odd").fetchone() == (400,)
