"""Whatever the text: nothing but SqlmlError is raised, and what holds no ML syntax is left alone."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sqlml.errors import SqlmlError
from sqlml.language.errors import render
from sqlml.language.parser import parse
from sqlml.language.splice import splice
from sqlml.language.statements import EngineStatement
from sqlml.language.tokens import may_hold_ml, tokenize

SQL_WORDS = """
    SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET WITH RECURSIVE AS NOT MATERIALIZED UNION ALL EXCEPT INTERSECT
    JOIN LEFT ON USING LATERAL VALUES TABLE INSERT INTO UPDATE SET DELETE MERGE WHEN MATCHED THEN RETURNING CONFLICT DO
    CREATE OR REPLACE VIEW MACRO TRIGGER EXPLAIN ANALYZE PREPARE EXECUTE COPY TO PIVOT UNPIVOT FOR IN IS DISTINCT CASE END
    a b t "q" `b` 'x' $$d$$ 1 2.5 ( ) [ ] { } , , ; . * + = : :: := => -> @ ? $1
""".split()  # noqa: SIM905  # words read best as words
ML_WORDS = """
    MODEL MODELS PREDICT ( PREDICT_PROBA ( ml_predict ( ML.PREDICT ( ML.EVALUATE ( ML . TRANSFORM OPTIONS STRUCT ( DROP ALTER
    REFRESH SHOW DESCRIBE EXPORT IMPORT VERSION VERSIONS DEFAULT ALIAS RENAME KEEP IF EXISTS GRANT COMMENT m m m 'm' MODEL m
""".split()  # noqa: SIM905


def soup(words, size=25):
    return st.lists(st.sampled_from(words), max_size=size).map(" ".join)


def check_error(error, text):
    assert error.text == text
    assert error.position is not None
    assert 0 <= error.position <= len(text)
    assert render(error)


def check(text, dialect):
    """Parse, and hold the promises that any result must keep."""
    try:
        statements = parse(text, dialect, lambda parts: parts[-1] == "m")
    except SqlmlError as error:
        check_error(error, text)
        return None
    assert statements
    position = 0
    for statement in statements:
        assert position <= statement.span.start <= statement.span.end <= len(text)
        position = statement.span.end
        for call in getattr(statement, "calls", ()):
            assert statement.span.start <= call.span.start < call.span.end <= statement.span.end
    return statements


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["duckdb", "postgres"]))
@example("\x00", "duckdb")
@example("$", "duckdb")
@example("$$", "postgres")
@example("/*", "duckdb")
@example("'\\", "postgres")
@example("{#", "duckdb")
@example("ML.PREDICT(MODEL", "duckdb")
def test_any_text(text, dialect):
    check(text, dialect)


@settings(max_examples=500, deadline=None)
@given(soup(SQL_WORDS + ML_WORDS * 2), st.sampled_from(["duckdb", "postgres"]))
def test_any_soup_of_words(text, dialect):
    statements = check(text, dialect)
    for statement in statements or ():
        calls = getattr(statement, "calls", ())
        outermost = [c for c in calls if not any(o.span.start < c.span.start < o.span.end for o in calls)]
        generated, offsets = splice(text, [(call.span, "x") for call in outermost])
        assert offsets.to_user(len(generated)) == len(text)


@settings(max_examples=300, deadline=None)
@given(soup(SQL_WORDS, 40))
def test_text_without_our_words_is_left_alone(text):
    assert not may_hold_ml(text)
    statements = check(text, "duckdb")
    assert all(isinstance(statement, EngineStatement) and not statement.calls for statement in statements)
    kept = "".join(statement.span.of(text) for statement in statements)
    assert "".join(kept.split()) == "".join(text.replace(";", " ").split())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_statements(rewrites, data):
    """Statements with calls, with some tokens lost, doubled or put elsewhere."""
    text = data.draw(st.sampled_from(rewrites))
    pieces = [token.text for token in tokenize(text)]
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(pieces) - 1)) if pieces else 0
        change = data.draw(st.sampled_from(["lose", "double", "move", "cut"]))
        if change == "lose":
            del pieces[index : index + 1]
        elif change == "double":
            pieces[index:index] = pieces[index : index + 1]
        elif change == "cut":
            del pieces[index:]
        else:
            pieces = pieces[index:] + pieces[:index]
    check(" ".join(pieces), "duckdb")


@pytest.mark.parametrize("depth", [50, 99, 101, 3000])
@pytest.mark.parametrize(
    "shape",
    [
        ("(", ")", "SELECT {} FROM t"),
        ("(SELECT ", ")", "SELECT {} FROM t"),
        ("(SELECT * FROM ", " x)", "SELECT * FROM {}"),
        ("(", ")", "SELECT 1 FROM {}"),
        ("[", "]", "SELECT {} FROM t"),
        ("(", ")", "SELECT * FROM ML.PREDICT(MODEL m, {})"),
        ("(", ")", "CREATE MODEL x OPTIONS (a = {}) AS SELECT 1"),
        ("WITH a AS (", ") FROM a", "SELECT 1; {}"),
    ],
)
def test_depth_is_no_danger(depth, shape):
    opening, closing, frame = shape
    core = "1" if "OPTIONS" in frame else "SELECT PREDICT(m, *) FROM t" if "WITH" in opening else "PREDICT(m, *)"
    check(frame.format(opening * depth + core + closing * depth), "duckdb")


def test_length_is_no_danger():
    """Ten thousand calls are read in linear time."""
    text = "SELECT " + ", ".join(f"PREDICT(m, a AS x{i})" for i in range(10_000)) + " FROM t"
    (statement,) = check(text, "duckdb")
    assert len(statement.calls) == 10_000
