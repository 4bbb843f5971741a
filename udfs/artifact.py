r"""A model to the bytes that are stored, and bytes from anywhere back to a model that cannot harm the process.

    offset 0   magic, 8 bytes: \x89 S Q M L \r \n \x1a, so that a text-mode copy is noticed
           8   format version, uint32; flags, uint32 (0)
          16   length of the header, uint64; length of the whole artifact, uint64
          32   the header: JSON in UTF-8 with sorted keys, {"arrays": [[dtype, shape, offset], ...], "model": {...}}
         ...   the arrays, little-endian, each at a multiple of 64 bytes, gaps filled with zeros
         -32   SHA-256 of all bytes before it

The model's JSON mirrors ``udfs.model``; an array stands in it as {"$array": index into "arrays"}, a float that JSON has no
word for as {"$float": "nan"}. The arrays of all trees lie end to end, so ten thousand trees are as few arrays as one. The
same model gives the same bytes; an artifact's identity is the SHA-256 of all of them, as ``sha256sum`` prints it for a file.

A checksum says that nothing fell over, not that nobody lied: reading verifies every length, index and type as well.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from udfs.artifact_model import model_from_json, model_to_json
from udfs.errors import ArtifactError
from udfs.model import Model

FORMAT_VERSION = 1
MAGIC = b"\x89SQML\r\n\x1a"
_HEAD = struct.Struct("<8sIIQQ")
_ALIGNMENT = 64
_CHECKSUM = 32
_DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("float64", "float32", "int64", "int32", "int8", "uint32", "uint8")
}
_MAX_DIMENSIONS = 2
AnyArray = npt.NDArray[Any]


def artifact_hash(data: bytes) -> str:
    """The identity of an artifact: SHA-256 of its bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write_artifact(model: Model) -> bytes:
    """The artifact of a model; equal models give equal bytes."""
    arrays: list[AnyArray] = []
    content = _encode(model_to_json(model), arrays)
    places: list[list[Any]] = []
    size = 0
    for array in arrays:
        places.append([array.dtype.name, list(array.shape), size])
        size = _aligned(size + array.nbytes)
    header = json.dumps(
        {"arrays": places, "model": content}, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":")
    ).encode()
    first = _aligned(_HEAD.size + len(header))
    total = first + size + _CHECKSUM
    buffer = bytearray(total)
    _HEAD.pack_into(buffer, 0, MAGIC, FORMAT_VERSION, 0, len(header), total)
    buffer[_HEAD.size : _HEAD.size + len(header)] = header
    for array, place in zip(arrays, places, strict=True):
        start = first + int(place[2])
        buffer[start : start + array.nbytes] = array.astype(_DTYPES[array.dtype.name], copy=False).tobytes()
    buffer[-_CHECKSUM:] = hashlib.sha256(memoryview(buffer)[:-_CHECKSUM]).digest()
    return bytes(buffer)


