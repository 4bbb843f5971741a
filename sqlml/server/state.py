"""What a client may say when, as a table: state and message to the next state; no I/O.

A message the table does not have for a state breaks the protocol, which ends the connection; the state stays what it was.
After an error the extended protocol skips messages up to Sync (``FAILED``), and a client that was copying may still send
rows that nobody waits for.
"""

from __future__ import annotations

import enum

from sqlml.errors import ProtocolError
from sqlml.server import messages as m


class State(enum.Enum):
    LOGIN = "waiting for a password"
    IDLE = "ready for a query"
    EXTENDED = "in the extended protocol"
    FAILED = "skipping to Sync"
    COPYING = "waiting for rows of COPY"
    CLOSED = "closed"


_EXTENDED = (m.Parse, m.Bind, m.Describe, m.Close, m.Execute, m.Flush)
_STRAY = (m.CopyData, m.CopyDone, m.CopyFail)  # of a COPY that failed while the client was still sending

TRANSITIONS: dict[State, dict[type, State]] = {
    State.LOGIN: {m.Password: State.LOGIN, m.Terminate: State.CLOSED},
    State.IDLE: {
        m.Query: State.IDLE,
        m.FunctionCall: State.IDLE,
        m.Sync: State.IDLE,
        m.Terminate: State.CLOSED,
        **dict.fromkeys(_EXTENDED, State.EXTENDED),
        **dict.fromkeys(_STRAY, State.IDLE),
    },
    State.EXTENDED: {
        m.Query: State.IDLE,
        m.FunctionCall: State.IDLE,
        m.Sync: State.IDLE,
        m.Terminate: State.CLOSED,
        **dict.fromkeys(_EXTENDED, State.EXTENDED),
        **dict.fromkeys(_STRAY, State.EXTENDED),
    },
    State.FAILED: {
        m.Sync: State.IDLE,
        m.Terminate: State.CLOSED,
        m.Query: State.FAILED,
        m.FunctionCall: State.FAILED,
        **dict.fromkeys(_EXTENDED, State.FAILED),
        **dict.fromkeys(_STRAY, State.FAILED),
    },
    State.COPYING: {
        m.CopyData: State.COPYING,
        m.CopyDone: State.COPYING,
        m.CopyFail: State.COPYING,
        m.Flush: State.COPYING,
        m.Sync: State.COPYING,
        m.Terminate: State.CLOSED,
    },
    State.CLOSED: {},
}


def next_state(state: State, message: m.Request) -> State:
    """The state after a message; raises ProtocolError where the message does not belong there."""
    try:
        return TRANSITIONS[state][type(message)]
    except KeyError:
        raise ProtocolError(
            f"unexpected message {type(message).__name__} while the connection is {state.value}"
        ) from None
