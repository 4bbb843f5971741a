"""A small database with models, and one way to look at an error: its words, the word under its caret, its SQLSTATE."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import pytest

import sqlml
from sqlml.errors import SqlmlError
from sqlml.language.errors import render

# A list and a row of one field are written otherwise on each engine.
DATA = """
CREATE TABLE t AS
SELECT i::BIGINT AS id, (i * 7 % 60)::INTEGER AS a, (i * 13 % 100) / 10.0::FLOAT8 AS b, CASE i % 4 WHEN 0 THEN 'x' WHEN 1 THEN 'y' WHEN 2 THEN 'z' END AS s,
       i % 2 = 0 AS f, DATE '2024-01-01' + (i % 300)::INTEGER AS d, {list} AS l, {struct} AS st, NULL::FLOAT8 AS nothing,
       ((i * 7 % 60) * 2.0 + i % 4)::FLOAT8 AS y, i % 3 = 0 AS lab, CASE i % 3 WHEN 0 THEN 'u' WHEN 1 THEN 'v' ELSE 'w' END AS k, 'n' || i AS each
FROM generate_series(0, 399) r(i);
CREATE TABLE other AS SELECT i::BIGINT AS id, i % 5 AS a, i * 1.0::FLOAT8 AS c FROM generate_series(0, 399) r(i);
"""
LISTS = {
    "duckdb": {"list": "[i::BIGINT]", "struct": "{'q': i}", "strlen": "strlen"},
    "postgres": {"list": "ARRAY[i::BIGINT]", "struct": "ROW(i)::one", "strlen": "octet_length"},
}
FAST = "max_iterations = 2, num_threads = 1"
MODELS = f"""
CREATE MODEL reg OPTIONS (input_label_cols = ['y'], {FAST}) AS SELECT a, b, s, f, y FROM t;
CREATE MODEL cls OPTIONS (input_label_cols = ['lab'], {FAST}) AS SELECT a, b, s, lab FROM t;
CREATE MODEL multi OPTIONS (input_label_cols = ['k'], {FAST}) AS SELECT a, b, s, k FROM t;
"""
# A feature that only the engine itself can compute.
BOUND = f"""
CREATE MODEL bound TRANSFORM (a, ascii(s) + {{strlen}}(s) AS odd, y) OPTIONS (input_label_cols = ['y'], {FAST}) AS SELECT a, s, y FROM t;
"""


@pytest.fixture(scope="session")
def trained(door, made):
    """The address of a database with two tables and four models; tests copy it."""
    if (door.name, "errors") not in made:
        made[door.name, "errors"] = address = door.fresh()
        with sqlml.connect(address) as con:
            if door.name == "postgres":
                con.execute("CREATE TYPE one AS (q INTEGER)")
            con.execute(DATA.format(**LISTS[door.name]))
            con.execute(MODELS)
            con.execute(BOUND.format(**LISTS[door.name]))
    return made[door.name, "errors"]


@pytest.fixture(scope="module")
def shared(door, trained):
    """An open connection on a copy, for the statements of one file that all fail."""
    address = door.copy(trained)
    with sqlml.connect(address) as con:
        yield con
    door.drop(address)


@pytest.fixture
def database(door, trained):
    """The address of a copy."""
    address = door.copy(trained)
    yield address
    door.drop(address)


@pytest.fixture
def con(database):
    """An open connection on a copy of its own."""
    with sqlml.connect(database) as connection:
        yield connection


# What Postgres says where the tests have DuckDB's words, and its states for the same mistakes.
WORDS = [
    (re.compile(r"^nosuch does not exist"), 'relation "nosuch" does not exist'),
    (re.compile(r'^"(\w+)" not found'), r'column "\1" does not exist'),
    (re.compile(r"^(nofn|nofunc) does not exist"), r"function \1("),
    (re.compile(r"^Could not convert( string '(\w+)')?"), "invalid input syntax for type"),
    (re.compile(r"got VARCHAR"), "got text"),
    (re.compile(r"got LIST"), "got bigint[]"),
    (re.compile(r"got STRUCT"), "got one"),
    (re.compile(r"got INTEGER"), "got integer"),
    (re.compile(r"got DATE"), "got date"),
    (re.compile(r"a BOOLEAN"), "a boolean"),
    (re.compile(r"of type BIGINT\[\]"), "of type bigint[]"),
    (re.compile(r"of type BLOB"), "of type bytea"),
    (re.compile(r"of type INTERVAL"), "of type interval"),
]
STATES = {"22018": "22P02"}


@pytest.fixture(scope="session")
def said(engine_name):
    """``said(message, sqlstate)``: how the engine puts it."""

    def put(message, sqlstate):
        if engine_name == "duckdb":
            return message, sqlstate
        for pattern, words in WORDS:
            message = pattern.sub(words, message)
        return message, STATES.get(sqlstate, sqlstate)

    return put


@dataclass(frozen=True)
class Failure:
    """What a person sees of an error."""

    message: str
    hint: str
    detail: str
    sqlstate: str
    word: str  # the text under the caret, up to the end of the statement
    rendered: str


@pytest.fixture
def refuse():
    """``refuse(con, sql)`` runs a statement that has to fail, checks what every error must have, and gives the rest."""

    def run(con, sql, parameters=None, *, door="execute"):
        before = con.models
        with pytest.raises(SqlmlError) as caught:
            getattr(con, door)(sql, *([parameters] if parameters is not None else []))
        error = caught.value
        require_house_style(error)
        assert error.text == sql
        assert con.execute("SELECT 42").fetchone() == (42,)
        assert con.models == before
        word = "" if error.position is None else sql[error.position :]
        return Failure(error.message, error.hint or "", error.detail or "", error.sqlstate, word, render(error))

    return run


def require_house_style(error):
    """PostgreSQL's form: no full stop after the message, a state of its own, sentences as hints, no Python inside."""
    assert str(error) == error.message
    assert not error.message.endswith((".", "\n"))
    assert re.fullmatch(r"[0-9A-Z]{5}", error.sqlstate)
    assert error.sqlstate not in ("XX000", "38000")
    whole = render(error)
    assert not re.search(r"\b\w+(Error|Exception)\b|Traceback|<class|object at 0x|__sqlml_|\bNone\b", whole), whole
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in whole)
    if error.hint and not error.hint.startswith("Candidate"):
        assert error.hint[0].isupper() or error.hint[0] == '"'
        assert error.hint.endswith((".", "?", ")", '"', ";"))
