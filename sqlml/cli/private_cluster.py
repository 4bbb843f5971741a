"""A PostgreSQL server of one's own, for tests and the demo: a folder in, a running server on a free port of this machine out.

It listens on 127.0.0.1 and on a socket in its folder, and trusts whoever connects: whoever can log in to this machine
can be its superuser as long as it runs, so it is no place for anything but sample data. It loses data when the machine
fails (``fsync`` is off), not when the server does.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote as url_quote

from sqlml.cli.os_user import OsUser, can_read, user_for_server
from sqlml.cli.plain_query import Row, query
from sqlml.cli.postgres_programs import PostgresPrograms, find_postgres
from sqlml.cli.server_python import python_path
from sqlml.errors import EngineError, SqlmlError

# Commits stay synchronous: without fsync that costs a write, and what a test committed survives the crash it makes.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
LOCALE = "C" if sys.platform == "darwin" else "C.UTF-8"
LONGEST_SOCKET_PATH = 103  # of sockaddr_un on macOS; Linux has 107
# What a program needs to run at all, and how this machine wants its processors to be used.
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "OPENBLAS_", "OMP_")
PATIENCE = 30.0  # seconds to come up or to go down
PORT_TAKEN = "could not create any TCP/IP sockets"
STILL_DYING = "pre-existing shared memory block"


class PrivateCluster:
    """A server that runs between ``start()`` and ``stop()``, or inside ``with``.

    Without a directory it lives in a temporary one that ``stop()`` removes; a given directory is kept, and what is in
    it is used again. ``template`` names a folder where fresh data directories are kept and copied from, as ``initdb``
    takes longer than a copy. ``settings`` are added to postgresql.conf, ``environment`` to the server's environment. ``packages``
    is a folder with what sqlml needs, for servers whose Python is another one than ours.
    """

    def __init__(
        self,
        directory: Path | str | None = None,
        *,
        major: int | None = None,
        programs: PostgresPrograms | None = None,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        template: Path | None = None,
        packages: Path | None = None,
    ) -> None:
        self.programs = programs or find_postgres(major)
        self.settings = {**SETTINGS, **(settings or {})}
        self.environment = dict(environment or {})
        self.port: int | None = None
        self._user: OsUser | None = user_for_server()
        self._template = template
        self._packages = packages
        self._given = Path(directory).absolute() if directory else None
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    # Its life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, making its data directory first if there is none, and wait until it takes connections."""
        if self.is_running:
            return
        try:
            self._prepare()
            self._start_on_some_port()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and, if its directory was temporary, remove it."""
        self._end((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL))
        if self._given is None and self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def restart(self) -> None:
        """Stop it in order and start it again, on the same port."""
        self._end((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL))
        self.start()

    def crash(self, *, kill: bool = False) -> None:
        """Bring the server down as a failure would, so that the next ``start()`` recovers: at once, or by killing it."""
        self._end((signal.SIGKILL,) if kill else (signal.SIGQUIT, signal.SIGKILL))

    def standby(
        self, directory: Path | str | None = None, *, settings: Mapping[str, str] | None = None
    ) -> PrivateCluster:
        """A running streaming replica of this server, which is the caller's to stop."""
        replica = PrivateCluster(
            directory,
            programs=self.programs,
            settings={**self.settings, **(settings or {})},
            environment={"PYTHONPATH": self.environment.get("PYTHONPATH", self._python_path()), **self.environment},
            packages=self._packages,
        )
        replica._make_directory()
        source = ["--dbname", self.dsn(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        replica._run("pg_basebackup", "--pgdata", str(replica.data), *source)
        replica.start()
        return replica

    # What can be asked of it

    @property
    def directory(self) -> Path:
        if self._directory is None:
            raise SqlmlError("the private cluster has not been started")
        return self._directory

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process of the server itself, whose children the sessions are."""
        if self._process is None or not self.is_running:
            raise SqlmlError("the private cluster is not running")
        return self._process.pid

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """The URL to connect with."""
        return f"postgresql://{url_quote(user, safe='')}@127.0.0.1:{self.port}/{url_quote(database, safe='')}"

    def query(self, statement: str, *, database: str = "postgres", user: str = "postgres") -> list[Row]:
        """Run one statement, as the superuser unless told otherwise; rows of texts."""
        if not self.is_running or self.port is None:
            raise SqlmlError("the private cluster is not running")
        return query(self.port, statement, database=database, user=user)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database and say its URL."""
        self.query(f"CREATE DATABASE {_identifier(name)} TEMPLATE {_identifier(template)}")
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending the sessions that are in it."""
        self.query(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the server's log."""
        if self._directory is None or not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def plpython_reason(self) -> str | None:
        """Why PL/Python on this server cannot run sqlml; None when it can."""
        return self.programs.plpython_reason(None) if self._packages else self.programs.plpython_reason()

    # Making the directory

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def _prepare(self) -> None:
        self._make_directory()
        if not (self.data / "PG_VERSION").exists():
            self._make_data()
        conf = self.data / "postgresql.conf"
        if "private.conf" not in conf.read_text(encoding="utf-8"):
            with conf.open("a", encoding="utf-8") as file:
                file.write("\ninclude_if_exists = 'private.conf'\n")
        for folder in (self.directory / "home", self.directory / "kernels"):
            self._own_folder(folder)

    def _make_directory(self) -> None:
        if self._directory:
            return
        if self._given:
            if self._given.exists() and any(self._given.iterdir()) and not (self._given / "data").exists():
                raise SqlmlError(
                    f'"{self._given}" is not empty and holds no private cluster', hint="Name a new or empty directory."
                )
            self._given.parent.mkdir(parents=True, exist_ok=True)
            self._own_folder(self._given)
        self._directory = self._given or self._temporary()
        if not can_read(self._user, self._directory):
            name = self._user.name if self._user else "the present user"
            raise SqlmlError(
                f'the user "{name}", who runs the server, cannot reach "{self._directory}"',
                hint="Name a directory below one that everybody may enter.",
            )

    def _temporary(self) -> Path:
        """Where the server's user can get to, which a TMPDIR of root's need not be."""
        bases = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - mkdtemp makes it private
        base = next((path for path in bases if can_read(self._user, path)), bases[0])
        path = Path(tempfile.mkdtemp(prefix="sqlml-pg-", dir=base))
        self._own_folder(path)
        return path

    def _own_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        if self._user:
            os.chown(path, self._user.uid, self._user.gid)

    def _make_data(self) -> None:
        model = self._template / str(self.programs.major) if self._template else None
        if model is None:
            self._initialise(self.data)
            return
        if not (model / "PG_VERSION").exists():
            model.parent.mkdir(parents=True, exist_ok=True)
            self._own_folder(model.parent)
            self._make_template(model)
        self._run("cp", "-R", str(model), str(self.data))

    def _make_template(self, model: Path) -> None:
        """Whole or not at all, as other processes look for it."""
        fresh = model.with_name(f"{model.name}.{os.getpid()}")
        self._initialise(fresh)
        try:
            fresh.rename(model)
        except OSError:  # another process was faster
            shutil.rmtree(fresh)

    def _initialise(self, data: Path) -> None:
        options = ["--username=postgres", "--auth=trust", f"--locale={LOCALE}", "--encoding=UTF8", "--no-sync"]
        self._run("initdb", "--pgdata", str(data), *options)

    def _run(self, program: str, *arguments: str) -> None:
        here = self.programs.bin / program
        command = [str(here) if here.exists() else program, *arguments]
        identity = self._user.run_as() if self._user else {}
        environment = {**self._basic_environment(), "PGCONNECT_TIMEOUT": "10"}
        done = subprocess.run(  # noqa: S603 - programs of an installation that was looked for
            command, capture_output=True, text=True, check=False, cwd=self.directory, env=environment, **identity
        )
        if done.returncode:
            raise EngineError(f"{program} failed", detail=(done.stderr or done.stdout).strip())

    # Starting and stopping

    def _start_on_some_port(self) -> None:
        known = self.port is not None
        deadline = time.monotonic() + PATIENCE
        while True:
            self.port = self.port if known else _free_port()
            self._write_settings()
            written = self._log.stat().st_size if self._log.exists() else 0
            self._launch()
            if self._comes_up(deadline):
                return
            said = self._log.read_bytes()[written:].decode(errors="replace")
            again = PORT_TAKEN in said or STILL_DYING in said
            if not again or time.monotonic() > deadline:
                raise EngineError("the private Postgres server did not start", detail=said.strip()[-2000:])
            time.sleep(0.1)

    def _write_settings(self) -> None:
        sockets = str(self.directory)
        if len(f"{sockets}/.s.PGSQL.{self.port}") > LONGEST_SOCKET_PATH:
            sockets = ""
        fixed = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": sockets}
        lines = [f"{name} = {_setting(value)}\n" for name, value in {**self.settings, **fixed}.items()]
        path = self.data / "private.conf"
        path.write_text("".join(lines), encoding="utf-8")
        path.chmod(0o644)  # below a directory that is private

    def _launch(self) -> None:
        command = [self.programs.path("postgres"), "-D", str(self.data)]
        # Should this process be killed, the server goes too. The kernel tells it when our *thread* ends, so only the main one may ask.
        setpriv = shutil.which("setpriv")
        if setpriv and threading.current_thread() is threading.main_thread():
            command = [setpriv, "--pdeathsig", "INT", *command]
        identity = self._user.run_as() if self._user else {}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - as above
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self._server_environment(),
                start_new_session=True,  # a Ctrl-C in the terminal is for us, who then stop the server in order
                **identity,
            )

    def _comes_up(self, deadline: float) -> bool:
        """Whether the server got as far as writing that it is ready into its file, which it does once it takes connections."""
        while self.is_running and time.monotonic() < deadline:
            try:
                lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            except OSError:
                lines = []
            if len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(0.01)
        self._end((signal.SIGQUIT, signal.SIGKILL))
        return False

    def _end(self, signals: tuple[signal.Signals, ...]) -> None:
        process, self._process = self._process, None
        for number in signals if process else ():
            assert process is not None  # noqa: S101 - invariant: the loop is empty otherwise
            if process.poll() is None:
                process.send_signal(number)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                continue
            return

    # The server's environment

    def _basic_environment(self) -> dict[str, str]:
        """Nothing of ours that could steer the server or its clients, such as PGDATA or PGOPTIONS."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT_VARIABLES)}
        return {**kept, "LC_ALL": LOCALE, "TZ": "UTC", "HOME": str(self.directory / "home")}

    def _server_environment(self) -> dict[str, str]:
        ours = {"SQLML_KERNEL_CACHE": str(self.directory / "kernels"), "PYTHONPATH": self._python_path()}
        return {**self._basic_environment(), **ours, **self.environment}

    def _python_path(self) -> str:
        if "PYTHONPATH" in self.environment or self.plpython_reason():
            return ""
        return os.pathsep.join(map(str, python_path(self._user, self.directory / "packages", self._packages)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _setting(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
