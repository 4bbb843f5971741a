"""Which columns a WHERE leaves a few literals to: told where it is certain, and of nothing else."""

import pytest

from sqlml.language.filters import fixed_columns

A = ("a",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("WHERE a = 'x'", [(A, ("x",))]),
        ("WHERE 'x' = a", [(A, ("x",))]),
        ("WHERE a == 5", [(A, ("5",))]),
        ("WHERE a = -1.5 AND b IS NULL", [(A, ("-1.5",)), (("b",), (None,))]),
        ("WHERE t.a IN ('x', 'y''s') AND \"B c\" = TRUE", [(("t", "a"), ("x", "y's")), (("B c",), ("TRUE",))]),
        ("WHERE a = 1 GROUP BY a ORDER BY b", [(A, ("1",))]),
        ("SELECT PREDICT(m, *) WHERE a = 1 LIMIT 3", [(A, ("1",))]),
        ("WHERE a = 1) AS s WHERE b = 2", [(A, ("1",))]),
        ("WHERE b BETWEEN 1 AND 2 AND a = 1", [(A, ("1",))]),
        ("WHERE CASE WHEN b AND c THEN TRUE ELSE d END AND a = 1", [(A, ("1",))]),
        ("WHERE (b = 1 OR c = 2) AND a IN (1)", [(A, ("1",))]),
        ("WHERE a = 1 OR b = 2", []),
        ("WHERE a = 1 AND b = 2 OR c = 3", []),
        ("WHERE NOT a = 1", []),
        ("WHERE a <> 1 AND a >= 2 AND a != 3", []),
        ("WHERE a NOT IN (1, 2)", []),
        ("WHERE a IN (SELECT 1)", []),
        ("WHERE a IN (1, b)", []),
        ("WHERE a IN ()", []),
        ("WHERE a = b", []),
        ("WHERE a = NULL", []),
        ("WHERE a IS NOT NULL", []),
        ("WHERE a + 1 = 2", []),
        ("WHERE lower(a) = 'x'", []),
        ("WHERE a = ?", []),
        ("WHERE a = b = 1", []),
        ("UNION SELECT a FROM t WHERE a = 1", []),
        ("; SELECT a FROM t WHERE a = 1", []),
        (") s, (SELECT 1 FROM t WHERE a = 1)", []),
        ("GROUP BY a HAVING a = 1", []),
        ("WHERE", []),
        ("WHERE a = 'unterminated", []),
        ("", []),
    ],
)
def test_fixed_columns(text, found):
    assert fixed_columns(text) == found
