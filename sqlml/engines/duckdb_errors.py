"""DuckDB's error texts to EngineError: message, hint, SQLSTATE, and the position its caret points at."""

from __future__ import annotations

import re
import unicodedata

from sqlml.errors import EngineError

# The kind is the text before "Error:", since errors met while streaming arrive through Arrow as plain OSError.
_KIND = re.compile(r"^([A-Za-z][A-Za-z ]*?) ?Error: ")
_CARET = re.compile(r"\n\nLINE (\d+): (.*)\n( *)\^+\s*$", re.DOTALL)
_HINTS = ("Did you mean", "Candidate", "You might need", "Make sure")
_SQLSTATES = {
    "parser": "42601",
    "syntax": "42601",
    "binder": "42P10",
    "catalog": "42704",
    "constraint": "23000",
    "conversion": "22018",
    "out of range": "22003",
    "invalid input": "22023",
    "mismatch type": "42804",
    "not implemented": "0A000",
    "permission": "42501",
    "out of memory": "53200",
    "io": "58030",
    "interrupt": "57014",
    "transactioncontext": "25000",
    "transaction": "25000",
    "dependency": "2BP01",
    "resource in use": "55006",
    "serialization": "58030",
    "fatal": "58000",
    "internal": "XX000",
}
# What matters to a caller is finer than DuckDB's classes: whether to try again, roll back, or free disk.
_SPECIAL = (
    (re.compile(r"current transaction is aborted", re.IGNORECASE), "25P02"),
    (re.compile(r"no transaction is active", re.IGNORECASE), "25P01"),
    (re.compile(r"conflict|failed to commit: .*(duplicate key|constraint)", re.IGNORECASE), "40001"),
    (re.compile(r"read-only|read only", re.IGNORECASE), "25006"),
    (re.compile(r"no space left|disk quota|file too large|max_temp_directory_size", re.IGNORECASE), "53100"),
)
_CATALOG = (
    (re.compile(r"already exists"), "42P07"),
    (re.compile(r"^Table (with name|Function)|^View with name"), "42P01"),
    (re.compile(r"^Schema with name|^Catalog .* does not exist"), "3F000"),
    (re.compile(r"Function with name"), "42883"),
    (re.compile(r"^Referenced column|does not have a column"), "42703"),
    (re.compile(r"^Ambiguous reference"), "42702"),
)

# What our own scoring functions say.
_SCORING = (
    (re.compile(r"^permission denied for model"), "42501"),
    (re.compile(r"^model version .* cannot be used: "), "XX001"),
    (re.compile(r'^column "[^\n]+" must be (an? |text,)'), "42804"),
    (re.compile(r'^missing columns? "'), "42703"),
    (re.compile(r'^column "[^\n]+" is ambiguous: the row has'), "42702"),
    (re.compile(r"^the model needs .*, which only the database can compute"), "0A000"),
    (re.compile(r'^(model|version|alias) .*(does not exist|has no|not loaded)|^no model "'), "42704"),
    (re.compile(r"; hint: "), "22023"),
)
# How DuckDB introduces what a function in Python raised: the scorers' fallback is one.
_FALLBACK = re.compile(r"^Python exception occurred while executing the UDF: \w+: ")


def engine_error(error: Exception, sql: str) -> EngineError:
    """The EngineError for what DuckDB or its Arrow reader raised while working on ``sql``."""
    text = str(error)
    kind = ""
    if match := _KIND.match(text):
        kind, text = match[1].lower(), text[match.end() :]
    text = _FALLBACK.sub("", text)
    position = None
    if match := _CARET.search(text):
        position = _position(sql, int(match[1]), match[2], len(match[3]))
        text = text[: match.start()]
    message, *rest = text.strip().split("\n")
    message, _, hint = message.partition("; hint: ")  # of our own scoring functions, which have one line to say all in
    rest += [hint] if hint else []
    hints = [line for line in rest if line == hint or line.startswith(_HINTS)]
    details = [line for line in rest if line.strip() and line not in hints]
    result = EngineError(
        message.strip().removesuffix("."),
        hint=" ".join(hints) or None,
        detail="\n".join(details) or None,
        position=position,
        text=sql or None,
    )
    result.sqlstate = _sqlstate(kind, text)
    return result


def _sqlstate(kind: str, text: str) -> str:
    if kind in ("binder", "invalid input") and (own := next((s for p, s in _SCORING if p.search(text)), None)):
        return own
    tables = _SPECIAL + (_CATALOG if kind in ("catalog", "binder") else ())
    for pattern, sqlstate in tables:
        if pattern.search(text):
            return sqlstate
    return _SQLSTATES.get(kind, EngineError.sqlstate)


def _position(sql: str, line_number: int, excerpt: str, caret: int) -> int | None:
    """The offset in ``sql`` of the character over the caret; the excerpt may be cut at both ends with three dots."""
    starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", sql))]
    if line_number > len(starts):
        return None
    start = starts[line_number - 1]
    line = re.split(r"[\r\n]", sql[start:], maxsplit=1)[0]
    column = caret - len(f"LINE {line_number}: ")
    for skipped in ("...", ""):
        shown = excerpt.removeprefix(skipped).removesuffix("...")
        found = line.find(shown)
        if excerpt.startswith(skipped) and found >= 0 and (skipped or found == 0):
            return start + found + _characters(shown, column - len(skipped))
    return None


def _characters(text: str, width: int) -> int:
    """How many characters of ``text`` fill ``width`` columns of a terminal."""
    for index, character in enumerate(text):
        if width <= 0:
            return index
        if not unicodedata.combining(character):
            width -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return len(text)
