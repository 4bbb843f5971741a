"""CREATE MODEL with TRANSFORM, end to end: features as plain SQL computes them, scores as LightGBM gives them on those."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import numpy as np
import pytest

import sqlml
from sqlml.errors import NotSupportedYetError, SqlmlError, UnknownModelError
from udfs.artifact import read_artifact, write_artifact

ROWS = """
CREATE TABLE rows_ AS
SELECT i AS id, CASE WHEN i % 11 <> 0 THEN (i * 37 % 101) / 4.0::DOUBLE END AS b, (i * 7 % 23)::INTEGER AS a,
       ['x', 'y', 'z', NULL][1 + (i * 5) % 4] AS s, ['ab cd', 'cd ef ab', 'gh'][1 + i % 3] AS txt,
       [['p', 'q'], ['q'], []][1 + i % 3] AS tags, TIMESTAMP '2024-01-05 10:20:30' + INTERVAL (i * 31) HOUR AS ts, i % 2 = 0 AS f,
       (i * 37 % 101) * 0.3 + (i * 7 % 23) + i % 4 + length(txt) AS y
FROM range(500) r(i)
"""
not_yet_on_postgres = pytest.mark.not_yet_on_postgres
OPTIONS = "OPTIONS (input_label_cols = ['y'], max_iterations = 10, num_threads = 1, data_split_method = 'no_split')"

# Items of TRANSFORM, the same features in plain SQL over the training table, the raw columns they need.
CASES = {
    "standard_scaler": ("ML.STANDARD_SCALER(b) OVER () AS v", ["(b - avg(b) OVER ()) / stddev_samp(b) OVER ()"], ["b"]),
    "min_max_scaler": ("ML.MIN_MAX_SCALER(b) OVER () AS v", ["(b - min(b) OVER ()) / (max(b) OVER () - min(b) OVER ())"], ["b"]),
    "max_abs_scaler": ("ML.MAX_ABS_SCALER(b) OVER () AS v", ["b / max(abs(b)) OVER ()"], ["b"]),
    "robust_scaler": (
        "ML.ROBUST_SCALER(b) OVER () AS v",
        ["(b - median(b) OVER ()) / (quantile_cont(b, 0.75) OVER () - quantile_cont(b, 0.25) OVER ())"],
        ["b"],
    ),
    "normalizer": ("ML.NORMALIZER([a, b]) AS v", ["a / sqrt(a * a + b * b)", "b / sqrt(a * a + b * b)"], ["b", "a"]),
    "imputer_mean": ("ML.IMPUTER(b, 'mean') OVER () AS v", ["coalesce(b, avg(b) OVER ())"], ["b"]),
    "imputer_median": ("ML.IMPUTER(b, 'median') OVER () AS v", ["coalesce(b, median(b) OVER ())"], ["b"]),
    "imputer_most_frequent": ("ML.IMPUTER(s, 'most_frequent') OVER () AS v, b", ["coalesce(s, 'x')", "b"], ["b", "s"]),
    "one_hot_encoder": ("ML.ONE_HOT_ENCODER(s) OVER () AS v", [f"coalesce((s = '{c}')::INT, 0)" for c in "xyz"], ["s"]),
    "multi_hot_encoder": (
        "ML.MULTI_HOT_ENCODER(tags) OVER () AS v",
        ["list_contains(tags, 'p')::INT", "list_contains(tags, 'q')::INT"],
        ["tags"],
    ),
    "label_encoder": ("ML.LABEL_ENCODER(s) OVER () AS v", ["coalesce(ascii(s) - ascii('x') + 1, 0)"], ["s"]),
    "polynomial_expand": ("ML.POLYNOMIAL_EXPAND(STRUCT(a, b), 2) AS v", ["a", "b", "a * a", "a * b", "b * b"], ["b", "a"]),
    "feature_cross": ("ML.FEATURE_CROSS(STRUCT(s, txt)) AS v", ["s || '_' || txt"], ["s", "txt"]),
    "ngrams": (
        "ML.NGRAMS(string_split(txt, ' '), [2, 2]) AS v",
        ["(txt LIKE '%ab cd%')::INT", "(txt LIKE '%cd ef%')::INT", "(txt LIKE '%ef ab%')::INT"],
        ["txt"],
    ),
    "bag_of_words": (
        "ML.BAG_OF_WORDS(string_split(txt, ' ')) OVER () AS v",
        [f"list_contains(string_split(txt, ' '), '{w}')::INT" for w in ("ab", "cd", "ef", "gh")],
        ["txt"],
    ),
    "around_a_preprocessor": (
        "ML.STANDARD_SCALER(b) OVER () * 2 + a AS v",
        ["(b - avg(b) OVER ()) / stddev_samp(b) OVER () * 2 + a"],
        ["b", "a"],
    ),
    "expressions": (
        "a * 2 + coalesce(b, 0) AS e, CASE WHEN s = 'x' THEN 1 ELSE 0 END AS c, extract(hour FROM ts) AS h, f",
        ["a * 2 + coalesce(b, 0)", "CASE WHEN s = 'x' THEN 1 ELSE 0 END", "extract(hour FROM ts)", "f::INT"],
        ["b", "a", "s", "ts", "f"],
    ),
    "engine_bound": (
        "strlen(md5(txt || coalesce(s, ''))) + ascii(md5(txt)) AS v, strftime(ts, '%H')::INTEGER AS h, upper(s) AS u, a",
        ["32 + ascii(md5(txt))", "hour(ts)", "upper(s)", "a"],
        ["a", "s", "txt", "ts"],
    ),
    "star_except": ("* EXCEPT (id, tags, ts, txt, y)", ["b", "a", "s", "f::INT"], ["b", "a", "s", "f"]),
    "star_replace": ("* EXCEPT (id, tags, ts, txt) REPLACE (a / 2.0 AS a, lower(s) AS s)", ["b", "a / 2.0", "lower(s)", "f::INT"], ["b", "a", "s", "f"]),
}  # fmt: skip


# What DuckDB calls otherwise.
IN_POSTGRES = {
    "engine_bound": "octet_length(md5(txt || coalesce(s, ''))) + ascii(md5(txt)) AS v, to_char(ts, 'HH24')::INTEGER AS h, upper(s) AS u, a",
}


@pytest.fixture(scope="module")
def plain_sql():
    """A DuckDB with the same rows, which computes the features that are wanted on any engine."""
    with duckdb.connect() as con:
        con.execute(ROWS)
        yield con


@pytest.fixture
def rows(empty, door, address, plain_sql):
    if door.name == "duckdb":
        empty.execute(ROWS)
    else:
        door.fill(address, plain_sql, ["rows_"])
    return empty


@pytest.fixture
def case(door):
    """``case(name)``: the items in the words of the engine, the features that are wanted, the inputs."""

    def find(name):
        items, oracle, inputs = CASES[name]
        if door.name == "postgres":
            items = IN_POSTGRES.get(name, items).replace("string_split", "string_to_array")
        return items, oracle, inputs

    return find


def matrix(plain_sql, expressions, features):
    """Features in plain SQL as LightGBM takes them: categories by their place among the model's levels."""
    table = plain_sql.sql(
        f"SELECT {', '.join(f'({e}) AS c{i}' for i, e in enumerate(expressions))} FROM rows_ ORDER BY id"
    ).to_arrow_table()
    columns = []
    for column, feature in zip(table.columns, features, strict=True):
        values = column.to_pylist()
        if feature.categorical:
            codes = {level: code for code, level in enumerate(feature.levels)}
            values = [codes.get(value, -1) for value in values]
        columns.append([np.nan if value is None else float(value) for value in values])
    return np.array(columns).T


