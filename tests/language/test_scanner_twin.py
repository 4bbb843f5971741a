"""sqlglot's scanner, given the same operators and no keywords, cuts every text at the same places as ours."""

# ruff: noqa: RUF012, SIM905 - class attributes as sqlglot declares them; words read best as words

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlglot import TokenType
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import TokenError

from sqlml.errors import SqlSyntaxError
from sqlml.language.tokens import tokenize

OPERATORS = dict.fromkeys(
    ["::", ":=", "=>", "->", "->>", "<=", ">=", "<>", "!=", "||", "**"], TokenType.EQ
)  # no words: sqlglot's own tables join some of them, and swallow what follows others


class DuckDBTokenizer(DuckDB.Tokenizer):
    KEYWORDS = OPERATORS
    COMMANDS = set()
    IDENTIFIERS = ['"', "`"]
    BIT_STRINGS = [("b'", "'"), ("B'", "'")]
    HEX_STRINGS = [("x'", "'"), ("X'", "'")]


class PostgresTokenizer(Postgres.Tokenizer):
    KEYWORDS = OPERATORS
    COMMANDS = set()
    IDENTIFIERS = ['"', "`"]


def theirs(text, dialect):
    tokenizer = DuckDBTokenizer(dialect="duckdb") if dialect == "duckdb" else PostgresTokenizer(dialect="postgres")
    return [(token.start, token.end + 1) for token in tokenizer.tokenize(text)]


def ours(text, dialect):
    return [(token.start, token.end) for token in tokenize(text, dialect)]


# No "{#", a comment of Jinja's to sqlglot; "$" and exponents are followed by a space at last: "$a,$" is a tag to sqlglot, "1e5." a number.
PIECES = [
    *"select b_1 a$b é 日本 ² 1 2.5 .5 1. 1_000 1__0 1_ 0x1F 0b1 0xZZ 12abc".split(),
    *":: := => -> ->> - > < = <= <> != ! || | ** * / // -- # ~ ? ^ & + % ; , . .. ( ) [ ] { } {{ }} \\".split(),
    *["'x y'", "''", "'it''s'", "'\\'", "E'\\''", "e'a\\\\'", "N'a'", "x'AB'", "B'01'", "U&'a'", '"q"', '""', '"a""b"'],
    *[
        "`a`",
        "`a``b`",
        "$$d 'e$$",
        "$x$ $$ $x$",
        "$1 ",
        "$name ",
        "/* a */",
        "/* /* b */ */",
        "-- c\n",
        "-- d\r",
        "/**/",
    ],
    *[" ", "\n", "\t", "\r\n", "\u00a0", "\u2028", "\x01", "'", '"', "/*"],
]


# sqlglot overlooks a comment that opens right where another one has opened.
TEXTS = st.lists(st.sampled_from(PIECES), max_size=9).map("".join).filter(lambda text: "/*/*" not in text)


@settings(max_examples=1500, deadline=None)
@given(TEXTS, st.sampled_from(["duckdb", "postgres"]))
def test_any_text_is_cut_alike(text, dialect):
    try:
        expected = theirs(text, dialect)
    except TokenError:
        assume(False)
    assert ours(text, dialect) == expected


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(["duckdb", "postgres"]))
def test_what_we_refuse_is_refused(text, dialect):
    try:
        ours(text, dialect)
    except SqlSyntaxError:
        with pytest.raises(TokenError):
            theirs(text, dialect)


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_statements_are_cut_alike(corpus, rewrites, dialect):
    for text in [*(text for text, _ in corpus if "unclosed" not in text), *rewrites]:
        if "{#" not in text:
            assert ours(text, dialect) == theirs(text, dialect), text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f($a,$b)", ["f", "(", "$", "a", ",", "$", "b", ")"]),
        ("$1e", ["$", "1", "e"]),
        ("{#1}", ["{", "#", "1", "}"]),
        ("/*/* b */*/ a", ["a"]),
        ("/***/ a", ["a"]),
        ("E'\\\\''", None),
        ("$tag$ $$ $tag", None),
        ("/* /* */", None),
    ],
)
def test_where_sqlglot_errs_or_both_refuse(text, expected):
    if expected is None:
        with pytest.raises(SqlSyntaxError, match="unterminated"):
            tokenize(text)
    else:
        assert [token.text for token in tokenize(text)] == expected
