"""Callers who try to steer what runs in the server: by search paths, operators, temporary objects, settings and artifacts."""

import dataclasses
import hashlib

import numpy as np
import psycopg
import pytest

import sqlml
from udfs.artifact import read_artifact, write_artifact

from .conftest import run, value

SCORE = "SELECT sqlml.predict('public.churn', c) FROM public.customers AS c ORDER BY id LIMIT 1"
TRAIN = (
    "CREATE OR REPLACE MODEL public.hers OPTIONS (input_label_cols = ['churned'], max_iterations = 5) AS "
    "SELECT age, plan, churned FROM public.customers"
)

EVIL = """
CREATE FUNCTION public.evil_text(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'steered'; END $$;
CREATE FUNCTION public.evil_name(name, name) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'steered'; END $$;
CREATE FUNCTION public.evil_uuid(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'steered'; END $$;
CREATE FUNCTION public.evil_oid(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'steered'; END $$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.evil_text);
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.evil_name);
CREATE OPERATOR public.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = public.evil_uuid);
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.evil_oid);
CREATE FUNCTION public.starts_with(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'steered'; END $$;
CREATE FUNCTION public.pg_has_role(name, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'steered'; END $$;
CREATE FUNCTION public.array_send(float8[]) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'steered'; END $$;
"""


@pytest.fixture
def hostile(root, connect):
    """Bob, who may use no model, with a search path in which his operators and functions come before the server's own."""
    root.execute(EVIL)
    bob = connect("bob")
    bob.execute("SET search_path = public, pg_catalog")
    return bob


def test_operators_and_functions_in_front_of_the_servers_own(root, hostile):
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for model"):
        hostile.execute(SCORE)
    assert value(hostile, "SELECT count(*) FROM sqlml.artifacts") == 0
    root.execute("SELECT sqlml._grant_usage((SELECT model_id FROM sqlml._models), 'bob')")
    assert value(hostile, SCORE) == value(root, SCORE)


def test_temporary_objects_of_the_same_names(root, connect):
    alice = connect("alice")
    with alice.transaction():
        for name in ("artifacts", "_models", "_versions", "_installation", "pg_roles", "pg_class", "pg_type"):
            alice.execute(f"CREATE TEMP TABLE {name} (artifact_hash text, body bytea, model_id uuid, owner oid)")
        alice.execute("SET LOCAL search_path = pg_temp, public")
        run(alice, TRAIN)
        assert value(alice, "SELECT sqlml.predict('public.hers', c) FROM public.customers AS c LIMIT 1") is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"), alice.transaction():
            alice.execute(SCORE)


SETTINGS = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
    "TimeZone": "Asia/Kathmandu",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "row_security": "on",
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "escape_string_warning": "off",
    "lc_numeric": "C",
    "xmloption": "document",
}


def test_settings_change_nothing(root, connect):
    alice = connect("alice")
    statement = TRAIN.replace("age, plan", "age, plan, seen, spend").replace("FROM public", "FROM public")
    run(alice, "SHOW MODELS")
    alice.execute("SET TimeZone = 'UTC'")
    run(alice, statement)
    alice.execute("SET search_path = pg_catalog")
    for name, setting in SETTINGS.items():
        if name != "TimeZone":  # which a model keeps: calendar parts are those of the zone it was trained in
            alice.execute(f"SET {name} = '{setting}'")
    run(alice, statement)
    hashes = [
        row[0] for row in root.execute("SELECT artifact_hash FROM sqlml.model_versions WHERE model_name = 'hers'")
    ]
    assert len(hashes) == 2
    assert hashes[0] == hashes[1]
    query = "SELECT sum(sqlml.predict('public.hers', c)) FROM public.customers AS c"
    alice.execute(f"SET TimeZone = '{SETTINGS['TimeZone']}'")
    alice.execute("RESET extra_float_digits")
    assert value(alice, query) == value(root, query)


