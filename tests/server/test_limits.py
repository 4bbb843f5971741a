"""What a session may take of time, rows, memory and disk; for all, and for one user."""

import psycopg
import pyarrow as pa
import pytest

from sqlml.errors import OptionValueError, ResourceError
from sqlml.server.aside import Aside
from sqlml.server.limits import Limits, parse_size, shown
from sqlml.server.login import Door
from sqlml.server.roles import Roles
from tests.server.conftest import TABLES, dsn_of, serving
from tests.server.wire import Wire, fields, tags

MB = 1 << 20
ENDLESS = "SELECT sum(a.i * b.i) FROM numbers a, numbers b"
LIMITED = {
    "few": {"rows": 1000},
    "hasty": {"statement_timeout": 0.2},
    "silent": {"idle_timeout": 0.3},
    "small": {"memory": 2 * MB},
    "tidy": {"memory": 2 * MB, "disk": 4 * MB},
}


@pytest.fixture(scope="module")
def roles(tmp_path_factory):
    roles = Roles(tmp_path_factory.mktemp("limits") / "users.json")
    for name in (*LIMITED, "free"):
        roles.add(name, name, "admin" if name in ("small", "free") else "reader")
        roles.limit(name, LIMITED.get(name, {}))
    return roles


@pytest.fixture(scope="module")
def limited(roles):
    with serving(tables=TABLES, door=Door(roles)) as server:
        yield server


def login(server, name, **more):
    return psycopg.connect(dsn_of(server, name, password=name, **more), autocommit=True)


def refused(sqlstate, work, *values):
    with pytest.raises(psycopg.Error) as caught:
        work(*values)
    assert caught.value.sqlstate == sqlstate, caught.value
    return str(caught.value)


# -- rows -------------------------------------------------------------------------------------------------------------------


def test_rows_of_one_user(limited):
    with login(limited, "few") as few, login(limited, "free") as free:
        assert len(few.execute("SELECT * FROM churn").fetchall()) == 1000
        assert "more than 1000 rows" in refused("53000", few.execute, "SELECT * FROM numbers LIMIT 1001")
        assert few.execute("SELECT count(*) FROM numbers").fetchone() == (100_000,)
        assert len(free.execute("SELECT * FROM numbers").fetchall()) == 100_000


def test_rows_are_counted_across_fetches(limited):
    """And none beyond the limit leaves the server."""
    with login(limited, "few") as few, few.transaction():
        few.execute("DECLARE c CURSOR FOR SELECT i FROM numbers")
        assert len(few.execute("FETCH 600 FROM c").fetchall()) == 600
        assert len(few.execute("FETCH 400 FROM c").fetchall()) == 400
        with pytest.raises(psycopg.Error, match="more than 1000 rows"), few.transaction():
            few.execute("FETCH 1 FROM c")


def test_no_row_beyond_the_limit_is_sent():
    with serving(limits=Limits(rows=10)) as server, Wire(server.port) as wire:
        wire.log_in()
        assert tags(wire.query("SELECT i FROM numbers LIMIT 10")) == "T" + "D" * 10 + "CZ"
        assert tags(wire.query("SELECT i FROM numbers")) == "TEZ"
        assert tags(wire.query("COPY numbers TO STDOUT")) == "HEZ"


# -- time -------------------------------------------------------------------------------------------------------------------


def test_time_of_one_user_who_cannot_have_more(limited):
    with login(limited, "hasty") as hasty:
        assert "due to statement timeout" in refused("57014", hasty.execute, ENDLESS)
        hasty.execute("SET statement_timeout = '1h'")
        assert "due to statement timeout" in refused("57014", hasty.execute, ENDLESS)
        hasty.execute("SET statement_timeout = 0")
        assert "due to statement timeout" in refused("57014", hasty.execute, ENDLESS)
        assert hasty.execute("SELECT 1").fetchone() == (1,)


def test_idle_sessions_of_one_user(limited):
    silent, free = login(limited, "silent"), login(limited, "free")
    with pytest.raises(psycopg.OperationalError, match="closed the connection"):
        list(silent.notifies(timeout=10))
    assert free.execute("SELECT 1").fetchone() == (1,)
    free.close()


def test_idle_sessions_are_told_why():
    with serving(limits=Limits(idle_timeout=0.3)) as server, Wire(server.port) as wire:
        wire.log_in()
        tag, body = wire.message()
        assert (tag, fields(body)["S"], fields(body)["C"]) == (b"E", "FATAL", "57P05")
        assert wire.is_closed()


