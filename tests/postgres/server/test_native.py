"""The native scorer as an installation brings it: over another one, with images, rights and reasons."""

import subprocess
from pathlib import Path

import psycopg
import pytest

from sqlml.cli.main import main
from sqlml.cli.private_cluster import PrivateCluster
from sqlml.errors import SqlmlError
from sqlml.install.facts import ServerFacts
from sqlml.install.installation import install
from sqlml.install.plan import plan_installation

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


def test_dump_and_restore_into_a_new_cluster(cluster, server, root, native_template):
    """The library's file first, then the dump as it is, then the installation for roles and images."""
    pg_dump = [cluster.programs.path("pg_dump"), cluster.dsn(server)]
    dump = subprocess.run(pg_dump, capture_output=True, text=True, check=True).stdout
    with PrivateCluster(programs=cluster.programs) as other:
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