@pytest.mark.parametrize("name", CASES)
def test_scores_are_lightgbms_on_the_transformed_columns(name, rows, booster, case, plain_sql):
    items, oracle, inputs = case(name)
    rows.execute(f"CREATE MODEL m TRANSFORM ({items}, y) {OPTIONS} AS TABLE rows_")
    trees, model = booster(rows, "m")
    expected = trees.predict(matrix(plain_sql, oracle, model.features))
    assert len(set(expected)) > 1
    assert [item.name for item in model.inputs] == inputs

    raw = ", ".join(inputs)
    doors = {
        "scalar": "SELECT PREDICT(m, *) FROM rows_ ORDER BY id",
        "columns": f"SELECT PREDICT(m, {raw}) FROM rows_ ORDER BY id",
        "raw columns only": f"SELECT PREDICT(m, *) FROM (SELECT {raw}, id FROM rows_) q ORDER BY id",
        "table": f"SELECT predicted_y FROM ML.PREDICT(MODEL m, (SELECT {raw}, id FROM rows_)) ORDER BY id",
        "no keyword": "SELECT ml_predict('m', rows_) FROM rows_ ORDER BY id",
    }
    for door, query in doors.items():
        assert np.array_equal(np.array(rows.execute(query).fetchall())[:, 0], expected), door


