"""Values of OPTIONS and STRUCT."""

import pytest

from sqlml.language.parser import parse


@pytest.fixture
def value():
    def read(literal):
        (statement,) = parse(f"CREATE MODEL m OPTIONS (x = {literal}) AS SELECT 1", "duckdb", lambda parts: False)
        return statement.options[0].value

    return read


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("1", 1),
        ("-7", -7),
        ("+7", 7),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0.25", 0.25),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        ("TRUE", True),
        ("false", False),
        ("NULL", None),
        ("'it''s'", "it's"),
        ("''", ""),
        ("$$a'b$$", "a'b"),
        ("$t$ $$ $t$", " $$ "),
        (r"E'a\'b\n\x41\u00e9'", "a'b\nAé"),
        ('"BOOSTED_TREE"', "BOOSTED_TREE"),
        ("DATE '2013-11-01'", "2013-11-01"),
        ("TIMESTAMP '2013-11-01 00:00:00'", "2013-11-01 00:00:00"),
        ("[]", ()),
        ("['a', 'b']", ("a", "b")),
        ("[[1, 2], [3]]", ((1, 2), (3,))),
        ("('a', 'b')", ("a", "b")),
        ("ARRAY['a']", ("a",)),
        ("ARRAY<STRING>['a', 'b']", ("a", "b")),
        ("STRUCT(1 AS a, 'x' AS B)", {"a": 1, "b": "x"}),
        ("[STRUCT('yes', 0.5), STRUCT('no', 1)]", (("yes", 0.5), ("no", 1))),
        ("{'yes': 0.5, No: 1, 3: TRUE}", {"yes": 0.5, "No": 1, "3": True}),
        ("HPARAM_RANGE(1, 5)", {"hparam_range": (1, 5)}),
        ("HPARAM_CANDIDATES([1, 2])", {"hparam_candidates": ((1, 2),)}),
    ],
)
def test_values(value, literal, expected):
    found = value(literal)
    assert found == expected
    assert type(found) is type(expected)


def test_keys_fold_and_may_be_keywords(value):
    text = 'CREATE MODEL m OPTIONS (Select = 1, "Group" = 2, objective => 3, seed := 4) AS SELECT 1'
    (statement,) = parse(text, "duckdb", lambda parts: False)
    assert [option.key for option in statement.options] == ["select", "group", "objective", "seed"]


def test_empty_options():
    (statement,) = parse("CREATE MODEL m OPTIONS () AS SELECT 1", "duckdb", lambda parts: False)
    assert statement.options == ()


def test_settings_of_a_table_function():
    text = "FROM ML.PREDICT(MODEL m, TABLE t, STRUCT(0.3 AS Threshold, TRUE AS flat), keep_original_columns => FALSE)"
    (statement,) = parse(text, "duckdb", lambda parts: False)
    settings = statement.calls[0].settings
    assert [(s.key, s.value) for s in settings] == [
        ("threshold", 0.3),
        ("flat", True),
        ("keep_original_columns", False),
    ]
    assert settings[0].span.of(text) == "0.3 AS Threshold"
