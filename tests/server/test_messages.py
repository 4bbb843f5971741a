"""Bytes to records and back, and what may follow what."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlml.errors import ProtocolError
from sqlml.server import messages as m
from sqlml.server.state import TRANSITIONS, State, next_state


def test_reads_a_bind():
    body = b"p\0s\0" + struct.pack("!hh", 1, 1) + struct.pack("!hi", 2, 3) + b"abc" + struct.pack("!i", -1)
    body += struct.pack("!hhh", 2, 0, 1)
    assert m.parse_message(b"B", body) == m.Bind("p", "s", (1,), (b"abc", None), (0, 1))


def test_reads_a_parse():
    assert m.parse_message(b"P", b"s\0select $1\0" + struct.pack("!hi", 1, 23)) == m.Parse("s", "select $1", (23,))


@pytest.mark.parametrize(
    ("tag", "body"),
    [
        (b"Q", b"select 1"),
        (b"Q", b"select 1\0more"),
        (b"B", b"p\0s\0\0\1"),
        (b"B", b"p\0s\0" + struct.pack("!hhi", 0, 1, -7)),
        (b"D", b"Xname\0"),
        (b"E", b"p\0\0"),
        (b"S", b"x"),
        (b"?", b""),
        (b"Q", b"\xff\xfe\0"),
    ],
)
def test_refuses_what_does_not_fit(tag, body):
    with pytest.raises(ProtocolError, match=r"message|byte sequence"):
        m.parse_message(tag, body)


@given(st.sampled_from([bytes([tag]) for tag in b"QPBDCESHXdcfFp"]), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tag, body):
    with suppress(ProtocolError):
        m.parse_message(tag, body)


@given(st.binary(max_size=200))
def test_any_startup_is_read_or_refused(data):
    with suppress(ProtocolError):
        m.parse_startup(data)


def test_error_fields_are_zero_terminated():
    assert m.make_error({"S": "ERROR", "M": "x"}) == b"E\0\0\0\x0fSERROR\0Mx\0\0"


def test_illegal_messages_leave_the_state_as_it_is():
    for state, allowed in TRANSITIONS.items():
        for kind in {kind for row in TRANSITIONS.values() for kind in row} - allowed.keys():
            with pytest.raises(ProtocolError, match=f"unexpected message {kind.__name__}"):
                next_state(state, object.__new__(kind))


def test_after_an_error_only_sync_leads_back():
    back = {kind for kind, state in TRANSITIONS[State.FAILED].items() if state is State.IDLE}
    assert back == {m.Sync}