def read_artifact(data: bytes) -> Model:
    """The model of an artifact, fully verified; its arrays are read-only views of ``data``. Raises ArtifactError."""
    header, first = _read_frame(data)
    try:
        # Python refuses numbers of more than 4,300 digits with a ValueError, and nesting with a RecursionError.
        content = json.loads(header, object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError("the artifact's header is not valid JSON") from error
    if not isinstance(content, dict) or content.keys() != {"arrays", "model"}:
        raise ArtifactError("the artifact's header has the wrong parts, wanted arrays and model")
    arrays = _read_arrays(data, content["arrays"], first)
    try:
        model = model_from_json(_decode(content["model"], arrays))
    except RecursionError as error:
        raise ArtifactError("the artifact's header is nested too deeply") from error
    _verify(model)
    return model


def _verify(model: Model) -> None:
    # Imported here because they bring numba, which listing models must not pay for.
    from udfs.forest.check import check_forest  # noqa: PLC0415
    from udfs.transforms.program import check_steps  # noqa: PLC0415

    check_forest(model.forest, len(model.features))
    try:
        check_steps(model)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ArtifactError("the artifact's transform program has invalid parameters") from error


def _read_frame(data: bytes) -> tuple[str, int]:
    """The header's text and where the arrays begin, once magic, version, lengths and checksum are right."""
    if len(data) < _HEAD.size + _CHECKSUM or data[:8] != MAGIC:
        raise ArtifactError("not a model artifact: the first bytes are not its mark")
    _, version, flags, header_length, total = _HEAD.unpack_from(data)
    if version != FORMAT_VERSION or flags != 0:
        raise ArtifactError(
            f"artifact of format version {version}, wanted {FORMAT_VERSION}",
            hint="It was written by another release of sqlml; read it with that release, or a newer one.",
        )
    if total != len(data):
        raise ArtifactError(f"the artifact has {len(data)} bytes, wanted {total}: it was cut off or added to")
    if hashlib.sha256(memoryview(data)[:-_CHECKSUM]).digest() != data[-_CHECKSUM:]:
        raise ArtifactError("the artifact's checksum does not match: it was changed after it was written")
    end = _HEAD.size + header_length
    first = _aligned(end)
    if first > total - _CHECKSUM:
        raise ArtifactError("the artifact's header is longer than the artifact")
    try:
        return data[_HEAD.size : end].decode(), first
    except UnicodeDecodeError as error:
        raise ArtifactError("the artifact's header is not UTF-8") from error


def _read_arrays(data: bytes, places: Any, first: int) -> list[AnyArray]:
    """The arrays in their order; together they must fill their part of the file exactly."""
    if not isinstance(places, list):
        raise ArtifactError("the artifact's list of arrays is not a list")
    arrays = []
    expected = 0
    end = len(data) - _CHECKSUM - first
    for number, place in enumerate(places):
        dtype, shape = _read_place(number, place)
        if place[2] != expected:
            raise ArtifactError(f"array {number} of the artifact lies at {place[2]}, wanted {expected}")
        count = math.prod(shape)
        if expected + count * dtype.itemsize > end:
            raise ArtifactError(f"array {number} of the artifact ends beyond it")
        array = np.frombuffer(data, dtype, count, first + expected).reshape(shape)
        arrays.append(array)
        expected = _aligned(expected + array.nbytes)
    if expected != end:
        raise ArtifactError(f"the artifact's arrays fill {expected} bytes, wanted {end}")
    return arrays


def _read_place(number: int, place: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    well_formed = (
        isinstance(place, list)
        and len(place) == 3
        and isinstance(place[0], str)
        and place[0] in _DTYPES
        and isinstance(place[1], list)
        and 1 <= len(place[1]) <= _MAX_DIMENSIONS
        and all(type(size) is int and 0 <= size < 1 << 40 for size in place[1])
        and type(place[2]) is int
    )
    if not well_formed:
        raise ArtifactError(f"array {number} of the artifact is described wrongly")
    return _DTYPES[place[0]], tuple(place[1])


def _encode(value: Any, arrays: list[AnyArray]) -> Any:
    """A value of the model as JSON; its arrays go to ``arrays``, bit for bit."""
    if isinstance(value, np.ndarray):
        if value.dtype.name not in _DTYPES or not 1 <= value.ndim <= _MAX_DIMENSIONS:
            raise ArtifactError(f"an artifact cannot hold an array of type {value.dtype} and {value.ndim} dimensions")
        arrays.append(np.ascontiguousarray(value))
        return {"$array": len(arrays) - 1}
    if isinstance(value, dict):
        if any(not isinstance(key, str) or key.startswith("$") for key in value):
            raise ArtifactError("an artifact's names are texts that do not begin with a dollar sign")
        # In the order of the sorted keys, as they will stand in the file: the arrays' order is part of the bytes.
        return {key: _encode(value[key], arrays) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ArtifactError(f"an artifact cannot hold a value of type {type(value).__name__}")


def _decode(value: Any, arrays: list[AnyArray]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if isinstance(value, str):
        return _whole_text(value)
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$array"}:
        index = value["$array"]
        if type(index) is not int or not 0 <= index < len(arrays):
            raise ArtifactError("the artifact refers to an array it does not hold")
        return arrays[index]
    if value.keys() == {"$float"}:
        if value["$float"] not in ("nan", "inf", "-inf"):
            raise ArtifactError("the artifact holds a float that is none")
        return float(value["$float"])
    return {_whole_text(key): _decode(item, arrays) for key, item in value.items()}


def _whole_text(text: str) -> str:
    """The text, if UTF-8 can write it: JSON's escapes can spell half a character, which no engine can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ArtifactError("the artifact holds a text that is not Unicode") from error
    return text


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ArtifactError("the artifact's header names a part twice")
    return result


def _refuse_constant(text: str) -> Any:
    raise ArtifactError(f"the artifact's header holds {text}, which is not JSON")


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
