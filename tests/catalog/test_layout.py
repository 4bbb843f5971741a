"""Catalogs of other releases: older ones are migrated or at least score, newer ones score and are never written."""

import pytest

from sqlml.catalog import layout
from sqlml.errors import CatalogVersionError, SqlmlError
from sqlml.language.statements import ModelName, Span
from sqlml.sqltext import read_sql

MODEL = ModelName(("m",), Span(0, 1))
MIGRATION = """
ALTER TABLE {schema}._models ADD COLUMN patron VARCHAR;
UPDATE {schema}._catalog SET schema_version = 2;
"""


@pytest.fixture
def stored(open_store, make):
    """A database with one model, written by this release."""
    store = open_store()
    version = store.add_version(("m",), make.version())
    store.set_alias(version.model, "best", version)
    return store


@pytest.fixture
def stored_file(tmp_path, open_store, make, connection_of):
    """The same as a file."""
    path = tmp_path / "models.duckdb"
    store = open_store(path)
    version = store.add_version(("m",), make.version())
    store.set_alias(version.model, "best", version)
    connection_of(store).close()
    return path


@pytest.fixture
def next_release(monkeypatch):
    """This process is of a release whose catalog has version 2."""

    def release(migration=MIGRATION):
        texts = {"catalog/duckdb_1.sql": migration, "catalog/postgres_1.sql": migration}
        monkeypatch.setattr(layout, "SCHEMA_VERSION", 2)
        monkeypatch.setattr(layout, "read_sql", lambda name: texts.get(name) or read_sql(name))

    return release


def schema_version(connection):
    return connection.execute("SELECT max(schema_version) FROM sqlml._catalog").fetchone()[0]


def test_an_older_catalog_is_migrated_when_it_is_first_read(stored, open_store, next_release, connection_of):
    next_release()
    store = open_store()
    assert store.resolve(MODEL).statement
    assert schema_version(connection_of(store)) == 2
    assert connection_of(store).execute("SELECT patron FROM sqlml._models").fetchall() == [(None,)]


def test_in_a_transaction_it_scores_and_is_migrated_with_the_first_write(
    stored, open_store, make, next_release, connection_of
):
    next_release("UPDATE {schema}._catalog SET schema_version = 2;")
    store = open_store()
    store._engine.begin()
    assert store.artifact(store.resolve(MODEL))
    assert schema_version(connection_of(store)) == 1
    with pytest.raises(CatalogVersionError, match="has version 1, this release has 2") as caught:
        store.metrics(store.resolve(MODEL))
    assert caught.value.hint == "End the transaction, so that the catalog can be migrated in one of its own."
    store.add_version(("m",), make.version(2.0))
    assert schema_version(connection_of(store)) == 2
    store._engine.rollback()
    assert schema_version(connection_of(store)) == 1


def test_a_failing_migration_changes_nothing(stored, open_store, next_release, connection_of):
    next_release(MIGRATION + "SELECT * FROM {schema}.no_such_table;")
    store = open_store()
    with pytest.raises(SqlmlError, match="no_such_table"):
        store.list_models()
    assert schema_version(connection_of(store)) == 1
    assert not store._engine.in_transaction()


@pytest.mark.duckdb_only(
    "Postgres has no files to open for reading only; a read-only session is test_a_read_only_session_of_an_older_release_scores"
)
def test_a_read_only_file_of_an_older_release_scores(stored_file, open_store, make, next_release):
    next_release()
    store = open_store(stored_file, read_only=True)
    version = store.resolve(MODEL)
    assert store.artifact(version) == make.version().artifact
    assert (version.task, version.label, version.label_type, version.signature) == (
        "regression",
        "y",
        "DOUBLE",
        (("x", "number"),),
    )
    assert store.resolve(ModelName(("M",), Span(0, 1), alias="best")).version == 1
    assert [model.name for model in store.list_models()] == ["m"]
    assert store.serving("models")[("main", "m")][None] == version.artifact_hash
    with pytest.raises(CatalogVersionError, match="has version 1, this release has 2") as caught:
        store.metrics(version)
    assert (
        caught.value.hint == "Open the database once for writing, so that it is migrated. Scoring works all the same."
    )


@pytest.mark.postgres_only("the same for DuckDB is test_a_read_only_file_of_an_older_release_scores")
def test_a_read_only_session_of_an_older_release_scores(stored, open_store, make, next_release):
    next_release()
    store = open_store(read_only=True)
    version = store.resolve(MODEL)
    assert store.artifact(version) == make.version().artifact
    assert store.resolve(ModelName(("M",), Span(0, 1), alias="best")).version == 1
    with pytest.raises(CatalogVersionError, match="has version 1, this release has 2") as caught:
        store.metrics(version)
    assert "Scoring works all the same." in caught.value.hint


def test_a_newer_catalog_scores_and_is_not_written(stored, open_store, make, connection_of):
    rename = "ALTER TABLE sqlml._models RENAME COLUMN options TO choices"
    stored._engine.run(f"UPDATE sqlml._catalog SET schema_version = 9; {rename}")
    store = open_store()
    version = store.resolve(MODEL)
    assert store.artifact(version) == make.version().artifact
    assert store.version(version.model, alias="best").version == 1
    for action in (
        lambda: store.add_version(("m",), make.version(2.0)),
        lambda: store.require_writable(("m",)),
        lambda: store.reserve(("n",)),
        lambda: store.drop(version.model),
        lambda: store.feature_statistics(version),
        lambda: store.views_of(version.model),
    ):
        with pytest.raises(CatalogVersionError, match="has version 9, this release has 1") as caught:
            action()
        assert (
            caught.value.hint
            == "It was written by a newer release of sqlml: install that one. Scoring works all the same."
        )
    assert schema_version(connection_of(store)) == 9


def test_all_sql_texts_are_found():
    assert "CREATE TABLE {schema}._models" in read_sql("catalog/duckdb.sql")
    with pytest.raises(SqlmlError, match=r'no SQL file "none\.sql"'):
        read_sql("none.sql")
