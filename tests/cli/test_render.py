"""Rendering: DuckDB reads the files back and must find what it wrote; tables are compared with what a person expects."""

from __future__ import annotations

import io
import json

import duckdb
import pyarrow as pa
import pytest

from sqlml.cli.render import ASCII, TableLimits, write_csv, write_json, write_parquet, write_table
from sqlml.cli.values import column_texts

EVERYTHING = """
SELECT * FROM (VALUES
    (1, 1.5, 'plain', TRUE, DATE '2024-02-29', TIMESTAMP '2024-02-29 12:00:00.25', 12.30::DECIMAL(9,2)),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (-7, 1e-300, 'a "quoted", one', FALSE, DATE '0001-01-01', TIMESTAMP '1969-12-31 23:59:59', -0.05::DECIMAL(9,2)),
    (3, 0.1 + 0.2, '', TRUE, DATE '2024-01-01', TIMESTAMP '2024-01-01 00:00:00', 0.00::DECIMAL(9,2)),
    (4, -0.0, E'two\\nlines', TRUE, DATE '2024-01-01', TIMESTAMP '9999-12-31 23:59:59.999999', 1.00::DECIMAL(9,2))
) AS t(i, d, s, b, day, moment, n)
"""


@pytest.fixture
def database():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def everything(database):
    return database.sql(EVERYTHING).to_arrow_table()


def batches_of(table):
    return table.to_batches(max_chunksize=2), table.schema


def table_text(table, limits=TableLimits()):  # noqa: B008 - immutable
    out = io.StringIO()
    total = write_table(*batches_of(table), out, limits)
    return out.getvalue(), total


def test_csv_reads_back(database, everything, tmp_path):
    out = io.StringIO()
    assert write_csv(*batches_of(everything), out) == 5
    path = tmp_path / "out.csv"
    path.write_text(out.getvalue(), encoding="utf-8")
    types = {name: kind for name, kind, *_ in database.sql(f"DESCRIBE {EVERYTHING}").fetchall()}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    again = database.sql(
        f"FROM read_csv('{path}', header = true, columns = {{{columns}}}, allow_quoted_nulls = false, auto_detect = false)"
    )
    assert again.fetchall() == database.sql(EVERYTHING).fetchall()


def test_json_reads_back(database, everything, tmp_path):
    out = io.StringIO()
    assert write_json(*batches_of(everything), out) == 5
    rows = json.loads(out.getvalue())
    assert list(rows[0]) == ["i", "d", "s", "b", "day", "moment", "n"]
    path = tmp_path / "out.json"
    path.write_text(out.getvalue(), encoding="utf-8")
    again = database.sql(
        f"SELECT i, d, s, b, day::DATE, moment::TIMESTAMP, n::DECIMAL(9,2) FROM read_json('{path}', format = 'array')"
    )
    assert again.fetchall() == database.sql(EVERYTHING).fetchall()


def test_json_of_nothing_is_an_empty_array(everything):
    out = io.StringIO()
    assert write_json([], everything.schema, out) == 0
    assert json.loads(out.getvalue()) == []


def test_json_has_no_nan(database):
    out = io.StringIO()
    write_json(
        *batches_of(database.sql("SELECT 'nan'::DOUBLE a, [1.0, 'inf'::DOUBLE] b, {'x': 1} c").to_arrow_table()), out
    )
    assert json.loads(out.getvalue()) == [{"a": None, "b": [1.0, None], "c": {"x": 1}}]


def test_parquet_reads_back(database, everything, tmp_path):
    path = tmp_path / "out.parquet"
    with path.open("wb") as out:
        assert write_parquet(*batches_of(everything), out) == 5
    assert database.sql(f"FROM '{path}'").to_arrow_table().equals(everything)


def test_parquet_of_no_rows_keeps_the_columns(database, everything, tmp_path):
    path = tmp_path / "out.parquet"
    with path.open("wb") as out:
        write_parquet([], everything.schema, out)
    assert database.sql(f"FROM '{path}'").columns == everything.schema.names


