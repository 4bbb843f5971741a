"""Which user of the operating system a Postgres server runs as, since it refuses to run as root, and what that user can reach."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlml.errors import SqlmlError

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class OsUser:
    name: str
    uid: int
    gid: int

    def run_as(self) -> dict[str, Any]:
        """The arguments of ``subprocess`` that start a program as this user, without root's groups."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def user_for_server() -> OsUser | None:
    """Whom to become before a server is started; None where the present user will do."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return OsUser(name, entry.pw_uid, entry.pw_gid)
    raise SqlmlError(
        "root cannot run a Postgres server, and there is no other user to run it as",
        hint='Make one: "useradd --system postgres".',
    )


def can_read(user: OsUser | None, *paths: Path) -> bool:
    """Whether the user can open all these files and folders; asked of the system, which knows about every folder above and about ACLs."""
    words = [word for path in paths for word in ("-r", str(path), "-a")][:-1]
    identity = user.run_as() if user else {}
    done = subprocess.run(["test", *words], check=False, cwd="/", **identity)  # noqa: S603, S607 - a program of POSIX
    return done.returncode == 0
