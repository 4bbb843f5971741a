"""EXPORT MODEL and IMPORT MODEL: a version to a file and back, as our artifact or as LightGBM's own model text."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from sqlml.errors import DataError, OptionError, OptionValueError, ResourceError, SqlmlError
from sqlml.results import LocalResult
from sqlml.statements.expressions import check_expressions
from sqlml.statements.storing import exists_already, skipped, store_version
from sqlml.training.foreign import read_foreign_model

if TYPE_CHECKING:
    from sqlml.language.statements import ExportModel, ImportModel, Option
    from sqlml.session import Session

FORMATS = ("sqlml", "lightgbm")
# SQLSTATE and hint by the operating system's reason.
_REASONS = {
    errno.ENOENT: ("58P01", "Paths are those of the machine that runs the database; the directory must exist."),
    errno.EACCES: ("42501", "Ask for the right to use the file, or choose another directory."),
    errno.EPERM: ("42501", "Ask for the right to use the file, or choose another directory."),
    errno.EISDIR: ("42809", "Name a file, not a directory."),
    errno.ENOSPC: ("53100", "Free disk space and run the statement again."),
}


def export_model(session: Session, statement: ExportModel, text: str) -> LocalResult:
    """Write a version's file; the file appears whole or not at all, and a damaged artifact is not carried on."""
    from udfs.artifact import read_artifact  # noqa: PLC0415 - numpy and the forest's code, only when needed

    session.engine.require_files("write")
    version = session.store.resolve(statement.name)
    body = session.store.artifact(version)
    model = read_artifact(body)
    if _format(statement.options) == "lightgbm":
        from udfs.forest.text import format_lightgbm  # noqa: PLC0415

        if model.steps:
            session.notice(
                f'the transforms of model "{version.model.name}" are not part of LightGBM\'s format: '
                "the file expects features as ML.TRANSFORM gives them, categories as codes"
            )
        body = format_lightgbm(model.forest).encode()
    write_whole(Path(statement.path), body)
    columns = [("model", pa.string()), ("version", pa.int64()), ("file", pa.string()), ("bytes", pa.int64())]
    return LocalResult.of(columns, [(version.model.name, version.version, statement.path, len(body))], "EXPORT MODEL")


def _format(options: tuple[Option, ...]) -> str:
    chosen = "sqlml"
    for option in options:
        if option.key != "format":
            raise OptionError(
                f'unknown option "{option.key}" of EXPORT MODEL',
                hint="The only option is: format.",
                position=option.span.start,
            )
        if not isinstance(option.value, str) or option.value.lower() not in FORMATS:
            raise OptionValueError(
                f'option "format" must be one of {", ".join(FORMATS)}, got {option.value!r}',
                hint="The format sqlml is the artifact with all that the model needs, lightgbm the trees as LightGBM's own text.",
                position=option.span.start,
            )
        chosen = option.value.lower()
    return chosen


def write_whole(path: Path, body: bytes) -> None:
    """Write beside the target and rename over it; a pipe or a device is written to and stays what it is."""
    temporary = None
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(body)
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            temporary = file.name
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise _file_error(ResourceError, "write", str(path), error) from error


def _file_error(kind: type[SqlmlError], verb: str, path: str, error: OSError) -> SqlmlError:
    """What the operating system says of a file, with the SQLSTATE and the way out of its reason."""
    sqlstate, hint = _REASONS.get(error.errno or 0, ("58030", "Look at the path and at who may use it."))
    result = kind(f'could not {verb} file "{path}": {error.strerror}', hint=hint)
    result.sqlstate = sqlstate
    return result


def import_model(session: Session, statement: ImportModel, text: str) -> LocalResult:
    """Read a file, recognise it by its content, verify it, and store it as a version."""
    from udfs.artifact import read_artifact  # noqa: PLC0415 - numpy and the forest's code, only when needed

    if exists_already(session, statement):
        return skipped(statement)
    session.store.require_writable(statement.name)
    session.engine.require_files("read")
    try:
        body = Path(statement.path).read_bytes()
    except OSError as error:
        raise _file_error(DataError, "read", statement.path, error) from error
    version = read_foreign_model(
        body, statement=statement.span.of(text), options=statement.options, engine=session.engine, source=statement.path
    )
    check_expressions(session, read_artifact(version.artifact))
    return store_version(session, statement, version, "IMPORT MODEL")
