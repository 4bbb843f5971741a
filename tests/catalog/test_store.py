"""The store: names, versions, aliases, defaults, signatures, removal, and what each refuses."""

import math
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from sqlml.catalog.records import RecordedView
from sqlml.errors import (
    ArtifactError,
    ConflictError,
    DependencyError,
    ModelExistsError,
    OptionValueError,
    ReadOnlyError,
    SignatureError,
    SqlmlError,
    UnknownModelError,
)
from sqlml.language.statements import ModelName, Span


def name_of(*parts, **at):
    return ModelName(tuple(parts), Span(7, 9), **at)


@pytest.fixture
def viewed(store, make, connection_of, database, schema):
    """A store with two versions of model m, and a view recorded on its bare name."""
    store.add_version(("m",), make.version(1.0))
    version = store.add_version(("m",), make.version(2.0))
    connection_of(store).execute(f"""CREATE VIEW scores AS SELECT '"{schema}"."m"' AS reference""")
    store.record_view(
        version.model, RecordedView("view", database, schema, "scores", None, "CREATE VIEW scores AS ...")
    )
    return store


def test_a_new_database_has_no_catalog_until_a_model_is_stored(store, connection_of, make, database):
    assert store.find_or_none(("m",)) is None
    assert store.list_models() == []
    assert store.databases() == []
    assert store.serving(database) == {}
    assert not store._engine.schema_exists(database, "sqlml")
    store.add_version(("m",), make.version())
    assert store.databases() == [database]


