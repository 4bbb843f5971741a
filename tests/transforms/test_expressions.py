"""Portable expressions against plain DuckDB, side by side on the same random rows."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlglot

from sqlml.planning.column_types import column_type
from sqlml.planning.expressions import Compiler
from sqlml.planning.kinds import kind_of
from sqlml.planning.values import Emitter, NotPortableError
from udfs.columns import raw_block
from udfs.model import Argument, Feature
from udfs.transforms import Pipeline, apply_program

ROWS = 5_000
TABLE = f"""
CREATE TABLE t AS
SELECT
    CASE WHEN random() > 0.1 THEN (random() * 200 - 100)::INTEGER END AS i,
    CASE WHEN random() > 0.1 THEN (random() * 10)::INTEGER + 1 END AS j,
    CASE WHEN random() > 0.1 THEN (random() * 1e9 - 5e8)::BIGINT END AS b,
    CASE WHEN random() > 0.1 THEN (random() * 100 - 50)::TINYINT END AS ti,
    CASE WHEN random() > 0.1 THEN (random() * 200 - 100)::FLOAT END AS f,
    CASE WHEN random() > 0.1 THEN (random() * 7 + 0.5)::FLOAT END AS g,
    CASE WHEN random() > 0.1 THEN random() * 200 - 100 END AS x,
    CASE WHEN random() > 0.1 THEN (random() * 40)::INTEGER / 4 - 5 END AS y,
    CASE WHEN random() > 0.1 THEN random() * 3 END AS p,
    CASE WHEN random() > 0.1 THEN (random() * 2000 - 1000)::DECIMAL(10, 2) END AS m,
    CASE WHEN random() > 0.1 THEN (random() * 20 + 0.001)::DECIMAL(8, 3) END AS n,
    CASE WHEN random() > 0.1 THEN random() > 0.5 END AS k,
    CASE WHEN random() > 0.1 THEN random() > 0.3 END AS l,
    CASE WHEN random() > 0.1 THEN ['', 'a', 'abcdefgh', 'abcdefgi', 'żółć', 'Abc', 'a longer text, not inlined'][1 + (random() * 6)::INTEGER] END AS s,
    CASE WHEN random() > 0.1 THEN ['', 'a', 'abcdefgh', 'b', 'żółw', 'a longer text, not inlined'][1 + (random() * 5)::INTEGER] END AS u,
    CASE WHEN random() > 0.1 THEN ['low', 'mid', 'high'][1 + (random() * 2)::INTEGER]::ENUM ('low', 'mid', 'high') END AS en,
    CASE WHEN random() > 0.1 THEN DATE '1890-01-01' + (random() * 100000)::INTEGER END AS d,
    CASE WHEN random() > 0.1 THEN DATE '2020-01-01' + (random() * 30)::INTEGER END AS e,
    CASE WHEN random() > 0.1 THEN TIMESTAMP '1950-01-01' + to_microseconds((random() * 4e15)::BIGINT) END AS ts,
    CASE WHEN random() > 0.1 THEN TIMESTAMP '2020-01-01' + to_seconds((random() * 30)::INTEGER * 43200) END AS tt,
    CASE WHEN random() > 0.1 THEN TIMESTAMPTZ '1950-01-01 00:00:00+00' + to_microseconds((random() * 4e15)::BIGINT) END AS tz,
    CASE WHEN random() > 0.1 THEN TIME '00:00:00' + to_seconds((random() * 86399)::INTEGER) END AS tod
