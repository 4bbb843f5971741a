"""Hashes of rows: raw blocks in, one 64-bit hash a row out, the same on every engine, machine and release.

Equal values hash alike whatever their SQL type was: -0.0 as 0.0, every NaN as NULL, text by its UTF-8 bytes. Split membership and
the fingerprint of training data come from these hashes, so a change here changes both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from udfs.columns import RawBlock, slot_offsets
from udfs.jit import kernel, view
from udfs.model import Argument

HashArray = npt.NDArray[np.uint64]

START = 0x243F6A8885A308D3
MISSING = np.uint64(0x13198A2E03707344)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ABSENT = -1  # a free slot of the occurrence table has this count


@kernel
def mix(state, word):
    """Bijective in either argument."""
    state = (state ^ word) * GOLDEN
    return state ^ (state >> np.uint64(32))


@kernel
def spread(word):
    """Every bit of the result depends on every bit of the word (the finalizer of MurmurHash3)."""
    word ^= word >> np.uint64(33)
    word *= np.uint64(0xFF51AFD7ED558CCD)
    word ^= word >> np.uint64(33)
    word *= np.uint64(0xC4CEB9FE1A85EC53)
    return word ^ (word >> np.uint64(33))


@kernel
def hash_doubles(values, bits, out):
    """Continues hashes with doubles; ``bits`` is the same memory seen as integers."""
    for i in range(values.shape[0]):
        word = np.uint64(bits[i])
        if values[i] != values[i]:
            word = MISSING
        elif values[i] == 0.0:
            word = np.uint64(0)
        out[i] = mix(out[i], word)


@kernel
def hash_times(values, nulls, out):
    """Continues hashes with microseconds."""
    for i in range(values.shape[0]):
        out[i] = mix(out[i], MISSING if nulls[i] else np.uint64(values[i]))


@kernel
def hash_texts(addresses, lengths, nulls, out):
    """Continues hashes with text, eight bytes at a time, whatever the machine's byte order."""
    for i in range(addresses.shape[0]):
        if nulls[i]:
            out[i] = mix(out[i], MISSING)
            continue
        state = out[i]
        data = view(addresses[i], np.uint8, lengths[i])
        word = np.uint64(0)
        for j in range(lengths[i]):
            word |= np.uint64(data[j]) << np.uint64(8 * (j & 7))
            if j & 7 == 7:
                state = mix(state, word)
                word = np.uint64(0)
        out[i] = mix(mix(state, word), np.uint64(lengths[i]))


@kernel
def salt_hashes(hashes, extra, salt, out):
    """Hashes of (row, one more number, salt), fit to be compared with a threshold."""
    for i in range(hashes.shape[0]):
        out[i] = spread(mix(mix(hashes[i], np.uint64(extra[i])), salt))


@kernel
def content_sums(hashes, sums):
    """Adds two independent sums modulo 2**64, which do not depend on the order of rows."""
    for i in range(hashes.shape[0]):
        sums[0] += spread(hashes[i])
        sums[1] += spread(hashes[i] ^ GOLDEN)


@kernel
def count_occurrences(hashes, keys, counts, mask, out):
    """How often each hash was met before, and how many new keys were added to the table."""
    added = 0
    for i in range(hashes.shape[0]):
        slot = np.int64(spread(hashes[i]) & np.uint64(mask))
        while counts[slot] != ABSENT and keys[slot] != hashes[i]:
            slot = (slot + 1) & mask
        if counts[slot] == ABSENT:
            keys[slot] = hashes[i]
            added += 1
        counts[slot] += 1
        out[i] = counts[slot]
    return added


@kernel
def move_entries(old_keys, old_counts, keys, counts, mask):
    """Fills a larger occurrence table."""
    for i in range(old_keys.shape[0]):
        if old_counts[i] != ABSENT:
            slot = np.int64(spread(old_keys[i]) & np.uint64(mask))
            while counts[slot] != ABSENT:
                slot = (slot + 1) & mask
            keys[slot] = old_keys[i]
            counts[slot] = old_counts[i]


def row_hashes(block: RawBlock, arguments: Sequence[Argument]) -> HashArray:
    """One hash a row over all arguments, in their order."""
    out = np.full(block.rows, START, np.uint64)
    offsets = slot_offsets(arguments)
    for index, argument in enumerate(arguments):
        slots, nulls = block.raw[offsets[index] : offsets[index + 1]], block.nulls[index]
        if argument.kind == "text":
            hash_texts(slots[0], slots[1], nulls, out)
        elif argument.kind in ("number", "boolean"):
            hash_doubles(slots[0].view(np.float64), slots[0], out)
        else:
            hash_times(slots[0], nulls, out)
    return out


def extend_hashes(hashes: HashArray, values: npt.NDArray[np.float64]) -> None:
    """Continues hashes, in place, with one more number a row."""
    hash_doubles(values, values.view(np.int64), hashes)


def draw(hashes: HashArray, extra: npt.NDArray[np.int64], seed: int) -> HashArray:
    """A uniform 64-bit number for each row, from its hash, one more number and a seed."""
    out = np.empty_like(hashes)
    salt_hashes(hashes, extra, np.uint64(seed), out)
    return out


class Occurrences:
    """Tells copies of equal rows apart: the first gets 0, the second 1, and so on, whatever stands between them."""

    def __init__(self) -> None:
        self._used = 0
        self._keys = np.zeros(1 << 12, np.uint64)
        self._counts = np.full(1 << 12, ABSENT, np.int32)

    def number(self, hashes: HashArray) -> npt.NDArray[np.int64]:
        """The number of each row among its equals so far."""
        while 4 * (self._used + len(hashes)) > 3 * len(self._keys):
            self._grow()
        out = np.empty(len(hashes), np.int64)
        self._used += count_occurrences(hashes, self._keys, self._counts, len(self._keys) - 1, out)
        return out

    def _grow(self) -> None:
        size = 2 * len(self._keys)
        keys, counts = np.zeros(size, np.uint64), np.full(size, ABSENT, np.int32)
        move_entries(self._keys, self._counts, keys, counts, size - 1)
        self._keys, self._counts = keys, counts


class Content:
    """A hash of a bag of rows: the same for every order of them."""

    def __init__(self) -> None:
        self._sums = np.zeros(2, np.uint64)
        self.row_count = 0

    def add(self, hashes: HashArray) -> None:
        """Takes the hashes of some rows in."""
        content_sums(hashes, self._sums)
        self.row_count += len(hashes)

    def hexadecimal(self) -> str:
        """128 bits as 32 digits."""
        return f"{int(self._sums[0]):016x}{int(self._sums[1]):016x}"
