"""LightGBM through its C interface: blocks of features in, trained trees and scores out, nothing held twice.

    Dataset.from_sample(sample)  bin borders from sampled rows      push(block)  rows to bins, 1 byte a value
    Dataset.like(dataset)        the same borders for other rows    Booster      trees, one iteration a call

The Python package of LightGBM imports pandas, SciPy and scikit-learn where they are installed (1.0 s, 100 MB); the library file
inside it needs none of them, so only that is loaded. Every call lets go of the interpreter lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.errors import MissingExtraError, ResourceError, TrainingError

FloatArray = npt.NDArray[np.float64]

_DOUBLE = 1  # C_API_DTYPE_FLOAT64
_FLOAT = 0  # C_API_DTYPE_FLOAT32
# LightGBM's kZeroThreshold: sampled columns list only values beyond it.
_ZERO = float(np.float32(1e-35))
_LIBRARY_NAMES = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")
_TURNS = "GOMP_SPINCOUNT"
# Parameters set the number of threads for the whole process, and a booster's creation reads it again at its end.
_creation = threading.Lock()
_LOG_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


def _drop(line: bytes) -> None:
    """LightGBM's log lines: what matters of them arrives as an error."""


_silence = _LOG_CALLBACK(_drop)


@cache
def library() -> ctypes.CDLL:
    """The shared library inside the installed ``lightgbm`` package."""
    spec = importlib.util.find_spec("lightgbm")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in (Path(folder) / place / name for place in ("lib", ".") for name in _LIBRARY_NAMES):
            if path.exists():
                return _load(path)
    raise MissingExtraError("the lightgbm package is not installed", hint="Run: pip install lightgbm")


def _load(path: Path) -> ctypes.CDLL:
    with _patient_threads():
        loaded = ctypes.CDLL(str(path))
    loaded.LGBM_GetLastError.restype = ctypes.c_char_p
    return loaded


@contextlib.contextmanager
def _patient_threads() -> Iterator[None]:
    """Let OpenMP's threads wait for each other a little and then sleep; its runtime reads this once, when it is loaded.

    By default they spin for milliseconds: on two processors with other work to do, a training that takes 3.6 s when they sleep
    took 11.7 s. Sleeping at once costs a tenth on an idle machine, which a thousand turns (some microseconds) win back; they are
    no slower than sleep on a busy one.
    """
    if "OMP_WAIT_POLICY" in os.environ or _TURNS in os.environ:
        yield
        return
    os.environ[_TURNS] = "1000"
    try:
        yield
    finally:
        del os.environ[_TURNS]


def version() -> str:
    """The version of the installed LightGBM."""
    return importlib.metadata.version("lightgbm")


def _call(name: str, *arguments: Any) -> None:
    """One call of the C interface; its error text becomes an exception."""
    loaded = library()
    if "lightgbm" not in sys.modules:
        # The log callback belongs to the thread, so each call sets it; LightGBM's own package, where imported, set its own.
        loaded.LGBM_RegisterLogCallback(_silence)
    if getattr(loaded, name)(*arguments) != 0:
        text = loaded.LGBM_GetLastError().decode("utf-8", "replace").strip()
        if "bad_alloc" in text:
            raise ResourceError("LightGBM ran out of memory", hint="Train on fewer rows or set a smaller max_bin.")
        raise TrainingError(f"LightGBM failed: {text.rstrip('.')}")


def _parameters(parameters: Mapping[str, Any]) -> bytes:
    """``key=value`` pairs as LightGBM reads them."""

    def shown(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, list | tuple):
            return ",".join(map(shown, value))
        return repr(value) if isinstance(value, float) else str(value)

    return " ".join(f"{name}={shown(value)}" for name, value in parameters.items()).encode()


def _pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class _Handle:
    """An object of LightGBM, freed when nobody uses it any more."""

    def __init__(self, free: str) -> None:
        self.handle = ctypes.c_void_p()
        self._free = free
        self._finalizer: Callable[[], Any] | None = None

    def owned(self) -> None:
        """Called once the handle is valid."""
        self._finalizer = weakref.finalize(self, getattr(library(), self._free), ctypes.c_void_p(self.handle.value))

    def close(self) -> None:
        """Frees the object now."""
        if self._finalizer is not None:
            self._finalizer()


