"""The protocol's own rules: what no client library shows, said byte by byte."""

import struct

import pytest

from tests.server.wire import Wire, fields, tags


@pytest.fixture
def wire(server):
    with Wire(server.port) as wire:
        wire.log_in()
        yield wire


def parse(text, name="", types=()):
    return name.encode() + b"\0" + text.encode() + b"\0" + struct.pack(f"!h{len(types)}i", len(types), *types)


def bind(values=(), portal="", statement="", formats=(), results=()):
    body = (
        portal.encode() + b"\0" + statement.encode() + b"\0" + struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    )
    body += struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value
    return body + struct.pack(f"!h{len(results)}h", len(results), *results)


def execute(limit=0, portal=""):
    return portal.encode() + b"\0" + struct.pack("!i", limit)


def test_startup_tells_what_clients_ask_for(server):
    with Wire(server.port) as wire:
        messages = wire.log_in()
    told = dict(body[:-1].split(b"\0") for tag, body in messages if tag == b"S")
    assert told[b"server_encoding"] == told[b"client_encoding"] == b"UTF8"
    assert told[b"integer_datetimes"] == told[b"standard_conforming_strings"] == b"on"
    assert {b"server_version", b"TimeZone", b"DateStyle", b"application_name"} <= told.keys()
    assert tags(messages)[-2:] == "KZ"


def test_newer_minor_versions_are_negotiated(server):
    with Wire(server.port) as wire:
        wire.startup(196608 + 2, user="ann", **{"_pq_.wish": "x"})
        messages = wire.until(b"Z")
    assert messages[0][0] == b"v"
    assert messages[0][1] == struct.pack("!ii", 196608, 1) + b"_pq_.wish\0"


def test_older_protocols_are_refused(server):
    with Wire(server.port) as wire:
        wire.startup(2 << 16, user="ann")
        tag, body = wire.message()
        assert (tag, fields(body)["S"]) == (b"E", "FATAL")
        assert wire.is_closed()


@pytest.mark.parametrize("code", [80877103, 80877104], ids=["tls", "gss"])
def test_encryption_that_is_not_there(server, code):
    with Wire(server.port) as wire:
        wire.raw(struct.pack("!ii", 8, code))
        assert wire.read(1) == b"N"
        assert tags(wire.log_in())[-1] == "Z"


def test_empty_queries(wire):
    assert tags(wire.query("")) == "IZ"
    assert tags(wire.query(" ; -- nothing\n ;")) == "IZ"
    wire.send(b"P", parse(""))
    wire.send(b"B", bind())
    wire.send(b"D", b"P\0")
    wire.send(b"E", execute())
    wire.send(b"S")
    assert tags(wire.until(b"Z")) == "12nIZ"


def test_several_statements_are_one_transaction(wire):
    wire.query("CREATE TABLE together (a INTEGER)")
    messages = wire.query(
        "INSERT INTO together VALUES (1); SELECT * FROM together; INSERT INTO together VALUES (1 / 'x'); SELECT 1"
    )
    assert tags(messages) == "CTDCEZ"
    assert [body for tag, body in wire.query("SELECT count(*) FROM together") if tag == b"D"] == [b"\0\1\0\0\0\x010"]


def test_portals_have_row_limits(wire):
    wire.send(b"P", parse("SELECT i FROM numbers ORDER BY i"))
    wire.send(b"B", bind(portal="p"))
    wire.send(b"E", execute(2, "p"))
    wire.send(b"E", execute(3, "p"))
    wire.send(b"H")
    assert tags([wire.message() for _ in range(9)]) == "12DDsDDDs"
    wire.send(b"E", execute(0, "p"))
    wire.send(b"S")
    messages = wire.until(b"Z")
    assert messages[-2] == (b"C", b"SELECT 99995\0")


