"""The extended protocol message by message: what is ours stands among what is the server's, in order and in its transaction."""

import struct

import pytest

from tests.server.gateway.conftest import MODEL, FleetWire
from tests.server.test_protocol import bind, execute, parse
from tests.server.wire import fields, tags

PREDICT = "SELECT PREDICT(leaves, $1::int AS r, 1.5::float8 AS amount) AS p"
MADE = MODEL.format("made_here")


def run(wire, text, values=(), **more):
    wire.send(b"P", parse(text))
    wire.send(b"B", bind(values, **more))
    wire.send(b"E", execute())


def sync(wire):
    wire.send(b"S")
    return wire.until(b"Z")


def heard(messages):
    """Without notices."""
    return tags([message for message in messages if message[0] != b"N"])


def value(wire, text):
    (row,) = [body for tag, body in wire.query(text) if tag == b"D"]
    return row[6:].decode()


@pytest.fixture
def table(wire):
    wire.query("CREATE TABLE piped (a int)")
    yield "piped"
    wire.query("ROLLBACK")
    wire.query("DROP TABLE piped")


def test_scores_in_a_pipeline(wire, model):
    for i in range(6):
        run(wire, "SELECT $1::int", (str(i).encode(),))
        run(wire, PREDICT, (str(i % 3).encode(),))
    messages = sync(wire)
    assert heard(messages) == "12DC" * 12 + "Z"
    assert [body[6:] for tag, body in messages if tag == b"D"][1::2] == [b"t", b"f", b"f"] * 2


def test_the_answers_come_in_the_order_of_the_messages(wire, model):
    for text in ("SELECT 1", "SHOW MODELS", PREDICT.replace("$1", "0"), "SELECT 2"):
        wire.send(b"P", parse(text))
        wire.send(b"D", b"S\0")
        wire.send(b"B", bind())
        wire.send(b"D", b"P\0")
        wire.send(b"E", execute())
    assert heard(sync(wire)) == "1tT2TDC" * 4 + "Z"


def test_a_statement_without_rows(wire):
    wire.send(b"P", parse("DROP MODEL IF EXISTS nothing", "s"))
    wire.send(b"D", b"Ss\0")
    wire.send(b"B", bind((), "p", "s"))
    wire.send(b"D", b"Pp\0")
    wire.send(b"E", execute(0, "p"))
    wire.send(b"C", b"Ss\0")
    wire.send(b"C", b"Pp\0")
    messages = sync(wire)
    assert heard(messages) == "1tn2nC33Z"
    assert (b"C", b"DROP MODEL: skipped\0") in messages


def test_a_pipeline_with_a_model_statement_is_one_transaction(wire, table, model):
    run(wire, "INSERT INTO piped VALUES (1)")
    run(wire, "SHOW MODELS")
    run(wire, "SELECT 1 / (random() * 0)::int")
    messages = sync(wire)
    assert heard(messages) == "12C12DC12EZ"
    assert messages[-1] == (b"Z", b"I")
    assert value(wire, "SELECT count(*) FROM piped") == "0"
    run(wire, "INSERT INTO piped VALUES (1)")
    run(wire, "SHOW MODELS")
    run(wire, "INSERT INTO piped VALUES (2)")
    messages = sync(wire)
    assert (heard(messages), messages[-1]) == ("12C12DC12CZ", (b"Z", b"I"))
    assert value(wire, "SELECT sum(a) FROM piped") == "3"


def test_what_is_ours_fails_what_came_before(wire, table):
    run(wire, "INSERT INTO piped VALUES (1)")
    run(wire, "SELECT PREDICT(nope, 1)")
    run(wire, "INSERT INTO piped VALUES (2)")
    messages = sync(wire)
    assert (heard(messages), messages[-1]) == ("12CEZ", (b"Z", b"I"))
    assert fields(messages[-2][1])["M"] == 'model "nope" does not exist'
    assert value(wire, "SELECT count(*) FROM piped") == "0"


def test_a_transaction_that_the_pipeline_began(wire, table, model):
    run(wire, "BEGIN")
    run(wire, "INSERT INTO piped VALUES (1)")
    run(wire, "SHOW MODELS")
    messages = sync(wire)
    assert (tags(messages), messages[-1]) == ("12C12C12DCZ", (b"Z", b"T"))
    run(wire, "SHOW MODELS")
    assert sync(wire)[-1] == (b"Z", b"T")
    assert wire.query("ROLLBACK")[-1] == (b"Z", b"I")
    assert value(wire, "SELECT count(*) FROM piped") == "0"


def test_a_failed_transaction_that_the_pipeline_ends(wire, table, model):
    wire.query("BEGIN")
    assert wire.query("SELECT missing")[-1] == (b"Z", b"E")
    run(wire, "SHOW MODELS")
    messages = sync(wire)
    assert (fields(messages[0][1])["C"], messages[-1]) == ("25P02", (b"Z", b"E"))
    run(wire, "ROLLBACK")
    run(wire, "SHOW MODELS")
    messages = sync(wire)
    assert (heard(messages), messages[-1]) == ("12C12DCZ", (b"Z", b"I"))
    wire.query("BEGIN")
    run(wire, "INSERT INTO piped VALUES (7)")
    run(wire, "COMMIT")
    run(wire, "SHOW MODELS")
    run(wire, "INSERT INTO piped VALUES (8)")
    messages = sync(wire)
    assert (heard(messages), messages[-1]) == ("12C12C12DC12CZ", (b"Z", b"I"))
    assert value(wire, "SELECT sum(a) FROM piped") == "15"