def test_settings_of_ours_do_not_exist(root, connect):
    """Nothing is read from a setting that a caller could make, such as where Python finds packages."""
    alice = connect("alice")
    for name in ("sqlml.python", "sqlml.path", "sqlml.scorer", "sqlml.folders"):
        alice.execute(f"SET {name} = '/nowhere'")
    run(alice, TRAIN)


def test_artifacts_are_verified(root, connect):
    eve = connect("eve")
    body = value(root, "SELECT body FROM sqlml.artifacts")
    broken = bytearray(body)
    broken[len(body) // 2] ^= 1
    wild = dataclasses.replace(read_artifact(body))
    tree = wild.forest.trees[0]
    looped = dataclasses.replace(tree, left_child=np.zeros_like(tree.left_child))  # the root is its own child
    resealed = write_artifact(
        dataclasses.replace(wild, forest=dataclasses.replace(wild.forest, trees=(looped, *wild.forest.trees[1:])))
    )
    for given in (b"", b"nonsense", bytes(broken), body[:-1]):
        with pytest.raises(psycopg.errors.DataCorrupted):
            eve.execute("SELECT sqlml._store_artifact(%s)", [given])
    with pytest.raises(psycopg.errors.DataCorrupted, match=r"child|depth|tree"):
        eve.execute("SELECT sqlml._store_artifact(%s)", [resealed])
    assert value(eve, "SELECT sqlml._store_artifact(%s)", body) == hashlib.sha256(body).hexdigest()


def test_a_damaged_artifact_is_refused_where_it_is_used(root):
    root.execute("UPDATE sqlml.artifacts SET body = overlay(body placing '\\x00'::bytea from 200)")
    with pytest.raises(psycopg.errors.DataCorrupted, match="checksum does not match"):
        root.execute(SCORE)
    with pytest.raises(psycopg.errors.DataCorrupted, match="checksum does not match"):
        run(root, "SELECT PREDICT(churn, *) FROM customers LIMIT 1")


def test_internal_functions_are_not_for_everybody(connect):
    eve = connect("eve")
    for call in ("_put_artifact('x', 'y')", "_verified_hash('x')", "_image_of('x')"):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction)):
            eve.execute(f"SELECT sqlml.{call}")


def test_cursor_functions_read_only_what_the_caller_may(root, connect):
    eve = connect("eve")
    root.execute("CREATE TABLE secret AS SELECT 1 AS x")
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table secret"),
        eve.transaction(),
    ):
        eve.execute("SELECT sqlml._open('c', 'SELECT * FROM secret')")


def test_files_of_the_server_are_for_those_who_may_use_them(root, connect):
    alice = connect("alice")
    run(alice, TRAIN)
    path = value(root, "SELECT current_setting('data_directory')") + "/sqlml-test.model"
    for statement in (f"EXPORT MODEL hers TO '{path}'", "IMPORT MODEL taken FROM '/etc/passwd'"):
        with pytest.raises(
            psycopg.errors.InsufficientPrivilege, match=r"permission denied to (read|write) files of the server"
        ):
            run(alice, statement)
    root.execute("GRANT pg_write_server_files, pg_read_server_files TO alice")
    try:
        assert run(alice, f"EXPORT MODEL hers TO '{path}'")[0]["bytes"] > 0
        assert run(alice, f"IMPORT MODEL back FROM '{path}'")[0]["model"] == "back"
    finally:
        root.execute("REVOKE pg_write_server_files, pg_read_server_files FROM alice")


@pytest.mark.parametrize(
    "option", ["forcedsplits_filename = '/etc/passwd'", "input_model = '/etc/passwd'", "output_model = '/tmp/x'"]
)
def test_no_option_of_lightgbms_names_a_file(connect, option):
    with pytest.raises(psycopg.errors.InvalidName, match="unknown option"):
        run(connect("alice"), TRAIN.replace("max_iterations = 5", option))


LABELS = "CREATE TABLE labels AS SELECT i AS x, CASE WHEN i % 3 = 0 THEN 'it''s \\' WHEN i % 3 = 1 THEN '\\'' OR true --' ELSE 'plain' END AS label FROM generate_series(1, 300) AS i"