FROM range({ROWS})
"""

ARITHMETIC = """
i + j; i - b; i * j; -i; +i; i / j; i // j; i % j; mod(b, j); b // 7; b % -7; i ** 2; pow(x, 2); x ^ 0.5; p ** y
x + i; x * y; x / y; x - 1.5; x // 2; x % 3.5; 2 * x + 3; x / 0; i / 0; -x
f + g; f * g; f / g; f - 1; f * 1.1; f + x; f * i; f / 3; f % 2; g // 2; -f; f * m
m + n; m - n; m * n; m / n; m % n; m + i; m * 3; m * 1.25; m + x; m / 4; i * 0.1; i + 0.25; b * 1.5; m // 2; -m; 1.5 - m; m + 0.1 + 0.2
abs(i); abs(x); abs(m); abs(f); sign(i); sign(x); sign(m); sqrt(p); sqrt(i); ln(p); ln(x); log(p); log10(p); exp(y); exp(m / 100)
sin(x); cos(x); tan(x); floor(x); ceil(x); trunc(x); floor(m); ceil(m); trunc(m); floor(i); ceil(f); floor(f); trunc(i); ceiling(n)
round(x); round(y); round(x, 2); round(x, 0); round(x, -1); round(m); round(m, 1); round(m, -1); round(i); round(i, -1); round(i, 2); round(f); round(n, 2); round(y * 2.5)
greatest(i, j); least(i, j, 3); greatest(x, y); least(x, i); greatest(m, n); least(m, 10); greatest(m, x); greatest(f, i); least(f, 2.5); greatest(i, NULL)
ti + ti; ti * 2; ti / 3; NULL + i; 1 + 2; 1.5 * 2; 2.0 / 3; 1e3 * i; (i + j) * (i - j); i + j * 2 - b // 3
"""
LOGIC = """
i > j; i >= 3; x < y; x <= 0.5; m > n; m = 10.5; m <> 3; i = 1.0; f > 0.1; f = 0.5; f < x; i <> j; i != 3; x == y; i < NULL
k AND l; k OR l; NOT k; k = l; k <> true; NOT (k AND NOT l); i AND k; i > 0 AND j < 5 OR x IS NULL; k = 1
i IS NULL; x IS NOT NULL; s IS NULL; ts IS NULL; k IS TRUE; k IS FALSE; k IS NOT TRUE; d IS NOT NULL; en IS NULL; tz IS NULL
i IS DISTINCT FROM j; s IS DISTINCT FROM u; x IS NOT DISTINCT FROM x; d IS DISTINCT FROM e; i IS DISTINCT FROM NULL
i BETWEEN 1 AND 10; x NOT BETWEEN -10 AND 10; m BETWEEN n AND 100; d BETWEEN '1950-01-01' AND '1999-12-31'
i IN (1, 2, 3); i NOT IN (1, 2); i IN (1, NULL); y IN (0.5, 1, 2.25); m IN (1.5, 2); s IN ('a', 'żółć'); s NOT IN ('a', ''); s IN ('a', NULL); en IN ('low', 'high'); i IN (j, 4); s IN (u, 'a')
s = 'a'; s <> u; s = u; s < u; s >= 'abc'; 'b' > s; s = ''; en = 'mid'; en <> 'mid'; s > NULL
d < e; d = DATE '1950-05-05'; d > '1970-01-01'; ts >= '2000-01-01'; ts < TIMESTAMP '1990-05-05 12:30:00'; ts > d; e = tt; ts < '2001-02-03 04:05:06.789'; tz > tz
"""
CONDITIONAL = """
CASE WHEN i > 0 THEN 1 ELSE 0 END; CASE WHEN i > 0 THEN x END; CASE WHEN k THEN i WHEN l THEN m ELSE x END; CASE WHEN k THEN 1 WHEN l THEN 2.5 END; CASE j WHEN 1 THEN 10 WHEN 2 THEN 20 ELSE j END
CASE s WHEN 'a' THEN 1 WHEN u THEN 2 ELSE 3 END; CASE WHEN NULL THEN 1 ELSE 2 END; CASE WHEN i THEN 1 ELSE 2 END; CASE WHEN k THEN f ELSE i END; CASE WHEN k THEN m ELSE n END * 2; CASE WHEN k THEN true ELSE l END
if(i > 0, i, j); if(k, 1, NULL); coalesce(i, j); coalesce(i, 0); coalesce(x, i, 0.5); coalesce(m, 0.125); ifnull(i, -1); coalesce(f, 1); coalesce(NULL, i); coalesce(k, l)
nullif(i, 0); nullif(m, 1); nullif(s, 'a') IS NULL; coalesce(s, 'missing') = 'missing'; coalesce(s, u) = u; CASE WHEN k THEN s ELSE u END = 'a'; CASE WHEN k THEN d ELSE e END > '2000-01-01'; coalesce(d, e) = e; if(k, s, 'zzz') < 'b'
"""
CASTS = """
CAST(x AS INTEGER); x::BIGINT; y::INT; f::INT; m::INT; i::DOUBLE; m::DOUBLE; x::FLOAT; m::FLOAT; i::FLOAT; k::INT; i::BOOLEAN; x::BOOLEAN; m::BOOLEAN; x::DECIMAL(10, 2); y::DECIMAL(10, 1); i::DECIMAL(10, 2); n::DECIMAL(10, 2); n::DECIMAL(18, 5); m::DECIMAL(12, 0)
n::DECIMAL(10, 2) * 3; (x::DECIMAL(10, 2)) + 0.01; CAST('2020-01-15' AS DATE) = e; ts::DATE = d; d::TIMESTAMP < ts; CAST(tt AS DATE) = e; s::VARCHAR = 'a'; NULL::INT + 1; (i / 3)::DECIMAL(9, 4)
"""
CALENDAR = """
year(d); month(d); day(d); dayofweek(d); dayofyear(d); quarter(d); week(d); isodow(d); isoyear(d); weekofyear(d); dayofmonth(d); hour(d); weekday(d); yearweek(d)
year(ts); month(ts); hour(ts); minute(ts); second(ts); millisecond(ts); microsecond(ts); dayofweek(ts); week(ts); epoch(ts); epoch(d)
extract(dow FROM ts); extract(year FROM d); extract(epoch FROM ts); extract(isodow FROM d); extract(doy FROM ts); date_part('hour', ts); date_part('month', d); extract(second FROM ts); extract('week' FROM d)
hour(tz); dayofweek(tz); extract(day FROM tz); minute(tz); hour(tod); minute(tod); extract(second FROM tod)
d - e; e - DATE '2020-01-10'; date_diff('day', d, e); date_diff('month', d, e); date_diff('year', d, e); date_diff('quarter', d, e); date_diff('hour', ts, tt); datediff('minute', ts, tt); date_diff('second', ts, tt); date_diff('day', ts, tt); date_diff('millisecond', ts, tt); date_diff('day', d, ts)
hour(ts) * 60 + minute(ts); year(d) % 4 = 0; month(d) IN (6, 7, 8); CASE WHEN dayofweek(d) IN (0, 6) THEN 1 ELSE 0 END; (ts::DATE - d) / 365.25
"""
ENGINE_BOUND = """
lower(s); extract(epoch FROM tz); s || 'x'; s LIKE 'a%'; length(s); x::VARCHAR; s::INT; log(2, p); cbrt(x); list_value(i); random(); hash(i); regexp_matches(s, 'a'); en < 'mid'; isnan(x); i & 3; s > 5; TRY_CAST(x AS TINYINT); date_trunc('month', d); d + 1; ts - tt; date_diff('week', d, e); tz > '2020-01-01'; strftime(d, '%Y'); k + 1; greatest(s, u); round(f, 1); tod > '10:00:00'; i IN (SELECT 1); count(*); sum(i) OVER (); tz::DATE; month(tod); age(ts); 1::DECIMAL(30, 20); f::DECIMAL(5, 2); floor(x, 1)
"""


def split(block):
    return [text.strip() for line in block.strip().splitlines() for text in line.split(";") if text.strip()]


@pytest.fixture(scope="module")
def table():
    connection = duckdb.connect()
    connection.execute("SET threads = 1; SET TimeZone = 'America/New_York'; SELECT setseed(0.42)").fetchall()
    connection.execute(TABLE)
    columns = {row[0]: row[1] for row in connection.execute("DESCRIBE t").fetchall()}
    batch = connection.sql("SELECT * FROM t").to_arrow_table().combine_chunks().to_batches()[0]
    arguments = tuple(Argument(name, kind_of(sql_type)) for name, sql_type in columns.items())
    return connection, columns, arguments, raw_block(batch, arguments)


def compile_text(text, columns):
    from sqlml.planning.values import Value

    emitter = Emitter(columns)
    compiler = Compiler(emitter, lambda node: Value(node.name, column_type(columns[node.name])), "America/New_York")
    value = compiler.compile(sqlglot.parse_one(text, dialect="duckdb"))
    return emitter.double(value), emitter.steps, value


@pytest.mark.parametrize("text", split(ARITHMETIC + LOGIC + CONDITIONAL + CASTS + CALENDAR))
def test_equals_duckdb(text, table):
    connection, columns, arguments, block = table
    register, steps, value = compile_text(text, columns)
    got = apply_program(Pipeline(arguments, tuple(steps), (Feature(register),)), block)[0]
    arrow = connection.sql(f"SELECT CAST(({text}) AS DOUBLE) AS v, typeof({text}) AS kind FROM t").to_arrow_table()
    want = arrow["v"].to_numpy(zero_copy_only=False).astype(float) if pa.types.is_floating(arrow["v"].type) else None
    differ = ~((got == want) | (np.isnan(got) & np.isnan(want)))
    assert not differ.any(), (differ.sum(), got[differ][:3], want[differ][:3])
    if value.type.base != "null":
        assert column_type(arrow["kind"][0].as_py()) == value.type


@pytest.mark.parametrize("text", split(ENGINE_BOUND))
def test_leaves_to_the_engine(text, table):
    with pytest.raises(NotPortableError, match=r"\S"):
        compile_text(text, table[1])
