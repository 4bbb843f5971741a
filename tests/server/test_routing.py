"""Which statements are about nothing but the catalogue: it counts what a statement touches, never a word in it."""

import pytest

from sqlml.language.touched import is_about_catalogue

KNOWN = frozenset({"pg_class", "pg_namespace", "pg_type", "pg_roles", "pg_attribute", "pg_settings"})


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM pg_class",
        "SELECT * FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace",
        "SELECT * FROM information_schema.tables JOIN pg_roles ON true",
        "WITH t AS (SELECT * FROM pg_class) SELECT * FROM t",
        "WITH a AS (SELECT 1), t (x, y) AS MATERIALIZED (SELECT * FROM pg_class) SELECT * FROM t, a",
        "SELECT (SELECT relname FROM pg_class LIMIT 1), 'from churn'",
        "SELECT * FROM (pg_class c JOIN pg_namespace n ON true)",
        "SELECT trim(trailing ';' from pg_catalog.pg_get_ruledef(r.oid, true)) FROM pg_catalog.pg_rewrite r",
        "SELECT c.relname OPERATOR(pg_catalog.~) '^(x)$' COLLATE pg_catalog.default FROM pg_catalog.pg_class c",
        "SELECT version()",
        "SELECT pg_catalog.version(), current_schema()",
        "SELECT current_user",
        "SELECT * FROM unnest(current_schemas(true))",
        "SELECT 'churn'::regclass FROM pg_class -- FROM churn",
        "SELECT oid IS DISTINCT FROM 5 FROM pg_type",
        'SELECT * FROM "pg_catalog"."pg_class"',
    ],
)
def test_catalogue(text):
    assert is_about_catalogue(text, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT current_user, count(*) FROM churn",
        "SELECT * FROM pg_class, churn",
        "SELECT * FROM pg_class c JOIN churn ON true",
        "SELECT * FROM (pg_class c CROSS JOIN churn)",
        "SELECT * FROM pg_class WHERE oid IN (SELECT id FROM churn)",
        "WITH t AS (SELECT * FROM churn) SELECT * FROM t, pg_class",
        "WITH pg_class AS (SELECT * FROM churn) SELECT * FROM pg_class",
        "SELECT 1",
        "SELECT now()",
        "SELECT count(*) FROM pg_class_of_mine",
        "SELECT * FROM mine.pg_class",
        'SELECT * FROM "PG_CLASS"',
        "SELECT version(), sqrt(2)",
        "SELECT 'pg_catalog.pg_class'",
        "INSERT INTO churn SELECT oid FROM pg_class",
        "DELETE FROM pg_class",
        "SELECT * FROM 'pg_class.csv', pg_class",
        "SELECT * FROM read_csv('x.csv')",
        "FROM pg_class",
        "SELECT relname, (TABLE churn) FROM pg_class",
        "SELECT extract(day FROM d) FROM churn, LATERAL (SELECT * FROM pg_class) x",
        "broken (",
        "",
    ],
)
def test_not_the_catalogue(text):
    assert not is_about_catalogue(text, KNOWN)