def test_a_version_comes_back_as_it_was_stored(store, make, database, schema):
    new = make.version()
    stored = store.add_version(name_of("Late"), new)
    again = store.resolve(name_of("LATE"))
    assert (again.version, again.model.name, again.model.schema, again.model.database) == (1, "Late", schema, database)
    for field in ("artifact_hash", "task", "statement", "options", "label", "label_type", "signature", "engine"):
        assert getattr(again, field) == getattr(new, field), field
    for field in ("engine_version", "library_versions", "fingerprint", "seed", "reproducible", "training_info"):
        assert getattr(again, field) == getattr(new, field), field
    assert again.evaluation["worst"] == math.inf
    assert math.isnan(again.evaluation["none"])
    assert again.has_artifact
    assert abs(again.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert store.artifact(again) == new.artifact
    assert tuple(store.metrics(again)) == new.metrics
    assert tuple(store.feature_statistics(again)) == new.feature_statistics
    assert stored.artifact_hash == again.artifact_hash


def test_versions_count_up_and_the_newest_is_the_default(store, make):
    records = [store.add_version(("m",), make.version(value)) for value in (1.0, 2.0, 3.0)]
    assert [record.version for record in records] == [1, 2, 3]
    assert store.resolve(name_of("m")).version == 3
    assert store.resolve(name_of("m", version=2)).artifact_hash == records[1].artifact_hash
    assert [record.version for record in store.list_versions(store.find(("m",)))] == [1, 2, 3]


def test_a_version_can_be_added_without_becoming_the_default(store, make):
    store.add_version(("m",), make.version(1.0))
    second = store.add_version(("m",), make.version(2.0), make_default=False)
    assert (second.version, second.model.default_version) == (2, 1)


def test_numbers_of_dropped_versions_are_not_used_again(store, make):
    model = store.add_version(("m",), make.version(1.0)).model
    store.add_version(("m",), make.version(2.0))
    store.drop(model, version=2, cascade=True)
    assert store.resolve(name_of("m")).version == 1
    assert store.add_version(("m",), make.version(3.0)).version == 3


def test_equal_artifacts_are_stored_once_and_kept_while_one_needs_them(store, make, connection_of):
    first = store.add_version(("a",), make.version())
    second = store.add_version(("b",), make.version())
    count = "SELECT count(*) FROM sqlml.artifacts"
    assert connection_of(store).execute(count).fetchone() == (1,)
    store.drop(first.model)
    assert store.artifact(second)
    store.drop(second.model)
    assert connection_of(store).execute(count).fetchone() == (0,)


@pytest.mark.parametrize(
    "hostile", ['a"b', "a'b", "a;DROP TABLE t", "ümlaut 中", "select", "a.b", " ", "`x`", "a\nb", "--", "x" * 200]
)
def test_any_identifier_can_name_a_model(store, make, hostile, database, schema):
    stored = store.add_version((hostile,), make.version())
    assert store.find((hostile.upper(),)).name == hostile
    store.set_alias(stored.model, hostile, stored)
    assert store.resolve(name_of(hostile, alias=hostile)).version == 1
    assert store.serving(database)[(schema, hostile)][hostile] == stored.artifact_hash
    store.rename(stored.model, (hostile + "2",))
    store.drop(store.find((hostile + "2",)))
    assert store.list_models() == []


def test_names_are_looked_up_in_the_schemas_of_the_search_path(store, make, connection_of, database, schema):
    connection = connection_of(store)
    connection.execute("CREATE SCHEMA ds")
    store.add_version(("ds", "m"), make.version(1.0))
    assert store.find_or_none(("m",)) is None
    assert store.find(("ds", "M")).schema == "ds"
    assert store.find((database.upper(), "ds", "m")).schema == "ds"
    connection.execute("SET search_path = 'ds'")
    assert store.find(("m",)).schema == "ds"
    store.add_version(("n",), make.version(1.0))
    assert store.find(("n",)).schema == "ds"
    connection.execute(f"SET search_path = {schema}")
    assert store.find_or_none(("n",)) is None
    store.add_version(("m",), make.version(2.0))
    connection.execute("SET search_path = 'ds'")
    assert store.find(("m",)).schema == "ds"
    assert [(model.schema, model.name) for model in store.list_models()] == [("ds", "m"), ("ds", "n"), (schema, "m")]


def test_unknown_names_get_the_nearest_one(store, make):
    model = store.add_version(("arrival_delay",), make.version()).model
    store.set_alias(model, "champion", store.resolve(name_of("arrival_delay")))
    with pytest.raises(UnknownModelError, match='model "arival_delay" does not exist') as caught:
        store.find(name_of("arival_delay"))
    assert caught.value.hint == 'Did you mean "arrival_delay"?'
    assert caught.value.position == 7
    with pytest.raises(UnknownModelError, match='model "zebra" does not exist') as caught:
        store.find(name_of("zebra"))
    assert caught.value.hint == "SHOW MODELS lists the models there are."
    with pytest.raises(UnknownModelError, match='model "arrival_delay" has no version 7') as caught:
        store.resolve(name_of("arrival_delay", version=7))
    assert caught.value.hint == "It has: 1."
    with pytest.raises(UnknownModelError, match='has no alias "champoin"') as caught:
        store.resolve(name_of("arrival_delay", alias="champoin"))
    assert caught.value.hint == 'Did you mean "champion"?'


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("nowhere", "m"), 'schema "nowhere" does not exist'),
        (("nowhere", "main", "m"), 'database "nowhere" does not exist'),
        (("a", "b", "c", "d"), '"a.b.c.d" is no name of a model'),
    ],
)
def test_models_go_into_schemas_that_exist(store, make, parts, message):
    for action in (store.require_writable, store.reserve, lambda name: store.add_version(name, make.version())):
        with pytest.raises(UnknownModelError, match=message):
            action(parts)


def test_a_reserved_model_is_invisible_until_it_has_a_version(store, make, connection_of):
    connection = connection_of(store)
    store._engine.begin()
    model = store.reserve(("m",))
    assert (model.name, model.default_version) == ("m", None)
    assert store.find_or_none(("m",)) is None
    assert store.list_models() == []
    store._engine.commit()
    assert connection.execute("SELECT count(*) FROM sqlml.models").fetchone() == (0,)
    assert store.add_version(("m",), make.version()).model.model_id == model.model_id