@pytest.mark.parametrize(
    ("setting", "begin", "sqlstate"),
    [
        ("idle_session_timeout", "SELECT 1", "57P05"),
        ("idle_in_transaction_session_timeout", "BEGIN", "25P03"),
    ],
)
def test_a_client_may_ask_to_be_ended(server, setting, begin, sqlstate):
    with Wire(server.port) as wire:
        wire.log_in()
        wire.query(f"SET {setting} = '300ms'")
        wire.query(begin)
        tag, body = wire.message()
        assert (tag, fields(body)["C"]) == (b"E", sqlstate)
        assert wire.is_closed()


# -- memory -----------------------------------------------------------------------------------------------------------------


def test_prepared_statements_do_not_pile_up(limited):
    with login(limited, "small") as small:
        text = b"SELECT $1::text -- " + b"x" * 100_000
        names = iter(range(1000))

        def prepare():
            for number in names:
                result = small.pgconn.prepare(b"p%d" % number, text)
                if result.error_message:
                    raise psycopg.Error(result.error_message.decode(), encoding="utf-8")

        with pytest.raises(psycopg.Error, match="more than 2 MiB of memory"):
            prepare()
        assert 15 < next(names) < 25
        small.execute("DEALLOCATE ALL")
        assert small.pgconn.prepare(b"again", text).error_message == b""


def test_values_do_not_pile_up():
    with serving(limits=Limits(memory=MB)) as server, Wire(server.port) as wire:
        wire.log_in()
        wire.send(b"P", b"s\0SELECT $1::text\0\0\0")
        wire.send(b"S")
        wire.until(b"Z")
        value = b"x" * 400_000
        for number in range(4):
            head = b"portal%d\0s\0\0\0\0\1" % number
            wire.send(b"B", head + len(value).to_bytes(4, "big") + value + b"\0\0")
        wire.send(b"S")
        assert tags(wire.until(b"Z")) == "22EZ"
        assert wire.query("SELECT 1")[-1][0] == b"Z"


def test_a_message_that_is_too_long_ends_the_session():
    with serving(limits=Limits(memory=MB)) as server, Wire(server.port) as wire:
        wire.log_in()
        wire.raw(b"Q" + (3 * MB).to_bytes(4, "big"))
        tag, body = wire.message()
        assert (tag, fields(body)["S"], fields(body)["C"]) == (b"E", "FATAL", "08P01")
        assert wire.is_closed()


def test_rows_that_wait_go_into_a_file(limited):
    """A cursor over more than the session's memory: what is kept stays below, and no row is lost."""
    with login(limited, "small") as small, small.transaction():
        small.execute("DECLARE c CURSOR FOR SELECT i, repeat('x', 100) AS x FROM numbers")
        assert small.execute("FETCH 1 FROM c").fetchone() == (0, "x" * 100)
        assert small.execute("SELECT 1").fetchone() == (1,)
        (client,) = [client for client in limited.sessions.clients() if client.user == "small"]
        assert 0 < client.cursors["c"].rows.held <= 2 * MB
        rest = small.execute("FETCH ALL FROM c").fetchall()
        assert (len(rest), sum(i for i, _ in rest)) == (99_999, 4_999_950_000)


def test_rows_that_wait_may_take_so_much_disk(limited):
    with login(limited, "tidy") as tidy, tidy.transaction():
        tidy.execute("DECLARE c CURSOR FOR SELECT i, repeat('x', 100) AS x FROM numbers")
        tidy.execute("FETCH 1 FROM c")
        assert tidy.execute("SELECT 1").fetchone() == (1,)  # what comes between is not hurt
        with pytest.raises(psycopg.Error, match="more than 4 MiB of disk") as caught, tidy.transaction():
            tidy.execute("FETCH ALL FROM c").fetchall()
        assert caught.value.sqlstate == "53100"


def test_rows_that_are_too_wide(limited):
    with login(limited, "small") as small:
        assert "of memory" in refused("53200", small.execute, "SELECT repeat('x', 1000000) FROM numbers LIMIT 10")
        assert len(small.execute("SELECT repeat('x', 1000000) FROM numbers LIMIT 1").fetchone()[0]) == 1_000_000


def test_wide_rows_are_sent_in_portions(server):
    """Without a limit: messages are made of a few megabytes at a time."""
    from sqlml.server.rows import PORTION

    with psycopg.connect(dsn_of(server), autocommit=True) as client:
        rows = client.execute("SELECT i, repeat('x', 1000000) FROM numbers LIMIT 30").fetchall()
        assert [(i, len(x)) for i, x in rows] == [(i, 1_000_000) for i in range(30)]
        assert PORTION < 30_000_000


