"""The native scorer as an installation brings it: over another one, with images, rights and reasons."""

import subprocess
from pathlib import Path

import psycopg
import pytest

from sqlml.cli.main import main
from sqlml.errors import SqlmlError
from sqlml.install.facts import ServerFacts
from sqlml.install.installation import install
from sqlml.install.plan import plan_installation
from sqlml.sqltext import read_sql

from .conftest import run, value

SCORE = "SELECT array_agg(sqlml.predict('churn', c) ORDER BY id) FROM customers AS c"
FACTS = ServerFacts(version=150_000, is_superuser=True, has_language=False, has_catalog=True)


@pytest.fixture(scope="module")
def native_template(cluster, template):
    """A database with the model of ``template``, where the native scorer has taken over from PL/Python."""
    cluster.create_database("native_template", template=template)
    with psycopg.connect(cluster.dsn("native_template"), autocommit=True) as connection:
        before = value(connection, SCORE)
        run(connection, "CREATE VIEW scores AS SELECT id, PREDICT_PROBA(churn, *) AS q FROM customers")
    told = []
    try:
        install(cluster.dsn("native_template"), "native", tell=told.append)
    except SqlmlError as error:
        pytest.skip(f"{error}")
    assert told[-1].endswith("with the native scorer")
    return before


@pytest.fixture
def server(cluster, native_template):
    """In place of the one with PL/Python."""
    cluster.create_database("native_test", template="native_template")
    yield "native_test"
    cluster.drop_database("native_test")


def test_it_scores_as_the_scorer_before(root, native_template):
    assert value(root, SCORE) == native_template
    assert value(root, "SELECT scorer FROM sqlml.explain_scorer('churn')") == "native"
    assert value(root, "SELECT array_agg(q ORDER BY id) FROM scores") == native_template, "a view made before"
    rows = run(root, "SELECT PREDICT_PROBA(churn, *) AS q FROM customers ORDER BY id")
    assert [row["q"] for row in rows] == native_template


def test_a_model_trained_in_the_server_has_its_image(root):
    run(
        root,
        "CREATE MODEL other OPTIONS (input_label_cols = ['churned'], max_iterations = 3) AS SELECT age, plan, churned FROM customers",
    )
    assert value(root, "SELECT count(*) FROM sqlml._images") == 2
    assert value(root, "SELECT count(sqlml.predict('other', c)) FROM customers AS c") == 4000
    run(root, "DROP MODEL other")
    assert value(root, "SELECT count(*) FROM sqlml._images") == 1


def test_rights_are_asked_in_every_statement(root, connect):
    bob = connect("bob")
    assert value(bob, "SELECT count(*) FROM sqlml._images") == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match='permission denied for model "churn"'):
        bob.execute(SCORE)
    run(root, "GRANT USAGE ON MODEL churn TO bob")
    assert value(bob, SCORE) is not None
    run(root, "REVOKE USAGE ON MODEL churn FROM bob")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match='permission denied for model "churn"'):
        bob.execute(SCORE)
    root.execute(SCORE)
    root.execute("SET ROLE bob")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match='permission denied for model "churn"'):
        root.execute(SCORE)


def test_an_older_processor_is_refused():
    with pytest.raises(SqlmlError, match="older than x86-64-v2"):
        plan_installation(ServerFacts(**{**vars(FACTS), "cpu_flags": ("sse2", "fpu")}), "native", "1")
    with pytest.raises(SqlmlError, match="servers on Linux and x86-64"):
        plan_installation(FACTS, "native", "1")


def test_an_unknown_server_version_is_refused():
    flags = ("cx16", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")
    with pytest.raises(SqlmlError, match="knows PostgreSQL 15 to 17, the server is 18"):
        plan_installation(ServerFacts(**{**vars(FACTS), "version": 180_000, "cpu_flags": flags}), "native", "1")


@pytest.fixture
def bob(root, connect):
    """A reader who may use the model, and has used it: whatever his session keeps of that is there."""
    root.execute("GRANT SELECT ON customers TO bob")
    run(root, "GRANT USAGE ON MODEL churn TO bob")
    connection = connect("bob")
    for _ in range(3):
        connection.execute(ONE)
    return connection


ONE = "SELECT sqlml.predict('churn', c) FROM customers AS c WHERE id = 7"
DENIED = 'permission denied for model "churn"'


def test_a_right_through_a_role_ends_with_membership(root, bob):
    run(root, "REVOKE USAGE ON MODEL churn FROM bob")
    root.execute("DROP ROLE IF EXISTS scorers; CREATE ROLE scorers; GRANT scorers TO bob")
    run(root, "GRANT USAGE ON MODEL churn TO scorers")
    for _ in range(3):
        bob.execute(ONE, prepare=True)
    root.execute("REVOKE scorers FROM bob")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=DENIED):
        bob.execute(ONE, prepare=True)
    root.execute("GRANT scorers TO bob")
    assert value(bob, ONE) is not None
    root.execute("ALTER ROLE scorers RENAME TO others")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=DENIED):
        bob.execute(ONE)
    run(root, "REVOKE USAGE ON MODEL churn FROM scorers")
    root.execute("DROP ROLE others")


