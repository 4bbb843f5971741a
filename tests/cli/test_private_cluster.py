"""The private server: it comes up and goes down, forgets or keeps, recovers, is followed, and reaches our packages."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psycopg
import pytest

from sqlml.cli import os_user, postgres_programs, server_python
from sqlml.cli.plain_query import query
from sqlml.cli.postgres_programs import find_postgres
from sqlml.cli.private_cluster import PrivateCluster
from sqlml.errors import EngineError, SqlmlError

IMPORTS = """
DO $$
import lightgbm, numba, udfs.jit, sqlml
from sqlml.sqltext import read_sql
assert read_sql("demo.sql")
plpy.execute("CREATE TABLE seen AS SELECT %s AS sqlml, %s AS cache" % tuple(map(plpy.quote_literal, (sqlml.__file__, udfs.machine_code.cache_directory()))))
$$ LANGUAGE plpython3u
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[-1][:3] if Path("/proc").exists() else True


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def reachable():
    """A folder where also the server's user can get to: pytest's own is private to us."""
    base = PrivateCluster()
    base._make_directory()
    yield base.directory
    base.stop()


@pytest.fixture
def place(reachable):
    yield reachable / "kept"
    shutil.rmtree(reachable / "kept", ignore_errors=True)


@pytest.fixture(scope="module")
def fresh(reachable):
    """Makes new clusters faster than initdb does."""
    return partial(PrivateCluster, template=reachable / "template")


def test_a_psycopg_connection_works(cluster, superuser):
    row = superuser.execute(
        "SELECT current_setting('lc_ctype'), current_setting('timezone'), current_setting('fsync'), current_user"
    ).fetchone()
    assert row[0] in {"C.UTF-8", "C"}
    assert row[1:] == ("UTC", "off", "postgres")
    assert superuser.info.host == "127.0.0.1"


def test_each_test_gets_an_empty_database(superuser, postgres_database):
    assert superuser.info.dbname == postgres_database
    assert superuser.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    superuser.execute("CREATE TABLE public.left_behind ()")


test_each_test_gets_an_empty_database_again = test_each_test_gets_an_empty_database


def test_nobody_else_may_enter_its_directory(cluster):
    assert stat.S_IMODE(cluster.directory.stat().st_mode) == 0o700
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", cluster.port), timeout=2)


def test_names_and_users_are_quoted(cluster):
    url = cluster.create_database('odd "name/?@')
    cluster.query('CREATE ROLE "a b" LOGIN')
    with psycopg.connect(cluster.dsn('odd "name/?@', user="a b")) as connection:
        assert connection.execute("SELECT current_database(), current_user").fetchone() == ('odd "name/?@', "a b")
    with psycopg.connect(url) as connection:
        assert connection.info.user == "postgres"
    cluster.drop_database('odd "name/?@')
    cluster.query('DROP ROLE "a b"')


def test_a_temporary_cluster_leaves_nothing(fresh):
    with fresh(settings={"work_mem": "5MB"}) as cluster:
        directory, pid = cluster.directory, cluster.pid
        assert cluster.query("SHOW work_mem") == [("5MB",)]
    assert not directory.exists()
    assert not is_alive(pid)
    with pytest.raises(SqlmlError, match="not running"):
        cluster.query("SELECT 1")


def test_it_stops_when_the_body_fails(fresh):
    cluster = fresh()
    cluster.start()
    pid = cluster.pid
    with pytest.raises(EngineError, match="division by zero"), cluster:
        cluster.query("SELECT 1/0")
    assert not is_alive(pid)


def test_a_kept_cluster_is_used_again(place):
    with PrivateCluster(place) as cluster:
        cluster.query("CREATE TABLE t AS SELECT 1 AS x")
    with PrivateCluster(place, settings={"work_mem": "6MB"}) as cluster:
        assert cluster.query("SELECT x, current_setting('work_mem') FROM t") == [("1", "6MB")]


def test_a_directory_of_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SqlmlError, match="is not empty and holds no private cluster"):
        PrivateCluster(tmp_path).start()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_directory_the_server_cannot_reach_is_refused(tmp_path):
    tmp_path.chmod(0o700)
    with pytest.raises(SqlmlError, match=r'the user ".*", who runs the server, cannot reach'):
        PrivateCluster(tmp_path / "below").start()


def test_fresh_data_can_be_copied_from_a_template(place):
    for _ in range(2):
        with PrivateCluster(template=place) as cluster:
            assert cluster.query("SELECT count(*) FROM pg_database") == [("3",)]
    assert (place / str(cluster.programs.major) / "PG_VERSION").exists()


def test_restart_keeps_port_and_data(fresh):
    with fresh() as cluster:
        cluster.query("CREATE TABLE t AS SELECT 1 AS x")
        port, pid = cluster.port, cluster.pid
        cluster.restart()
        assert (cluster.port, cluster.query("SELECT x FROM t")) == (port, [("1",)])
        assert cluster.pid != pid


@pytest.mark.parametrize("kill", [False, True])
def test_a_crash_is_recovered_from(fresh, kill):
    with fresh() as cluster:
        cluster.query("CREATE TABLE t AS SELECT 1 AS x")
        cluster.query("CHECKPOINT")
        cluster.query("INSERT INTO t VALUES (2)")
        cluster.crash(kill=kill)
        assert not cluster.is_running
        cluster.start()
        assert cluster.query("SELECT sum(x) FROM t") == [("3",)]
        assert "automatic recovery in progress" in cluster.log_tail()


