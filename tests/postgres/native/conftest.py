"""A private server with the native scorer, and stand-ins for the catalog: a table of images, and names resolved to hashes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from udfs.postgres.emit import library_for
from udfs.postgres.image import build_server_image
from udfs.postgres.install import library_name

psycopg = pytest.importorskip("psycopg")

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
SQL = Path(__file__).parents[3] / "sql" / "postgres" / "native.sql"
CATALOG = """
CREATE SCHEMA sqlml;
CREATE TABLE sqlml._images (artifact_hash text PRIMARY KEY, image bytea);
CREATE TABLE sqlml._models (model_id uuid, owner oid, owner_name name);
CREATE TABLE sqlml._versions (model_id uuid, artifact_hash text, freed boolean);
CREATE TABLE sqlml._aliases (model_id uuid);
CREATE TABLE sqlml._grants (model_id uuid, grantee_name name, grantee_number oid);
CREATE TABLE sqlml.artifacts (artifact_hash text);
CREATE TABLE public.named (name text PRIMARY KEY, hash text);
CREATE FUNCTION sqlml._resolve(reference text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE found text;
BEGIN
    SELECT hash INTO found FROM public.named WHERE name = reference;
    IF found IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('model "%s" does not exist', reference);
    END IF;
    RETURN found;
END $$;
"""


def _as_postgres(*command, **options):
    """Servers refuse to run as root."""
    demoted = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    return subprocess.run([*demoted, *map(str, command)], check=True, stdout=subprocess.DEVNULL, **options)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def server():
    """The address of a server that lives as long as the tests."""
    if PROGRAMS is None:
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="sqlml-native-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    port = _free_port()
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    _as_postgres(PROGRAMS / "initdb", "-D", folder / "data", "-A", "trust", "-U", "postgres", "--no-sync")
    _as_postgres(PROGRAMS / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", settings, "start")
    try:
        yield f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    finally:
        _as_postgres(PROGRAMS / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def library():
    """The native library for this machine and the server's version."""
    text = Path("/proc/cpuinfo").read_text()
    flags = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)[1].split()
    return library_for(int(PROGRAMS.parent.name) * 10_000, flags)


def write_file(connection, path, content):
    """A file of the server's."""
    with connection.transaction():
        (oid,) = connection.execute("SELECT lo_from_bytea(0, %s)", [content]).fetchone()
        connection.execute("SELECT lo_export(%s, %s)", [oid, path])
        connection.execute("SELECT lo_unlink(%s)", [oid])


@pytest.fixture(scope="session")
def installed(server, library):
    """The server's address, with the functions in its database postgres."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(CATALOG)
        (folder,) = connection.execute("SHOW data_directory").fetchone()
        path = f"{folder}/{library_name(library)}"
        write_file(connection, path, library)
        connection.execute(SQL.read_text().replace("{library}", path))
    return server


@pytest.fixture
def connection(installed):
    """A session of its own."""
    with psycopg.connect(installed, autocommit=True) as opened:
        opened.execute("SET jit = off")
        yield opened


@pytest.fixture
def publish(connection):
    """Give a model, or an image of one, a name; returns the name."""

    def put(name, model):
        image = model if isinstance(model, bytes) else build_server_image(model)
        digest = hashlib.sha256(image).hexdigest()
        connection.execute("INSERT INTO sqlml._images VALUES (%s, %s) ON CONFLICT DO NOTHING", [digest, image])
        connection.execute(
            "INSERT INTO named VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET hash = excluded.hash", [name, digest]
        )
        return name

    return put
