"""The native scorer's part of an installation: what it demands of a server, its library, the images of the models there are.

The library is a file in the data directory, which functions name relative to it, as every process of the server works there: a
physical copy of the server has it, and a dump fits any server into whose data directory it was written before.
"""

from __future__ import annotations

import base64
import shlex

from sqlml.engines.engine import Engine
from sqlml.errors import NotSupportedYetError
from sqlml.install.facts import ServerFacts
from sqlml.sqltext import read_sql
from udfs.errors import UnsupportedModelError

STORE_IMAGE = "INSERT INTO sqlml._images VALUES (hash, sqlml._image_of(body)) ON CONFLICT (artifact_hash) DO NOTHING;"


def require_native(facts: ServerFacts) -> None:
    """Raise NotSupportedYetError for a server version or CPU that the machine code does not know."""
    from udfs.postgres.emit import level_for, require_version  # noqa: PLC0415 - a compiler, for this scorer only

    if not facts.cpu_flags:
        raise NotSupportedYetError(
            "the native scorer is for servers on Linux and x86-64",
            hint="Install with --scorer plpython or --scorer sql.",
        )
    try:
        require_version(facts.version)
        level_for(facts.cpu_flags)
    except UnsupportedModelError as error:
        raise NotSupportedYetError(error.message, hint=error.hint) from error


def can_have_native(facts: ServerFacts) -> bool:
    """Whether the native scorer would work."""
    try:
        require_native(facts)
    except NotSupportedYetError:
        return False
    return True


def native_steps(facts: ServerFacts) -> list[tuple[str, str]]:
    """The library as a file of the server, and the functions in it; it was tried on reference rows in a process of its own."""
    name, library = made_library(facts)
    steps = [
        ("the library of the native scorer", _export(facts, name, library)),
        ("the native scorer", read_sql("postgres/native.sql").replace("{library}", f"./{name}")),
    ]
    if facts.can_train:
        steps.append(("images of artifacts", read_sql("postgres/image.sql")))
        steps.append(("explanations", read_sql("postgres/explain.sql")))
    return steps


def made_library(facts: ServerFacts) -> tuple[str, bytes]:
    """The library for a server, which was tried on reference rows in a process of its own, and the name of its file."""
    from udfs.postgres.install import library_name, verified_library  # noqa: PLC0415 - a compiler, for this scorer only

    library = verified_library(facts.version, facts.cpu_flags)
    return library_name(library), library


def library_step(facts: ServerFacts) -> str:
    """The SQL that puts the library's file where it belongs and changes nothing in the database."""
    name, library = made_library(facts)
    if not facts.is_standby:
        return _export(facts, name, library)
    # A standby writes no large objects, but a superuser's programs run there.
    path = shlex.quote(f"{facts.data_directory}/{name}")
    program = f"base64 -d > {path}.new && mv {path}.new {path}".replace("'", "''")
    return f"COPY (SELECT '{base64.b64encode(library).decode()}') TO PROGRAM '{program}'"


def _export(facts: ServerFacts, name: str, library: bytes) -> str:
    written = f"{facts.data_directory}/{name}".replace("'", "''")
    # A file of that name and size is this library, and may be in use: writing over it would pull it from under open sessions.
    return (
        "DO $library$\nDECLARE\n    object oid;\nBEGIN\n"
        f"    IF (pg_catalog.pg_stat_file('{written}', true)).size IS DISTINCT FROM {len(library)} THEN\n"
        f"        object := pg_catalog.lo_from_bytea(0, pg_catalog.decode('{library.hex()}', 'hex'));\n"
        f"        PERFORM pg_catalog.lo_export(object, '{written}');\n        PERFORM pg_catalog.lo_unlink(object);\n"
        "    END IF;\nEND\n$library$"
    )


def make_images(engine: Engine) -> None:
    """Images of all models, anew: another release may lay them out in another way."""
    from udfs.artifact import read_artifact  # noqa: PLC0415 - numba, for this scorer only
    from udfs.postgres.image import build_server_image  # noqa: PLC0415

    engine.run("DELETE FROM sqlml._images")
    for (artifact_hash,) in engine.rows("SELECT artifact_hash FROM sqlml.artifacts ORDER BY artifact_hash"):
        ((body,),) = engine.rows("SELECT body FROM sqlml.artifacts WHERE artifact_hash = ?", [artifact_hash])
        image = build_server_image(read_artifact(bytes(body)))
        engine.run("INSERT INTO sqlml._images VALUES (?, ?)", [artifact_hash, image])