@pytest.mark.parametrize("reference", ["churn", "public.churn@1"])
def test_revoking_shows_in_the_next_statement(root, bob, reference):
    query = ONE.replace("churn", reference)
    (hash_of,) = root.execute("SELECT artifact_hash FROM sqlml._versions").fetchone()
    for _ in range(3):
        bob.execute(query, prepare=True)
    by_hash = f"SELECT count(sqlml._features('sha256:{hash_of}', age, plan, spend, seen, is_new)) FROM customers"
    assert value(bob, by_hash) == 4000
    run(root, "REVOKE USAGE ON MODEL churn FROM bob")
    for refused in (query, by_hash):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bob.execute(refused, prepare=True)


def test_what_is_kept_is_for_one_role(root, bob):
    for _ in range(2):
        root.execute(ONE)
    root.execute("SET ROLE alice")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=DENIED):
        root.execute(ONE)
    root.execute("SET ROLE bob")
    assert value(root, ONE) is not None
    root.execute("RESET ROLE; ALTER ROLE bob SUPERUSER")
    run(root, "REVOKE USAGE ON MODEL churn FROM bob")
    for _ in range(2):
        bob.execute(ONE)
    root.execute("ALTER ROLE bob NOSUPERUSER")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=DENIED):
        bob.execute(ONE)


RETRAIN = (
    "CREATE OR REPLACE MODEL churn OPTIONS (input_label_cols = ['churned'], max_iterations = 3, num_threads = 1) AS "
    "SELECT age, plan, spend, seen, is_new, churned FROM customers"
)


def test_a_prepared_statement_follows_the_default(root, connect):
    other = connect()
    seen = [other.execute(ONE, prepare=True).fetchone()[0] for _ in range(8)]
    assert len(set(seen)) == 1
    run(root, RETRAIN)
    after = other.execute(ONE, prepare=True).fetchone()[0]
    assert after != seen[0]
    assert value(other, ONE.replace("'churn'", "'churn@1'")) == seen[0]
    run(root, "ALTER MODEL churn SET DEFAULT VERSION 1")
    assert other.execute(ONE, prepare=True).fetchone()[0] == seen[0]


def test_what_a_transaction_did_is_seen_by_itself_and_undone(root, connect):
    other = connect()
    before = [value(connection, ONE) for connection in (root, other)]
    root.execute("BEGIN")
    run(root, RETRAIN)
    changed = value(root, ONE)
    assert changed != before[0]
    assert value(other, ONE) == before[1]
    root.execute("SAVEPOINT s")
    run(root, "DROP MODEL churn CASCADE")
    with pytest.raises(psycopg.errors.UndefinedObject):
        root.execute(ONE)
    root.execute("ROLLBACK TO s")
    assert value(root, ONE) == changed
    root.execute("ROLLBACK")
    assert [value(root, ONE), value(other, ONE)] == before


def test_a_repeatable_read_keeps_its_version(root, connect):
    other = connect()
    before = value(other, ONE)
    other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert value(other, ONE) == before
    run(root, RETRAIN)
    assert value(other, ONE) == before
    other.execute("COMMIT")
    after = value(other, ONE)
    assert after != before
    assert value(root, ONE) == after


def test_a_bare_name_follows_the_search_path(root):
    before = value(root, ONE)
    root.execute("CREATE SCHEMA mine")
    run(root, RETRAIN.replace("MODEL churn", "MODEL mine.churn"))
    assert value(root, ONE) == before
    root.execute("SET search_path = mine, public")
    other = value(root, ONE)
    assert other != before
    root.execute("ALTER SCHEMA mine RENAME TO his")
    assert value(root, ONE) == before
    root.execute("ALTER SCHEMA his RENAME TO mine")
    assert value(root, ONE) == other


