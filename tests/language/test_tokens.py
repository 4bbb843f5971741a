"""Tokens, and what is asked of them."""

import timeit

import pytest

from sqlml.errors import SqlSyntaxError
from sqlml.language.tokens import (
    column_name,
    identifier,
    match_brackets,
    may_hold_ml,
    string_value,
    substitute,
    tokenize,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", False),
        ("CREATE MODEL m AS SELECT 1", True),
        ("show models", True),
        ("SELECT Predict(m, *) FROM t", True),
        ("SELECT predict_proba(m, *) FROM t", True),
        ("SELECT EXPLAIN_PREDICT(m, *) FROM t", True),
        ("FROM ml . evaluate('m')", True),
        ("FROM ML/**/.PREDICT(MODEL m)", True),
        ("SELECT ml_predict('m', t) FROM t", True),
        ("SELECT html, xml, aml FROM t", False),
        ("SELECT car_model FROM remodel", False),
        ("SELECT predicted FROM t", True),
        ("SELECT unpredictable FROM t", False),
    ],
)
def test_may_hold_ml(text, expected):
    assert may_hold_ml(text) is expected


def test_may_hold_ml_takes_no_time():
    text = "SELECT origin, count(*) FROM flights WHERE delay > 15 GROUP BY origin ORDER BY 2 DESC LIMIT 10"
    seconds = min(timeit.repeat(lambda: may_hold_ml(text), number=1000, repeat=20)) / 1000
    assert seconds < 5e-6


def test_offsets_are_exact():
    text = "SELECT\t'é'  , \"日本\" /* x */ FROM `a``b`-- end"
    tokens = tokenize(text)
    assert [text[token.start : token.end] for token in tokens] == ["SELECT", "'é'", ",", '"日本"', "FROM", "`a``b`"]
    assert all(token.text == text[token.start : token.end] for token in tokens)


def test_kinds():
    kinds = {token.text: token.kind for token in tokenize("a \"b\" 'c' 1.5e3 $$d$$ E'e' x'AB' ( é")}
    assert kinds == {
        "a": "word",
        '"b"': "quoted",
        "'c'": "string",
        "1.5e3": "number",
        "$$d$$": "string",
        "E'e'": "string",
        "x'AB'": "string",
        "(": "symbol",
        "é": "word",
    }


def test_upper_is_empty_for_quoted_words_and_ascii_only():
    assert [token.upper for token in tokenize("select \"select\" 'select' l\u0131ke")] == [
        "SELECT",
        "",
        "",
        "l\u0131ke",
    ]


@pytest.mark.parametrize(
    "text", ["EXPLAIN SELECT a", "PREPARE p AS SELECT a", "CALL f(a)", "SHOW TABLES", "EXECUTE p(a)", "SET x = a"]
)
def test_no_statement_is_swallowed(text):
    assert len(tokenize(text)) > 2 - text.startswith("SHOW")


def test_braces_of_structs_are_no_templates():
    text = "SELECT {'a': {'b': {{}}}}, {%}"
    assert [token.text for token in tokenize(text) if token.text in "{}"] == list("{{{{}}}}{}")


@pytest.mark.parametrize(
    ("text", "position", "what"),
    [
        ("SELECT 'abc", 7, "quoted text"),
        ("SELECT 'it''s', \"abc", 16, "quoted text"),
        ("SELECT `abc", 7, "quoted text"),
        ("SELECT $$abc$", 7, "quoted text"),
    ],
)
def test_what_is_never_closed(text, position, what):
    with pytest.raises(SqlSyntaxError, match=f"unterminated {what}") as caught:
        tokenize(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", "a"), ("Ab", "Ab"), ('"a""b"', 'a"b'), ("`a``b`", "a`b"), ('"a`b"', "a`b")],
)
def test_identifier(text, expected):
    assert identifier(tokenize(text)[0]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("'a''b'", "a'b"), (r"'\n'", r"\n"), (r"E'\n\101\q'", "\nAq"), ("$x$a$$b$x$", "a$$b"), ("N'a'", "a")],
)
def test_string_value(text, expected):
    assert string_value(tokenize(text)[0]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ("a",)),
        (' t . "b c" ', ("t", "b c")),
        ("`a`", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        ("a + b", None),
        ("f(a)", None),
        ("'a'", None),
        ("1", None),
        ("NULL", None),
        ("current_date", None),
        ('"null"', ("null",)),
        ("", None),
        ("t.", None),
    ],
)
def test_column_name(text, expected):
    assert column_name(text) == expected


def test_substitute():
    columns = {"a": "t.a", "B": "(x + 1)", "é": "e", "q q": "q"}
    expression = 'A + b * a.f - f(a, "b", "Q Q") || \'a\' /* a */ || CAST(é AS a) || {a: a} || a::a || g(a := a)'
    expected = (
        "t.a + (x + 1) * t.a.f - f(t.a, (x + 1), q) || 'a' /* a */ || CAST(e AS a) || {a: t.a} || t.a::a || g(a := t.a)"
    )
    assert substitute(expression, columns) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("day + INTERVAL 3 day", "X + INTERVAL 3 day"),
        ("day + INTERVAL (day) day", "X + INTERVAL (X) day"),
        ("date - DATE '2013-01-01'", "Y - DATE '2013-01-01'"),
        ("extract(day FROM day)", "extract(day FROM X)"),
        ("time AT TIME ZONE 'UTC'", "Z AT TIME ZONE 'UTC'"),
        ('CASE WHEN day > 1 THEN "end" ELSE date END', "CASE WHEN X > 1 THEN E ELSE Y END"),
        ("CAST(time AS date)::time", "CAST(Z AS date)::time"),
        ("day IN ('day', 'date')", "X IN ('day', 'date')"),
    ],
)
def test_substitute_knows_words_that_are_no_columns(expression, expected):
    columns = {"day": "X", "date": "Y", "time": "Z", "end": "E"}
    assert substitute(expression, columns) == expected


def test_substitute_leaves_a_doubtful_name_alone():
    assert substitute("x + X + y", {"x": "1", "X": "2", "Y": "3"}) == "1 + 2 + 3"
    assert substitute("ab", {"Ab": "1", "aB": "2"}) == "ab"


@pytest.mark.parametrize(
    ("text", "expected"), [("([{}])", {0: 5, 1: 4, 2: 3}), ("(]", 1), ("((", 1), (")", 0), ("'('", {})]
)
def test_match_brackets(text, expected):
    assert match_brackets(tokenize(text)) == expected
