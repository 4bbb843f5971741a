"""Who gets in: the server's own users by the server's own checks, relayed, and nobody without proof."""

import select
import shutil
import ssl
import subprocess
import time
from contextlib import suppress

import psycopg
import pytest

from sqlml.cli.private_cluster import PrivateCluster
from sqlml.errors import EngineError, ProtocolError
from sqlml.server.gateway.address import ServerAddress
from sqlml.server.gateway.gateway import Gateway
from sqlml.server.limits import Limits
from sqlml.server.listen import tls_context
from sqlml.server.login import Door
from sqlml.server.server import Address, Server
from tests.server.gateway.conftest import FleetWire, dsn_of, gateway_to
from tests.server.wire import Wire, fields, tags

HBA = """
host all ann 127.0.0.1/32 scram-sha-256
host all bob 127.0.0.1/32 md5
host all cleo 127.0.0.1/32 password
hostssl all dora 127.0.0.1/32 scram-sha-256
hostssl all eve 127.0.0.1/32 cert
host all postgres 127.0.0.1/32 trust
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def locked(certificate):
    """A server of its own that asks for passwords, over encrypted connections too."""
    with PrivateCluster() as cluster:
        for name in ("cert.pem", "key.pem"):
            target = cluster.data / name
            shutil.copy(certificate / name, target)
            owner = cluster.data.stat()
            target.chmod(0o600)
            shutil.chown(target, owner.st_uid, owner.st_gid)
        cluster.query("CREATE ROLE ann LOGIN PASSWORD 'l\u00f6wenzahn'")
        cluster.query("CREATE ROLE cleo LOGIN PASSWORD 'klee'")
        cluster.query("CREATE ROLE dora LOGIN PASSWORD 'distel'")
        cluster.query("CREATE ROLE eve LOGIN")
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("SET password_encryption = md5")
            connection.execute("CREATE ROLE bob LOGIN PASSWORD 'binse'")
        for setting in (
            "ssl_cert_file = 'cert.pem'",
            "ssl_key_file = 'key.pem'",
            "ssl_ca_file = 'cert.pem'",
            "ssl = on",
        ):
            cluster.query(f"ALTER SYSTEM SET {setting}")
        (cluster.data / "pg_hba.conf").write_text(HBA)
        cluster.query("SELECT pg_reload_conf()")
        yield cluster


@pytest.fixture(scope="module")
def gateway(locked):
    with gateway_to(locked, door=Door(), encryption="disable") as server:
        yield server


def refusal(server, **more):
    with pytest.raises(psycopg.OperationalError) as error:
        psycopg.connect(dsn_of(server, database="postgres", **more)).close()
    return str(error.value)


@pytest.mark.parametrize(("user", "password"), [("ann", "l\u00f6wenzahn"), ("bob", "binse"), ("cleo", "klee")])
def test_passwords_are_the_servers(gateway, user, password):
    with psycopg.connect(dsn_of(gateway, user=user, database="postgres", password=password)) as client:
        assert client.execute("SELECT current_user, session_user").fetchone() == (user, user)
    assert f'password authentication failed for user "{user}"' in refusal(gateway, user=user, password="other")


def test_nobody_gets_in_without_proof(gateway, locked):
    assert "asks for no password when it is asked from here" in refusal(gateway, user="postgres")
    assert 'no pg_hba.conf entry for host "127.0.0.1", user "nobody"' in refusal(gateway, user="nobody", password="x")
    with gateway_to(locked, door=Door(trust=True)) as trusting:
        psycopg.connect(dsn_of(trusting, database="postgres")).close()


def test_proof_that_cannot_be_relayed(locked):
    with gateway_to(locked, encryption="require") as server:
        message = refusal(server, user="eve", password="x")
        assert "certificate authentication failed" in message or "requires a valid client certificate" in message


def test_an_unbound_login_to_a_server_that_binds(locked, certificate):
    """Both ways are encrypted: what a client could bind its proof to ends here."""
    tls = tls_context(str(certificate / "cert.pem"), str(certificate / "key.pem"))
    with gateway_to(locked, door=Door(require_tls=True), tls=tls, encryption="require") as server:
        words = {"user": "dora", "password": "distel", "sslmode": "require"}
        message = refusal(server, **words)
        assert "cannot be bound to a channel that ends here" in message
        assert "channel_binding=disable" in message
        assert "channel binding" in refusal(server, channel_binding="require", **words)
        with psycopg.connect(dsn_of(server, database="postgres", channel_binding="disable", **words)) as client:
            assert client.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
            assert client.execute("SELECT repeat('x', 3000000)").fetchone() == ("x" * 3_000_000,)
        assert "requires an encrypted connection" in refusal(server, user="dora", password="distel", sslmode="disable")


def test_encrypted_at_one_end(locked, certificate):
    tls = tls_context(str(certificate / "cert.pem"), str(certificate / "key.pem"))
    with gateway_to(locked, door=Door(), tls=tls, encryption="disable") as server:
        words = {"user": "ann", "password": "l\u00f6wenzahn", "sslmode": "require"}
        with psycopg.connect(dsn_of(server, database="postgres", **words)) as client:
            assert client.pgconn.ssl_in_use
            assert client.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (False,)
    words = {"user": "dora", "password": "distel", "database": "postgres"}
    with (
        gateway_to(locked, door=Door(), encryption="require") as server,
        psycopg.connect(dsn_of(server, **words)) as client,
    ):
        assert client.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)


def test_the_servers_certificate(locked, certificate):
    good = {"encryption": "verify-full", "roots": str(certificate / "cert.pem")}
    with gateway_to(locked, **good) as server:
        psycopg.connect(dsn_of(server, user="ann", database="postgres", password="l\u00f6wenzahn")).close()
    with (
        pytest.raises(ProtocolError, match="certificate is not accepted"),
        gateway_to(locked, encryption="verify-full"),
    ):
        pass


def test_reading_and_writing_at_once_over_encrypted_connections(locked, certificate):
    """More than the buffers between can hold goes both ways at the same time."""
    tls = tls_context(str(certificate / "cert.pem"), str(certificate / "key.pem"))
    with (
        gateway_to(locked, door=Door(trust=True), tls=tls, encryption="require") as server,
        Wire(server.port, 60) as wire,
    ):
        wire.raw((8).to_bytes(4) + (80877103).to_bytes(4))
        assert wire.socket.recv(1) == b"S"
        context = ssl.create_default_context(cafile=certificate / "cert.pem")
        wire.socket = context.wrap_socket(wire.socket, server_hostname="127.0.0.1")
        wire.startup(user="postgres", database="postgres")
        wire.until(b"Z")
        text = f"SELECT '{'x' * 200_000}'".encode() + b"\0"
        sent = b"".join(b"Q" + (len(text) + 4).to_bytes(4) + text for _ in range(50))
        assert exchange(wire.socket, sent, b"Z\0\0\0\5I", 50).count(b"C\0\0\0\rSELECT 1\0") == 50


def exchange(encrypted, sent, end, times):
    """What comes until ``end`` has come so often; in one thread, which a connection of ssl is for, as both ways become possible."""
    encrypted.setblocking(False)
    unsent, found = memoryview(sent), bytearray()
    deadline = time.monotonic() + 120
    while (unsent or found.count(end) < times) and time.monotonic() < deadline:
        select.select([encrypted], [encrypted] if unsent else [], [], 1)
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            found += encrypted.recv(1 << 20)
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            unsent = unsent[encrypted.send(unsent[: 1 << 20]) :]
    return found


def test_one_database_or_all(locked):
    with gateway_to(locked, database="postgres") as server:
        psycopg.connect(dsn_of(server, database="postgres")).close()
        with pytest.raises(psycopg.OperationalError, match='database "template1" is not served'):
            psycopg.connect(dsn_of(server, database="template1"))


def test_too_many_clients(locked):
    with gateway_to(locked, limits=Limits(connections=2)) as server:
        words = dsn_of(server, database="postgres")
        with psycopg.connect(words), psycopg.connect(words):
            assert "too many clients" in refusal(server)
        while server.sessions.count():
            time.sleep(0.02)
        psycopg.connect(words).close()


def test_no_server_there(locked):
    with pytest.raises(EngineError, match=r"could not connect to the server at 127\.0\.0\.1:1"):
        Server(Gateway(ServerAddress("127.0.0.1", 1)), Address(port=0)).start()


def test_a_server_that_does_not_encrypt(cluster):
    with pytest.raises(EngineError, match="does not encrypt"), gateway_to(cluster, encryption="require"):
        pass


def test_replication_is_relayed(cluster, fleet):
    with gateway_to(cluster) as server, Wire(server.port) as wire:
        wire.startup(user="postgres", database="fleet", replication="database")
        wire.until(b"Z")
        assert tags(wire.query("IDENTIFY_SYSTEM")) == "TDCZ"
        assert tags(wire.query("SELECT 1 AS model")) == "TDCZ"


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\x08\0\0\0\0", b"\0\0\0\x04", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x0c\0\3\0\0user"]
)
def test_noise_at_the_start(gateway, data):
    with Wire(gateway.port, timeout=5) as wire:
        wire.raw(data)
        wire.socket.shutdown(1)
        assert wire.is_closed()


def test_a_password_too_long_to_be_one(gateway):
    with Wire(gateway.port) as wire:
        wire.startup(user="ann", database="postgres")
        assert wire.message()[0] == b"R"
        wire.raw(b"p\0\2\0\0")
        tag, body = wire.message()
        assert (tag, fields(body)["M"], wire.is_closed()) == (b"E", "invalid message length", True)


def test_a_query_in_place_of_a_password(gateway):
    with Wire(gateway.port) as wire:
        wire.startup(user="ann", database="postgres")
        assert wire.message()[0] == b"R"
        wire.send(b"Q", b"SELECT 1\0")
        tag, body = wire.message()
        assert (tag, fields(body)["C"]) == (b"E", "08P01")
        assert wire.is_closed()


def test_who_is_told_when_the_server_stops(cluster, fleet):
    with gateway_to(cluster) as server:
        waiting = FleetWire(server.port)
        busy = FleetWire(server.port)
        busy.send(b"Q", b"SELECT pg_sleep(60)\0")
        with psycopg.connect(fleet, autocommit=True) as direct:
            query = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
            while direct.execute(query).fetchone() == (0,):
                time.sleep(0.02)
    tag, body = waiting.message()
    assert (tag, fields(body)["C"], waiting.is_closed()) == (b"E", "57P01", True)
    assert [fields(body)["C"] for tag, body in busy.until(b"Z") if tag == b"E"] == ["57014"]
    with psycopg.connect(fleet, autocommit=True) as direct:
        gone = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'fleet' AND pid <> pg_backend_pid()"
        while direct.execute(gone).fetchone() != (0,):
            time.sleep(0.02)
    waiting.socket.close()
    busy.socket.close()
