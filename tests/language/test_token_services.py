"""The small services on tokens that the session uses: parameters, first words, literals."""

import pytest

from sqlml.language.statements import Span
from sqlml.language.tokens import first_words, literal_value, parameter_spans, parameters_in


def whole(text):
    return Span(0, len(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("select 1", {"SELECT"}),
        ("  -- note\n/* more */ Commit", {"COMMIT"}),
        ("begin; commit", {"BEGIN", "COMMIT"}),
        ("", set()),
        ("  ; ; use x", {"USE"}),
    ],
)
def test_first_words(text, words):
    assert first_words(text) >= words
    assert words or not first_words(text)


def test_parameter_spans_leave_numbered_and_quoted_ones_alone():
    text = "SELECT ?, '?', ?2, \"?\" -- ?\n, ?"
    assert [span.start for span in parameter_spans(text, whole(text))] == [7, len(text) - 1]


def test_parameters_in_finds_every_spelling():
    text = "SELECT ?, ?1, $2, $name, $$?$$, '$3'"
    assert len(parameters_in(text, whole(text))) == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [("'a''b'", "a'b"), ("12", "12"), ("-1.5", "-1.5"), ("TRUE", "TRUE"), ("a", None), ("1 + 1", None), ("NULL", None)],
)
def test_literal_value(text, value):
    assert literal_value(text) == value