def test_a_model_made_in_a_pipeline_goes_with_it(wire, table):
    run(wire, "INSERT INTO piped VALUES (1)")
    run(wire, MADE)
    run(wire, "SELECT count(PREDICT(made_here, id % 3 AS r, amount)) FROM churn")
    run(wire, "SELECT missing")
    assert heard(sync(wire)) == "12C12C12DCEZ"
    messages = wire.query("SELECT PREDICT(made_here, 1 AS r, 1.5 AS amount)")
    assert fields(messages[0][1])["M"] == 'model "made_here" does not exist'


def test_after_an_error_nothing_of_ours_runs_up_to_sync(wire, model):
    run(wire, "SELECT missing")
    run(wire, MADE)
    run(wire, "SHOW MODELS")
    run(wire, PREDICT, (b"1",))
    assert tags(sync(wire)) == "EZ"
    run(wire, "SELECT PREDICT(nope, 1)")
    run(wire, MADE)
    wire.raw(query("SHOW MODELS"))
    assert tags(sync(wire)) == "EZ"
    assert [tag for tag, _ in wire.query("SHOW MODELS")].count(b"D") == 1


def test_flush(wire, model):
    wire.send(b"P", parse("SHOW MODELS"))
    wire.send(b"H")
    assert wire.message() == (b"1", b"")
    wire.send(b"P", parse(PREDICT, "s"))
    wire.send(b"D", b"Ss\0")
    wire.send(b"H")
    assert heard(wire.until(b"T")) == "1tT"
    assert tags(sync(wire)) == "Z"


def test_rows_in_portions(wire, model):
    for name in ("leaves2", "leaves3"):
        wire.query(MODEL.format(name))
    wire.send(b"P", parse("SHOW MODELS"))
    wire.send(b"B", bind())
    for _ in range(3):
        wire.send(b"E", execute(2))
    assert tags(sync(wire)) == "12DDsDCCZ"
    wire.query("DROP MODEL leaves2; DROP MODEL leaves3")


def test_values_in_binary(wire, model):
    wire.send(b"P", parse(PREDICT, types=(23,)))
    wire.send(b"B", bind((struct.pack("!i", 0),), formats=(1,), results=(1,)))
    wire.send(b"E", execute())
    (row,) = [body for tag, body in sync(wire) if tag == b"D"]
    assert row[6:] == b"\x01"


def test_the_unnamed_statement_outlives_ours(wire, model):
    wire.send(b"P", parse("SELECT 'still here'"))
    sync(wire)
    wire.send(b"P", parse("SHOW MODELS", "ours"))
    wire.send(b"B", bind((), "ours", "ours"))
    wire.send(b"E", execute(0, "ours"))
    sync(wire)
    wire.send(b"B", bind())
    wire.send(b"E", execute())
    messages = sync(wire)
    assert tags(messages) == "2DCZ"
    assert messages[1][1].endswith(b"still here")


def test_a_statement_whose_model_is_gone(wire):
    wire.query(MADE)
    wire.send(b"P", parse("SELECT PREDICT(made_here, 0 AS r, 1.5 AS amount)", "s"))
    assert heard(sync(wire)) == "1Z"
    wire.query("DROP MODEL made_here")
    wire.send(b"B", bind((), "", "s"))
    wire.send(b"E", execute())
    messages = sync(wire)
    assert (tags(messages), fields(messages[0][1])["C"]) == ("EZ", "42704")
    assert tags(wire.query("SELECT 1")) == "TDCZ"


def test_values_for_a_statement_that_takes_none(wire):
    wire.send(b"P", parse("SHOW MODELS"))
    wire.send(b"B", bind((b"1",)))
    wire.send(b"E", execute())
    messages = sync(wire)
    assert (tags(messages), fields(messages[1][1])["C"]) == ("1EZ", "08P01")
    assert tags(wire.query("SELECT 1")) == "TDCZ"


def test_queries_sent_at_once(wire, model):
    wire.raw(b"".join(query(text) for text in ("SELECT 1", "SHOW MODELS", "SELECT missing", "SHOW MODELS", "SELECT 2")))
    assert "".join(heard(wire.until(b"Z")) for _ in range(5)) == "TDCZTDCZEZTDCZTDCZ"


def query(text):
    return b"Q" + struct.pack("!i", len(text) + 5) + text.encode() + b"\0"


def test_a_client_that_leaves_while_a_model_is_trained(gateway, cluster):
    with FleetWire(gateway.port) as wire:
        wire.raw(query(MADE.replace("num_iterations = 5", "num_iterations = 300")))
        wire.until(b"N")
    with FleetWire(gateway.port) as wire:
        assert tags(wire.query("SELECT 1")) == "TDCZ"
        wire.query("DROP MODEL IF EXISTS made_here")
