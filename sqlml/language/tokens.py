"""Text to tokens with exact offsets, and the small services that need no more than tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sqlml.errors import SqlSyntaxError
from sqlml.language.statements import Span
from sqlml.language.words import RESERVED

Kind = Literal["word", "quoted", "string", "number", "symbol"]


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` as written. ``upper`` is the upper-case word or the symbol, and empty for anything quoted, so that comparing it is safe."""

    kind: Kind
    text: str
    upper: str
    start: int
    end: int


_QUICK = re.compile(r"(?<![\w$])(?:ml(?![^\W_])|models?(?!\w)|(?:explain_)?predict)")


def may_hold_ml(text: str) -> bool:
    """Whether a text could hold anything of ours; most statements are told apart here, without a token scan."""
    lowered = text.lower()
    if "model" in lowered or "predict" in lowered or "ml" in lowered:
        return _QUICK.search(lowered) is not None
    return False


# What stands at a place, tried in this order. Words are not told apart: keywords are the readers' business. Quantifiers are possessive
# where giving back would end a quoted text between the halves of a doubled quote.
_SINGLES = r"""()\[\]{}&^:,.\-=><%!|+;/\\*~?@#'`\""""
_PATTERN = r"""
    (?P<space> \s+ | --[^\r\n]* )
  | (?P<comment> /\* )
  | (?P<string> PREFIX?'[^']*+(?:''[^']*+)*+'
              | [eE]'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+'
              | (?P<tag>TAG).*?(?P=tag) )
  | (?P<quoted> "[^"]*+(?:""[^"]*+)*+" | `[^`]*+(?:``[^`]*+)*+` )
  | (?P<unclosed> (?:[eE]|PREFIX)?(?P<quote>') | ["`] | TAG )
  | (?P<number> 0[xXbB][^\sSINGLES$]*
              | DIGITS(?:\.(?:DIGITS)?)?(?:[eE](?!_)(?:[+-](?=[0-9]))?(?:DIGITS)?)? )
  | (?P<symbol> ->>|->|::|:=|=>|<=|>=|<>|!=|\|\||\*\*|[SINGLES$] )
  | (?P<word> [^\sSINGLES]+ )
"""
_PARTS = {"SINGLES": _SINGLES, "TAG": r"\$(?:[^\W\d]\w*)?\$"}
_DIALECTS = {
    "duckdb": {"PREFIX": "[nNbBxX]", "DIGITS": "[0-9]+(?:_[0-9]+)*"},
    "postgres": {"PREFIX": "(?:[nNbBxX]|[uU]&)", "DIGITS": "[0-9]+"},
}
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@cache
def _scanner(dialect: str) -> re.Pattern[str]:
    source = _PATTERN
    for name, part in {**_DIALECTS[dialect], **_PARTS}.items():
        source = source.replace(name, part)
    return re.compile(source, re.VERBOSE | re.DOTALL)


def tokenize(text: str, dialect: str = "duckdb") -> list[Token]:
    """All tokens but comments and white space; raises SqlSyntaxError where a quote or comment is never closed."""
    match_at = _scanner(dialect).match
    tokens: list[Token] = []
    end = 0
    while match := match_at(text, end):
        found = match.lastgroup
        start, end = match.span()
        if found == "comment":
            end = _comment_end(text, start)
        elif found == "unclosed":
            raise _never_closed("quoted text", text, start if match["quote"] is None else match.start("quote"))
        elif found != "space":
            if found == "number" and text[start - 1 : start] in ("$", "@") and tokens and tokens[-1].end == start:
                end = _without_decimals(tokens[-1], text, start, end)
            raw = text[start:end]
            kind = _KINDS[found] if found != "word" or _begins_word(raw) else "symbol"
            tokens.append(Token(kind, raw, _upper(kind, raw), start, end))
    return tokens


_KINDS: dict[str | None, Kind] = {
    "string": "string",
    "quoted": "quoted",
    "number": "number",
    "symbol": "symbol",
    "word": "word",
}


