"""Bytes of the protocol to messages, however they are cut."""

import random
import struct

import pytest

from sqlml.server.gateway.frames import BROKEN, BULK, Frames


def message(tag, body=b""):
    return tag + struct.pack("!i", len(body) + 4) + body


MESSAGES = [message(b"T", b"columns"), *[message(b"D", bytes(i)) for i in range(40)], message(b"C", b"SELECT 40\0"),
            message(b"Z", b"I"), message(b"D"), message(b"S", b"x" * 300), message(b"Z", b"T")]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000, 10**6])
def test_cut_anywhere(size):
    data = b"".join(MESSAGES)
    frames = Frames(b"D")
    given = [found for at in range(0, len(data), size) for found in frames.feed(data[at : at + size])]
    assert b"".join(part for _, part in given) == data
    controls = [part for part in MESSAGES if not part.startswith(b"D")]
    assert [part for tag, part in given if tag != BULK] == controls
    assert [bytes([tag]) for tag, _ in given if tag != BULK] == [part[:1] for part in controls]


@pytest.mark.parametrize("seed", range(5))
def test_cut_at_random(seed):
    draw = random.Random(seed)
    data = b"".join(draw.choice(MESSAGES) for _ in range(300))
    frames, given, at = Frames(b"D"), [], 0
    while at < len(data):
        step = draw.randrange(1, 50)
        given += [part for _, part in frames.feed(data[at : at + step])]
        at += step
    assert b"".join(given) == data


def test_rows_are_given_out_before_all_of_them_is_here():
    row = message(b"D", bytes(1000))
    frames = Frames(b"D")
    assert list(frames.feed(row[:100])) == [(BULK, row[:100])]
    assert list(frames.feed(row[100:] + message(b"Z", b"I"))) == [(BULK, row[100:]), (ord("Z"), message(b"Z", b"I"))]


@pytest.mark.parametrize("length", [0, 3, -1, 2**31 - 1])
def test_what_is_no_message_comes_as_it_is(length):
    wrong = b"Q" + struct.pack("!i", length) + b"SELECT"
    assert list(Frames(b"d").feed(message(b"S") + wrong)) == [(ord("S"), message(b"S")), (BROKEN, wrong)]
