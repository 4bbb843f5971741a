"""Several sessions at one catalog of Postgres: who comes second waits, as a writer of Postgres does, and then goes on or is told."""

import threading

import pytest

from sqlml.errors import ArtifactError, ConflictError, EngineError, SqlmlError
from udfs.artifact import read_artifact


@pytest.fixture
def engine_name():
    return "postgres"


@pytest.fixture
def behind():
    """Runs an action in a thread; ``behind(action)()`` waits and gives its result or error."""
    threads = []

    def run(action):
        outcome = []

        def act():
            try:
                outcome.append(action())
            except SqlmlError as error:
                outcome.append(error)

        threads.append(threading.Thread(target=act))
        threads[-1].start()

        def wait(timeout=20):
            threads[-1].join(timeout)
            assert outcome, "still waiting"
            return outcome[0]

        return wait

    yield run
    for thread in threads:
        thread.join(20)


def is_waiting(store, behind_store):
    """Whether the session of ``behind_store`` comes to wait for a lock."""
    pid = behind_store._engine.connection.info.backend_pid
    query = "SELECT coalesce(bool_or(cardinality(pg_blocking_pids(pid)) > 0), false) FROM pg_stat_activity WHERE pid = ?"
    for _ in range(200):
        if store.rows(query, [pid])[0][0]:
            return True
        threading.Event().wait(0.02)
    return False


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_the_second_writer_waits_and_adds_the_next_version(open_store, make, behind, engine, ending):
    first, second = open_store(), open_store()
    first.add_version(("m",), make.version(1.0))
    first._engine.begin()
    first.add_version(("m",), make.version(2.0))
    later = behind(lambda: second.add_version(("m",), make.version(3.0)))
    assert is_waiting(engine, second)
    getattr(first._engine, ending)()
    assert later().version == (3 if ending == "commit" else 2)
    versions = first.list_versions(first.find(("m",)))
    assert [version.version for version in versions] == list(range(1, len(versions) + 1))
    assert first.find(("m",)).default_version == len(versions)


def test_who_waits_in_a_snapshot_is_told_to_run_again(open_store, make, behind, engine):
    first, second = open_store(), open_store()
    first.add_version(("m",), make.version(1.0))
    second._engine.begin_snapshot()
    second.find(("m",))
    first._engine.begin()
    first.add_version(("m",), make.version(2.0))
    later = behind(lambda: second.add_version(("m",), make.version(3.0)))
    assert is_waiting(engine, second)
    first._engine.commit()
    error = later()
    assert isinstance(error, ConflictError)
    assert (error.sqlstate, error.hint) == ("40001", "Run the statement again.")
    second._engine.rollback()
    assert second.add_version(("m",), make.version(3.0)).version == 3


def test_a_deadlock_is_a_conflict_of_one(open_store, make, behind, engine):
    first, second = open_store(), open_store()
    for name in ("a", "b"):
        first.add_version((name,), make.version(1.0 if name == "a" else 2.0))
    for store in (first, second):
        store._engine.run("SET deadlock_timeout = '50ms'")
        store._engine.begin()
    first.reserve(("a",))
    second.reserve(("b",))
    later = behind(lambda: second.reserve(("a",)))
    assert is_waiting(engine, second)
    outcomes = []
    try:
        outcomes.append(first.reserve(("b",)))
    except ConflictError as error:
        outcomes.append(error)
    first._engine.rollback()
    outcomes.append(later())
    second._engine.rollback()
    conflicts = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
    assert len(conflicts) == 1
    assert "deadlock" in conflicts[0].detail.lower()


def test_lock_timeout_is_the_users(open_store, make):
    first, second = open_store(), open_store()
    first.add_version(("m",), make.version(1.0))
    second._engine.run("SET lock_timeout = '50ms'")
    first._engine.begin()
    first.reserve(("m",))
    with pytest.raises(ConflictError, match="at the same time"):
        second.add_version(("m",), make.version(2.0))
    assert not second._engine.in_transaction()
    first._engine.rollback()
    assert second.add_version(("m",), make.version(2.0)).version == 2


@pytest.mark.parametrize("names", [("a", "b"), ("m", "M")])
def test_two_first_models_of_a_database(open_store, make, behind, engine, names):
    """One creates the catalog; the other waits for it and is told, or finds it there."""
    first, second = open_store(), open_store()
    first._engine.begin()
    first.add_version((names[0],), make.version(1.0))
    later = behind(lambda: second.add_version((names[1],), make.version(2.0)))
    assert is_waiting(engine, second)
    first._engine.commit()
    outcome = later()
    assert isinstance(outcome, ConflictError)
    assert second.add_version((names[1],), make.version(2.0)).version == (1 if names[0] == "a" else 2)


