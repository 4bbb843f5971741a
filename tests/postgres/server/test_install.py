"""Installing, upgrading and removing: all or nothing, nothing for PUBLIC, and reasons where it cannot be."""

import psycopg
import pytest

import sqlml
from sqlml.cli.main import main
from sqlml.errors import SqlmlError
from sqlml.install.facts import ServerFacts
from sqlml.install.installation import install, uninstall
from sqlml.install.plan import plan_installation

from .conftest import run, value

GOOD = ServerFacts(version=150_000, is_superuser=True, has_language=True, has_catalog=False, python=(3, 11))


@pytest.fixture
def dsn(cluster, server):
    return cluster.dsn(server)


def test_dry_run_prints_a_script_and_changes_nothing(cluster, postgres_database, superuser, capsys):
    assert main(["install", cluster.dsn(postgres_database), "--scorer", "plpython", "--dry-run"]) == 0
    script = capsys.readouterr().out
    assert value(superuser, "SELECT count(*) FROM pg_namespace WHERE nspname = 'sqlml'") == 0
    assert value(superuser, "SELECT count(*) FROM pg_extension WHERE extname = 'plpython3u'") == 0
    superuser.execute(script[script.index("BEGIN;") :])
    assert run(superuser, "SHOW MODELS") == []


def test_installing_twice_upgrades_in_place(dsn, root):
    told = []
    root.execute("UPDATE sqlml._installation SET version = '0.0.1'")
    root.execute("CREATE VIEW scores AS SELECT sqlml.predict('churn', c) AS p FROM customers AS c")
    before = value(root, "SELECT sum(p) FROM scores")
    install(dsn, "plpython", tell=told.append)
    assert "upgraded from 0.0.1" in told[-1]
    assert value(root, "SELECT sum(p) FROM scores") == before
    assert value(root, "SELECT count(*) FROM sqlml._installation WHERE version <> '0.0.1'") == 1


def test_uninstall_leaves_the_models(dsn, root, connect):
    uninstall(dsn, tell=lambda text: None)
    assert value(root, "SELECT count(*) FROM sqlml.models") == 1
    left = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'sqlml'::regnamespace AND proname !~ '^m_[0-9a-f]{40}'"
    assert value(root, left) == 0
    assert (
        value(root, "SELECT count(*) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE relname LIKE '\\_%'")
        == 0
    )
    install(dsn, "plpython", tell=lambda text: None)
    assert value(root, "SELECT sqlml.predict('churn', c) FROM customers AS c LIMIT 1") is not None


def test_models_outlive_the_scorer_they_were_stored_for(dsn, root):
    query = "SELECT sum(PREDICT_PROBA(MODEL churn, *)) FROM customers"
    con = sqlml.attach(root)
    before = con.execute(query).fetchone()
    uninstall(dsn, tell=lambda text: None)
    con = sqlml.attach(root)
    assert con.execute(query).fetchone() == before
    root.execute("CREATE SCHEMA reports")
    con.execute("CREATE VIEW reports.risks AS SELECT PREDICT_PROBA(MODEL churn, *) AS p FROM customers")
    install(dsn, "sql", tell=lambda text: None)
    assert sqlml.attach(root).execute(query).fetchone() == before
    uninstall(dsn, tell=lambda text: None)
    assert root.execute("SELECT sum(p) FROM reports.risks").fetchone() == before


def test_uninstall_with_models_needs_to_be_told(dsn, root):
    root.execute("CREATE VIEW scores AS SELECT sqlml.predict('churn', c) AS p FROM customers AS c")
    with pytest.raises(SqlmlError, match="cannot drop function"):
        uninstall(dsn, tell=lambda text: None)
    assert value(root, "SELECT count(p) FROM scores") == 4000
    uninstall(dsn, drop_models=True, cascade=True, tell=lambda text: None)
    assert value(root, "SELECT count(*) FROM pg_namespace WHERE nspname = 'sqlml'") == 0


def test_public_may_nothing(root):
    assert value(root, "SELECT has_schema_privilege('public', 'sqlml', 'USAGE')") is False
    functions = root.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'sqlml'::regnamespace "
        "AND has_function_privilege('public', oid, 'EXECUTE')"
    ).fetchall()
    tables = root.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'sqlml'::regnamespace AND relkind IN ('r', 'v') "
        "AND has_table_privilege('public', oid, 'SELECT, INSERT, UPDATE, DELETE')"
    ).fetchall()
    assert functions == []
    assert tables == []


