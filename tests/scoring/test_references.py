"""How the first argument of a scoring function is read and looked up."""

from __future__ import annotations

import pytest

from udfs.duckdb.references import find_hash, parse_reference
from udfs.errors import InputMismatchError, ModelReferenceError


@pytest.mark.parametrize(
    ("text", "parts", "version"),
    [
        ("m", ("m",), None),
        ("s.m", ("s", "m"), None),
        ("d.s.m@3", ("d", "s", "m"), 3),
        ("m@champion", ("m",), "champion"),
        ('"a.b"."c@d"@"e f"', ("a.b", "c@d"), "e f"),
        ('"say ""hi"""', ('say "hi"',), None),
        ("Straße@1", ("Straße",), 1),
    ],
)
def test_names(text, parts, version):
    reference = parse_reference(text)
    assert (reference.hash, reference.parts, reference.version) == (None, parts, version)


def test_hashes_and_settings():
    reference = parse_reference(f"sha256:{'ab' * 32}?threshold=0.25&class=a%26b%3F")
    assert reference.hash == "ab" * 32
    assert reference.settings == {"threshold": "0.25", "class": "a&b?"}
    assert parse_reference("what?").parts == ("what?",)
    with pytest.raises(InputMismatchError, match='unknown setting "depth"'):
        parse_reference("m?class=1&depth=2")


@pytest.mark.parametrize("text", ["", ".", "m@", "a..b", 'a."b', "a.b.c.d", "@3", "sha256:12."])
def test_malformed_names(text):
    with pytest.raises(ModelReferenceError, match="invalid model name"):
        parse_reference(text)


NAMES = {
    "file": {("main", "m"): {None: "1", 1: "1", "best": "1"}, ("lab", "m"): {None: "2"}, ("lab", "only"): {None: "3"}},
    "other": {("main", "m"): {None: "4"}, ("main", "far"): {None: "5"}, ("x", "new"): {1: "6"}},
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("m", "1"), ("M@Best", "1"), ("lab.m", "2"), ("only", "3"), ("file.main.m", "1"), ("other.main.m", "4"),
        ("other.m", "4"), ("far", "5"), ("OTHER.Main.FAR", "5"), ("x.new@1", "6"),
    ],
)  # fmt: skip
def test_look_up(text, found):
    assert find_hash(parse_reference(text), NAMES) == found


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("onli", 'model "onli" does not exist', 'Did you mean "only"?'),
        ("nothing.like.it", 'model "nothing.like.it" does not exist', None),
        ("x.new", 'model "x.new" has no default version', "Name a version, as in model@1, or set a default version."),
        ("m@2", 'model "m" has no version 2', "It has 1."),
    ],
)
def test_failed_look_ups(text, message, hint):
    with pytest.raises(ModelReferenceError) as caught:
        find_hash(parse_reference(text), NAMES)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_ambiguity_by_case():
    names = {"file": {("main", "Model"): {None: "1"}, ("main", "MODEL"): {None: "2"}}}
    assert find_hash(parse_reference("MODEL"), names) == "2"
    with pytest.raises(ModelReferenceError, match='model name "model" is ambiguous'):
        find_hash(parse_reference("model"), names)


def test_a_release_that_was_never_tried_is_scored_through_arrow(monkeypatch):
    import _duckdb

    from udfs.duckdb import capi

    monkeypatch.setattr(_duckdb, "__version__", "9.9.0")
    assert capi.library.__wrapped__() is None