@pytest.mark.parametrize("name", CASES)
def test_ml_transform_gives_the_features(name, rows, booster, case, plain_sql):
    items, oracle, inputs = case(name)
    rows.execute(f"CREATE MODEL m TRANSFORM ({items}, y) {OPTIONS} AS TABLE rows_")
    _, model = booster(rows, "m")
    rows.execute(
        f"CREATE TABLE features AS SELECT * FROM ML.TRANSFORM(MODEL m, (SELECT {', '.join(inputs)} FROM rows_ ORDER BY id))"
    )
    found = rows.execute("TABLE features").arrow()
    assert found.schema.names == [feature.name for feature in model.features]
    wanted = plain_sql.sql(
        f"SELECT {', '.join(f'({e}) AS c{i}' for i, e in enumerate(oracle))} FROM rows_ ORDER BY id"
    ).to_arrow_table()
    for feature, got, expected in zip(model.features, found.columns, wanted.columns, strict=True):
        pairs = zip(got.to_pylist(), expected.to_pylist(), strict=True)
        if feature.categorical:
            assert all(a == b for a, b in pairs)
        else:
            assert all(
                (a is None and b is None) or a == pytest.approx(float(b), rel=1e-12, abs=1e-12) for a, b in pairs
            )


@pytest.mark.parametrize(
    ("items", "inputs"),
    [
        ("ML.BUCKETIZE(b, [5, 10, 20]) AS v", ["b"]),
        ("ML.QUANTILE_BUCKETIZE(b, 4) OVER () AS v", ["b"]),
        pytest.param(
            "ML.HASH_BUCKETIZE(s, 10) AS v", ["s"], marks=not_yet_on_postgres("SQL alone has not the hash of BigQuery")
        ),
        ("ML.TARGET_ENCODER(s) OVER () AS v", ["s"]),
    ],
)
def test_buckets_and_targets_have_a_value_for_every_row(items, inputs, rows):
    rows.execute(f"CREATE MODEL m TRANSFORM ({items}, y) {OPTIONS} AS TABLE rows_")
    (total, found) = rows.execute("SELECT count(*), count(v) FROM ML.TRANSFORM(MODEL m, TABLE rows_)").fetchone()
    (known,) = rows.execute(f"SELECT count({inputs[0]}) FROM rows_").fetchone()
    assert total == 500
    assert found >= known
    assert rows.execute("SELECT count(PREDICT(m, *)) FROM rows_").fetchone() == (500,)


def test_what_was_learned_in_training_is_applied_to_other_rows(rows, booster):
    rows.execute(f"CREATE MODEL m TRANSFORM (ML.STANDARD_SCALER(b) OVER () AS v, s, y) {OPTIONS} AS TABLE rows_")
    mean, deviation = rows.execute("SELECT avg(b), stddev_samp(b) FROM rows_").fetchone()
    (found, level), = rows.execute("SELECT * FROM ML.TRANSFORM(MODEL m, (SELECT 7.5 AS b, 'never seen' AS s))").fetchall()  # fmt: skip
    assert found == pytest.approx((7.5 - mean) / deviation)
    assert level is None
    alone = rows.execute("SELECT PREDICT(m, 7.5 AS b, 'x' AS s)").fetchone()
    among = rows.execute("SELECT PREDICT(m, *) FROM (VALUES (7.5, 'x'), (1e6, 'y'), (NULL, NULL)) v(b, s)").fetchall()
    assert alone == among[0]
    assert booster(rows, "m")[0].predict([[(7.5 - mean) / deviation, 0]])[0] == alone[0]