class Dataset(_Handle):
    """Binned rows. Rows are pushed in order; labels and weights are set when all are in."""

    def __init__(self, row_count: int, feature_count: int) -> None:
        super().__init__("LGBM_DatasetFree")
        self.row_count = row_count
        self.feature_count = feature_count
        self._pushed = 0

    @classmethod
    def from_sample(cls, sample: FloatArray, row_count: int, parameters: Mapping[str, Any]) -> Dataset:
        """An empty dataset for ``row_count`` rows whose bins are cut by ``sample``, float64[features, sampled rows].

        LightGBM sorts the sample in place: it is of no use afterwards.
        """
        feature_count, sample_count = sample.shape
        everything = np.arange(sample_count, dtype=np.int32)
        values, places = [], []
        for column in sample:
            # NaN compares false, so it is kept: LightGBM wants zeros left out and NaN in.
            kept = np.flatnonzero(~(np.abs(column) <= _ZERO)).astype(np.int32)
            whole = len(kept) == sample_count
            values.append(np.ascontiguousarray(column) if whole else column[kept])
            places.append(everything if whole else kept)
        counts = np.array([len(kept) for kept in places], np.int32)
        value_pointers = np.array([column.ctypes.data for column in values], np.uintp)
        place_pointers = np.array([kept.ctypes.data for kept in places], np.uintp)
        dataset = cls(row_count, feature_count)
        with _creation:
            _call(
                "LGBM_DatasetCreateFromSampledColumn",
                _pointer(value_pointers),
                _pointer(place_pointers),
                ctypes.c_int32(feature_count),
                _pointer(counts),
                ctypes.c_int32(sample_count),
                ctypes.c_int32(row_count),
                ctypes.c_int64(row_count),
                ctypes.c_char_p(_parameters(parameters)),
                ctypes.byref(dataset.handle),
            )
        dataset.owned()
        _call("LGBM_DatasetSetWaitForManualFinish", dataset.handle, ctypes.c_int(1))
        return dataset

    @classmethod
    def like(cls, reference: Dataset, row_count: int) -> Dataset:
        """An empty dataset for ``row_count`` other rows, with the bins of ``reference``."""
        dataset = cls(row_count, reference.feature_count)
        _call(
            "LGBM_DatasetCreateByReference", reference.handle, ctypes.c_int64(row_count), ctypes.byref(dataset.handle)
        )
        dataset.owned()
        _call("LGBM_DatasetSetWaitForManualFinish", dataset.handle, ctypes.c_int(1))
        return dataset

    def push(self, rows: FloatArray) -> None:
        """Bins the next rows: float64[rows, features], C-contiguous."""
        count = rows.shape[0]
        if self._pushed + count > self.row_count or rows.shape[1] != self.feature_count:
            raise TrainingError("more rows or other features were pushed than the dataset was made for")
        _call(
            "LGBM_DatasetPushRows",
            self.handle,
            _pointer(rows),
            ctypes.c_int(_DOUBLE),
            ctypes.c_int32(count),
            ctypes.c_int32(self.feature_count),
            ctypes.c_int32(self._pushed),
        )
        self._pushed += count

    def finish(self, label: npt.NDArray[np.float32], weight: npt.NDArray[np.float32] | None = None) -> None:
        """Closes the dataset: all rows are in, these are their labels and weights."""
        if self._pushed != self.row_count:
            raise TrainingError(f"{self._pushed} rows were pushed into a dataset made for {self.row_count}")
        _call("LGBM_DatasetMarkFinished", self.handle)
        self._set_field("label", label)
        if weight is not None:
            self._set_field("weight", weight)

    def _set_field(self, name: str, values: npt.NDArray[np.float32]) -> None:
        _call(
            "LGBM_DatasetSetField",
            self.handle,
            ctypes.c_char_p(name.encode()),
            _pointer(values),
            ctypes.c_int(len(values)),
            ctypes.c_int(_FLOAT),
        )

    def set_feature_names(self, names: Sequence[str]) -> None:
        """Names for LightGBM's own text; see ``feature_names`` for what it takes."""
        encoded = (ctypes.c_char_p * len(names))(*[name.encode() for name in names])
        _call("LGBM_DatasetSetFeatureNames", self.handle, encoded, ctypes.c_int(len(names)))


