"""Pass-through is sacred: a corpus of DuckDB statements, full of our words, is left alone."""

import duckdb
import pytest

from sqlml.language.parser import parse
from sqlml.language.statements import EngineStatement
from sqlml.language.tokens import tokenize


def test_corpus_is_large(corpus):
    assert len(corpus) >= 150
    assert sum("model" in text.lower() or "predict" in text.lower() for text, _ in corpus) >= 75


def test_corpus_is_left_untouched(corpus):
    """No call is found, no error raised, and the spans make up the text."""
    for text, _ in corpus:
        statements = parse(text, "duckdb", lambda parts: False)
        assert all(isinstance(statement, EngineStatement) for statement in statements), text
        assert not any(statement.calls for statement in statements), text
        kept = "".join(statement.span.of(text) for statement in statements)
        assert kept.replace(";", "") == text.replace(";", ""), text


def _run(statements):
    outcomes = []
    with duckdb.connect() as connection:
        for text, _ in statements:
            try:
                outcomes.append(connection.execute(text).fetchall())
            except duckdb.Error as error:
                outcomes.append(str(error))
                if "TransactionContext" in str(error):
                    connection.rollback()
    return outcomes


def test_corpus_runs_on_plain_duckdb(corpus, tmp_path, monkeypatch):
    """The statements that should run do, those that should fail do, and two runs agree: fit to compare a session with."""
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        runs.append(_run(corpus))
    for (text, must_fail), outcome, again in zip(corpus, *runs, strict=True):
        assert isinstance(outcome, str) == must_fail, f"{text}\n{outcome}"
        assert outcome == again, text


def test_tokens_begin_where_duckdb_says(corpus):
    """DuckDB's own scanner is the oracle for words and quoted things; operators are cut differently, which does no harm."""
    for text, _ in corpus:
        if "unclosed" in text:
            continue
        raw = text.encode()
        theirs = {
            len(raw[:start].decode()) for start, kind in duckdb.tokenize(text) if kind != duckdb.token_type.comment
        }
        ours = {token.start for token in tokenize(text) if token.kind in ("word", "quoted", "string")}
        assert ours <= theirs, text


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_text_that_has_no_tokens_passes(dialect, is_model):
    text = "SELECT model FROM t WHERE x = 'never closed"
    assert [s.span.of(text) for s in parse(text, dialect, is_model)] == [text]
