"""A child process: score and explain rows by images that were changed at random and given a right checksum.

Image and texts stand before pages that nobody may touch, so that reading beyond their ends is a fault and not luck.
Arguments: folder (native.so, server.so, image), seed, how many. Prints how many images passed the check.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path

import numpy as np

from udfs.postgres import layout
from udfs.postgres.image import checksum
from udfs.postgres.verify import CONTRIBUTIONS, FEATURES, PREDICTION, load_library

WILD = np.array(
    [-1, 0, 1, 2, 3, 7, 63, 64, 65, 255, 256, 2**31, -(2**31), 2**40, 2**60, -(2**62), 2**63 - 1, -(2**63)], np.int64
)
TEXTS = [b"", b"a", b"word 3", b"a b a", "żółć".encode(), b"abcdefgh", b"x" * 300]
# Where programs are, and what else TreeSHAP follows.
CHOSEN = (
    layout.INSTRUCTIONS,
    layout.PARAMETERS,
    layout.PARAMETERS,
    layout.NODES,
    layout.TREE_TABLE,
    layout.FEATURE_TABLE,
)


class Guarded:
    """Memory that ends where the process may not read."""

    def __init__(self, size: int) -> None:
        whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._map = mmap.mmap(-1, whole + mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + whole), mmap.PAGESIZE, 0) == 0  # PROT_NONE
        self.address = start + whole - size

    def write(self, data: bytes) -> int:
        ctypes.memmove(self.address, data, len(data))
        return self.address


def changed(good, chance):
    """An image with one to three words changed, most often in its program."""
    image = good.copy()
    for _ in range(int(chance.integers(1, 4))):
        low, high = 0, len(image)
        section = int(chance.choice(CHOSEN))
        if chance.random() < 0.8:
            low = int(image[section]) // 8
            each = list(layout.SECTION_BYTES.values())[(section - layout.SECTIONS) // 2]
            high = low + int(image[section + 1]) * each // 8
        elif chance.random() < 0.5:
            high = layout.HEAD_WORDS
        if not 0 <= low < high <= len(image):
            continue
        at = int(chance.integers(low, high))
        choice = int(chance.integers(5))
        if choice == 0:
            image[at] = chance.choice(WILD)
        elif choice == 1:
            image[at] ^= np.int64(1) << np.int64(chance.integers(0, 63))
        elif choice == 2:
            image[at] = image[int(chance.integers(low, high))]
        elif choice == 3:
            image[at] += chance.integers(-3, 4)
        else:
            image.view(np.int32)[2 * at + int(chance.integers(2))] = chance.integers(-40, 400)
    image[layout.CHECKSUM] = checksum(image)
    return image


def rows_of(arguments, slots, nulls, chance, places):
    """Rows of argument cells; texts stand each before a page of its own."""
    rows = np.zeros((12, slots + nulls), np.int64)
    for row in rows:
        for number, (kind, _, cell, null) in enumerate(arguments.tolist()):
            is_null = chance.random() < 0.15
            if kind <= layout.BOOLEAN:
                value = np.nan if is_null else chance.choice([0.0, 1.0, -1.5, 1e300, np.inf, chance.normal()])
                row[cell] = np.float64(value).view(np.int64)
                continue
            row[null] = is_null
            if is_null:
                continue
            if kind == layout.TEXT:
                row[cell : cell + 2] = places[int(chance.integers(len(places)))]
            else:
                row[cell] = int(chance.choice([0, -1, 2**62, -(2**62), chance.integers(-(10**15), 10**16)]))
            assert number < nulls
    return rows


def main(folder: str, seed: str, count: str) -> None:
    place = Path(folder)
    library = load_library(place)
    good = np.frombuffer((place / "image").read_bytes(), np.int64)
    chance = np.random.default_rng(int(seed))
    keepers = [Guarded(len(text)) for text in TEXTS]
    places = [(keeper.write(text), len(text)) for keeper, text in zip(keepers, TEXTS, strict=True)]
    start = int(good[layout.ARGUMENT_TABLE]) // 8
    arguments = good[start : start + 4 * int(good[layout.ARGUMENTS])].reshape(-1, 4)
    memory = Guarded(good.nbytes)
    assert memory.address % layout.ALIGNMENT == 0
    check, score = library.sqlml_check, library.sqlml_score
    check.argtypes, score.argtypes = [ctypes.c_int64] * 2, [ctypes.c_int64] * 4
    check.restype = score.restype = ctypes.c_int64
    accepted = 0
    for number in range(int(count)):
        image = changed(good, chance) if number else good
        address = memory.write(image.tobytes())
        if check(address, good.nbytes):
            continue
        accepted += 1
        features, outputs = int(image[layout.N_FEATURES]), int(image[layout.OUTPUTS])
        out = np.zeros(outputs * (features + 1) + 8)
        for row in rows_of(arguments, int(image[layout.SLOTS]), int(image[layout.ARGUMENTS]), chance, places):
            for stage in (FEATURES, PREDICTION, CONTRIBUTIONS):
                score(address, row.ctypes.data, out.ctypes.data, stage)
    print(accepted)


if __name__ == "__main__":
    main(*sys.argv[1:])