def test_a_line_of_copy_that_never_ends(limited):
    with login(limited, "small") as small:
        small.execute("CREATE TABLE lines (a VARCHAR)")

        def pour():
            with small.cursor().copy("COPY lines FROM STDIN") as copy:
                for _ in range(40):
                    copy.write(b"x" * 100_000)

        refused("53200", pour)
        with small.cursor().copy("COPY lines FROM STDIN") as copy:  # more than the limit, in lines
            for _ in range(40):
                copy.write(b"x" * 99_999 + b"\n")
        assert small.execute("SELECT count(*), sum(length(a)) FROM lines").fetchone() == (40, 3_999_960)
        small.execute("DROP TABLE lines")


@pytest.mark.parametrize("setting", ["operator_memory_limit", "max_streaming_buffer_size"])
def test_readers_cannot_lift_what_the_engine_keeps_to(limited, setting):
    with login(limited, "tidy") as tidy:
        assert tidy.execute(f"SELECT current_setting('{setting}')").fetchone() == ("2.0 MiB",)
        refused("42501", tidy.execute, f"SET {setting} = '1GB'")
        refused("42501", tidy.execute, f"RESET {setting}")
        assert tidy.execute(f"SELECT current_setting('{setting}')").fetchone() == ("2.0 MiB",)


def test_training_counts_as_memory(limited):
    statement = (
        "CREATE MODEL big OPTIONS (input_label_cols = ['y'], num_iterations = 1, num_threads = 1, memory_limit = '8GB') "
        "AS SELECT i AS x, i % 7 AS y FROM numbers"
    )
    with login(limited, "small") as small, login(limited, "free") as free:
        assert "more than the limit of 2 MB" in refused("53000", small.execute, statement)
        assert free.execute(statement).statusmessage == "CREATE MODEL"
        free.execute("DROP MODEL big")


# -- how they are said ------------------------------------------------------------------------------------------------------


def test_limits_stay_with_a_user(roles):
    roles.grant("few", "a\0b\0c", revokes=False)
    roles.add("few", "few", "writer")
    user = Roles(roles.path).find("few")
    assert (user.role, user.limits, user.models) == ("writer", {"rows": 1000}, {"a\0b\0c"})
    roles.limit("few", {"rows": None, "memory": 5})
    assert Roles(roles.path).find("few").limits == {"memory": 5}
    roles.limit("few", {"rows": 1000, "memory": None})
    roles.add("few", "few", "reader")


@pytest.mark.parametrize(
    "wrong", [{"speed": 1}, {"rows": -1}, {"rows": "many"}, {"rows": True}, {"rows": float("nan")}]
)
def test_limits_that_are_none(roles, wrong):
    with pytest.raises(OptionValueError, match="unknown limit"):
        roles.limit("few", wrong)
    with pytest.raises(OptionValueError, match='role "nobody" does not exist'):
        roles.limit("nobody", {})


@pytest.mark.parametrize(
    ("text", "size"),
    [("7", 7), ("2kB", 2000), ("2 KiB", 2048), ("1.5MB", 1_500_000), ("1GiB", 1 << 30), ("3g", 3_000_000_000)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


def test_sizes_that_are_none():
    for text in ("", "MB", "-1MB", "1 parsec"):
        with pytest.raises(OptionValueError, match="is no size"):
            parse_size(text)
    assert [shown(size) for size in (7, 2048, 3 * MB)] == ["7 bytes", "2 KiB", "3 MiB"]


# -- rows that wait ---------------------------------------------------------------------------------------------------------


def batch(number):
    return pa.record_batch({"a": pa.array([number] * 1000, pa.int64())})


@pytest.mark.parametrize("in_memory", [0, 8000, 20_000, 1 << 30])
def test_what_waits_comes_out_as_it_went_in(in_memory):
    aside = Aside(in_memory)
    for number in range(10):
        aside.add(batch(number))
        assert aside.held <= in_memory
    assert [aside.read_next_batch().column(0)[0].as_py() for _ in range(10)] == list(range(10))
    assert aside.held == 0
    with pytest.raises(StopIteration):
        aside.read_next_batch()
    aside.close()


def test_what_waits_on_disk_is_bounded():
    aside = Aside(0, 30_000)
    with pytest.raises(ResourceError, match="of disk"):
        for number in range(10):
            aside.add(batch(number))
    aside.close()