def test_images_are_hidden_from_those_who_may_not_use_the_model(root, bob, connect):
    assert value(bob, "SELECT count(*) FROM sqlml._images") == 1
    assert value(connect("alice"), "SELECT count(*) FROM sqlml._images") == 0
    run(root, "REVOKE USAGE ON MODEL churn FROM bob")
    assert value(bob, "SELECT count(*) FROM sqlml._images") == 0
    for change in (
        "DELETE FROM sqlml._images",
        "UPDATE sqlml._images SET image = ''",
        "INSERT INTO sqlml._images VALUES ('', '')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bob.execute(change)


def test_a_model_of_the_server_s_own_expressions_is_for_the_dialect(root):
    run(
        root,
        "CREATE MODEL odd TRANSFORM (age, quote_literal(plan) AS quoted, churned) OPTIONS (input_label_cols = ['churned'], "
        "max_iterations = 3) AS SELECT age, plan, churned FROM customers",
    )
    assert len(run(root, "SELECT PREDICT(odd, *) AS p FROM customers WHERE id < 10")) == 9
    for call in ("sqlml.predict('odd', c)", "sqlml.predict_label('odd', c)", "sqlml.predict_version('odd', 1, c)"):
        with pytest.raises(
            psycopg.errors.FeatureNotSupported, match="needs expressions that only the database can compute"
        ):
            root.execute(f"SELECT {call} FROM customers AS c")


def test_another_library_takes_over_under_open_sessions(root, connect):
    """An upgrade: sessions that have the old one in memory call the new one in their next statement."""
    other = connect()
    before = value(other, SCORE)
    (path,) = root.execute(
        "SELECT DISTINCT probin FROM pg_proc WHERE pronamespace = 'sqlml'::regnamespace AND probin IS NOT NULL"
    ).fetchone()
    newer = path.replace(".so", "_newer.so")
    with root.transaction():
        number = value(root, f"SELECT lo_from_bytea(0, pg_read_binary_file('{path}') || '\\x00')")
        root.execute(f"SELECT lo_export({number}, '{newer}'), lo_unlink({number})")
    root.execute(read_sql("postgres/native.sql").replace("{library}", newer))
    assert value(other, SCORE) == before
    run(root, "CREATE OR REPLACE VIEW again AS SELECT id, PREDICT_PROBA(churn, *) AS q FROM customers")
    assert value(other, "SELECT array_agg(q ORDER BY id) FROM again") == before
    run(root, "GRANT USAGE ON MODEL churn TO bob")
    assert value(connect("bob"), SCORE) == before


def test_dump_and_restore_into_a_new_cluster(cluster, new_cluster, server, root, native_template):
    """The library's file first, then the dump as it is, then the installation for roles and images."""
    pg_dump = [cluster.programs.path("pg_dump"), cluster.dsn(server)]
    dump = subprocess.run(pg_dump, capture_output=True, text=True, check=True).stdout
    with new_cluster() as other:
        dsn = other.create_database("restored")
        other.query(
            "CREATE ROLE sqlml_reader; CREATE ROLE sqlml_trainer; CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE eve"
        )
        assert main(["install", dsn, "--library-only"]) == 0
        psql = [cluster.programs.path("psql"), dsn, "-v", "ON_ERROR_STOP=1", "-q"]
        subprocess.run(psql, input=dump, text=True, check=True, capture_output=True)
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert value(connection, SCORE) == native_template, "even before the installation"
        install(dsn, "native", tell=lambda text: None)
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert value(connection, SCORE) == native_template
            assert value(connection, "SELECT array_agg(q ORDER BY id) FROM scores") == native_template


def test_a_standby_scores_once_it_has_the_library(cluster, server, root, native_template, capsys):
    standby = cluster.standby()
    try:
        dsn = standby.dsn(server)
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert value(connection, SCORE) == native_template, "a copy of the data directory has the file"
            for library in Path(value(connection, "SELECT current_setting('data_directory')")).glob("sqlml_native_*"):
                library.unlink()  # as on a standby that is older than the installation
        with psycopg.connect(dsn, autocommit=True) as connection:
            with pytest.raises(psycopg.errors.UndefinedFile, match="sqlml_native"):
                connection.execute(SCORE)
            assert main(["install", dsn]) == 1
            assert "sqlml install --library-only" in capsys.readouterr().err
            assert main(["install", dsn, "--library-only"]) == 0
            assert value(connection, SCORE) == native_template
    finally:
        standby.stop()


def test_only_a_superuser_writes_the_library(cluster, server, capsys):
    assert main(["install", cluster.dsn(server).replace("postgres@", "alice@", 1), "--library-only"]) == 1
    assert "by a superuser" in capsys.readouterr().err
