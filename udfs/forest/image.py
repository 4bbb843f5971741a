"""The memory image that kernels read: a head of counts, offsets and addresses, then arrays on 64-byte boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# Words of the head. Offsets are in bytes from the start of the image, addresses are those of routines.
N_FEATURES, OUTPUTS, TREES, DIVISOR, PARAMETER, WALK, CONVERT = range(1, 8)
PLAIN = 8  # first of the offsets of the plain walk's arrays
(
    PLAIN_ROOTS, PLAIN_FEATURE, PLAIN_DECISION, PLAIN_LEFT, PLAIN_RIGHT, PLAIN_SET_START, PLAIN_SET_WORDS, PLAIN_THRESHOLD,
    PLAIN_VALUES, PLAIN_SETS,
) = range(PLAIN, PLAIN + 10)  # fmt: skip
CODED = 20  # first of the offsets of the coded walk's arrays
(
    CODED_FEATURES, CODED_COLUMNS, CODED_TREES, CODED_NODES, CODED_PLANES, CODED_SETS, CODED_STARTS, CODED_CUTS, CODED_CLASSES,
    CODED_TABLES, CODED_KEYS,
) = range(CODED, CODED + 11)  # fmt: skip
FEATURE_COUNT, COLUMN_COUNT, MOST_SETS, SET_COUNT = range(32, 36)
TEST_BYTES, TEST_PLACES, SLICED_NODES = range(40, 43)  # of the walk by bits; without bytes there is none
HEAD_WORDS = 64
MAGIC = 0x54534552_4F464C4D
ALIGNMENT = 64


class ImageWriter:
    """Collects arrays, each on a 64-byte boundary, and writes them behind a head that holds their offsets."""

    def __init__(self) -> None:
        self.head = np.zeros(HEAD_WORDS, np.int64)
        self._parts: list[npt.NDArray[np.uint8]] = []
        self._size = HEAD_WORDS * 8

    def add(self, word: int, values: npt.NDArray[Any]) -> None:
        """Append an array and note its offset in a word of the head."""
        self.head[word] = self._size
        data = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
        room = -(-(len(data) + 1) // ALIGNMENT) * ALIGNMENT
        padded = np.zeros(room, np.uint8)
        padded[: len(data)] = data
        self._parts.append(padded)
        self._size += room

    def finish(self) -> npt.NDArray[np.int64]:
        """The image, in memory of its own that starts on a 64-byte boundary."""
        memory = np.empty(self._size // 8 + ALIGNMENT // 8, np.int64)
        skip = -memory.ctypes.data % ALIGNMENT // 8
        image = memory[skip : skip + self._size // 8]
        image[:HEAD_WORDS] = self.head
        image[HEAD_WORDS:] = np.concatenate(self._parts).view(np.int64)
        return image
