"""Superset beside a served database: both are started on this machine for the tests, and stopped by their process ids."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from http.cookiejar import CookieJar
from urllib.error import HTTPError, URLError
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest

import sqlml
from sqlml.server.roles import Roles

# `make test-bi` installs Superset and names its program; for all others there is nothing to collect here.
SUPERSET = os.environ.get("SQLML_SUPERSET", "")
collect_ignore_glob = [] if SUPERSET else ["test_*.py"]

PATIENCE = 180  # seconds for Superset to come up
TABLES = """
    CREATE TABLE customers AS SELECT i::INTEGER AS id, ['basic', 'plus', 'pro'][1 + i % 3] AS plan, (i * 7919 % 1000) / 10 AS spend,
        DATE '2024-01-01' + (i * 31 % 366)::INTEGER AS ordered, (i * 7919 % 1000) / 10 + (i % 3) * 20 > 70 AS churned
        FROM range(6000) AS r(i);
    CREATE MODEL churn OPTIONS (input_label_cols = ['churned'], max_iterations = 20, num_threads = 1) AS
        SELECT plan, spend, ordered, churned FROM customers;
    CREATE VIEW scored AS SELECT id, plan, ordered, churned, PREDICT_PROBA(churn, *) AS risk FROM customers;
"""
CONFIGURATION = """
SECRET_KEY = {secret!r}
SQLALCHEMY_DATABASE_URI = "sqlite:///{home}/superset.db"
TALISMAN_ENABLED = False
"""


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """A file with a model and a view that scores by it."""
    path = tmp_path_factory.mktemp("served") / "warehouse.duckdb"
    with sqlml.connect(str(path)) as connection:
        connection.execute(TABLES)
    return path


@pytest.fixture(scope="session")
def log(database):
    """What the server writes about each statement."""
    return database.with_name("log.jsonl")


@pytest.fixture(scope="session")
def uri(database, log, expected):
    """Where a reader finds the served database; ``expected`` has been asked by then, as only one process may open it."""
    roles = Roles(database.with_name("users.json"))
    password = secrets.token_urlsafe(12)
    roles.add("root", password, "admin")
    roles.add("bi", password, "reader")
    command = [sys.executable, "-m", "sqlml.cli.main", "serve", str(database), "--listen", "127.0.0.1:0"]
    command += ["--users", str(roles.path), "--log"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
    try:
        port = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", process.stdout.readline())[1]
        subprocess.run(
            [sys.executable, "-c", GRANT, f"postgresql://root:{password}@127.0.0.1:{port}/warehouse"], check=True
        )
        yield f"postgresql+psycopg2://bi:{password}@127.0.0.1:{port}/warehouse"
    finally:
        stop(process)


GRANT = """
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as admin:
    admin.execute("GRANT USAGE ON MODEL churn TO bi")
"""


@pytest.fixture(scope="session")
def superset(tmp_path_factory):
    """Superset's REST API, logged in as its admin."""
    home = tmp_path_factory.mktemp("superset")
    (home / "superset_config.py").write_text(CONFIGURATION.format(secret=secrets.token_hex(32), home=home))
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}
    environment = {
        **kept, "HOME": str(home), "SUPERSET_HOME": str(home), "SUPERSET_CONFIG_PATH": str(home / "superset_config.py"),
        "FLASK_APP": "superset.app:create_app()", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    password = secrets.token_urlsafe(12)
    admin = ["--username", "admin", "--firstname", "A", "--lastname", "B", "--email", "admin@example.org"]
    log = (home / "superset.log").open("w+")
    for words in (["db", "upgrade"], ["fab", "create-admin", *admin, "--password", password], ["init"]):
        done = subprocess.run([SUPERSET, *words], env=environment, cwd=home, stdout=log, stderr=log, check=False)
        assert done.returncode == 0, (home / "superset.log").read_text()[-4000:]
    port = free_port()
    command = [SUPERSET, "run", "-h", "127.0.0.1", "-p", str(port), "--with-threads"]
    process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
    try:
        api = Api(f"http://127.0.0.1:{port}", home / "superset.log")
        api.wait(process)
        api.log_in(password)
        yield api
    finally:
        stop(process)
        log.close()


class Api:
    """Requests and answers in JSON."""

    def __init__(self, base, log):
        self.base = base
        self.log = log
        self.headers = {"Referer": base}
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def wait(self, process):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self._opener.open(f"{self.base}/health", timeout=10):
                    return
            except (URLError, ConnectionError, TimeoutError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(self.log.read_text()[-4000:]) from None
                time.sleep(0.5)

    def log_in(self, password):
        who = {"username": "admin", "password": password, "provider": "db", "refresh": False}
        self.headers["Authorization"] = f"Bearer {self.post('/api/v1/security/login', who)['access_token']}"
        self.headers["X-CSRFToken"] = self.get("/api/v1/security/csrf_token/")["result"]

    def get(self, path):
        return self._ask(Request(self.base + path, headers=self.headers))

    def post(self, path, content):
        headers = {**self.headers, "Content-Type": "application/json"}
        return self._ask(Request(self.base + path, json.dumps(content).encode(), headers))

    def _ask(self, request):
        try:
            with self._opener.open(request, timeout=120) as response:
                return json.load(response)
        except HTTPError as error:
            told = error.read().decode(errors="replace")[:3000]
            raise AssertionError(f"{request.full_url}: {error.code} {told}\n{self.log.read_text()[-3000:]}") from error


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process):
    """By its process id, and for good."""
    if process.stdout is not None:
        process.stdout.close()
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