def test_a_standby_follows(fresh):
    with fresh() as cluster, cluster.standby() as standby:
        cluster.query("CREATE TABLE t AS SELECT 1 AS x")
        wait_for(lambda: standby.query("SELECT to_regclass('t')") == [("t",)])
        assert standby.query("SELECT pg_is_in_recovery(), x FROM t") == [("t", "1")]
        with pytest.raises(EngineError, match="cannot execute INSERT in a read-only transaction"):
            standby.query("INSERT INTO t VALUES (2)")


def test_a_taken_port_is_not_insisted_on(fresh, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1]]
        free = sys.modules["sqlml.cli.private_cluster"]._free_port
        monkeypatch.setattr("sqlml.cli.private_cluster._free_port", lambda: ports.pop() if ports else free())
        with fresh() as cluster:
            assert cluster.port != taken.getsockname()[1]


def test_a_server_that_does_not_start_says_why(fresh):
    cluster = fresh(settings={"shared_buffers": "much"})
    with pytest.raises(EngineError, match="did not start") as caught:
        cluster.start()
    assert 'invalid value for parameter "shared_buffers": "much"' in caught.value.detail
    with pytest.raises(SqlmlError, match="has not been started"):
        _ = cluster.directory


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the kernel of Linux tells a process of its parent's end"
)
def test_the_server_ends_with_a_killed_parent():
    program = (
        "from sqlml.cli.private_cluster import PrivateCluster; import time\n"
        "cluster = PrivateCluster(); cluster.start()\n"
        "print(cluster.pid, cluster.directory, flush=True); time.sleep(60)"
    )
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        pid, directory = parent.stdout.readline().split()
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_alive(int(pid)))
    subprocess.run(["rm", "-r", directory], check=True)


def test_statements_without_a_client_library(cluster):
    assert cluster.query("SELECT 'ü', NULL, 1.5 UNION ALL SELECT '', 'x', 2 ORDER BY 3") == [
        ("ü", None, "1.5"),
        ("", "x", "2"),
    ]
    with pytest.raises(EngineError, match="division by zero") as caught:
        cluster.query("SELECT 1/0")
    assert caught.value.sqlstate == "22012"
    with pytest.raises(EngineError, match='database "nowhere" does not exist'):
        query(cluster.port, "SELECT 1", database="nowhere")


def test_the_wanted_version_or_a_hint():
    with pytest.raises(SqlmlError, match="PostgreSQL 9 is not installed") as caught:
        find_postgres(9)
    assert "apt install postgresql-9" in caught.value.hint
    found = find_postgres()
    assert find_postgres(found.major).major == found.major


def test_without_any_postgres(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_programs, "INSTALLED_UNDER", ())
    with pytest.raises(SqlmlError, match="PostgreSQL is not installed") as caught:
        PrivateCluster()
    assert "apt install postgresql" in caught.value.hint


def test_plpython_of_another_python_is_refused(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    programs = postgres_programs.PostgresPrograms(tmp_path / "bin", 15)
    assert "apt install postgresql-plpython3-15" in programs.plpython_reason()
    library = tmp_path / "lib" / "plpython3.so"
    library.write_bytes(b"\0libpython3.7m.so.1.0\0")
    assert f"plpython3u runs Python 3.7, the packages are for 3.{sys.version_info.minor}" == programs.plpython_reason()
    assert programs.plpython_reason(minor=7) is None
    assert PrivateCluster(programs=programs, packages=tmp_path).plpython_reason() is None
    library.write_bytes(f"\0libpython3.{sys.version_info.minor}.so.1.0\0".encode())
    assert programs.plpython_reason() is None


def test_plpython_imports_our_packages(cluster, plpython):
    plpython.execute(IMPORTS)
    (row,) = plpython.execute("SELECT sqlml, cache FROM seen").fetchall()
    assert row[0].endswith("sqlml/__init__.py")
    assert Path(row[1]).is_relative_to(cluster.directory / "kernels")


@pytest.mark.slow
def test_plpython_imports_packages_from_where_the_server_cannot_read(fresh, monkeypatch):
    monkeypatch.setattr(server_python, "can_read", lambda *arguments: False)
    with fresh() as cluster:
        if reason := cluster.plpython_reason():
            pytest.skip(reason)
        cluster.query("CREATE EXTENSION plpython3u")
        cluster.query(IMPORTS)
        ((path,),) = cluster.query("SELECT sqlml FROM seen")
        assert path == str(cluster.directory / "packages" / "sqlml" / "__init__.py")
        owners = {path.stat().st_uid for path in (cluster.directory / "packages").rglob("*.so")}
    assert owners == {Path(server_python.__file__).stat().st_uid}


def test_packages_for_another_python_stand_in_for_ours(tmp_path, monkeypatch):
    (checkout, *others) = server_python.python_path(None, tmp_path / "copies", tmp_path / "packages")
    assert (checkout / "sqlml" / "__init__.py").exists()
    assert others == [tmp_path / "packages"]
    monkeypatch.setattr(server_python, "can_read", lambda *arguments: False)
    copies = server_python.python_path(None, tmp_path / "copies", tmp_path / "packages")
    assert copies == [tmp_path / "copies", tmp_path / "packages"]
    assert sorted(path.name for path in copies[0].iterdir()) == sorted(server_python.OURS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_unreadable_folders_are_noticed(tmp_path):
    user = os_user.user_for_server()
    file = tmp_path / "folder" / "file"
    file.parent.mkdir()
    file.touch()
    tmp_path.chmod(0o700)
    assert os_user.can_read(None, file)
    assert not os_user.can_read(user, file)


def test_every_version_there_is_comes_up(each_cluster):
    ((number,),) = each_cluster.query("SHOW server_version_num")
    assert int(number) // 10000 == each_cluster.programs.major
    url = each_cluster.create_database("versions")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM generate_series(1, 10)").fetchone() == (10,)
    each_cluster.drop_database("versions")
