"""The engines that tests run on: DuckDB in files of the test's own, and Postgres in a private cluster, a database a test.

A test that asks for ``engine_name``, or for anything made of it (``door``, ``empty``), runs on both engines. What cannot is
marked ``duckdb_only("reason")`` or ``postgres_only("reason")``; what will one day, ``not_yet_on_postgres("reason")``, which fails
when that day has come.

``cluster`` is the installed version, or the one that SQLML_TEST_POSTGRES_MAJOR asks for; ``each_cluster`` is every version there
is, ``cluster_of(16)`` a certain one. Each process of pytest-xdist has its own.
"""

import os
import shutil
import signal
import tempfile
from itertools import count
from pathlib import Path

import pytest

import sqlml
from sqlml.cli.os_user import can_read, user_for_server
from sqlml.cli.postgres_programs import PostgresPrograms, find_postgres
from sqlml.cli.private_cluster import PrivateCluster
from sqlml.errors import SqlmlError

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as where a shell started us in the background: tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)

OTHERS = Path(__file__).parent.parent / ".postgres"  # filled by `make other-postgres`
MAJORS = (15, 16, 17, 18)

numbers = count()

# One test body, two engines


def pytest_collection_modifyitems(items):
    for item in items:
        engine = getattr(item, "callspec", None) and item.callspec.params.get("engine_name")
        for name in ("duckdb", "postgres"):
            for marker in item.iter_markers(f"{name}_only"):
                require_reason(item, marker, engine)
                if engine != name:
                    item.add_marker(pytest.mark.skip(reason=f"{name} only: {marker.args[0]}"))
        for marker in item.iter_markers("not_yet_on_postgres"):
            require_reason(item, marker, engine)
            if engine == "postgres":
                item.add_marker(pytest.mark.xfail(reason=f"not yet on Postgres: {marker.args[0]}", strict=True))


def require_reason(item, marker, engine):
    """A gap is declared with its reason, and where there is a choice."""
    if engine is None:
        raise pytest.UsageError(f"{item.nodeid} runs on one engine anyway: it needs no {marker.name}")
    if len(marker.args) != 1 or not marker.args[0]:
        raise pytest.UsageError(f'{item.nodeid}: write {marker.name}("the reason")')


@pytest.fixture(scope="session", params=["duckdb", "postgres"])
def engine_name(request):
    return request.param


class DuckDBDoor:
    """How a test comes to databases of DuckDB, and what is called otherwise there."""

    name = "duckdb"
    schema = "main"
    memory = ":memory:"

    def __init__(self, folder):
        self.folder = folder

    def fresh(self):
        """The address of a new database."""
        return self.folder / f"test_{next(numbers)}.duckdb"

    def copy(self, address):
        """The address of a copy."""
        copied = self.fresh()
        shutil.copyfile(address, copied)
        return copied

    def drop(self, address):
        Path(address).unlink(missing_ok=True)

    def rename(self, address):
        """The address of a database that nobody uses, under another name from now on."""
        return address.rename(self.fresh())

    def plain(self, address):
        """A connection without sqlml."""
        import duckdb

        return duckdb.connect(str(address))

    def fill(self, address, rows, tables):
        """Take tables over from an open DuckDB."""
        with self.plain(address) as con:
            for name in tables:
                table = rows.sql(f"FROM {name}").to_arrow_table()
                con.register("given", table)
                con.execute(f"CREATE TABLE {name} AS FROM given")
                con.unregister("given")

    @property
    def errors(self):
        """What the client library raises."""
        import duckdb

        return {
            "any": duckdb.Error,
            "table": duckdb.CatalogException,
            "column": duckdb.BinderException,
            "syntax": duckdb.ParserException,
            "aborted": duckdb.TransactionException,
        }


class PostgresDoor:
    """The same for Postgres."""

    name = "postgres"
    schema = "public"

    def __init__(self, cluster):
        self.cluster = cluster

    def fresh(self, template="template1"):
        name = f"test_{next(numbers)}"
        return self.cluster.create_database(name, template=template)

    @property
    def memory(self):
        raise NotImplementedError

    def copy(self, address):
        return self.fresh(template=database_of(address))

    def drop(self, address):
        self.cluster.drop_database(database_of(address))

    def rename(self, address):
        name = f"test_{next(numbers)}"
        self.cluster.query(f"ALTER DATABASE {database_of(address)} RENAME TO {name}")
        return self.cluster.dsn(name)

    def plain(self, address):
        import psycopg

        return psycopg.connect(address, autocommit=True)

    def fill(self, address, rows, tables):
        types = {"DOUBLE": "FLOAT8", "VARCHAR": "TEXT", "VARCHAR[]": "TEXT[]"}
        with self.plain(address) as con:
            for name in tables:
                columns = [(column, kind) for column, kind, *_ in rows.execute(f"DESCRIBE {name}").fetchall()]
                listed = ", ".join(f'"{column}" {types.get(kind, kind)}' for column, kind in columns)
                con.execute(f"CREATE TABLE {name} ({listed})")
                with con.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                    for row in rows.execute(f"FROM {name}").fetchall():
                        copy.write_row(row)
            con.execute("ANALYZE")

    @property
    def errors(self):
        from psycopg import Error, errors

        return {
            "any": Error,
            "table": errors.UndefinedTable,
            "column": errors.UndefinedColumn,
            "syntax": errors.SyntaxError,
            "aborted": errors.InFailedSqlTransaction,
        }