def test_rollback_leaves_nothing(store, make, connection_of):
    connection = connection_of(store)
    store._engine.begin()
    assert store.add_version(("m",), make.version()).version == 1
    assert store.resolve(name_of("m")).version == 1
    store._engine.rollback()
    assert store.find_or_none(("m",)) is None
    assert not store._engine.schema_exists(store._engine.current_database(), "sqlml")
    store.add_version(("m",), make.version())
    store._engine.begin()
    store.add_version(("m",), make.version(2.0))
    store.drop(store.find(("m",)))
    store.add_version(("m",), make.version(3.0))
    store._engine.rollback()
    assert store.resolve(name_of("m")).version == 1
    assert len(store.list_versions(store.find(("m",)))) == 1


def test_drop_and_create_again_in_one_transaction(store, make, connection_of):
    old = store.add_version(("m",), make.version()).model
    store._engine.begin()
    store.drop(old)
    new = store.add_version(("m",), make.version()).model
    store._engine.commit()
    assert new.model_id != old.model_id
    assert store.artifact(store.resolve(name_of("m")))


def test_aliases(store, make, database, schema):
    first = store.add_version(("m",), make.version(1.0))
    second = store.add_version(("m",), make.version(2.0))
    store.set_alias(first.model, "Champion", first)
    assert store.resolve(name_of("m", alias="champion")).version == 1
    store.set_alias(first.model, "CHAMPION", second)
    assert store.aliases(first.model) == {"CHAMPION": 2}
    names = store.serving(database)[(schema, "m")]
    assert names == {
        1: first.artifact_hash,
        2: second.artifact_hash,
        None: second.artifact_hash,
        "CHAMPION": second.artifact_hash,
    }
    store.drop_alias(first.model, "champion")
    assert store.aliases(first.model) == {}
    with pytest.raises(UnknownModelError, match='has no alias "champion"'):
        store.drop_alias(first.model, "champion")
    for bad in ("", "3"):
        with pytest.raises(OptionValueError, match="cannot be an alias"):
            store.set_alias(first.model, bad, first)


def test_default_and_options(store, make):
    first = store.add_version(("m",), make.version(1.0))
    store.add_version(("m",), make.version(2.0))
    store.set_default(first.model, first)
    assert store.resolve(name_of("m")).version == 1
    store.set_options(first.model, {"description": 'it\'s "fine"', "threshold": 0.3})
    assert store.find(("m",)).options == {"description": 'it\'s "fine"', "threshold": 0.3}


def test_rename(store, make, connection_of, schema):
    model = store.add_version(("m",), make.version()).model
    store.add_version(("other",), make.version())
    with pytest.raises(ModelExistsError, match='model "OTHER" already exists'):
        store.rename(model, name_of("OTHER"))
    store.rename(model, name_of("M"))
    assert store.find(("m",)).name == "M"
    connection_of(store).execute("CREATE SCHEMA ds")
    store.rename(model, name_of("ds", "n"))
    moved = store.find(("ds", "n"))
    assert moved.model_id == model.model_id
    assert len(store.list_versions(moved)) == 1
    with pytest.raises(UnknownModelError, match='database "nowhere" does not exist'):
        store.rename(moved, name_of("nowhere", schema, "n"))


def test_keep_frees_artifacts_and_keeps_the_record(store, make, connection_of, database, schema):
    versions = [store.add_version(("m",), make.version(float(n))) for n in range(1, 7)]
    model = versions[0].model
    store.set_default(model, versions[0])
    store.set_alias(model, "pinned", versions[2])
    connection_of(store).execute(f"""CREATE VIEW v AS SELECT '"{schema}"."m"@2' AS reference""")
    store.record_view(model, RecordedView("view", database, schema, "v", 2, "CREATE VIEW v AS ..."))
    assert store.keep(model, 2) == 1
    kept = {version.version: version.has_artifact for version in store.list_versions(model)}
    assert kept == {1: True, 2: True, 3: True, 4: False, 5: True, 6: True}
    freed = store.version(model, version=4)
    assert freed.statement
    with pytest.raises(UnknownModelError, match='the artifact of version 4 of model "m" was freed') as caught:
        store.artifact(freed)
    assert caught.value.hint == "Versions with an artifact: 1, 2, 3, 5, 6."
    with pytest.raises(UnknownModelError, match="was freed"):
        store.set_default(model, freed)
    assert 4 not in store.serving(database)[(schema, "m")]
    assert store.keep(model, 2) == 0
    with pytest.raises(OptionValueError, match="cannot keep 0 versions"):
        store.keep(model, 0)