def test_table_is_framed_and_flush(database):
    text, total = table_text(
        database.sql("SELECT 'a' AS name, 10 AS n UNION ALL SELECT NULL, 2.5 ORDER BY n DESC").to_arrow_table()
    )
    assert total == 2
    assert text.splitlines() == [
        "┌──────┬──────┐",
        "│ name │    n │",
        "├──────┼──────┤",
        "│ a    │ 10.0 │",
        "│ NULL │  2.5 │",
        "└──────┴──────┘",
    ]


def test_a_plan_is_shown_as_it_is(database):
    rows = database.execute("EXPLAIN SELECT 42 AS answer").fetchall()
    plan = pa.table({"explain_key": [row[0] for row in rows], "explain_value": [row[1] for row in rows]})
    text, total = table_text(plan)
    assert total == len(rows)
    assert text.splitlines()[0] == plan["explain_value"][0].as_py().splitlines()[0]
    assert "\\n" not in text
    assert "answer" in text


def test_table_shows_the_first_rows_and_counts_all(database):
    text, total = table_text(database.sql("SELECT range AS n FROM range(1000)").to_arrow_table(), TableLimits(rows=3))
    assert total == 1000
    assert "(3 of 1,000 rows shown)" in text
    assert text.count("\n") == 8


def test_wide_table_fits_the_terminal(database):
    columns = ", ".join(f"'{'x' * 30}' AS column_{i}" for i in range(12))
    text, _ = table_text(database.sql(f"SELECT {columns}, 1 AS score").to_arrow_table(), TableLimits(width=80))
    assert max(map(len, text.splitlines())) <= 80
    assert "score" in text
    assert "of 13 columns shown)" in text
    assert "…" in text


def test_control_characters_cannot_reach_the_terminal(database):
    text, _ = table_text(database.sql("SELECT chr(27) || '[2J' || chr(10) || 'x' AS \"a\nb\"").to_arrow_table())
    assert "\x1b" not in text
    assert "\\x1b[2J\\nx" in text
    assert "a\\nb" in text


def test_wide_characters_keep_the_frame(database):
    text, _ = table_text(database.sql("SELECT '日本' AS s UNION ALL SELECT 'abcd'").to_arrow_table())
    assert "│ 日本 │" in text
    assert "│ abcd │" in text


def test_a_stream_without_unicode_gets_plain_frames(database):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    write_table(*batches_of(database.sql("SELECT 1 AS a").to_arrow_table()), out, TableLimits())
    out.flush()
    assert raw.getvalue().decode().splitlines()[0] == "+---+"
    assert ASCII.down == "|"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("1/3", "0.333333"),
        ("2.0::DOUBLE", "2.0"),
        ("1e-9", "1e-09"),
        ("'nan'::DOUBLE", "nan"),
        ("1234567.125", "1234567.125"),
        ("TRUE", "true"),
        ("[0.1, NULL]::DOUBLE[]", "[0.1, null]"),
        ("{'label': 'a', 'prob': 2/3}", '{"label": "a", "prob": 0.666667}'),
        ("'ab'::BLOB", "\\x6162"),
        ("INTERVAL 3 DAY", "3 days"),
        ("INTERVAL '-14 months 2.5 seconds'", "-1 years -2 months 00:00:02.5"),
        ("INTERVAL '-90 minutes'", "-01:30:00"),
        ("INTERVAL 0 DAY", "00:00:00"),
        ("TIME '12:30:00'", "12:30:00"),
        ("MAP {'a': 1}", '{"a": 1}'),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
    ],
)
def test_values_for_eyes(database, sql, expected):
    table = database.sql(f"SELECT {sql} AS v").to_arrow_table()
    assert column_texts(table.column(0), rounded=True) == [expected]


def test_moments_are_written_in_their_zone():
    column = pa.array([0, None], pa.timestamp("us", "America/New_York"))
    assert column_texts(column) == ["1969-12-31 19:00:00-05:00", None]
    assert column_texts(pa.array([0], pa.timestamp("us", "No/Where"))) == ["1970-01-01 00:00:00+00:00"]
