"""Bytes and memory in the server: the library's own words, copies and comparisons, contexts that live as long as the backend."""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel, peek, poke, word
from udfs.postgres.server import call, variable

HASH_BYTES = 64  # of an artifact, as digits


@kernel
def own(number):
    """The address of a word of the library's variable."""
    return variable("sqlml_state") + 8 * number


@kernel
def same(left, right, length):
    """Whether two stretches of bytes are equal."""
    for k in range(length):  # noqa: SIM110 - compiled
        if peek(left, np.uint8, k) != peek(right, np.uint8, k):
            return False
    return True


@kernel
def copy(source, target, length):
    """Copy bytes."""
    for k in range(length):
        poke(target, np.uint8, k, peek(source, np.uint8, k))


@kernel
def start_context(name):
    """A memory context of the backend's."""
    top = word(variable("TopMemoryContext"), 0)
    return call("AllocSetContextCreateInternal", (top, name, np.int64(0), np.int64(8192), np.int64(1 << 23)))
