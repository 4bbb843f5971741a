"""A small database with models, and one way to look at an error: its words, the word under its caret, its SQLSTATE."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import pytest

import sqlml
from sqlml.errors import SqlmlError
from sqlml.language.errors import render

DATA = """
CREATE TABLE t AS
SELECT i AS id, (i * 7 % 60)::INTEGER AS a, (i * 13 % 100) / 10.0::DOUBLE AS b, ['x', 'y', 'z', NULL][1 + i % 4] AS s, i % 2 = 0 AS f,
       DATE '2024-01-01' + (i % 300)::INTEGER AS d, [i] AS l, {'q': i} AS st, NULL::DOUBLE AS nothing,
       (i * 7 % 60) * 2.0 + i % 4 AS y, i % 3 = 0 AS lab, ['u', 'v', 'w'][1 + i % 3] AS k, 'n' || i AS each
FROM range(400) r(i);
CREATE TABLE other AS SELECT i AS id, i % 5 AS a, i * 1.0::DOUBLE AS c FROM range(400) r(i);
"""
FAST = "max_iterations = 2, num_threads = 1"
MODELS = f"""
CREATE MODEL reg OPTIONS (input_label_cols = ['y'], {FAST}) AS SELECT a, b, s, f, y FROM t;
CREATE MODEL cls OPTIONS (input_label_cols = ['lab'], {FAST}) AS SELECT a, b, s, lab FROM t;
CREATE MODEL multi OPTIONS (input_label_cols = ['k'], {FAST}) AS SELECT a, b, s, k FROM t;
CREATE MODEL bound TRANSFORM (a, ascii(s) + strlen(s) AS odd, y) OPTIONS (input_label_cols = ['y'], {FAST}) AS SELECT a, s, y FROM t;
"""
NAMES = ["bound", "cls", "multi", "reg"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A database file with two tables and four models; tests copy it."""
    path = tmp_path_factory.mktemp("errors") / "trained.duckdb"
    with sqlml.connect(path) as con:
        con.execute(DATA)
        con.execute(MODELS)
    return path


@pytest.fixture(scope="module")
def shared(trained, tmp_path_factory):
    """An open connection on a copy, for the statements of one file that all fail."""
    path = tmp_path_factory.mktemp("shared") / "shared.duckdb"
    path.write_bytes(trained.read_bytes())
    with sqlml.connect(path) as con:
        yield con


@pytest.fixture
def database(trained, tmp_path):
    """The path of a copy of the file."""
    path = tmp_path / "copy.duckdb"
    path.write_bytes(trained.read_bytes())
    return path


@pytest.fixture
def con(database):
    """An open connection on a copy of its own."""
    with sqlml.connect(database) as connection:
        yield connection


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
