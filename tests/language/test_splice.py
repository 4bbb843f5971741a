"""Spans replaced, and positions found again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlml.language.splice import locate, splice
from sqlml.language.statements import Span


def test_splice_keeps_every_other_byte():
    text = "SELECT PREDICT(m, *), 'é' FROM t"
    generated, _ = splice(text, [(Span(7, 20), "f('x', {})")])
    assert generated == "SELECT f('x', {}), 'é' FROM t"


def test_splice_within_a_statement():
    text = "SELECT 1; SELECT a, b; SELECT 2"
    generated, offsets = splice(text, [(Span(17, 18), "AAA")], Span(9, 21))
    assert generated == " SELECT AAA, b"
    assert offsets.to_user(generated.index("b")) == text.index("b")
    assert offsets.to_user(len(generated)) == 21


def test_overlapping_spans_are_a_mistake():
    with pytest.raises(ValueError, match="overlap"):
        splice("abcdef", [(Span(0, 3), "x"), (Span(2, 4), "y")])


def test_positions_inside_a_replacement_find_the_users_words():
    text = "SELECT * FROM ML.PREDICT(MODEL m, (SELECT a, bad FROM t WHERE c > 1)) p WHERE worse = 1"
    call = Span(14, text.index(" p WHERE"))
    query = "SELECT a, bad FROM t WHERE c > 1"
    replacement = f"(SELECT f('sha', {{'a': __r.a}}) FROM ({query}) AS __r)"
    generated, offsets = splice(text, [(call, replacement)])
    assert offsets.to_user(generated.index("bad")) == text.index("bad")
    assert offsets.to_user(generated.index("bad") + 2) == text.index("bad") + 2
    assert offsets.to_user(generated.index("worse")) == text.index("worse")
    assert offsets.to_user(generated.index("f('sha'")) == call.start
    assert offsets.to_user(generated.index("__r.a")) == call.start


def test_positions_in_an_argument():
    text = "SELECT PREDICT(m, t.a, lower(nope)) FROM t"
    call = Span(7, text.index(" FROM"))
    generated, offsets = splice(text, [(call, "f('sha', {'a': t.a, 'b': (lower(nope))})")])
    assert offsets.to_user(generated.index("nope")) == text.index("nope")


@pytest.mark.parametrize("word", ["nope", "bad", "q + 1"])
def test_locate_finds_the_users_words_in_sql_made_from_them(word):
    text = "WITH c AS (SELECT a, bad FROM t) SELECT x, PREDICT(m, nope, q + 1) FROM c JOIN nope2 USING (bad)"
    probe = "WITH c AS (SELECT a, bad FROM t) SELECT __i.* FROM u, LATERAL (SELECT (nope), (q + 1) FROM c) AS __i"
    assert locate(text, probe, probe.index(word)) == text.index(word)
    assert locate(text, probe, probe.index("__i")) is None
    assert locate(text, "SELECT 'open", 3) is None


@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.text(max_size=5)), max_size=4),
)
def test_kept_characters_map_to_themselves(text, wanted):
    replacements, position = [], 0
    for start, length, new in sorted(wanted):
        first, end = max(start, position), max(start, position) + length
        if end <= len(text):
            replacements.append((Span(first, end), new))
            position = end
    generated, offsets = splice(text, replacements)
    kept = len(text) - sum(span.end - span.start for span, _ in replacements)
    assert len(generated) == kept + sum(len(new) for _, new in replacements)
    for piece in offsets.pieces:
        for offset in range(piece.length):
            user = offsets.to_user(piece.start + offset)
            assert 0 <= user <= len(text)
            if piece.verbatim:
                assert text[user] == generated[piece.start + offset]