def test_what_is_used_is_not_dropped_without_cascade(viewed, schema):
    model = viewed.find(("m",))
    with pytest.raises(DependencyError, match='cannot drop model "m" because other objects depend on it') as caught:
        viewed.drop(model)
    assert caught.value.detail == f"In use by: view {schema}.scores."
    with pytest.raises(DependencyError, match='cannot rename model "m"'):
        viewed.rename(model, ("n",))
    with pytest.raises(DependencyError, match="because it is the default version"):
        viewed.drop(model, version=2)
    viewed.set_alias(model, "old", viewed.version(model, version=1))
    with pytest.raises(DependencyError, match="because aliases name it"):
        viewed.drop(model, version=1)
    viewed.drop(model, version=1, cascade=True)
    assert viewed.aliases(model) == {}
    with pytest.raises(DependencyError, match="is the only one"):
        viewed.drop(model, version=2, cascade=True)
    viewed.drop(model, cascade=True)
    assert not viewed._engine.relation_exists(("scores",))
    assert viewed.list_models() == []


def test_a_view_that_is_gone_or_no_longer_uses_the_model_forbids_nothing(viewed, connection_of):
    model = viewed.find(("m",))
    assert [view.name for view in viewed.views_of(model)] == ["scores"]
    connection_of(viewed).execute("DROP VIEW scores; CREATE VIEW scores AS SELECT 1 AS one")
    assert viewed.views_of(model) == []
    connection_of(viewed).execute("DROP VIEW scores")
    viewed.drop(model)


@pytest.mark.duckdb_only("Postgres has no macros")
def test_macros_are_dropped_by_cascade(viewed, connection_of, database, schema):
    model = viewed.find(("m",))
    connection = connection_of(viewed)
    connection.execute("CREATE MACRO score(a) AS 'main.m' || a")
    connection.execute("CREATE MACRO scored(a) AS TABLE SELECT 'main.m' || a")
    for name in ("score", "scored"):
        viewed.record_view(model, RecordedView("macro", database, schema, name, None, "CREATE MACRO ..."))
    assert [view.name for view in viewed.views_of(model)] == ["score", "scored", "scores"]
    viewed.drop(model, cascade=True)
    left = "SELECT count(*) FROM duckdb_functions() WHERE function_name IN ('score', 'scored')"
    assert connection.execute(left).fetchone() == (0,)


def test_a_signature_does_not_change_under_a_view(viewed, make, schema):
    other = viewed.add_version(("m",), make.version(3.0, (("x", "text"), ("z", "number"))))
    assert (other.version, other.model.default_version) == (3, 2)
    with pytest.raises(SignatureError, match='version 3 of model "m" has another signature than version 2') as caught:
        viewed.set_default(other.model, other)
    assert caught.value.detail == (
        f"New input: z. Input x was number and is text. In use by: view {schema}.scores."
    )
    assert "REBUILD VIEWS" in caught.value.hint
    viewed.set_default(other.model, other, rebuild_views=True)
    assert viewed.resolve(name_of("m")).version == 3


def test_a_label_of_another_type_is_another_signature(viewed, make):
    other = viewed.add_version(("m",), make.version(3.0, label_type="VARCHAR"))
    with pytest.raises(SignatureError, match="another signature") as caught:
        viewed.set_default(other.model, other)
    assert caught.value.detail.startswith("The output was DOUBLE and is VARCHAR.")


