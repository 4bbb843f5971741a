"""A real Postgres for the tests that want one: a private cluster a session (each process of pytest-xdist has its own), a database a test.

``cluster`` is the installed version, ``each_cluster`` that one and every other version there is, ``cluster_of(16)`` a certain one.
"""

import os
import shutil
import tempfile
from itertools import count
from pathlib import Path

import pytest

from sqlml.cli.os_user import can_read, user_for_server
from sqlml.cli.postgres_programs import PostgresPrograms, find_postgres
from sqlml.cli.private_cluster import PrivateCluster
from sqlml.errors import SqlmlError

OTHERS = Path(__file__).parent.parent / ".postgres"  # filled by `make other-postgres`
MAJORS = (15, 16, 17, 18)

numbers = count()


@pytest.fixture(scope="session")
def cluster():
    """Where there is no Postgres the test is skipped, or fails if SQLML_TEST_POSTGRES=required, as it is in CI."""
    try:
        programs = find_postgres()
    except SqlmlError as error:
        if os.environ.get("SQLML_TEST_POSTGRES") == "required":
            raise
        pytest.skip(f"{error}. {error.hint}")
    with PrivateCluster(programs=programs) as running:
        yield running


@pytest.fixture(scope="session")
def other_programs():
    """The folder of the other versions, or, where the server's user cannot get into it, a copy."""
    if not OTHERS.exists() or can_read(user_for_server(), *OTHERS.glob("*/bin/postgres")):
        yield OTHERS
        return
    with tempfile.TemporaryDirectory(prefix="sqlml-programs-") as folder:
        Path(folder).chmod(0o755)
        yield Path(shutil.copytree(OTHERS, Path(folder) / "postgres", symlinks=True))


@pytest.fixture(scope="session")
def cluster_of(cluster, other_programs):
    """A function: the running cluster of a major version, whose absence skips the test."""
    running = {cluster.programs.major: cluster}

    def start(major):
        if major not in running:
            running[major] = PrivateCluster(programs=programs_of(major, other_programs))
        running[major].start()
        return running[major]

    yield start
    for started in running.values():
        if started is not cluster:
            started.stop()


def programs_of(major, folder):
    if (folder / str(major) / "bin" / "postgres").exists():
        return PostgresPrograms(folder / str(major) / "bin", major)
    try:
        return find_postgres(major)
    except SqlmlError as error:
        pytest.skip(f"{error}; to get it: make other-postgres")


@pytest.fixture(scope="session", params=MAJORS)
def each_cluster(request, cluster_of):
    return cluster_of(request.param)


@pytest.fixture
def postgres_database(cluster):
    """The name of an empty database of the test's own."""
    name = f"test_{next(numbers)}"
    cluster.create_database(name)
    yield name
    cluster.drop_database(name)


@pytest.fixture
def superuser(cluster, postgres_database):
    """A psycopg connection of the superuser to ``postgres_database``, each statement a transaction of its own."""
    import psycopg

    with psycopg.connect(cluster.dsn(postgres_database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def plpython(cluster, superuser):
    """``superuser``, in a database with PL/Python that can import sqlml."""
    if reason := cluster.plpython_reason():
        if os.environ.get("SQLML_TEST_POSTGRES") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    superuser.execute("CREATE EXTENSION plpython3u")
    return superuser