def _without_decimals(before: Token, text: str, start: int, end: int) -> int:
    """Where a number ends that counts a parameter or version, as in ``$1.a``; a ``$`` may also end a quoted text."""
    raw = text[start:end]
    return end - len(raw.lstrip("0123456789")) if before.kind == "symbol" else end


def _begins_word(raw: str) -> bool:
    return raw[0].isalpha() or raw[0] == "_" or raw[0] > "\x7f"


def _upper(kind: Kind, raw: str) -> str:
    if kind not in ("word", "symbol"):
        return ""
    return raw.upper() if raw.isascii() else raw  # keywords are ASCII to the engines: a dotless i in LIKE makes a name


def _comment_end(text: str, start: int) -> int:
    """Where the comment that opens there ends; comments nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise _never_closed("comment", text, start)


def _never_closed(what: str, text: str, position: int) -> SqlSyntaxError:
    return SqlSyntaxError(
        f"unterminated {what}", hint="It opens here and is never closed.", position=position, text=text
    )


def identifier(token: Token) -> str:
    """The name a word or quoted identifier stands for; unquoted ones are not folded."""
    if token.kind == "quoted":
        quote = token.text[0]
        return token.text[1:-1].replace(quote * 2, quote)
    return token.text


def string_value(token: Token) -> str:
    """The text a string literal stands for."""
    raw = token.text
    if raw[0] == "$":
        tag = raw.index("$", 1) + 1
        return raw[tag:-tag]
    opening = raw.index("'")
    body = raw[opening + 1 : -1].replace("''", "'")
    return _unescape(body) if raw[:opening].lower() == "e" else body


_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def _unescape(body: str) -> str:
    def decode(match: re.Match[str]) -> str:
        escape = match.group(1)
        if escape[0] in "xuU" and len(escape) > 1:
            code = int(escape[1:], 16)
        elif escape[0] in "01234567":
            code = int(escape, 8)
        else:
            return _CONTROLS.get(escape, escape)
        return chr(code) if code <= 0x10FFFF else ""

    return _ESCAPE.sub(decode, body)


def match_brackets(tokens: Sequence[Token]) -> dict[int, int] | int:
    """Index of the closing bracket by the index of its opening one; the index of the token at fault where they do not pair."""
    closing = {")": "(", "]": "[", "}": "{"}
    pairs: dict[int, int] = {}
    stack: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind != "symbol":
            continue
        if token.text in "([{":
            stack.append(index)
        elif token.text in closing:
            if not stack or tokens[stack[-1]].text != closing[token.text]:
                return index
            pairs[stack.pop()] = index
    return stack[-1] if stack else pairs


def span_of(tokens: Sequence[Token], first: int, end: int) -> Span:
    """The characters from token ``first`` to the one before ``end``."""
    return Span(tokens[first].start, tokens[end - 1].end)


def column_name(text: str, dialect: str = "duckdb") -> tuple[str, ...] | None:
    """The parts of a text that is nothing but a column reference (``a``, ``t."b"``), else None."""
    tokens = tokenize(text, dialect)
    if len(tokens) % 2 == 0:
        return None
    names, dots = tokens[::2], tokens[1::2]
    if any(token.text != "." or token.kind != "symbol" for token in dots):
        return None
    if any(token.kind not in ("word", "quoted") for token in names):
        return None
    if len(names) == 1 and names[0].upper in _CONSTANT_WORDS:
        return None
    return tuple(identifier(token) for token in names)


_CONSTANT_WORDS = frozenset(
    {
        "NULL",
        "TRUE",
        "FALSE",
        "DEFAULT",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "CURRENT_USER",
        "LOCALTIMESTAMP",
    }
)


def substitute(expression: str, columns: Mapping[str, str], dialect: str = "duckdb") -> str:
    """The expression with unqualified column names replaced by other SQL: names match exactly, else in another case if unique.

    A name before ``(`` is a function's, one after ``.`` or ``AS`` or before ``:`` a field's or alias's, one in ``INTERVAL 3 day`` a
    unit: those stay. In ``a.b`` a column ``a`` is a struct, for the expression sees no table.
    """
    folded: dict[str, list[str]] = {}
    for name in columns:
        folded.setdefault(name.casefold(), []).append(name)
    tokens = tokenize(expression, dialect)
    pieces: list[str] = []
    position = 0
    for index, token in enumerate(tokens):
        if token.kind not in ("word", "quoted") or not _is_column_position(tokens, index):
            continue
        name = identifier(token)
        same = [name] if name in columns else folded.get(name.casefold(), [])
        if len(same) == 1:
            pieces += [expression[position : token.start], columns[same[0]]]
            position = token.end
    return "".join([*pieces, expression[position:]])


def _is_column_position(tokens: Sequence[Token], index: int) -> bool:
    before = tokens[index - 1] if index else None
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    if before and (before.upper in (".", "AS", "::", "COLLATE") or _is_interval_unit(tokens, index)):
        return False
    if after and (after.upper in ("(", ":", ":=", "=>") or (after.kind == "string" and tokens[index].kind == "word")):
        return False  # DATE '2013-01-01' is a literal
    if tokens[index].upper in RESERVED:
        return False
    return not (after and after.upper == "FROM" and index >= 2 and tokens[index - 2].upper == "EXTRACT")


def _is_interval_unit(tokens: Sequence[Token], index: int) -> bool:
    """``INTERVAL 3 day``, ``INTERVAL (x) day`` and ``AT TIME ZONE``."""
    before = tokens[index - 1]
    if tokens[index].upper in ("TIME", "ZONE") and before.upper in ("AT", "TIME"):
        return True
    counted = before.kind in ("number", "string") and index >= 2 and tokens[index - 2].upper == "INTERVAL"
    return counted or before.upper == ")"


def first_words(text: str) -> frozenset[str]:
    """The first word of each statement in upper case; semicolons inside quotes may add words, which does no harm to callers."""
    if ";" not in text:
        match = _FIRST_WORD.match(text)
        return frozenset((match[1].upper(),)) if match else frozenset()
    return frozenset(match[1].upper() for match in _STATEMENT_WORD.finditer(text))


def first_word(statement: str) -> str:
    """The first word of one statement in upper case; empty where it has none."""
    match = _FIRST_WORD.match(statement)
    return match[1].upper() if match else ""


_SPACE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_FIRST_WORD = re.compile(rf"{_SPACE}(\w+)", re.DOTALL)
_STATEMENT_WORD = re.compile(rf"(?:^|;){_SPACE}(\w+)", re.DOTALL)


def parameter_spans(text: str, within: Span, dialect: str = "duckdb") -> list[Span]:
    """Where a statement has ``?``, in order; a numbered ``?1`` is none of them."""
    tokens = tokenize(within.of(text), dialect)
    spans = []
    for index, token in enumerate(tokens):
        numbered = (
            index + 1 < len(tokens) and tokens[index + 1].kind == "number" and tokens[index + 1].start == token.end
        )
        if token.upper == "?" and not numbered:
            spans.append(Span(within.start + token.start, within.start + token.end))
    return spans


def parameters_in(text: str, within: Span, dialect: str = "duckdb") -> list[Span]:
    """Where a statement has parameters of any spelling: ``?``, ``?1``, ``$1``, ``$name``."""
    tokens = tokenize(within.of(text), dialect)
    return [
        Span(within.start + token.start, within.start + token.end)
        for token in tokens
        if (token.upper == "?" and dialect == "duckdb") or (token.kind == "symbol" and token.text[:1] == "$")
    ]


def literal_value(text: str, dialect: str = "duckdb") -> str | None:
    """The text a literal stands for: a string's content, a number or TRUE/FALSE as written; None for anything else."""
    tokens = tokenize(text, dialect)
    signed = len(tokens) == 2 and tokens[0].upper in ("-", "+") and tokens[1].kind == "number"
    if signed:
        return tokens[0].text.replace("+", "") + tokens[1].text
    if len(tokens) != 1:
        return None
    token = tokens[0]
    if token.kind == "string":
        return string_value(token)
    return token.text if token.kind == "number" or token.upper in ("TRUE", "FALSE") else None
