"""Errors as text."""

import pytest

from sqlml.errors import SqlmlError
from sqlml.language.errors import line_and_column, render


def test_render_without_a_position():
    assert render(SqlmlError("no model", hint="Create one.", detail="There is none.")) == (
        "ERROR:  no model\nDETAIL:  There is none.\nHINT:  Create one."
    )


@pytest.mark.parametrize(
    ("text", "position", "line", "column"),
    [
        ("abc", 0, 1, 1),
        ("abc", 3, 1, 4),
        ("abc", 99, 1, 4),
        ("a\nbc", 2, 2, 1),
        ("a\r\nbc", 4, 2, 2),
        ("", 0, 1, 1),
        ("a\n", 2, 2, 1),
    ],
)
def test_line_and_column(text, position, line, column):
    assert line_and_column(text, position) == (line, column)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("SELECT x", "x"),
        ("SELECT '日本', x", "x"),
        ("SELECT 'e\u0301', x", "x"),
        ("SELECT\t\tx", "x"),
        ("SELECT 1\r\n, x", "x"),
        ("SELECT " + "a" * 300 + " x " + "b" * 300, " x "),
    ],
)
def test_the_caret_stands_under_the_word(text, word):
    """Measured in terminal cells: wide characters take two, combining ones none."""
    import unicodedata

    _, line, caret = render(SqlmlError("wrong", text=text, position=text.index(word))).split("\n")
    assert len(line) <= 120
    cells = "".join(
        "" if unicodedata.combining(c) else c * (2 if unicodedata.east_asian_width(c) == "W" else 1) for c in line
    )
    assert cells[caret.index("^")] == word[0]


def test_control_characters_do_not_reach_the_terminal():
    rendered = render(SqlmlError("wrong", text="SELECT '\x1b[31m' x", position=16))
    assert "\x1b" not in rendered
