"""FarmHash's Fingerprint64 (farmhashna::Hash64) of bytes by address: the hash behind BigQuery's FARM_FINGERPRINT.

A published function of fixed result (github.com/google/farmhash), written here from its definition.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel, view

K0 = np.uint64(0xC3A5C85C97CB3127)
K1 = np.uint64(0xB492B66FBE98F273)
K2 = np.uint64(0x9AE16A3B2F90404F)
WORD = np.uint64(64)


@kernel
def fetch64(address):
    """Eight bytes, little-endian."""
    return view(address, np.uint64, 1)[0]


@kernel
def fetch32(address):
    """Four bytes, little-endian, as 64 bits."""
    return np.uint64(view(address, np.uint32, 1)[0])


@kernel
def rotate(word, bits):
    """Rotate to the right."""
    shift = np.uint64(bits)
    return (word >> shift) | (word << (WORD - shift))


@kernel
def shift_mix(word):
    """A word and its upper bits."""
    return word ^ (word >> np.uint64(47))


@kernel
def hash_two(u, v, multiplier):
    """Two words to one."""
    a = shift_mix((u ^ v) * multiplier)
    return shift_mix((v ^ a) * multiplier) * multiplier


@kernel
def hash_short(address, length):
    """Up to 16 bytes."""
    size = np.uint64(length)
    multiplier = K2 + size * np.uint64(2)
    if length >= 8:
        a = fetch64(address) + K2
        b = fetch64(address + length - 8)
        c = rotate(b, 37) * multiplier + a
        d = (rotate(a, 25) + b) * multiplier
        return hash_two(c, d, multiplier)
    if length >= 4:
        return hash_two(size + (fetch32(address) << np.uint64(3)), fetch32(address + length - 4), multiplier)
    if length > 0:
        data = view(address, np.uint8, length)
        y = np.uint64(data[0]) + (np.uint64(data[length >> 1]) << np.uint64(8))
        z = size + (np.uint64(data[length - 1]) << np.uint64(2))
        return shift_mix(y * K2 ^ z * K0) * K2
    return K2


@kernel
def hash_medium(address, length):
    """17 to 64 bytes."""
    multiplier = K2 + np.uint64(length) * np.uint64(2)
    first = fetch64(address) * (K1 if length <= 32 else K2)
    b = fetch64(address + 8)
    c = fetch64(address + length - 8) * multiplier
    d = fetch64(address + length - 16) * K2
    y = rotate(first + b, 43) + rotate(c, 30) + d
    z = hash_two(y, first + rotate(b + K2, 18) + c, multiplier)
    if length <= 32:
        return z
    e = fetch64(address + 16) * multiplier
    f = fetch64(address + 24)
    g = (y + fetch64(address + length - 32)) * multiplier
    h = (z + fetch64(address + length - 24)) * multiplier
    return hash_two(rotate(e + f, 43) + rotate(g, 30) + h, e + rotate(f + first, 18) + g, multiplier)


@kernel
def weak_pair(address, a, b):
    """32 bytes and two words to two words."""
    x = fetch64(address + 8)
    y = fetch64(address + 16)
    z = fetch64(address + 24)
    a += fetch64(address)
    b = rotate(b + a + z, 21)
    c = a
    a += x + y
    b += rotate(a, 44)
    return a + z, b + c


@kernel
def fingerprint(address, length):
    """The hash of any number of bytes, as uint64."""
    if length <= 16:
        return hash_short(address, length)
    if length <= 64:
        return hash_medium(address, length)
    seed = np.uint64(81)
    y = seed * K1 + np.uint64(113)
    z = shift_mix(y * K2 + np.uint64(113)) * K2
    v0 = v1 = w0 = w1 = np.uint64(0)
    x = seed * K2 + fetch64(address)
    end = address + ((length - 1) // 64) * 64
    last = end + ((length - 1) & 63) - 63
    at = address
    while at != end:
        x = rotate(x + y + v0 + fetch64(at + 8), 37) * K1
        y = rotate(y + v1 + fetch64(at + 48), 42) * K1
        x ^= w1
        y += v0 + fetch64(at + 40)
        z = rotate(z + w0, 33) * K1
        v0, v1 = weak_pair(at, v1 * K1, x + w0)
        w0, w1 = weak_pair(at + 32, z + w1, y + fetch64(at + 16))
        z, x = x, z
        at += 64
    multiplier = K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    w0 += np.uint64((length - 1) & 63)
    v0 += w0
    w0 += v0
    x = rotate(x + y + v0 + fetch64(last + 8), 37) * multiplier
    y = rotate(y + v1 + fetch64(last + 48), 42) * multiplier
    x ^= w1 * np.uint64(9)
    y += v0 * np.uint64(9) + fetch64(last + 40)
    z = rotate(z + w0, 33) * multiplier
    v0, v1 = weak_pair(last, v1 * multiplier, x + w0)
    w0, w1 = weak_pair(last + 32, z + w1, y + fetch64(last + 16))
    z, x = x, z
    return hash_two(hash_two(v0, w0, multiplier) + shift_mix(y) * K0 + z, hash_two(v1, w1, multiplier) + x, multiplier)
