"""Which answer belongs to which message: what is passed on, what is not, and when nothing is open."""

import struct

import pytest

from sqlml.server.gateway.ledger import Asked, Ledger


def message(tag, body=b""):
    return tag + struct.pack("!i", len(body) + 4) + body


READY, OPEN, BROKEN = message(b"Z", b"I"), message(b"Z", b"T"), message(b"Z", b"E")
FAILED = message(b"E", b"SERROR\0C42P01\0Mno\0\0")


@pytest.fixture
def ledger():
    done = []
    ledger = Ledger(done.append)
    ledger.done = done
    return ledger


def ask(ledger, kinds, **more):
    found = [Asked(kind.encode(), **more) for kind in kinds]
    for asked in found:
        ledger.ask(asked)
    return found


def answers(ledger, *given):
    passed = [ledger.answer(part[0], part) for part in given]
    ledger.written()
    return passed


def is_quiet(ledger):
    return ledger.wait(0) and not ledger.copying


def test_a_query(ledger):
    ask(ledger, "Q", text="SELECT 1")
    given = [message(b"T"), message(b"C", b"SELECT 1\0"), OPEN]
    assert not is_quiet(ledger)
    assert answers(ledger, *given) == given
    assert (is_quiet(ledger), ledger.status, [d.text for d in ledger.done]) == (True, b"T", ["SELECT 1"])


def test_a_pipeline_is_open_until_its_last_sync(ledger):
    ask(ledger, "PBDESPBES")
    answers(ledger, *map(message, (b"1", b"2", b"T", b"C")), READY)
    assert not is_quiet(ledger)
    answers(ledger, *map(message, (b"1", b"2", b"I")), READY)
    assert is_quiet(ledger)


def test_describing_a_statement_takes_two_answers(ledger):
    ask(ledger, "D")
    answers(ledger, message(b"t"))
    assert not is_quiet(ledger)
    answers(ledger, message(b"n"))
    assert is_quiet(ledger)


def test_after_an_error_nothing_is_expected_up_to_sync(ledger):
    ask(ledger, "PBE")
    assert answers(ledger, FAILED) == [FAILED]
    assert (is_quiet(ledger), ledger.skipping) == (True, True)
    ask(ledger, "PQBE")
    assert is_quiet(ledger)
    ask(ledger, "SP")
    assert (is_quiet(ledger), ledger.skipping) == (False, False)
    answers(ledger, READY, message(b"1"))
    assert is_quiet(ledger)


def test_an_error_that_comes_when_sync_is_sent_already(ledger):
    ask(ledger, "PBESPS")
    answers(ledger, FAILED)
    assert not ledger.skipping
    answers(ledger, READY, message(b"1"))
    assert not is_quiet(ledger)
    answers(ledger, READY)
    assert is_quiet(ledger)


def test_an_error_of_sync_itself(ledger):
    ask(ledger, "S")
    assert answers(ledger, FAILED, READY) == [FAILED, READY]
    assert is_quiet(ledger)


def test_an_error_of_a_query_ends_with_ready(ledger):
    (asked,) = ask(ledger, "Q")
    answers(ledger, FAILED)
    assert not is_quiet(ledger)
    answers(ledger, BROKEN)
    assert (is_quiet(ledger), ledger.status, asked.sqlstate) == (True, b"E", "42P01")


def test_sync_before_the_end_of_copied_rows_does_not_count(ledger):
    ask(ledger, "PBES")
    answers(ledger, message(b"1"), message(b"2"), message(b"G"))
    assert ledger.copying
    ask(ledger, "ScS")
    assert not ledger.copying
    answers(ledger, message(b"C", b"COPY 1\0"))
    assert not is_quiet(ledger)
    answers(ledger, READY)
    assert is_quiet(ledger)


def test_copied_rows_that_were_sent_before_the_server_asked(ledger):
    ask(ledger, "EScSQ")
    answers(ledger, message(b"G"), message(b"C", b"COPY 1\0"), READY)
    assert (ledger.copying, is_quiet(ledger)) == (False, False)
    answers(ledger, READY)
    assert is_quiet(ledger)


def test_copy_in_a_query(ledger):
    ask(ledger, "Q")
    answers(ledger, message(b"G"))
    ask(ledger, "c")
    answers(ledger, message(b"C", b"COPY 1\0"), READY)
    assert is_quiet(ledger)


def test_what_is_ours_is_not_passed_on(ledger):
    (begin,) = ask(ledger, "E", silent=True)
    notice = message(b"N", b"SWARNING\0\0")
    assert answers(ledger, notice, message(b"C", b"BEGIN\0")) == [None, None]
    assert begin.warned
    assert answers(ledger, notice) == [notice]
    ask(ledger, "E", silent=True)
    assert answers(ledger, FAILED) == [None]
    ask(ledger, "S", held=True)
    assert answers(ledger, READY) == [None]


def test_errors_are_reworded_and_rows_added(ledger):
    ask(ledger, "Q", tell=lambda part: b"other", lines=("one", "two"))
    done = message(b"C", b"EXPLAIN\0")
    rows = b"".join(message(b"D", b"\0\1" + struct.pack("!i", 3) + text) for text in (b"one", b"two"))
    assert answers(ledger, done, FAILED, READY) == [rows + done, b"other", READY]


def test_what_answers_nothing_is_passed_on(ledger):
    asides = [message(b"N"), message(b"A"), message(b"S", b"a\0b\0"), message(b"K")]
    assert answers(ledger, *asides) == asides
    assert answers(ledger, FAILED) == [FAILED]  # the server ends the session


def test_not_quiet_before_the_answers_are_written(ledger):
    ask(ledger, "Q")
    ledger.answer(READY[0], READY)
    assert not ledger.wait(0)
    ledger.written()
    assert ledger.wait(0)
