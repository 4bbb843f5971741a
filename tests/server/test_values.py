"""Every type against a real Postgres: the same bytes in both formats, and parameters back again."""

import datetime as dt
import decimal
import uuid

import psycopg
import pytest

# The same text means the same value to both.
SAME = [
    "true", "NULL::boolean", "7::smallint", "-7::int", "9223372036854775807::bigint", "1.5::float8", "0.1::real", "1e-5::float8",
    "1e15::float8", "123456789012345.6::float8", "1e14::float8", "1e300::float8", "0.0001::float8", "12345678::real", "1e6::real",
    "123456::real", "'NaN'::float8", "'-Infinity'::float8", "-0.0::float8", "'5e-324'::float8", "1.50::numeric(10,2)",
    "-12345.6789::numeric(12,4)", "0::numeric(5,3)", "0.00000001::numeric(12,8)", "100000000::numeric(18,0)", "'text'::text",
    "''::text", "'löwe'::text", "date '2024-02-29'", "date '0001-01-01'", "date '9999-12-31'", "'infinity'::date",
    "time '23:59:59.5'", "time '00:00:00'", "timestamp '2024-02-29 12:34:56.789'", "timestamp '1969-12-31 23:59:59.000001'",
    "timestamp '2024-01-01'", "'-infinity'::timestamp", "timestamptz '2024-07-01 12:00:00+02'",
    "timestamptz '2024-01-01 12:00:00.25+00'", "interval '1 day'", "interval '14 months'", "interval '1 year'",
    "interval '-1 day'", "interval '3 days 04:05:06.7'", "interval '-00:00:01'", "interval '0 seconds'",
    "'6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid",
]  # fmt: skip
TYPES = {"uuid": 2950, "numeric": 1700}


@pytest.fixture(scope="module")
def both(server, cluster):
    with (
        psycopg.connect(f"host=127.0.0.1 port={server.port} user=ann dbname=x", autocommit=True) as ours,
        psycopg.connect(cluster.dsn(), autocommit=True) as theirs,
    ):
        yield ours, theirs


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_values_are_those_of_postgres(both, binary, zone):
    wrong = []
    for connection in both:
        connection.execute(f"SET TIME ZONE '{zone}'")
    for value in SAME:
        ours, theirs = (raw(connection, f"SELECT {value} AS v", binary=binary) for connection in both)
        if ours != theirs:
            wrong.append((value, ours, theirs))
    assert not wrong


def raw(connection, sql, *, binary):
    result = connection.execute(sql, binary=binary).pgresult
    return result.ftype(0), result.fsize(0), result.get_value(0, 0)


@pytest.mark.parametrize(
    ("sql", "oid", "text"),
    [
        ("200::utinyint", 21, b"200"),
        ("60000::usmallint", 23, b"60000"),
        ("4000000000::uinteger", 20, b"4000000000"),
        ("18446744073709551615::ubigint", 1700, b"18446744073709551615"),
        ("(-170141183460469231731687303715884105728)::hugeint", 1700, b"-170141183460469231731687303715884105728"),
        ("'abc'::blob", 17, b"\\x616263"),
        ("'101'::bit", 1562, b"101"),
        ("[1, NULL, 3]", 114, b"[1, null, 3]"),
        ("{'a': 1, 'b': [date '2020-01-01']}", 114, b'{"a": 1, "b": ["2020-01-01"]}'),
        ("map {'k': 1.5}", 114, b'{"k": 1.5}'),
        ("[1, 2]::integer[2]", 114, b"[1, 2]"),
        ("'{\"a\": 1}'::json", 114, b'{"a": 1}'),
        (
            "12345678901234567890123456789012345678901234567890::bignum",
            1700,
            b"12345678901234567890123456789012345678901234567890",
        ),
        ("timestamp_ns '2020-01-01 00:00:00.123456789'", 1114, b"2020-01-01 00:00:00.123456"),
        ("NULL", 25, None),
        ("date '0044-03-15 (BC)'", 1082, b"0044-03-15 BC"),
    ],
)
def test_types_that_postgres_has_not(both, sql, oid, text):
    assert both[0].execute("SELECT " + sql).pgresult.ftype(0) == oid
    assert both[0].execute("SELECT " + sql).pgresult.get_value(0, 0) == text
    if oid not in (1082, 1562):  # years BC and bits have no value in Python
        assert both[0].execute("SELECT " + sql, binary=True).fetchone() == both[0].execute("SELECT " + sql).fetchone()


@pytest.mark.parametrize("result_binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("form", ["%t", "%b"], ids=["as-text", "as-binary"])
@pytest.mark.parametrize(
    "value",
    [
        True, 7, -(2**40), 1.5, float("inf"), decimal.Decimal("-12.340"), decimal.Decimal("1E+10"), "text", "o'löwe", b"\0\xff",
        dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 1, 2, 3, 4), dt.time(1, 2, 3), uuid.UUID(int=5),
        dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC), dt.timedelta(days=3, seconds=5), None,
    ],
    ids=repr,
)  # fmt: skip
def test_parameters_come_back(both, value, form, result_binary):
    both[0].execute("SET TIME ZONE 'UTC'")
    kind = {True: "boolean"}.get(value is True, type(value).__name__)
    cast = {"bytes": "blob", "Decimal": "decimal(20,3)", "datetime": "timestamptz" if getattr(value, "tzinfo", None) else "timestamp",
            "timedelta": "interval", "UUID": "uuid", "float": "double", "int": "bigint", "str": "varchar", "date": "date",
            "time": "time", "boolean": "boolean", "NoneType": "integer"}[kind]  # fmt: skip
    got = both[0].execute(f"SELECT {form}::{cast} AS v", (value,), binary=result_binary).fetchone()[0]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(("text", "sqlstate"), [("abc", "22P02"), ("2.5", "22P02")])
def test_a_parameter_that_is_no_number(both, text, sqlstate):
    with pytest.raises(psycopg.Error, match="invalid input syntax for type integer") as caught:
        both[0].execute("SELECT * FROM churn WHERE id = %s", (text,))
    assert caught.value.sqlstate == sqlstate


def test_null_columns_and_empty_results(both):
    ours = both[0].execute("SELECT id, name FROM churn WHERE false", binary=True)
    assert ours.fetchall() == []
    assert [column.type_code for column in ours.description] == [23, 25]