def database_of(address):
    return address.rpartition("/")[2]


@pytest.fixture(scope="session")
def door(engine_name, request, tmp_path_factory):
    """The way to databases of the engine."""
    if engine_name == "duckdb":
        return DuckDBDoor(tmp_path_factory.mktemp("duckdb"))
    return PostgresDoor(request.getfixturevalue("cluster"))


@pytest.fixture(scope="session")
def made():
    """What is made once a session and engine, by whatever name: sessions go to and fro between the engines."""
    return {}


@pytest.fixture
def address(door):
    """Where a new, empty database of the test's own is: DuckDB's is in memory."""
    if door.name == "duckdb":
        yield door.memory
        return
    fresh = door.fresh()
    yield fresh
    door.drop(fresh)


@pytest.fixture
def empty(address):
    """An open connection on a new database."""
    with sqlml.connect(address) as con:
        yield con


# A real Postgres


@pytest.fixture(scope="session")
def cluster(request):
    """Where there is no Postgres the test is skipped, or fails if SQLML_TEST_POSTGRES=required, as it is in CI."""
    if asked := os.environ.get("SQLML_TEST_POSTGRES_MAJOR"):
        programs = programs_of(int(asked), request.getfixturevalue("other_programs"))
    else:
        programs = installed_programs()
    with cluster_with(programs) as running:
        yield running


def installed_programs():
    try:
        return find_postgres()
    except SqlmlError as error:
        if os.environ.get("SQLML_TEST_POSTGRES") == "required":
            raise
        pytest.skip(f"{error}. {error.hint}")


def cluster_with(programs):
    """A cluster, and what its PL/Python needs where `make other-postgres` laid that beside the programs."""
    packages = programs.bin.parent / "python"
    return PrivateCluster(programs=programs, packages=packages if packages.exists() else None)


@pytest.fixture(scope="session")
def new_cluster(cluster):
    """A function: another cluster of the same version, not yet started."""
    return lambda: cluster_with(cluster.programs)


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
            running[major] = cluster_with(programs_of(major, other_programs))
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


# What the tests' SQL says in DuckDB's words: not in public, so that a test's search path and schemas stay as they are.
WORDS = """
CREATE FUNCTION pg_catalog.range(n bigint) RETURNS SETOF bigint LANGUAGE sql IMMUTABLE
    AS 'SELECT i FROM pg_catalog.generate_series(0, n - 1) AS g(i)';
CREATE FUNCTION pg_catalog.hash(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT
    RETURN pg_catalog.hashint8extended(n, 0) & 9223372036854775807;
"""


@pytest.fixture(scope="session")
def shared_database(cluster):
    """A database for all tests that ask for ``postgres_dsn``, one after another: emptying one is ten times as fast as making one."""
    import psycopg

    cluster.create_database("shared")
    with psycopg.connect(cluster.dsn("shared"), autocommit=True) as connection:
        connection.execute(WORDS)
    yield cluster.dsn("shared")
    cluster.drop_database("shared")


@pytest.fixture
def postgres_dsn(shared_database):
    """The address of a database that holds nothing."""
    import psycopg

    yield shared_database
    with psycopg.connect(shared_database, autocommit=True) as connection:  # anew: a test may have killed the server
        connection.execute(
            "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity "
            "WHERE datname = 'shared' AND pid <> pg_catalog.pg_backend_pid()"
        )
        connection.execute(
            "DO $$DECLARE s record; BEGIN FOR s IN SELECT nspname FROM pg_catalog.pg_namespace "
            "WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' "
            "LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s.nspname); END LOOP; END$$"
        )
        connection.execute("CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO PUBLIC")


@pytest.fixture
def open_engine(engine_name, request, tmp_path):
    """Opens engines on one new database of the engine under test, and closes them at the end."""
    engines = []

    def open_one(**options):
        engines.append(openers[engine_name](**options))
        return engines[-1]

    def open_duckdb(**options):
        import duckdb

        from sqlml.engines.duckdb import DuckDBEngine

        if not options and engines:
            return engines[0].duplicate()
        return DuckDBEngine(duckdb.connect(str(tmp_path / "memory.duckdb") if options else ":memory:", **options))

    def open_postgres(**options):
        from sqlml.engines.postgres import PostgresEngine, open_connection

        return PostgresEngine(open_connection(request.getfixturevalue("postgres_dsn"), **options))

    openers = {"duckdb": open_duckdb, "postgres": open_postgres}
    yield open_one
    for engine in reversed(engines):
        engine.close()


@pytest.fixture
def engine(open_engine):
    """The engine under test, on a new database."""
    return open_engine()
