"""Who may use a model: owners, grants, REVOKE and SET ROLE, asked in every statement, whatever the caches hold."""

import psycopg
import pytest

from .conftest import run, value

SCORE = "SELECT sqlml.predict('churn', c) FROM customers AS c LIMIT 1"
TRAIN = "CREATE OR REPLACE MODEL {} OPTIONS (input_label_cols = ['churned'], max_iterations = 5) AS SELECT age, churned FROM customers"
DENIED = psycopg.errors.InsufficientPrivilege


def model_id(root, name="churn"):
    return value(root, "SELECT model_id FROM sqlml._models WHERE model_name = %s", name)


def test_a_reader_needs_a_grant(root, connect):
    bob = connect("bob")
    with pytest.raises(DENIED, match='permission denied for model "churn"'):
        bob.execute(SCORE)
    root.execute("SELECT sqlml._grant_usage(%s, 'bob')", [model_id(root)])
    assert value(bob, SCORE) is not None
    root.execute("SELECT sqlml._revoke_usage(%s, 'bob')", [model_id(root)])
    with pytest.raises(DENIED, match='permission denied for model "churn"'):
        bob.execute(SCORE)


def test_grant_and_revoke_in_the_dialect(root, connect):
    bob = connect("bob")
    run(root, "GRANT USAGE ON MODEL churn TO bob")
    assert value(bob, SCORE) is not None
    run(root, "REVOKE USAGE ON MODEL churn FROM bob")
    with pytest.raises(DENIED, match='permission denied for model "churn"'):
        bob.execute(SCORE)


def test_a_grant_to_public_or_to_a_group(root, connect):
    bob = connect("bob")
    for grantee in ("public", "sqlml_reader"):
        root.execute("SELECT sqlml._grant_usage(%s, %s)", [model_id(root), grantee])
        assert value(bob, SCORE) is not None
        root.execute("SELECT sqlml._revoke_usage(%s, %s)", [model_id(root), grantee])
    with pytest.raises(DENIED, match="permission denied"):
        bob.execute(SCORE)


def test_a_warm_cache_opens_nothing(root):
    """The backend has scored as the superuser; whoever it becomes is asked again, also by hash."""
    assert value(root, SCORE) is not None
    artifact = value(root, "SELECT artifact_hash FROM sqlml.artifacts")
    root.execute("SET ROLE bob")
    with pytest.raises(DENIED, match="permission denied"):
        root.execute(SCORE)
    packed = "SELECT sqlml._value(%s, ARRAY[1, 2, 0]::float8[], ARRAY[now()], ARRAY['gold'])"
    with pytest.raises(DENIED, match="may be used"):
        root.execute(packed, ["sha256:" + artifact])
    root.execute("RESET ROLE")
    assert value(root, packed, "sha256:" + artifact) is not None
    with pytest.raises(DENIED, match="permission denied"):
        root.execute(f"BEGIN; {SCORE}; SET LOCAL ROLE bob; {SCORE}; COMMIT")
    root.execute("ROLLBACK")


def test_what_is_stored_is_hidden_with_the_model(root, connect):
    bob = connect("bob")
    relations = (
        "models",
        "model_versions",
        "model_metrics",
        "model_features",
        "serving",
        "artifacts",
        "_models",
        "_versions",
    )
    for name in relations:
        assert value(root, f"SELECT count(*) FROM sqlml.{name}") > 0
        assert value(bob, f"SELECT count(*) FROM sqlml.{name}") == 0, name
    root.execute("SELECT sqlml._grant_usage(%s, 'bob')", [model_id(root)])
    for name in relations:
        assert value(bob, f"SELECT count(*) FROM sqlml.{name}") > 0, name


def test_a_trainer_owns_what_it_creates(root, connect):
    alice, eve = connect("alice"), connect("eve")
    run(alice, TRAIN.format("hers"))
    assert value(root, "SELECT owner FROM sqlml.models WHERE model_name = 'hers'") == "alice"
    assert [row["name"] for row in run(alice, "SHOW MODELS")] == ["hers"]
    assert run(eve, "SHOW MODELS") == []
    for statement in (TRAIN.format("hers"), TRAIN.format("churn")):
        with pytest.raises(DENIED, match="must be owner of model"):
            run(eve, statement)
    with pytest.raises(psycopg.errors.UndefinedObject, match='model "hers" does not exist'):
        run(eve, "DROP MODEL hers")
    alice.execute("SELECT sqlml._grant_usage((SELECT model_id FROM sqlml._models WHERE model_name = 'hers'), 'eve')")
    for statement in ("DROP MODEL hers", "ALTER MODEL hers SET ALIAS a = 1", TRAIN.format("hers")):
        with pytest.raises(DENIED, match='must be owner of model "hers"'):
            run(eve, statement)
    with pytest.raises(DENIED, match='must be owner of model "hers"'):
        eve.execute("SELECT sqlml._grant_usage((SELECT model_id FROM sqlml._models WHERE model_name = 'hers'), 'bob')")
    assert run(alice, "DROP MODEL hers") == [{"status": "DROP MODEL"}]
    assert value(root, "SELECT count(*) FROM sqlml._grants") == 0
    assert value(root, "SELECT count(*) FROM sqlml.artifacts") == 1