def test_a_view_on_a_pinned_version_allows_another_signature(store, make, connection_of, database, schema):
    first = store.add_version(("m",), make.version(1.0))
    connection_of(store).execute(f"""CREATE VIEW v AS SELECT '"{schema}"."m"@1' AS reference""")
    store.record_view(first.model, RecordedView("view", database, schema, "v", 1, "CREATE VIEW v AS ..."))
    second = store.add_version(("m",), make.version(2.0, (("z", "number"),)))
    assert second.model.default_version == 2
    with pytest.raises(DependencyError, match="cannot drop version 1"):
        store.drop(first.model, version=1)
    store.drop(first.model, version=1, cascade=True)
    assert store.views_of(first.model) == []


def test_a_view_on_an_alias_keeps_the_alias(store, make, connection_of, database, schema):
    first = store.add_version(("m",), make.version(1.0))
    store.set_alias(first.model, "best", first)
    connection_of(store).execute(f"""CREATE VIEW v AS SELECT '"{schema}"."m"@"best"' AS reference""")
    view = RecordedView("view", database, schema, "v", None, "CREATE VIEW v AS ...", alias="best")
    store.record_view(first.model, view)
    with pytest.raises(DependencyError, match='cannot drop alias "best"'):
        store.drop_alias(first.model, "best")
    other = store.add_version(("m",), make.version(2.0, (("z", "number"),)))
    assert other.model.default_version == 2
    with pytest.raises(SignatureError, match="another signature"):
        store.set_alias(first.model, "best", other)


def test_the_same_view_is_recorded_once(viewed, database, schema):
    model = viewed.find(("m",))
    viewed.record_view(model, RecordedView("view", database, schema, "SCORES", None, "CREATE VIEW SCORES AS ..."))
    assert [view.statement for view in viewed.views_of(model)] == ["CREATE VIEW SCORES AS ..."]
    viewed.forget_view(database, schema, "scores")
    assert viewed.views_of(model) == []


def test_events_tell_the_story(store, make, connection_of):
    first = store.add_version(("m",), make.version(1.0))
    store.set_alias(first.model, "a", first)
    store.drop_alias(first.model, "a")
    store.set_options(first.model, {"threshold": 0.2})
    store.rename(first.model, ("n",))
    store.drop(store.find(("n",)))
    events = connection_of(store).execute("SELECT event, model_name FROM sqlml.model_events").fetchall()
    assert events == [
        ("create version", "m"),
        ("set alias", "m"),
        ("drop alias", "m"),
        ("set options", "m"),
        ("rename", "m"),
        ("drop model", "n"),
    ]


def test_a_lost_artifact_is_an_error(store, make, connection_of):
    version = store.add_version(("m",), make.version())
    connection_of(store).execute("DELETE FROM sqlml.artifacts")
    with pytest.raises(ArtifactError, match="has no artifact"):
        store.artifact(version)


# -- the catalog as others see it ------------------------------------------------------------------------------------------


@pytest.mark.duckdb_only("Postgres has no files to open")
def test_views_are_readable_by_a_plain_connection(open_store, make, tmp_path, connection_of):
    path = tmp_path / "models.duckdb"
    store = open_store(path)
    version = store.add_version(("m",), make.version())
    store.set_alias(version.model, "best", version)
    connection_of(store).close()
    with duckdb.connect(str(path), read_only=True) as plain:
        counts = {
            view: len(plain.execute(f"SELECT * FROM sqlml.{view}").fetchall())
            for view in (
                "models",
                "model_versions",
                "model_metrics",
                "model_features",
                "model_aliases",
                "model_events",
                "serving",
            )
        }
        assert counts == {
            "models": 1, "model_versions": 1, "model_metrics": 3, "model_features": 1, "model_aliases": 1,
            "model_events": 2, "serving": 2,
        }  # fmt: skip
        row = plain.execute("SELECT model_name, task, default_version, created_at FROM sqlml.models").fetchone()
        assert row[:3] == ("m", "regression", 1)
        assert row[3].tzinfo is None
        assert plain.execute("SELECT training_rows, has_artifact FROM sqlml.model_versions").fetchall() == [(10, True)]


