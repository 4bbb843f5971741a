"""What an operator of the transform program is: how it is checked, laid out for its kernel, run, and learned from data.

A register is one value a row and has one of three shapes in memory, each made of rows of 64-bit words (or bytes) a block long:

    number   float64, NaN = missing (SQL's NULL and NaN alike); booleans are 0 and 1, category codes whole numbers
    time     int64 microseconds since 1970, and uint8 null bytes
    text     int64 addresses, int64 lengths, and uint8 null bytes

A kernel has the signature ``kernel(params, rows, n)``: the address of its parameters (64-bit words written by ``encode``), the
address of a list of row addresses (the rows of its inputs, then of its outputs, in order), and the number of values in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from udfs.errors import ArtifactError
from udfs.jit import routine
from udfs.model import Step

Shape = Literal["number", "time", "text"]
ROWS: dict[Shape, int] = {"number": 1, "time": 2, "text": 3}

Params = dict[str, Any]
Words = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Output:
    """What is known of an output register beside its name: a numeric feature, or codes of these levels."""

    categorical: bool = False
    levels: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Learned:
    """What a fit found: the parameters of the final step.

    ``suffixes`` is None where the step's outputs are as planned, else there is one output a suffix instead of the planned one, and
    the features are called ``<name>_<suffix>``.
    """

    params: Params
    suffixes: tuple[str, ...] | None = None
    dropped: int = 0  # levels beyond a limit, which score as unseen


@dataclass(frozen=True)
class Batch:
    """The values of a fitting step's inputs for some rows; for text inputs an Arrow array, else float64 with NaN = missing."""

    values: tuple[Any, ...]
    label: npt.NDArray[np.float64] | None = None
    fold: npt.NDArray[np.int8] | None = None


class Fitter(Protocol):
    """Learns a step's parameters in one pass; the same rows in the same order give the same bits, however they are cut."""

    def update(self, batch: Batch) -> None: ...

    def finish(self) -> Learned: ...


@dataclass(frozen=True)
class Operator:
    """One operator. ``shapes`` checks a step's parameters against its inputs' shapes and returns the outputs' shapes."""

    shapes: Callable[[Step, tuple[Shape, ...]], tuple[Shape, ...]]
    encode: Callable[[Step], Words]
    kernel: Callable[[int, int, int], None] | None  # None: the output is its input under another name
    fitter: Callable[[Step], Fitter] | None = None
    describe: Callable[[Step], tuple[Output, ...]] | None = None


@cache
def kernel_address(kernel: Callable[[int, int, int], None]) -> int:
    """Machine code of an operator's kernel, compiled when a model first needs it, kept as long as the process."""
    return routine(kernel).address


def require(condition: object, step: Step, problem: str) -> None:
    """Refuse a step whose parameters or registers its kernel could not run safely."""
    if not condition:
        raise ArtifactError(f'step "{step.op}" of the transform program is malformed: {problem}')


def param(step: Step, name: str, kind: type | tuple[type, ...]) -> Any:
    """A parameter that must exist and be of a type (a bool is not an int here)."""
    value = step.params.get(name)
    wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    require(not wrong, step, f'parameter "{name}" is missing or of the wrong type')
    return value


def array_param(step: Step, name: str, dtype: npt.DTypeLike, length: int | None = None) -> npt.NDArray[Any]:
    """A one-dimensional array parameter of a type and, if given, of a length."""
    value = param(step, name, np.ndarray)
    right = value.ndim == 1 and value.dtype == np.dtype(dtype) and (length is None or len(value) == length)
    require(right, step, f'parameter "{name}" is not an array of the right type and length')
    return np.asarray(value)


def numbers(count: int) -> tuple[Shape, ...]:
    """The shapes of that many numeric outputs."""
    shape: Shape = "number"
    return (shape,) * count


def require_shapes(step: Step, got: Sequence[Shape], wanted: Sequence[Shape]) -> None:
    """Refuse a step whose inputs are not exactly of these shapes."""
    require(tuple(got) == tuple(wanted), step, f"its inputs are ({', '.join(got)}), not ({', '.join(wanted)})")


def words(*parts: float | npt.NDArray[Any]) -> Words:
    """Integers, floats (as their bits), arrays of either, and bytes (padded to words) one after another."""
    return np.concatenate([_word(part) for part in parts]) if parts else np.zeros(0, np.int64)


def _word(part: Any) -> Words:
    array = np.atleast_1d(np.asarray(part))
    if array.dtype == np.uint8:
        padded = np.zeros(-(-len(array) // 8) * 8, np.uint8)
        padded[: len(array)] = array
        return padded.view(np.int64)
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, np.float64).view(np.int64)
    return np.ascontiguousarray(array, np.int64)