def test_a_reader_does_not_train(connect):
    bob = connect("bob")
    with pytest.raises(DENIED, match="permission denied for function execute"):
        run(bob, TRAIN.format("his"))
    with pytest.raises(DENIED, match="permission denied"):
        bob.execute("INSERT INTO sqlml._models SELECT * FROM sqlml._models")


def test_training_reads_with_the_rights_of_the_caller(root, connect):
    root.execute("CREATE TABLE secret AS SELECT * FROM customers")
    with pytest.raises(DENIED, match="permission denied for table secret"):
        run(connect("alice"), TRAIN.format("spy").replace("FROM customers", "FROM secret"))


def test_a_model_is_created_where_a_table_may_be(root, connect):
    root.execute("CREATE SCHEMA closed; GRANT USAGE ON SCHEMA closed TO alice")
    with pytest.raises(DENIED, match="permission denied for schema closed"):
        run(connect("alice"), TRAIN.format("closed.m"))


def test_tables_cannot_be_written_around_the_functions(root, connect):
    """A trainer may write rows of its own models, but neither artifacts nor others' rows, nor take what it may not use."""
    eve = connect("eve")
    artifact = value(root, "SELECT artifact_hash FROM sqlml.artifacts")
    with pytest.raises(DENIED, match="permission denied for table artifacts"):
        eve.execute("INSERT INTO sqlml.artifacts VALUES ('x', 'y', 1, 0)")
    with pytest.raises(DENIED, match="permission denied for table _images"):
        eve.execute("INSERT INTO sqlml._images VALUES ('x', 'y')")
    assert eve.execute("UPDATE sqlml._models SET revision = 99").rowcount == 0
    assert eve.execute("DELETE FROM sqlml._versions").rowcount == 0
    assert eve.execute("DELETE FROM sqlml.artifacts").rowcount == 0
    with pytest.raises(DENIED, match="permission denied"):
        eve.execute("UPDATE sqlml._models SET owner_name = 'eve'")
    run(eve, TRAIN.format("own"))
    theirs = value(eve, "SELECT model_id FROM sqlml._models WHERE model_name = 'own'")
    copied = (
        "INSERT INTO sqlml._versions SELECT model_id, 2, %s, task, statement, options, label, label_type, signature, engine, "
        "engine_version, library_versions, fingerprint, seed, reproducible, created_at, evaluation, training_info, notices, "
        "freed FROM sqlml._versions WHERE model_id = %s"
    )
    with pytest.raises(DENIED, match="row-level security"):
        eve.execute(copied, [artifact, theirs])
    with pytest.raises(DENIED, match="row-level security"):
        eve.execute(
            "INSERT INTO sqlml._models SELECT gen_random_uuid(), 'public', 'forged', 'public', 'forged', 1, 1, 0, '{}', now(), "
            "'postgres'::regrole, 'postgres'"
        )


def test_equal_artifacts_of_two_owners(root, connect):
    """Both own a version of one artifact; neither learns of the other, and it stays until both are gone."""
    alice, eve = connect("alice"), connect("eve")
    run(alice, TRAIN.format("one"))
    run(eve, TRAIN.format("two"))
    query = "SELECT artifact_hash FROM sqlml.model_versions"
    assert alice.execute(query).fetchall() == eve.execute(query).fetchall()
    run(alice, "DROP MODEL one")
    assert value(eve, "SELECT sqlml.predict('two', c) FROM customers AS c LIMIT 1") is not None
    run(eve, "DROP MODEL two")
    assert value(root, "SELECT count(*) FROM sqlml.artifacts") == 1


def test_a_role_of_the_same_name_is_another_role(root, connect, cluster):
    root.execute("CREATE ROLE passing LOGIN IN ROLE sqlml_reader; GRANT SELECT ON customers TO passing")
    root.execute("SELECT sqlml._grant_usage(%s, 'passing')", [model_id(root)])
    try:
        assert value(connect("passing"), SCORE) is not None
        root.execute(
            "DROP OWNED BY passing; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'passing'"
        )
        root.execute("DROP ROLE passing")
        root.execute("CREATE ROLE passing LOGIN IN ROLE sqlml_reader; GRANT SELECT ON customers TO passing")
        with pytest.raises(DENIED, match="permission denied for model"):
            connect("passing").execute(SCORE)
    finally:
        root.execute("DROP OWNED BY passing; DROP ROLE passing")


def test_an_unknown_grantee(root):
    with pytest.raises(psycopg.errors.UndefinedObject, match='role "nobody_here" does not exist'):
        root.execute("SELECT sqlml._grant_usage(%s, 'nobody_here')", [model_id(root)])