def test_a_schema_made_by_a_client_changes_hands(cluster, postgres_database, superuser, template):
    superuser.execute("GRANT CREATE ON DATABASE " + postgres_database + " TO alice")
    superuser.execute("SET ROLE alice; CREATE SCHEMA sqlml; CREATE TABLE sqlml._own (x int); RESET ROLE")
    superuser.execute("SET ROLE alice; CREATE FUNCTION sqlml.m_1() RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE")
    install(cluster.dsn(postgres_database), "plpython", tell=lambda text: None)
    assert value(superuser, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'sqlml'") == "postgres"
    assert value(superuser, "SELECT relowner::regrole::text FROM pg_class WHERE relname = '_own'") == "postgres"
    assert value(superuser, "SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'm_1'") == "postgres"
    assert value(superuser, "SELECT pg_has_role('alice', 'sqlml_trainer', 'USAGE')")


def test_only_a_superuser_installs(cluster, template, postgres_database):
    dsn = cluster.dsn(postgres_database).replace("postgres@", "alice@", 1)
    with pytest.raises(SqlmlError, match="installed by a superuser"):
        install(dsn, tell=lambda text: None)


def test_an_old_server_is_refused():
    with pytest.raises(SqlmlError, match="needs PostgreSQL 15 or newer in the server, got 14"):
        plan_installation(ServerFacts(140_010, is_superuser=True, has_language=True, has_catalog=False), "sql", "1")


def test_without_plpython_training_is_left_out():
    facts = ServerFacts(150_000, is_superuser=True, has_language=False, has_catalog=True)
    titles = [step.title for step in plan_installation(facts, "sql", "1")]
    assert "statements of the dialect" not in titles
    assert "privileges" in titles
    with pytest.raises(SqlmlError, match="the server has no plpython3u"):
        plan_installation(facts, "plpython", "1")


def test_a_python_without_the_packages_is_explained(cluster, postgres_database, tmp_path):
    tmp_path.chmod(0o755)
    told = []
    with pytest.raises(SqlmlError, match="is no Python that can import sqlml"):
        install(cluster.dsn(postgres_database), python="/usr/bin/false", tell=told.append)


def test_all_or_nothing(cluster, postgres_database, superuser):
    superuser.execute("CREATE SCHEMA sqlml; CREATE VIEW sqlml._grants AS SELECT 1 AS x")
    with pytest.raises(SqlmlError, match="who may use which model"):
        install(cluster.dsn(postgres_database), "plpython", tell=lambda text: None)
    assert value(superuser, "SELECT count(*) FROM pg_class WHERE relname = '_installation'") == 0


def test_a_failing_command_tells_and_exits_with_1(capsys):
    assert main(["install", "postgresql://nobody@127.0.0.1:1/none"]) == 1
    assert "ERROR:" in capsys.readouterr().err


def test_ready_to_use_over_any_client(root):
    with pytest.raises(psycopg.errors.UndefinedObject, match='model "nope" does not exist'):
        root.execute("SELECT sqlml._resolve('nope')")


def test_with_the_sql_scorer_whoever_may_create_its_functions_trains(cluster, template, postgres_database, superuser):
    dsn = cluster.dsn(postgres_database)
    install(dsn, "sql", tell=lambda text: None)
    superuser.execute(
        "CREATE TABLE t AS SELECT i AS x, i % 2 AS y FROM generate_series(1, 200) AS i; GRANT SELECT ON t TO alice"
    )
    superuser.execute("GRANT CREATE ON SCHEMA public TO alice")
    statement = (
        "CREATE MODEL m OPTIONS (input_label_cols = ['y'], max_iterations = 3, num_threads = 1) AS SELECT x, y FROM t"
    )
    with sqlml.connect(dsn) as client:
        client.execute(statement)
    with sqlml.connect(dsn.replace("postgres@", "alice@", 1)) as client, pytest.raises(SqlmlError) as caught:
        client.execute(statement.replace("MODEL m", "MODEL hers"))
    assert caught.value.sqlstate == "42501"
    assert "where the SQL scorer has functions for each model" in caught.value.message
    assert caught.value.hint.startswith("Role postgres can train here")
