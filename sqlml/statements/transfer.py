"""EXPORT MODEL and IMPORT MODEL: a version to a file and back, as our artifact or as LightGBM's own model text."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from sqlml.errors import DataError, OptionError, OptionValueError, ResourceError
from sqlml.results import LocalResult
from sqlml.statements.storing import store_version
from sqlml.training.foreign import read_foreign_model

if TYPE_CHECKING:
    from sqlml.language.statements import ExportModel, ImportModel, Option
    from sqlml.session import Session

FORMATS = ("sqlml", "lightgbm")


def export_model(session: Session, statement: ExportModel, text: str) -> LocalResult:
    """Write a version's file; the file appears whole or not at all."""
    version = session.store.resolve(statement.name)
    body = session.store.artifact(version)
    if _format(statement.options) == "lightgbm":
        from udfs.artifact import read_artifact  # noqa: PLC0415 - numpy and the forest's code, only when needed
        from udfs.forest.text import format_lightgbm  # noqa: PLC0415

        model = read_artifact(body)
        if model.steps:
            session.notice(
                f'the transforms of model "{version.model.name}" are not part of LightGBM\'s format: '
                "the file expects features as ML.TRANSFORM gives them, categories as codes"
            )
        body = format_lightgbm(model.forest).encode()
    write_whole(Path(statement.path), body, statement.span.start)
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
                f'option "format" must be one of {", ".join(FORMATS)}, got {option.value!r}', position=option.span.start
            )
        chosen = option.value.lower()
    return chosen


def write_whole(path: Path, body: bytes, position: int) -> None:
    """Write beside the target and rename over it."""
    temporary = None
    try:
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
        raise ResourceError(f'could not write file "{path}": {error.strerror}', position=position) from error


def import_model(session: Session, statement: ImportModel, text: str) -> LocalResult:
    """Read a file, recognise it by its content, verify it, and store it as a version."""
    try:
        body = Path(statement.path).read_bytes()
    except OSError as error:
        raise DataError(
            f'could not read file "{statement.path}": {error.strerror}', position=statement.span.start
        ) from error
    version = read_foreign_model(
        body, statement=statement.span.of(text), options=statement.options, engine=session.engine, source=statement.path
    )
    return store_version(session, statement, version, "IMPORT MODEL")
