"""Who gets in: passwords by SCRAM, trust where it was asked for, encryption, and refusals that end the connection."""

import shutil
import struct
import subprocess

import psycopg
import pytest

from sqlml.errors import OptionValueError
from sqlml.server.listen import tls_context
from sqlml.server.login import Door
from sqlml.server.roles import Roles
from sqlml.server.server import Address, Server
from sqlml.server.warehouse import Warehouse
from tests.server.conftest import dsn_of, serving
from tests.server.wire import Wire, fields


@pytest.fixture(scope="module")
def roles(tmp_path_factory):
    roles = Roles(tmp_path_factory.mktemp("roles") / "users.json")
    roles.add("ann", "l\u00f6wenzahn", "admin")
    roles.add("bob", "secret", "reader")
    return roles


@pytest.fixture(scope="module")
def locked(roles):
    with serving(door=Door(roles)) as server:
        yield server


def test_right_password(locked):
    with psycopg.connect(dsn_of(locked, password="l\u00f6wenzahn")) as connection:
        assert connection.execute("SHOW session_authorization").fetchone() == ("ann",)
        assert connection.execute("SHOW is_superuser").fetchone() == ("on",)


@pytest.mark.parametrize(("user", "password"), [("ann", "wrong"), ("nobody", "wrong"), ("ann", "secret")])
def test_wrong_password(locked, user, password):
    with pytest.raises(psycopg.OperationalError, match=f'password authentication failed for user "{user}"'):
        psycopg.connect(dsn_of(locked, user, password=password))


def test_a_refused_login_ends_the_connection(locked):
    with Wire(locked.port) as wire:
        wire.startup(user="ann")
        assert wire.message() == (b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")
        wire.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 13) + b"n,,n=ann,r=xy")
        wire.message()
        wire.send(b"p", b"c=biws,r=xy,p=" + b"A" * 43 + b"=")
        tag, body = wire.message()
        assert (tag, fields(body)["S"]) == (b"E", "FATAL")
        wire.send(b"Q", b"SELECT 1\0")
        assert wire.is_closed()


@pytest.mark.parametrize("message", [(b"Q", b"SELECT 1\0"), (b"p", b"PLAIN\0\0\0\0\0"), (b"p", b"secret\0")])
def test_nothing_runs_before_the_login(locked, message):
    before = locked.sessions.counters.statements
    with Wire(locked.port) as wire:
        wire.startup(user="ann")
        wire.message()
        wire.send(*message)
        assert fields(wire.message()[1])["S"] == "FATAL"
        assert wire.is_closed()
    assert locked.sessions.counters.statements == before


def test_without_users_and_trust_nobody_gets_in():
    match = "password authentication failed"
    with serving(door=Door()) as server, pytest.raises(psycopg.OperationalError, match=match):
        psycopg.connect(dsn_of(server, password="x"))


def test_new_passwords_count_at_once(tmp_path):
    roles = Roles(tmp_path / "users.json")
    roles.add("eve", "old", "writer")
    with serving(door=Door(roles)) as server:
        Roles(tmp_path / "users.json").add("eve", "new", "writer")
        psycopg.connect(dsn_of(server, "eve", password="new")).close()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn_of(server, "eve", password="old"))
        Roles(tmp_path / "users.json").remove("eve")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn_of(server, "eve", password="new"))


def test_the_file_holds_no_passwords_and_is_private(roles):
    content = roles.path.read_text()
    assert "l\u00f6wenzahn" not in content
    assert 'secret"' not in content.replace('"secret":', "")
    assert roles.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "password", "role"), [("", "x", "admin"), ("public", "x", "admin"), ("a", "", "admin"), ("a", "x", "king")]
)
def test_users_that_cannot_be(tmp_path, name, password, role):
    with pytest.raises(OptionValueError, match=r"cannot be|unknown role"):
        Roles(tmp_path / "users.json").add(name, password, role)
    assert not (tmp_path / "users.json").exists()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes a certificate for the test, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_encrypted(roles, certificate):
    tls = tls_context(str(certificate / "cert.pem"), str(certificate / "key.pem"))
    import sqlml

    with (
        sqlml.connect() as connection,
        Server(Warehouse(connection, Door(roles, require_tls=True)), Address(port=0, tls=tls)) as server,
    ):
        with psycopg.connect(
            dsn_of(server, password="l\u00f6wenzahn", sslmode="verify-full", sslrootcert=certificate / "cert.pem")
        ) as client:
            assert client.pgconn.ssl_in_use
            assert client.execute("SELECT repeat('x', 1000000)").fetchone() == ("x" * 1_000_000,)
        with pytest.raises(psycopg.OperationalError, match="requires an encrypted connection"):
            psycopg.connect(dsn_of(server, password="l\u00f6wenzahn", sslmode="disable"))


def test_nothing_is_smuggled_in_before_encryption(certificate):
    tls = tls_context(str(certificate / "cert.pem"), str(certificate / "key.pem"))
    import sqlml

    with (
        sqlml.connect() as connection,
        Server(Warehouse(connection, Door(trust=True)), Address(port=0, tls=tls)) as server,
        Wire(server.port) as wire,
    ):
        wire.raw(struct.pack("!ii", 8, 80877103) + b"Q\0\0\0\x0dSELECT 1\0")
        assert wire.message()[0] == b"E"
        assert wire.is_closed()


def test_settings_of_the_startup(locked):
    with psycopg.connect(
        dsn_of(locked, password="l\u00f6wenzahn", application_name="tests", options="'-c TimeZone=Asia/Tokyo'")
    ) as client:
        assert client.execute("SHOW application_name").fetchone() == ("tests",)
        assert client.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)
        assert client.info.parameter_status("TimeZone") == "Asia/Tokyo"