def test_another_statement_between_two_portions(wire):
    wire.query("BEGIN")
    wire.send(b"P", parse("SELECT i FROM numbers ORDER BY i"))
    wire.send(b"B", bind(portal="p"))
    wire.send(b"E", execute(1, "p"))
    wire.send(b"P", parse("SELECT 'between'"))
    wire.send(b"B", bind())
    wire.send(b"E", execute())
    wire.send(b"E", execute(1, "p"))
    wire.send(b"S")
    rows = [body[6:] for tag, body in wire.until(b"Z") if tag == b"D"]
    assert rows == [b"0", b"between", b"1"]
    assert tags(wire.query("COMMIT")) == "CZ"


def test_after_an_error_messages_are_skipped_to_sync(wire):
    wire.send(b"P", parse("SELECT nothing_of_the_kind"))
    wire.send(b"B", bind())
    wire.send(b"E", execute())
    wire.send(b"P", parse("SELECT 1"))
    wire.send(b"S")
    assert tags(wire.until(b"Z")) == "EZ"
    assert tags(wire.query("SELECT 1")) == "TDCZ"


def test_status_of_the_transaction(wire):
    assert wire.query("BEGIN")[-1] == (b"Z", b"T")
    messages = wire.query("SELECT broken")
    assert messages[-1] == (b"Z", b"E")
    assert fields(wire.query("SELECT 1")[0][1])["C"] == "25P02"
    messages = wire.query("COMMIT")
    assert messages == [(b"C", b"ROLLBACK\0"), (b"Z", b"I")]
    assert fields(wire.query("COMMIT")[0][1])["C"] == "25P01"


def test_describe_of_a_statement_tells_parameters_and_columns(wire):
    wire.send(b"P", parse("SELECT name, $2::double AS x FROM churn WHERE id = $1", "s"))
    wire.send(b"D", b"Ss\0")
    wire.send(b"S")
    messages = dict(wire.until(b"Z"))
    assert messages[b"t"] == struct.pack("!hii", 2, 23, 701)
    assert messages[b"T"].startswith(struct.pack("!h", 2) + b"name\0")
    wire.send(b"C", b"Ss\0")
    wire.send(b"D", b"Ss\0")
    wire.send(b"S")
    messages = wire.until(b"Z")
    assert (tags(messages), fields(messages[1][1])["C"]) == ("3EZ", "26000")


def test_formats_may_differ_by_column(wire):
    wire.send(b"P", parse("SELECT 1::integer, 2::integer"))
    wire.send(b"B", bind(results=(0, 1)))
    wire.send(b"E", execute())
    wire.send(b"S")
    assert dict(wire.until(b"Z"))[b"D"] == struct.pack("!hi", 2, 1) + b"1" + struct.pack("!ii", 4, 2)


def test_position_counts_characters_of_the_whole_query(wire):
    error = fields(wire.query("SELECT 'ö'; SELECT missing FROM churn")[-2][1])
    assert (error["C"], error["P"]) == ("42703", "20")


def test_error_of_the_dialect_has_position_and_hint(wire):
    error = fields(wire.query("SELECT PREDICT(nobody, *) FROM churn")[0][1])
    assert (error["S"], error["V"], error["C"]) == ("ERROR", "ERROR", "42704")
    assert "nobody" in error["M"]
    assert error["P"] == "16"


def test_a_message_out_of_place_ends_the_connection(server):
    with Wire(server.port) as wire:
        wire.log_in()
        wire.send(b"p", b"password\0")
        tag, body = wire.message()
        assert (tag, fields(body)["S"], fields(body)["C"]) == (b"E", "FATAL", "08P01")
        assert wire.is_closed()


def test_function_calls_are_refused(wire):
    wire.send(b"F", b"\0\0\0\1\0\0\0\0\0\0")
    messages = wire.until(b"Z")
    assert (tags(messages), fields(messages[0][1])["C"]) == ("EZ", "0A000")


def test_rows_of_a_copy_that_failed_are_passed_over(wire):
    wire.send(b"Q", b"COPY no_such_table FROM STDIN\0")
    wire.send(b"d", b"1\n")
    wire.send(b"c")
    assert tags(wire.until(b"Z")) == "EZ"
    assert tags(wire.query("SELECT 1")) == "TDCZ"
