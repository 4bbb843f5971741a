"""A cursor over the tokens of one statement: look, take, or say what was expected instead."""

from __future__ import annotations

from collections.abc import Sequence

from sqlml.errors import SqlSyntaxError
from sqlml.language.statements import ModelName, Span
from sqlml.language.tokens import Token, identifier, string_value, tokenize
from sqlml.language.words import RESERVED

_END = Token("symbol", "", "", 0, 0)


def is_plain_name(text: str) -> bool:
    """Whether a name can be written without quotes."""
    return text.isidentifier() and text.upper() not in RESERVED


class Reader:
    """Tokens ``index`` to ``end`` of ``tokens``, which were read from ``text``."""

    def __init__(self, text: str, tokens: Sequence[Token], index: int, end: int, dialect: str) -> None:
        self.text = text
        self.tokens = tokens
        self.index = index
        self.end = end
        self.dialect = dialect

    def peek(self, ahead: int = 0) -> Token:
        """The token there, or one that equals nothing behind the end."""
        position = self.index + ahead
        return self.tokens[position] if position < self.end else _END

    def at_end(self) -> bool:
        return self.index >= self.end

    def take(self) -> Token:
        token = self.peek()
        self.index += 1
        return token

    def sees(self, *words: str) -> bool:
        """Whether these words or symbols come next."""
        position = self.index
        for word in words:
            if position >= self.end or self.tokens[position].upper != word:
                return False
            position += 1
        return True

    def accept(self, *words: str) -> bool:
        """Take these words if they come next, all or none."""
        if self.sees(*words):
            self.index += len(words)
            return True
        return False

    def expect(self, *words: str, hint: str | None = None) -> None:
        """Take these words or raise."""
        for word in words:
            if not self.accept(word):
                raise self.error(word if word.isalpha() else f'"{word}"', hint=hint)

    def error(self, expected: str, *, hint: str | None = None) -> SqlSyntaxError:
        """``expected X, found Y`` at the current token."""
        if self.index >= len(self.tokens):
            end = self.tokens[-1].end if self.tokens else 0
            return self.error_at(f"expected {expected}, found the end of the statement", end, hint=hint)
        token = self.tokens[self.index]
        return self.error_at(f"expected {expected}, found {token_words(token)}", token.start, hint=hint)

    def error_at(self, message: str, position: int, *, hint: str | None = None) -> SqlSyntaxError:
        return SqlSyntaxError(message, hint=hint, position=position, text=self.text)

    def expect_end(self, *, hint: str | None = None) -> None:
        if not self.at_end():
            raise self.error("the end of the statement", hint=hint)

    def span_from(self, first: int) -> Span:
        """From token ``first`` to the last one taken."""
        return Span(self.tokens[first].start, self.tokens[self.index - 1].end)

    def string(self, what: str) -> str:
        """A string literal's value."""
        token = self.peek()
        if token.kind != "string":
            raise self.error(what, hint="Write it in single quotes.")
        self.index += 1
        return string_value(token)

    def integer(self, what: str) -> int:
        """A whole number without a sign."""
        token = self.peek()
        if token.kind != "number" or not token.text.replace("_", "").isdecimal():
            raise self.error(what)
        self.index += 1
        return int(token.text.replace("_", ""))

    def name(self, what: str) -> str:
        """One identifier: a word that is not reserved, or anything quoted."""
        token = self.peek()
        if token.kind == "word" and token.upper in RESERVED:
            raise self.error(
                what, hint=f'"{token.text}" is a reserved word: write it in double quotes to use it as a name.'
            )
        if token.kind not in ("word", "quoted"):
            raise self.error(what)
        if token.text in ('""', "``"):
            raise self.error_at("a name cannot be empty", token.start)
        self.index += 1
        return identifier(token)

    def model_name(self, *, versioned: bool = True) -> ModelName:
        """``[[database.]schema.]name[@version | @alias]``, in backticks or in a string literal too."""
        first = self.index
        token = self.peek()
        if token.kind == "string":
            return self._model_name_in_string(versioned=versioned)
        parts: list[str] = []
        quoted: list[bool] = []
        while True:
            token = self.peek()
            name = self.name("a model name")
            pieces = (
                name.split(".") if token.text[0] == "`" else [name]
            )  # `ds.model` is BigQuery's way to write ds.model
            if not all(pieces):
                raise self.error_at("a name cannot be empty", token.start)
            parts += pieces
            quoted += [token.kind == "quoted"] * len(pieces)
            if not self.accept("."):
                break
        if len(parts) > 3:
            raise self.error_at(
                "a model name has too many parts", self.tokens[first].start, hint="Write [[database.]schema.]name."
            )
        version, alias = self._version(versioned=versioned)
        return ModelName(tuple(parts), self.span_from(first), tuple(quoted), version, alias)

    def _version(self, *, versioned: bool) -> tuple[int | None, str | None]:
        if not self.sees("@"):
            return None, None
        if not versioned:
            raise self.error_at(
                "a version cannot be given here", self.peek().start, hint="Leave out the @ and what follows it."
            )
        self.index += 1
        if self.peek().kind == "number":
            return self.integer("a version number or an alias"), None
        return None, self.name("a version number or an alias")

    def _model_name_in_string(self, *, versioned: bool) -> ModelName:
        token = self.take()
        span = Span(token.start, token.end)
        value = string_value(token)
        try:
            inner = tokenize(value, self.dialect)
            reader = Reader(value, inner, 0, len(inner), self.dialect)
            if not inner or inner[0].kind == "string":
                raise reader.error("a model name")
            name = reader.model_name(versioned=versioned)
            reader.expect_end()
        except SqlSyntaxError as error:
            raise self.error_at(
                f"{token.text} is not the name of a model",
                token.start,
                hint="Write '[[database.]schema.]name', with @version or @alias if need be.",
            ) from error
        return ModelName(name.parts, span, name.quoted, name.version, name.alias)


def token_words(token: Token) -> str:
    """A token as a message shows it."""
    text = token.text if len(token.text) <= 40 else token.text[:37] + "..."
    return text if token.kind == "string" else f'"{text}"'
