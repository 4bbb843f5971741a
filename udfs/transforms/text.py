"""Text by address and length in machine code: hashing, comparing, and a hash table of byte strings.

Nothing reads beyond ``address + length``, and nothing assumes that bytes are valid UTF-8.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from udfs.jit import kernel, part, peek, view
from udfs.transforms.operator import Words, words

ENTRY = 4  # words of a table entry: hash, offset of the bytes, length, code (-1 = empty)
EMPTY = -1
SEED = np.uint64(0x243F6A8885A308D3)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@part
def load_tail(address, length):
    """One to seven bytes as a word, by two loads that may overlap."""
    if length >= 4:
        high = np.uint64(peek(address + length - 4, np.uint32, 0)) << np.uint64(8 * (length - 4))
        return np.uint64(peek(address, np.uint32, 0)) | high
    last = np.uint64(peek(address, np.uint8, length - 1)) << np.uint64(8 * (length - 1))
    first = np.uint64(peek(address, np.uint8, 0))
    return last | first if length < 3 else last | np.uint64(peek(address, np.uint16, 0))


@kernel
def text_hash(address, length):
    """The hash of a text, for tables only: no artifact depends on it. One function, as each costs a compilation."""
    state = SEED
    whole = length >> 3
    data = view(address, np.uint64, whole)
    for i in range(whole):
        state = (state ^ data[i]) * MULTIPLIER
        state ^= state >> np.uint64(29)
    if length & 7:
        state = (state ^ load_tail(address + whole * 8, length & 7)) * MULTIPLIER
        state ^= state >> np.uint64(29)
    state = (state ^ np.uint64(length)) * MULTIPLIER
    return state ^ (state >> np.uint64(29))


@kernel
def same_bytes(left, right, length):
    """Whether two stretches of bytes are equal."""
    whole = length >> 3
    a = view(left, np.uint64, whole)
    b = view(right, np.uint64, whole)
    for i in range(whole):
        if a[i] != b[i]:
            return False
    rest = length & 7
    return rest == 0 or load_tail(left + whole * 8, rest) == load_tail(right + whole * 8, rest)


@kernel
def compare_bytes(left, left_length, right, right_length):
    """Below, equal or above zero, as memcmp and then by length: the order of UTF-8 text."""
    shorter = min(left_length, right_length)
    a = view(left, np.uint8, shorter)
    b = view(right, np.uint8, shorter)
    for i in range(shorter):
        if a[i] != b[i]:
            return np.int64(a[i]) - np.int64(b[i])
    return left_length - right_length


@kernel
def find_text(table, mask, blob, address, length):
    """The code of a text in a table built by ``text_table``, or -1."""
    wanted = text_hash(address, length)
    entries = view(table, np.int64, (mask + 1) * ENTRY)
    slot = np.int64(wanted & np.uint64(mask))
    while True:
        entry = slot * ENTRY
        code = entries[entry + 3]
        if code == EMPTY:
            return code
        if (
            entries[entry] == np.int64(wanted)
            and entries[entry + 2] == length
            and same_bytes(blob + entries[entry + 1], address, length)
        ):
            return code
        slot = (slot + 1) & mask


def hash_texts(blob: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """``text_hash`` of many texts at once, in numpy: a table is built without waiting for a compiler."""
    lengths = np.diff(offsets)
    padded = np.append(blob, np.zeros(8, np.uint8))
    state = np.full(len(lengths), SEED)
    spans = (lengths + 7) // 8
    for word in range(int(spans.max(initial=0))):
        rows = np.flatnonzero(spans > word)
        places = offsets[rows, None] + (8 * word + np.arange(8))
        kept = np.arange(8) < (lengths[rows] - 8 * word)[:, None]
        data = np.where(kept, padded[np.minimum(places, len(blob))], 0).astype(np.uint8)
        state[rows] = _mixed(state[rows], data.view("<u8")[:, 0])
    return _mixed(state, lengths.astype(np.uint64))


def _mixed(state: npt.NDArray[np.uint64], word: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state ^ word) * MULTIPLIER
    return np.asarray(state ^ (state >> np.uint64(29)))


def text_table(blob: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> tuple[int, Words]:
    """The mask and the words of a half-empty hash table (its entries, then the bytes): see ``find_text``.

    Text i is ``blob[offsets[i]:offsets[i + 1]]`` and has code i; of equal ones the first wins. The bytes start
    ``(mask + 1) * ENTRY`` words after the entries.
    """
    size = 4
    while size < 2 * len(offsets):
        size *= 2
    entries = np.zeros((size, ENTRY), np.int64)
    entries[:, 3] = EMPTY
    hashes = hash_texts(blob, offsets)
    data, bounds, mask = blob.tobytes(), offsets.tolist(), size - 1
    seen: set[bytes] = set()
    used: set[int] = set()
    slots, codes = [], []
    for code, slot in enumerate((hashes & np.uint64(mask)).tolist()):
        text = data[bounds[code] : bounds[code + 1]]
        if text in seen:
            continue
        seen.add(text)
        while slot in used:
            slot = (slot + 1) & mask  # noqa: PLW2901 - the next free one
        used.add(slot)
        slots.append(slot)
        codes.append(code)
    kept = np.array(codes, np.int64)
    rows = np.stack([hashes.view(np.int64)[kept], offsets[kept], np.diff(offsets)[kept], kept], axis=1)
    entries[np.array(slots, np.int64)] = rows
    return mask, words(entries.reshape(-1), np.append(blob, np.zeros(8, np.uint8)))


@kernel
def gather_text(addresses, lengths, nulls, offsets, blob):
    """Copy the texts of a block one after another; ``offsets`` says where each begins."""
    for i in range(len(addresses)):
        if nulls[i] == 0:
            size = lengths[i]
            source = view(addresses[i], np.uint8, size)
            start = offsets[i]
            for j in range(size):
                blob[start + j] = source[j]


def pack_texts(texts: list[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Texts as one array of bytes and the offsets that cut it."""
    encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8).copy(), offsets


def unpack_texts(blob: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> list[str]:
    """The inverse of ``pack_texts``."""
    data = blob.tobytes()
    bounds = offsets.tolist()
    return [data[a:b].decode("utf-8", "replace") for a, b in itertools.pairwise(bounds)]
