"""Splitting: the oracle is DuckDB's own `extract_statements`, and what a shell user expects of unfinished input."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlml.cli.script import is_complete, split_script

SCRIPTS = [
    "select 1",
    "select 1;",
    "select 1; select 2",
    "select ';'; select '''; '; select $$ ; $$; select $a$ ; $$ ; $a$;",
    "select 1 -- no ; end\n; select 2 /* ; /* ; */ ; */ ; select 3",
    """select "a;b" from (select 1 as "a;b"); select e'\\';' , 1;""",
    "create table t(a$b int); select a$b from t; select 'a''b;c'; select 'x' as \"q\"\"; \"",
    "select 1;;; select 2;",
    "select $1; select some'x';",
]


@pytest.mark.parametrize("script", SCRIPTS[:-1])
def test_cuts_where_duckdb_cuts(script):
    ours = [piece.text for piece in split_script(script) if not piece.blank]
    with duckdb.connect() as connection:
        theirs = [statement.query for statement in connection.extract_statements(script)]
    assert [text.strip() for text in ours] == [text.strip().rstrip(";").strip() for text in theirs]


@pytest.mark.parametrize("script", SCRIPTS)
def test_nothing_is_lost(script):
    pieces = split_script(script)
    assert "".join(piece.text + ";" * piece.ended for piece in pieces) == script
    assert all(script[piece.start :].startswith(piece.text) for piece in pieces)


@given(st.text(alphabet="a ;'\"$`-/*\n\\eE1é", max_size=40))
def test_any_text_is_cut_without_loss(text):
    again = "".join(piece.text + ";" * piece.ended for piece in split_script(text))
    assert text.startswith(again)
    assert not text[len(again) :].strip()


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True),
        ("  \n", True),
        ("-- a thought", True),
        ("select 1;", True),
        ("select 1", False),
        ("select 1; -- done", True),
        ("select 1; select", False),
        ("select ';", False),
        ("select $$ ; ", False),
        ("select /* ;", False),
        ("/* thought", False),
        ('select "a;', False),
    ],
)
def test_knows_when_to_run(text, complete):
    assert is_complete(text) is complete
