"""Artifacts on their way into a server's tables: bytes from anyone in, their hash out, or the error that refuses them."""

from __future__ import annotations

from typing import Any

from udfs.artifact import artifact_hash, read_artifact
from udfs.errors import SqlmlError


def verified_hash(plpy: Any, body: bytes) -> str:
    """The hash of an artifact that cannot harm whoever scores by it."""
    try:
        read_artifact(body)
    except SqlmlError as error:
        plpy.error(error.message, sqlstate=error.sqlstate, **{"hint": error.hint} if error.hint else {})
    return artifact_hash(body)


def image_of(plpy: Any, body: bytes) -> bytes:
    """What the native scorer loads of a verified artifact."""
    from udfs.postgres.image import build_server_image  # noqa: PLC0415 - the native scorer's only

    return build_server_image(read_artifact(bytes(body)))
