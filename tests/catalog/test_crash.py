"""Whatever happens while a version is stored, the old default serves and there is no half version."""

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sqlml.errors import ResourceError
from udfs.artifact import read_artifact

pytestmark = pytest.mark.duckdb_only("a killed process is its database; for Postgres see test_client_faults")

WRITER = Path(__file__).with_name("write_versions.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def start_writer(tmp_path):
    def start(database, versions, deadly_write=0):
        path = tmp_path / "versions.pickle"
        path.write_bytes(pickle.dumps(versions))
        command = [sys.executable, str(WRITER), str(database), str(path), str(deadly_write)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture
def check_whole(open_store, connection_of):
    def check(path):
        """Every version of model m is whole, the newest is the default, and it can be added to; gives their number."""
        store = open_store(path)
        model = store.find(("m",))
        versions = store.list_versions(model)
        assert [version.version for version in versions] == list(range(1, len(versions) + 1))
        assert model.default_version == len(versions)
        for version in versions:
            read_artifact(store.artifact(version))
            assert len(store.metrics(version)) == 3
            assert len(store.feature_statistics(version)) == 1
        rows = connection_of(store).execute("SELECT count(*) FROM sqlml.artifacts").fetchone()
        assert rows == (len({version.artifact_hash for version in versions}),)
        connection_of(store).close()
        return len(versions)

    return check


def test_killed_after_each_write_of_the_storing_transaction(
    tmp_path, open_store, connection_of, make, start_writer, check_whole
):
    path = tmp_path / "models.duckdb"
    store = open_store(path)
    store.add_version(("m",), make.version(1.0))
    connection_of(store).close()
    deadly_write = 0
    while True:
        deadly_write += 1
        process = start_writer(path, [make.version(2.0)], deadly_write)
        output, errors = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        assert output == "ready\n"
        assert check_whole(path) == 1
    assert deadly_write > 6
    assert check_whole(path) == 2


def test_killed_while_the_first_model_is_stored(tmp_path, open_store, make, start_writer):
    for deadly_write in (1, 3, 6):
        path = tmp_path / f"models{deadly_write}.duckdb"
        process = start_writer(path, [make.version(1.0)], deadly_write)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        store = open_store(path)
        assert store.list_models() == []
        assert store.databases() == []
        assert store.add_version(("m",), make.version(1.0)).version == 1


def test_killed_at_any_moment_of_many_commits(tmp_path, open_store, connection_of, make, start_writer, check_whole):
    path = tmp_path / "models.duckdb"
    store = open_store(path)
    store.add_version(("m",), make.version(0.0))
    connection_of(store).close()
    count = 1
    for attempt in range(8):
        process = start_writer(path, [make.version(float(attempt * 1000 + n)) for n in range(1, 500)])
        assert process.stdout.readline() == "ready\n"
        threading.Timer(0.05 + 0.037 * attempt, process.kill).start()
        output, errors = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, errors
        told = output.count("stored")
        found = check_whole(path) - count
        assert told <= found <= told + 1
        count += found


@pytest.fixture
def limit_file_size():
    """Files larger than so many bytes cannot be written, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_loses_nothing(tmp_path, open_store, connection_of, make, limit_file_size, check_whole):
    path = tmp_path / "models.duckdb"
    store = open_store(path)
    store.add_version(("m",), make.version(1.0))
    large = make.version(body=os.urandom(3_000_000))
    limit_file_size(1_000_000)
    for _ in range(2):
        with pytest.raises(ResourceError, match="could not write to the database; nothing was stored") as caught:
            store.add_version(("m",), large)
        assert caught.value.sqlstate == "53000"
        assert not store._engine.in_transaction()
        assert store.find(("m",)).default_version == 1
    limit_file_size(resource.RLIM_INFINITY)
    assert store.add_version(("m",), make.version(2.0)).version == 2
    connection_of(store).close()
    assert check_whole(path) == 2


def test_two_threads_storing_the_same_model_give_whole_versions(tmp_path, open_store, connection_of, make, check_whole):
    """Each retries after a conflict, as a session does: no version is lost, none is a mixture."""
    from sqlml.errors import ConflictError

    path = tmp_path / "models.duckdb"
    first = open_store(path)
    first.add_version(("m",), make.version(0.0))
    stores = [first, open_store(path)]
    conflicts = []

    def replace(store, start):
        for number in range(start, start + 10):
            while True:
                try:
                    store.add_version(("m",), make.version(float(number)))
                    break
                except ConflictError as error:
                    conflicts.append(error)

    threads = [
        threading.Thread(target=replace, args=(store, start)) for store, start in zip(stores, (100, 200), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hashes = {version.artifact_hash for version in first.list_versions(first.find(("m",)))}
    assert len(hashes) == 21
    for store in reversed(stores):
        connection_of(store).close()
    assert check_whole(path) == 21