@pytest.mark.parametrize("names", [("n", "N"), ("a", "b")], ids=["same name", "same artifact"])
def test_two_new_models_of_one_name_or_artifact(open_store, make, behind, engine, names):
    first, second = open_store(), open_store()
    first.add_version(("m",), make.version(9.0))
    first._engine.begin()
    first.add_version((names[0],), make.version())
    later = behind(lambda: second.add_version((names[1],), make.version()))
    assert is_waiting(engine, second)
    first._engine.commit()
    assert isinstance(later(), ConflictError)
    stored = second.add_version((names[1],), make.version())
    assert stored.version == (2 if names == ("n", "N") else 1)


def test_an_artifact_is_not_freed_while_another_session_begins_to_share_it(open_store, make, behind, engine):
    first, second = open_store(), open_store()
    old = first.add_version(("a",), make.version())
    second._engine.begin()
    second.add_version(("b",), make.version())
    later = behind(lambda: first.drop(old.model))
    assert is_waiting(engine, first)
    second._engine.commit()
    assert later() is None
    shared = second.version(second.find(("b",)), version=1)
    assert read_artifact(second.artifact(shared)).task == "regression"


def test_an_artifact_that_was_freed_while_another_session_wanted_to_share_it(open_store, make, behind, engine):
    first, second = open_store(), open_store()
    old = first.add_version(("a",), make.version())
    first._engine.begin()
    first.drop(old.model)
    later = behind(lambda: second.add_version(("b",), make.version()))
    assert is_waiting(engine, second)
    first._engine.commit()
    outcome = later()
    if isinstance(outcome, SqlmlError):
        assert isinstance(outcome, ConflictError)
        outcome = second.add_version(("b",), make.version())
    assert read_artifact(second.artifact(outcome)).task == "regression"


def test_serializable_sessions_that_replace_one_model_retry_to_the_end(open_store, make):
    stores = [open_store(), open_store()]
    stores[0].add_version(("m",), make.version(0.0))
    for store in stores:
        store._engine.run("SET default_transaction_isolation = 'serializable'")
    conflicts = []

    def replace(store, start):
        for number in range(start, start + 8):
            while True:
                try:
                    store.add_version(("m",), make.version(float(number)))
                    break
                except ConflictError as error:
                    conflicts.append(error)

    threads = [threading.Thread(target=replace, args=pair) for pair in zip(stores, (100, 200), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    versions = stores[0].list_versions(stores[0].find(("m",)))
    assert [version.version for version in versions] == list(range(1, 18))
    assert len({version.artifact_hash for version in versions}) == 17


@pytest.mark.parametrize("damage", ["substring(body FROM 1 FOR 100)", "set_byte(body, 200, get_byte(body, 200) # 1)", "''::bytea"])
def test_a_damaged_artifact_is_refused(open_store, make, damage):
    store = open_store()
    version = store.add_version(("m",), make.version())
    store._engine.run(f"UPDATE sqlml.artifacts SET body = {damage}")
    with pytest.raises(ArtifactError) as caught:
        read_artifact(store.artifact(version))
    assert caught.value.sqlstate


def test_the_backend_is_terminated_while_a_version_is_stored(open_store, make, engine, monkeypatch):
    store = open_store()
    store.add_version(("m",), make.version(1.0))
    write, writes = store._layout.write, []

    def deadly(sql, parameters=None):
        writes.append(sql)
        if len(writes) == deadly_write:
            engine.rows("SELECT pg_terminate_backend(?, 5000)", [store._engine.connection.info.backend_pid])
        write(sql, parameters)

    for deadly_write in (1, 2, 4):
        writes.clear()
        monkeypatch.setattr(store._layout, "write", deadly)
        with pytest.raises(EngineError) as caught:
            store.add_version(("m",), make.version(2.0))
        assert caught.value.sqlstate in ("57P01", "08006")
        assert store._engine.connection.closed
        store = open_store()
        write = store._layout.write
        assert store.find(("m",)).default_version == 1
        assert len(store.list_versions(store.find(("m",)))) == 1
        assert store._engine.rows("SELECT count(*) FROM sqlml.artifacts") == [(1,)]
    assert store.add_version(("m",), make.version(2.0)).version == 2
