"""Who may log in: a file of roles with SCRAM secrets, and what each may do.

    {"format": 1, "users": {"ann": {"role": "admin", "secret": "SCRAM-SHA-256$4096:...", "models": [], "limits": {"rows": 1000}}}}

The file is read again when it has changed. ``models`` are those a user who is no admin may use, as GRANT wrote them;
``limits`` those that a user has in the place of the server's (see ``limits``), from the next session on.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sqlml.errors import OptionValueError
from sqlml.server.limits import read_limits
from sqlml.server.scram import make_secret, parse_secret

Role = Literal["admin", "writer", "reader"]
ROLES: tuple[Role, ...] = ("admin", "writer", "reader")
PUBLIC = "public"


@dataclass(frozen=True)
class User:
    """One who may log in."""

    name: str
    role: Role
    secret: str
    models: frozenset[str] = frozenset()
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


class Roles:
    """The users of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._stamp: tuple[int, int] | None = None
        self._users: Mapping[str, User] = {}
        self._public: frozenset[str] = frozenset()

    def find(self, name: str) -> User | None:
        """A user by name, which is told apart by its case."""
        self._load()
        return self._users.get(name)

    def users(self) -> list[User]:
        self._load()
        return sorted(self._users.values(), key=lambda user: user.name)

    def models_of(self, user: User) -> frozenset[str]:
        """The models a user was granted, alone or with everybody."""
        self._load()
        now = self._users.get(user.name)
        return (now.models if now else frozenset()) | self._public

    def add(self, name: str, password: str, role: Role) -> None:
        """Add a user, or give one another password and role."""
        if role not in ROLES:
            raise OptionValueError(f'unknown role "{role}"', hint=f"Roles are {', '.join(ROLES)}.")
        if not name or name == PUBLIC or "\0" in name:
            raise OptionValueError(f'"{name}" cannot be the name of a user')
        if not password:
            raise OptionValueError("a password cannot be empty")
        with self._lock:
            self._load()
            before = self._users.get(name, User(name, role, ""))
            user = replace(before, role=role, secret=str(make_secret(password)))
            self._store({**self._users, name: user}, self._public)

    def limit(self, name: str, limits: Mapping[str, float | None]) -> None:
        """Give a user limits of their own; None takes one away, so that the server's counts."""
        with self._lock:
            self._load()
            user = self._existing(name)
            kept = {key: value for key, value in {**user.limits, **limits}.items() if value is not None}
            self._store({**self._users, name: replace(user, limits=read_limits(kept))}, self._public)

    def _existing(self, name: str) -> User:
        user = self._users.get(name)
        if user is None:
            error = OptionValueError(f'role "{name}" does not exist')
            error.sqlstate = "42704"
            raise error
        return user

    def remove(self, name: str) -> bool:
        """Whether there was such a user."""
        with self._lock:
            self._load()
            if name not in self._users:
                return False
            self._store({key: user for key, user in self._users.items() if key != name}, self._public)
            return True

    def grant(self, name: str, model: str, *, revokes: bool) -> None:
        """Let a user, or with PUBLIC everybody, use a model."""
        with self._lock:
            self._load()
            if name == PUBLIC:
                self._store(self._users, self._public - {model} if revokes else self._public | {model})
                return
            user = self._existing(name)
            models = user.models - {model} if revokes else user.models | {model}
            self._store({**self._users, name: replace(user, models=models)}, self._public)

    def _load(self) -> None:
        with self._lock:
            try:
                status = self.path.stat()
            except FileNotFoundError:
                self._users, self._public, self._stamp = {}, frozenset(), None
                return
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return
            content = json.loads(self.path.read_text(encoding="utf-8"))
            self._users = {name: _user(name, entry) for name, entry in content["users"].items()}
            self._public = frozenset(content.get("public", ()))
            self._stamp = stamp

    def _store(self, users: Mapping[str, User], public: frozenset[str]) -> None:
        entries = {
            name: {"role": user.role, "secret": user.secret, "models": sorted(user.models), "limits": dict(user.limits)}
            for name, user in users.items()
        }
        content = json.dumps({"format": 1, "users": entries, "public": sorted(public)}, indent=1)
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self._stamp = None
        self._load()


def _user(name: str, entry: Mapping[str, object]) -> User:
    role, secret = str(entry["role"]), str(entry["secret"])
    parse_secret(secret)
    chosen = next((known for known in ROLES if known == role), None)
    if chosen is None:
        raise OptionValueError(f'unknown role "{role}" of user "{name}"')
    models = entry.get("models", ())
    granted = [model for model in models if isinstance(model, str)] if isinstance(models, list) else []
    return User(name, chosen, secret, frozenset(granted), read_limits(entry.get("limits", {})))
