"""Try a native library in a child process before a server loads it: a fault there ends the child, a fault in a server ends all.

The child loads the library beside a second one whose functions, named as the server's, only abort; then it checks and scores
images through the entries for plain C. What it returns must equal what the kernels of this process make of the same rows.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from udfs.errors import UnsupportedModelError
from udfs.postgres import layout
from udfs.postgres.stubs import stand_in

FEATURES, RAW, PREDICTION, CONTRIBUTIONS = range(4)  # as udfs.postgres.score, whose kernels are not needed here

Cells = npt.NDArray[np.int64]
SECONDS = 60


def check_library(library: bytes, image: bytes, rows: Cells, expected: npt.NDArray[np.float64]) -> None:
    """Raise unless the library accepts the image and gives these predictions, bit for bit.

    ``rows`` are argument cells (``udfs.postgres.layout``) without texts, ``expected`` one row of outputs for each.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "native.so").write_bytes(library)
        (place / "server.so").write_bytes(stand_in(library))
        (place / "image").write_bytes(image)
        np.save(place / "rows.npy", np.ascontiguousarray(rows, np.int64))
        command = [sys.executable, "-m", "udfs.postgres.verify", folder]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS, text=True)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise _refusal("did not answer in time") from error
        if done.returncode:
            raise _refusal(f"ended the child process that tried it (status {done.returncode})")
        answer = json.loads(done.stdout)
        if answer["problem"]:
            raise _refusal(f"refused a good image (check {answer['problem']})")
        found = np.load(place / "found.npy")
    if not np.array_equal(found, expected, equal_nan=True):
        raise _refusal(f"gave {int((found != expected).sum())} of {expected.size} other predictions")


def _refusal(what: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the native library {what}", hint="Install with --scorer plpython or --scorer sql, and report this."
    )


def score_rows(library: ctypes.CDLL, image: bytes, rows: Cells, stage: int) -> tuple[int, npt.NDArray[np.float64]]:
    """The number of the check that failed or 0, and the outputs of every row."""
    memory = np.zeros(len(image) + layout.ALIGNMENT, np.uint8)
    skip = -memory.ctypes.data % layout.ALIGNMENT
    memory[skip : skip + len(image)] = np.frombuffer(image, np.uint8)
    address = memory.ctypes.data + skip
    problem = int(_entry(library, "sqlml_check", 2)(address, len(image)))
    if problem:
        return problem, np.zeros((0, 0))
    head = np.frombuffer(image, np.int64, layout.HEAD_WORDS)
    features, outputs = int(head[layout.N_FEATURES]), int(head[layout.OUTPUTS])
    width = {FEATURES: features, CONTRIBUTIONS: outputs * (features + 1)}.get(stage, outputs)
    out = np.zeros((len(rows), width))
    score = _entry(library, "sqlml_score", 4)
    for row, target in zip(rows, out, strict=True):
        if score(address, row.ctypes.data, target.ctypes.data, stage):
            raise MemoryError
    return 0, out


def _entry(library: ctypes.CDLL, name: str, arguments: int):
    function = getattr(library, name)
    function.argtypes, function.restype = [ctypes.c_int64] * arguments, ctypes.c_int64
    return function


def load_library(place: Path) -> ctypes.CDLL:
    """The library of a folder, beside its stand-in for a server."""
    ctypes.CDLL(str(place / "server.so"), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(place / "native.so"))


def main(folder: Sequence[str]) -> None:
    """The child: score the folder's rows, write what was found."""
    place = Path(folder[0])
    library = load_library(place)
    problem, found = score_rows(library, (place / "image").read_bytes(), np.load(place / "rows.npy"), PREDICTION)
    np.save(place / "found.npy", found)
    print(json.dumps({"problem": problem}))  # noqa: T201 - to the parent


if __name__ == "__main__":
    main(sys.argv[1:])