def test_engine_bound_models_in_views_prepared_statements_and_joins(rows, tmp_path):
    rows.execute(f"CREATE MODEL m TRANSFORM (ascii(md5(txt || s)) AS v, a + 1 AS w, y) {OPTIONS} AS TABLE rows_")
    expected = rows.execute("SELECT sum(PREDICT(m, *)) FROM rows_").fetchone()
    rows.execute("CREATE VIEW scored AS SELECT PREDICT(m, *) AS p FROM rows_")
    assert rows.execute("SELECT sum(p) FROM scored").fetchone() == expected
    query = "SELECT sum(PREDICT(m, l.*)) FROM rows_ l JOIN (SELECT id, a + 100 AS other FROM rows_) r USING (id)"
    assert rows.execute(query).fetchone() == expected
    query = 'SELECT sum(PREDICT(m, txt AS "txt", r.s, a)) FROM rows_ r WHERE id >= $1'
    assert rows.execute(query, [0]).fetchone() == expected
    assert rows.execute("SELECT PREDICT(m, $1 AS txt, $2 AS s, $3 AS a)", ["ab cd", "x", 3]).fetchone()[0] > 0
    file = tmp_path / "m.sqlml"
    rows.execute(f"EXPORT MODEL m TO '{file}'; IMPORT MODEL n FROM '{file}'")
    assert rows.execute("SELECT sum(PREDICT(n, *)) FROM rows_").fetchone() == expected


HOSTILE = [
    "(SELECT max(y) FROM rows_)",
    "(FROM rows_ SELECT max(y))",
    "(TABLE rows_)",
    "(VALUES (1))",
    "a) FROM rows_, (SELECT 1",
    "a} FROM rows_ --",
    "a, a",
    "a; DROP TABLE rows_",
    "random()",
    "sum(a)",
    "nothing + 1",
    "txt",
    "E'\\' || (SELECT 1) || '",
    "$x$ $x$",
    "a /* b",
    "'open",
    "",
]


@pytest.mark.parametrize("expression", HOSTILE)
def test_a_file_brings_no_other_sql_than_transform_takes(rows, tmp_path, expression):
    """What an imported model computes runs with the rights of whoever predicts."""
    file = tmp_path / "m.sqlml"
    rows.execute(f"CREATE MODEL m TRANSFORM (ascii(md5(txt || s)) AS v, a + 1 AS w, y) {OPTIONS} AS TABLE rows_")
    rows.execute(f"EXPORT MODEL m TO '{file}'")
    model = read_artifact(file.read_bytes())
    arguments = tuple(replace(item, expression=expression) if item.expression else item for item in model.arguments)
    file.write_bytes(write_artifact(replace(model, arguments=arguments)))
    with pytest.raises(SqlmlError, match="expression"):
        rows.execute(f"IMPORT MODEL n FROM '{file}'")
    assert rows.execute("SELECT count(*) FROM rows_").fetchone()[0] > 0
    with pytest.raises(SqlmlError, match="does not exist"):
        rows.execute("SELECT PREDICT(n, *) FROM rows_")


def test_engine_bound_models_on_a_file_opened_by_others(tmp_path):
    path = tmp_path / "t.duckdb"
    with sqlml.connect(path) as con:
        con.execute(ROWS)
        con.execute(f"CREATE MODEL m TRANSFORM (levenshtein(txt, s) AS v, y) {OPTIONS} AS TABLE rows_")
        con.execute("CREATE VIEW scored AS SELECT id, PREDICT(m, *) AS p FROM rows_")
        expected = con.execute("FROM scored ORDER BY id").fetchall()
    with duckdb.connect(str(path)) as plain:
        assert plain.execute("FROM scored ORDER BY id").fetchall() == expected
        with pytest.raises(duckdb.BinderException, match=r"needs levenshtein\(txt, s\), which only the database"):
            plain.execute("SELECT ml_predict('m', rows_) FROM rows_")


@pytest.mark.duckdb_only("Postgres knows the columns of every query")
def test_a_query_whose_columns_only_running_it_tells(rows):
    with pytest.raises(NotSupportedYetError, match="known only when it runs") as caught:
        rows.execute(f"CREATE MODEL m {OPTIONS} AS PIVOT rows_ ON f USING sum(b) GROUP BY y")
    assert "IN (" in caught.value.hint
    with pytest.raises(UnknownModelError):
        rows.model("m")
    rows.execute(f"CREATE MODEL m {OPTIONS} AS PIVOT rows_ ON f IN (TRUE, FALSE) USING sum(b) GROUP BY y")
    assert rows.models == ["m"]