@pytest.mark.duckdb_only("Postgres has no files to open")
@pytest.mark.parametrize("file_name", ["sqlml.duckdb", "ml.duckdb", "main.duckdb", 'a "b".duckdb', "temp2.duckdb"])
def test_any_file_name_works(open_store, make, tmp_path, connection_of, file_name):
    path = tmp_path / file_name
    store = open_store(path)
    version = store.add_version(("m",), make.version())
    store.set_alias(version.model, "best", version)
    assert store.find(("m",)).database == connection_of(store).execute("SELECT current_database()").fetchone()[0]
    connection_of(store).close()
    renamed = path.with_name("renamed.duckdb")
    path.rename(renamed)
    again = open_store(renamed)
    assert again.resolve(name_of("m", alias="best")).version == 1
    assert again.serving("renamed")[("main", "m")][None] == version.artifact_hash
    assert connection_of(again).execute('SELECT count(*) FROM "renamed"."sqlml"."models"').fetchone() == (1,)
    again.add_version(("m",), make.version(2.0))


@pytest.mark.duckdb_only("a connection to Postgres sees one database")
def test_attached_databases(open_store, make, tmp_path, connection_of):
    store = open_store(tmp_path / "here.duckdb")
    connection = connection_of(store)
    connection.execute(f"ATTACH '{tmp_path / 'sqlml.duckdb'}'")
    connection.execute(f"ATTACH '{tmp_path / 'there.duckdb'}' AS there")
    for name in (("m",), ("sqlml", "m"), ("there", "main", "m")):
        assert store.add_version(name, make.version()).version == 1
    assert store.databases() == ["here", "sqlml", "there"]
    assert store.find(("there", "m")).database == "there"
    assert store.find(("m",)).database == "here"
    assert [model.database for model in store.list_models("there")] == ["there"]
    connection.execute("USE there")
    assert store.find(("m",)).database == "there"
    with pytest.raises(SqlmlError, match="cannot move to another database"):
        store.rename(store.find(("m",)), name_of("here", "main", "n"))
    connection.execute("USE here")
    store._engine.begin()
    store.add_version(("m",), make.version(2.0))
    with pytest.raises(SqlmlError, match="already modified database"):
        store.add_version(("there", "m"), make.version(2.0))
    store._engine.rollback()
    assert store.resolve(name_of("m")).version == 1


@pytest.mark.duckdb_only("a connection to Postgres sees one database")
def test_a_view_in_another_database_is_not_recorded(open_store, make, tmp_path, connection_of):
    store = open_store(tmp_path / "here.duckdb")
    connection_of(store).execute(f"ATTACH '{tmp_path / 'there.duckdb'}' AS there")
    model = store.add_version(("there", "m"), make.version()).model
    store._engine.begin()
    connection_of(store).execute("CREATE VIEW here.main.v AS SELECT 'main.m' AS reference")
    store.record_view(model, RecordedView("view", "here", "main", "v", None, "CREATE VIEW v AS ..."))
    store._engine.commit()
    assert store.views_of(model) == []


@pytest.mark.duckdb_only("Postgres has no files to open")
def test_read_only_files_are_read_and_not_written(open_store, make, tmp_path, connection_of):
    path = tmp_path / "models.duckdb"
    first = open_store(path)
    first.add_version(("m",), make.version())
    connection_of(first).close()
    store = open_store(path, read_only=True)
    version = store.resolve(name_of("m"))
    assert store.artifact(version)
    for action in (
        lambda: store.require_writable(("m",)),
        lambda: store.reserve(("n",)),
        lambda: store.add_version(("m",), make.version(2.0)),
        lambda: store.set_alias(version.model, "a", version),
        lambda: store.drop(version.model),
    ):
        with pytest.raises(ReadOnlyError, match="open for reading only"):
            action()
    store.forget_view("models", "main", "v")


def test_a_read_only_transaction_is_told_apart(store, make, connection_of):
    connection_of(store).execute("BEGIN TRANSACTION READ ONLY")
    with pytest.raises(ReadOnlyError, match="read-only|reading only"):
        store.add_version(("m",), make.version())
    store._engine.rollback()