def test_backslashes_in_classes_under_the_old_reading_of_strings(root):
    """A class is data: it stays a literal whatever ``standard_conforming_strings`` says."""
    root.execute(LABELS)
    run(
        root,
        "CREATE MODEL odd OPTIONS (input_label_cols = ['label'], max_iterations = 5, num_threads = 1) AS SELECT x % 3 AS k, label FROM labels",
    )
    queries = [
        "SELECT * FROM ML.PREDICT(MODEL odd, (SELECT x % 3 AS k FROM labels LIMIT 6))",
        "SELECT * FROM ML.CONFUSION_MATRIX(MODEL odd, (SELECT x % 3 AS k, label FROM labels))",
        "SELECT PREDICT(odd, *) AS p FROM (SELECT x % 3 AS k FROM labels LIMIT 6) AS s",
        "SELECT * FROM ML.FEATURE_INFO(MODEL odd)",
    ]
    expected = [run(root, query) for query in queries]
    assert "' OR true --" in str(expected)
    root.execute("SET standard_conforming_strings = off; SET escape_string_warning = off")
    assert [run(root, query) for query in queries] == expected


def test_errors_do_not_tell_of_python(cluster, server, root):
    with pytest.raises(psycopg.errors.UndefinedObject) as caught:
        root.execute("SELECT sqlml.predict('nope', c) FROM customers AS c")
    assert caught.value.diag.message_primary == 'sqlml: model "nope" does not exist'
    assert caught.value.diag.message_hint == "SELECT schema_name, model_name FROM sqlml.models lists the models."
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        root.execute("SELECT sqlml.predict('churn', 1.0)")
    assert caught.value.diag.message_primary.startswith("sqlml: the model takes 5 arguments")
    failing = "SELECT PREDICT(churn, *), sqlml.predict('nope', c) FROM customers AS c"
    with sqlml.connect(cluster.dsn(server)) as client, pytest.raises(sqlml.errors.SqlmlError) as told:
        client.execute(failing)
    assert told.value.message == 'model "nope" does not exist'


SPY = """
CREATE TABLE public.seen (who name, asked text);
GRANT INSERT ON public.seen TO PUBLIC;
CREATE FUNCTION public.spy_{kind}_{name}(a {kind}, b {kind}) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.seen VALUES (current_user, '{kind} {sign}'); RETURN a OPERATOR(pg_catalog.{sign}) b; END $$;
CREATE OPERATOR public.{sign} (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = public.spy_{kind}_{name});
"""


def test_a_callers_operators_run_with_nobody_elses_rights(root, connect):
    """sqlml.execute runs on the caller's search path, and may meet their operators there: as the caller, and never as the owner."""
    table, grant, *rest = SPY.split(";\n")
    root.execute(f"{table};{grant}")
    for kind in ("text", "name", "uuid", "int4", "bool", "oid", "bytea"):
        for name, sign in (("eq", "="), ("ne", "<>")):
            root.execute(";\n".join(rest).format(kind=kind, name=name, sign=sign))
    alice = connect("alice")
    alice.execute("SET search_path = public, pg_catalog")
    alice.execute("SELECT count(*) FROM public.customers WHERE plan = 'gold'::text")
    run(alice, TRAIN)
    run(alice, "GRANT USAGE ON MODEL public.hers TO bob")
    run(alice, "SELECT PREDICT(hers, *) FROM public.customers LIMIT 3")
    run(alice, "ALTER MODEL hers SET ALIAS best = 1")
    alice.execute("SELECT sqlml.predict('public.hers', c) FROM public.customers AS c LIMIT 3")
    run(alice, "DROP MODEL hers")
    assert {row[0] for row in root.execute("SELECT DISTINCT who FROM public.seen")} == {"alice"}


def test_definers_functions_have_a_search_path_of_their_own(root):
    found = root.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'sqlml'::regnamespace AND prosecdef"
    ).fetchall()
    assert len(found) >= 8
    assert [name for name, settings in found if "search_path=pg_catalog, pg_temp" not in (settings or [])] == []