def feature_names(names: Sequence[str]) -> list[str]:
    """The names as LightGBM's text can hold them: no blanks, no JSON signs, each once."""
    taken: set[str] = set()
    result = []
    for name in names:
        plain = "".join("_" if sign in ',:[]{}"' or sign.isspace() or not sign.isprintable() else sign for sign in name)
        unique, count = plain or "_", 1
        while unique in taken:
            count += 1
            unique = f"{plain}_{count}"
        taken.add(unique)
        result.append(unique)
    return result


class Booster(_Handle):
    """A model in training on one dataset, watched on others."""

    def __init__(self, training: Dataset, parameters: Mapping[str, Any]) -> None:
        super().__init__("LGBM_BoosterFree")
        self._datasets = [training]
        with _creation:
            _call(
                "LGBM_BoosterCreate",
                training.handle,
                ctypes.c_char_p(_parameters(parameters)),
                ctypes.byref(self.handle),
            )
        self.owned()

    def watch(self, dataset: Dataset) -> None:
        """Adds held-out rows; they are ``data_index`` 1, 2, ... in the order added."""
        _call("LGBM_BoosterAddValidData", self.handle, dataset.handle)
        self._datasets.append(dataset)

    def update(self) -> bool:
        """One iteration; False when no further split is possible."""
        finished = ctypes.c_int()
        _call("LGBM_BoosterUpdateOneIter", self.handle, ctypes.byref(finished))
        return finished.value == 0

    def roll_back(self) -> None:
        """Takes the last iteration back."""
        _call("LGBM_BoosterRollbackOneIter", self.handle)

    def iterations(self) -> int:
        """How many iterations the model has."""
        count = ctypes.c_int()
        _call("LGBM_BoosterGetCurrentIteration", self.handle, ctypes.byref(count))
        return count.value

    def metric_names(self) -> list[str]:
        """The metrics that ``evaluate`` gives, in order."""
        count, size = ctypes.c_int(), ctypes.c_size_t()
        _call("LGBM_BoosterGetEvalCounts", self.handle, ctypes.byref(count))
        buffers = [ctypes.create_string_buffer(256) for _ in range(count.value)]
        pointers = (ctypes.c_void_p * len(buffers))(*map(ctypes.addressof, buffers))
        _call(
            "LGBM_BoosterGetEvalNames",
            self.handle,
            count,
            ctypes.byref(count),
            ctypes.c_size_t(256),
            ctypes.byref(size),
            pointers,
        )
        return [buffer.value.decode() for buffer in buffers]

    def evaluate(self, data_index: int, count: int) -> list[float]:
        """The ``count`` metrics on dataset ``data_index`` (0 is the training data)."""
        values, length = np.zeros(max(count, 1)), ctypes.c_int()
        _call("LGBM_BoosterGetEval", self.handle, ctypes.c_int(data_index), ctypes.byref(length), _pointer(values))
        return [float(value) for value in values[: length.value]]

    def predictions(self, data_index: int) -> FloatArray:
        """The objective's output for each row of a dataset: float64[classes or 1, rows]."""
        size = ctypes.c_int64()
        _call("LGBM_BoosterGetNumPredict", self.handle, ctypes.c_int(data_index), ctypes.byref(size))
        values = np.empty(size.value)
        _call("LGBM_BoosterGetPredict", self.handle, ctypes.c_int(data_index), ctypes.byref(size), _pointer(values))
        return values.reshape(-1, self._datasets[data_index].row_count)

    def text(self, iterations: int = -1) -> str:
        """LightGBM's model text of the first iterations."""
        length = ctypes.c_int64()
        size = 1 << 20
        while True:
            buffer = ctypes.create_string_buffer(size)
            _call(
                "LGBM_BoosterSaveModelToString",
                self.handle,
                ctypes.c_int(0),
                ctypes.c_int(iterations),
                ctypes.c_int(0),
                ctypes.c_int64(size),
                ctypes.byref(length),
                buffer,
            )
            if length.value <= size:
                return buffer.value.decode()
            size = length.value