def test_a_table_of_the_user_in_the_way_is_an_error(store, make, connection_of):
    connection_of(store).execute("CREATE SCHEMA sqlml; CREATE TABLE sqlml.models (i INTEGER)")
    with pytest.raises(SqlmlError, match="models"):
        store.add_version(("m",), make.version())
    assert connection_of(store).execute("SELECT count(*) FROM sqlml.models").fetchone() == (0,)
    assert store.databases() == []


# -- two sessions ------------------------------------------------------------------------------------------------------------


@pytest.mark.duckdb_only("there the second writer waits for the first: see test_postgres_sessions")
def test_two_transactions_on_one_model_conflict(open_store, make, connection_of):
    first = open_store()
    version = first.add_version(("m",), make.version())
    second = open_store()
    for action in (
        lambda: second.add_version(("m",), make.version(3.0)),
        lambda: second.set_options(version.model, {}),
        lambda: second.drop(version.model),
        lambda: second.reserve(("m",)),
    ):
        first._engine.begin()
        first.add_version(("m",), make.version(2.0))
        second._engine.begin()
        with pytest.raises(ConflictError, match="another session changed the same models") as caught:
            action()
        assert caught.value.sqlstate == "40001"
        second._engine.rollback()
        first._engine.rollback()
    assert second.add_version(("m",), make.version(3.0)).version == 2


@pytest.mark.duckdb_only("there the second writer waits for the first: see test_postgres_sessions")
def test_two_first_models_conflict_on_the_catalog(open_store, make, connection_of):
    first = open_store()
    second = open_store()
    first._engine.begin()
    second._engine.begin()
    first.add_version(("a",), make.version())
    with pytest.raises(ConflictError, match="at the same time"):
        second.add_version(("b",), make.version())
    second._engine.rollback()
    first._engine.commit()
    second.add_version(("b",), make.version())
    assert [model.name for model in first.list_models()] == ["a", "b"]


@pytest.mark.duckdb_only("there the second writer waits for the first: see test_postgres_sessions")
@pytest.mark.parametrize("names", [("n", "N"), ("a", "b")], ids=["same name", "same artifact"])
def test_two_new_models_of_one_name_or_artifact_conflict_at_commit(open_store, make, connection_of, names):
    first = open_store()
    first.add_version(("m",), make.version(9.0))
    second = open_store()
    engine = second._engine
    first._engine.begin()
    engine.begin()
    first.add_version((names[0],), make.version())
    second.add_version((names[1],), make.version())
    first._engine.commit()
    with pytest.raises(ConflictError, match="at the same time"):
        engine.commit()
    engine.rollback()
    stored = second.add_version((names[1],), make.version())
    assert stored.version == (2 if names == ("n", "N") else 1)


@pytest.mark.duckdb_only("there the second writer waits for the first: see test_postgres_sessions")
def test_freeing_an_artifact_that_another_session_begins_to_share_conflicts(open_store, make, connection_of):
    first = open_store()
    old = first.add_version(("a",), make.version())
    second = open_store()
    first._engine.begin()
    second._engine.begin()
    second.add_version(("b",), make.version())
    with pytest.raises(ConflictError, match="at the same time"):
        first.drop(old.model)
    first._engine.rollback()
    second._engine.commit()
    first.drop(old.model)
    assert second.artifact(second.resolve(name_of("b")))


def test_a_model_dropped_meanwhile_is_a_conflict(open_store, make, connection_of):
    first = open_store()
    model = first.add_version(("m",), make.version()).model
    second = open_store()
    second.drop(model)
    with pytest.raises(ConflictError, match="was dropped by another session"):
        first.set_options(model, {})


def test_uncommitted_models_are_invisible_to_others(open_store, make, connection_of):
    first = open_store()
    first.add_version(("m",), make.version())
    second = open_store()
    first._engine.begin()
    first.add_version(("m",), make.version(2.0))
    assert second.resolve(name_of("m")).version == 1
    first._engine.commit()
    assert second.resolve(name_of("m")).version == 2
