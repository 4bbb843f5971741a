"""One call's tokens to a ScalarCall or TableCall: which calls are ours, and what stands in their brackets."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from sqlml.errors import SqlmlError, SqlSyntaxError
from sqlml.language.options import read_struct, read_value
from sqlml.language.reader import Reader
from sqlml.language.statements import Argument, Call, ModelName, Option, ScalarCall, Span, TableCall
from sqlml.language.tokens import Token, identifier, span_of, string_value
from sqlml.language.walking import Place
from sqlml.language.words import (
    DATA_FUNCTIONS,
    MODEL_FREE_FUNCTIONS,
    QUERY_STARTS,
    RESERVED,
    SCALAR_FUNCTIONS,
    TABLE_FUNCTIONS,
)

IsModel = Callable[[tuple[str, ...]], bool]
ScalarFunction = Literal["predict", "predict_proba", "explain_predict"]
Spelling = Literal["ml", "bare", "model_free"]


@dataclass(frozen=True)
class Candidate:
    """Something that looks like one of our calls: the index of its first token and of its bracket, and its function."""

    index: int
    opening: int
    function: str  # upper case
    spelling: Spelling


def find_candidates(tokens: Sequence[Token]) -> list[Candidate]:
    """All calls that could be ours, in order, by their names alone."""
    found: list[Candidate] = []
    for index, token in enumerate(tokens):
        if token.kind != "word" or (index and tokens[index - 1].upper == "."):
            continue
        ahead = [t.upper for t in tokens[index + 1 : index + 4]]
        if token.upper == "ML" and len(ahead) == 3 and ahead[0] == "." and ahead[2] == "(":
            if tokens[index + 2].kind == "word":
                found.append(Candidate(index, index + 3, ahead[1], "ml"))
        elif ahead[:1] != ["("]:
            continue
        elif token.upper in SCALAR_FUNCTIONS:
            found.append(Candidate(index, index + 1, token.upper, "bare"))
        elif token.upper in MODEL_FREE_FUNCTIONS:
            found.append(Candidate(index, index + 1, MODEL_FREE_FUNCTIONS[token.upper].upper(), "model_free"))
    return found


@dataclass(frozen=True)
class CallReader:
    """Reads the calls of one statement."""

    text: str
    tokens: Sequence[Token]
    brackets: dict[int, int]
    dialect: str
    is_model: IsModel

    def read(self, candidate: Candidate, place: Place) -> Call | ModelName | None:
        """The call; the name alone where it would be ours if such a model existed; None where it is the engine's."""
        claim = self._claim(candidate)
        if claim is not True:
            return claim or None
        name = candidate.function
        if candidate.spelling == "ml" and name not in TABLE_FUNCTIONS | SCALAR_FUNCTIONS:
            raise self._unknown_function(candidate)
        if place.is_table and candidate.spelling != "model_free":
            return self._table_call(candidate, place)
        return self._scalar_call(candidate, place)

    def _reader(self, candidate: Candidate) -> Reader:
        return Reader(self.text, self.tokens, candidate.opening + 1, self.brackets[candidate.opening], self.dialect)

    def _claim(self, candidate: Candidate) -> bool | ModelName:
        """MODEL after the bracket makes a call ours; a name does if a model has it, or if the call can be nothing else."""
        reader = self._reader(candidate)
        first, second = reader.peek(), reader.peek(1)
        if candidate.spelling == "model_free":
            return first.kind == "string"
        if first.upper == "MODEL" and second.kind in ("word", "quoted", "string"):
            return candidate.spelling == "ml" or second.upper not in _OPERATOR_WORDS
        if candidate.spelling == "ml" and candidate.function in DATA_FUNCTIONS and first.upper in ("TABLE", "("):
            return True
        known = TABLE_FUNCTIONS if candidate.spelling == "ml" else SCALAR_FUNCTIONS
        name = _leading_name(reader) if candidate.function in known else None
        if name is None:
            return False
        return True if self.is_model(name.parts) or self._is_nothing_else(reader) else name

    def _is_nothing_else(self, reader: Reader) -> bool:
        """Whether no engine could run the call: behind the name stands USING, or ``*`` as an argument."""
        if reader.sees("USING"):
            return True
        index = reader.index
        while index < reader.end:
            if self.tokens[index].upper == "," and self.tokens[index + 1].upper == "*":
                following = self.tokens[index + 2].upper  # *COLUMNS(*) is DuckDB's way to unpack
                if index + 2 == reader.end or following in (",", "EXCEPT", "EXCLUDE"):
                    return True
            index = self.brackets.get(index, index) + 1
        return False

    def _unknown_function(self, candidate: Candidate) -> SqlmlError:
        token = self.tokens[candidate.opening - 1]
        near = difflib.get_close_matches(candidate.function, sorted(TABLE_FUNCTIONS), 1)
        hint = (
            f"Did you mean ML.{near[0]}?" if near else "The functions are: " + ", ".join(sorted(TABLE_FUNCTIONS)) + "."
        )
        return SqlSyntaxError(
            f'unknown function "ML.{token.text}"',
            hint=hint,
            position=self.tokens[candidate.index].start,
            text=self.text,
        )

    def _span(self, candidate: Candidate) -> Span:
        return span_of(self.tokens, candidate.index, self.brackets[candidate.opening] + 1)

    # -- scalar ------------------------------------------------------------------------------------------------------

    def _scalar_call(self, candidate: Candidate, place: Place) -> ScalarCall:
        reader = self._reader(candidate)
        if candidate.function not in SCALAR_FUNCTIONS:
            raise self._misplaced_table(candidate)
        if place.is_table:
            raise self._misplaced_scalar(candidate)
        reader.accept("MODEL")
        model = reader.model_name()
        parts = self._arguments(reader)
        class_label = None
        if candidate.function == "PREDICT_PROBA" and len(parts) > 1 and self._is_literal(*parts[0]):
            class_label = span_of(self.tokens, *parts.pop(0))
        if any(self._is_table_argument(*part) for part in parts):
            raise self._misplaced_table(candidate)
        return ScalarCall(
            self._span(candidate),
            cast("ScalarFunction", candidate.function.lower()),
            model,
            tuple(self._argument(reader, *part) for part in parts),
            place.scope,
            class_label,
            place.select_item,
            place.unnamed_item,
            candidate.spelling == "model_free",
        )

    def _arguments(self, reader: Reader) -> list[tuple[int, int]]:
        """What follows the model's name: parts between commas, of which USING is one if it comes first or second."""
        if reader.at_end():
            return []
        if not (reader.accept("USING") or reader.accept(",")):
            raise reader.error('"," or USING', hint="Write PREDICT(model, columns) or PREDICT(model USING columns).")
        parts: list[tuple[int, int]] = []
        start = index = reader.index
        while index <= reader.end:
            word = self.tokens[index].upper if index < reader.end else ","
            if word == "," or (word == "USING" and not parts):
                if index == start:
                    reader.index = index
                    raise reader.error("a column or an expression")
                parts.append((start, index))
                start = index + 1
            index = self.brackets.get(index, index) + 1
        return parts

    def _is_literal(self, first: int, end: int) -> bool:
        if end - first == 2 and self.tokens[first].upper == "-":
            first += 1
        token = self.tokens[first]
        return end - first == 1 and (token.kind in ("string", "number") or token.upper in ("TRUE", "FALSE"))

    def _is_table_argument(self, first: int, end: int) -> bool:
        return self.tokens[first].upper == "TABLE" and end - first > 1

    def _argument(self, reader: Reader, first: int, end: int) -> Argument:
        """``*``, ``t.*``, ``* EXCEPT (a)``, ``expression [AS name]``."""
        part = Reader(self.text, self.tokens, first, end, self.dialect)
        qualifier: str | None = None
        while part.peek().kind in ("word", "quoted") and part.peek(1).upper == ".":
            qualifier = identifier(part.take())
            part.take()
        if part.accept("*") and (part.at_end() or part.peek().kind == "word"):
            return Argument(
                span_of(self.tokens, first, end), star=True, qualifier=qualifier, excluded=self._excluded(part)
            )
        return self._expression(first, end)

    def _excluded(self, part: Reader) -> tuple[str, ...]:
        if part.at_end():
            return ()
        if part.peek().upper in ("REPLACE", "RENAME"):
            raise part.error_at(
                f"{part.peek().upper} is not possible here",
                part.peek().start,
                hint="Write * EXCEPT (feature), expression AS feature.",
            )
        if not (part.accept("EXCEPT") or part.accept("EXCLUDE")):
            raise part.error("EXCEPT (column, ...)")
        names: list[str] = []
        if not part.sees("("):
            names.append(part.name("a column name"))
        else:
            part.take()
            names.append(part.name("a column name"))
            while part.accept(","):
                names.append(part.name("a column name"))
            part.expect(")")
        if not part.at_end():
            raise part.error('","')
        return tuple(names)

    def _expression(self, first: int, end: int) -> Argument:
        tokens = self.tokens
        if end - first > 2 and tokens[first + 1].upper in (":=", "=>") and tokens[first].kind in ("word", "quoted"):
            return Argument(span_of(tokens, first + 2, end), alias=identifier(tokens[first]))
        if end - first > 2 and tokens[end - 2].upper == "AS":
            named = tokens[end - 1]  # any word may follow AS, and DuckDB takes a string
            if named.kind in ("word", "quoted"):
                return Argument(span_of(tokens, first, end - 2), alias=identifier(named))
            if named.kind == "string":
                return Argument(span_of(tokens, first, end - 2), alias=string_value(named))
        return Argument(span_of(tokens, first, end))

    # -- table -------------------------------------------------------------------------------------------------------

    def _table_call(self, candidate: Candidate, place: Place) -> TableCall:
        reader = self._reader(candidate)
        if candidate.function not in TABLE_FUNCTIONS:
            raise self._misplaced_scalar(candidate)
        model: ModelName | None = None
        named = reader.accept("MODEL")
        if named or not (candidate.function in DATA_FUNCTIONS and reader.peek().upper in ("TABLE", "(")):
            model = reader.model_name()
        inputs: list[tuple[Span, bool]] = []
        settings: list[Option] = []
        while not reader.at_end():
            if model or inputs or settings:
                reader.expect(",")
            self._table_argument(reader, inputs, settings)
        return TableCall(
            self._span(candidate), candidate.function.lower(), model, tuple(inputs), tuple(settings), place.scope
        )

    def _table_argument(self, reader: Reader, inputs: list[tuple[Span, bool]], settings: list[Option]) -> None:
        token, after = reader.peek(), reader.peek(1)
        if token.upper == "STRUCT" and after.upper == "(":
            reader.take()
            settings += read_struct(reader)
        elif token.kind == "word" and after.upper in ("=>", ":="):
            first = reader.index
            reader.index += 2
            settings.append(Option(token.text.lower(), read_value(reader), reader.span_from(first)))
        elif token.upper == "(":
            close = self.brackets[reader.index]
            if after.upper not in QUERY_STARTS and after.upper != "(":
                reader.index += 1
                raise reader.error("a query", hint="Write TABLE name, or a query in brackets.")
            inputs.append((span_of(self.tokens, reader.index + 1, close), False))
            reader.index = close + 1
        elif token.upper in QUERY_STARTS - {"TABLE"}:
            raise reader.error(_INPUT, hint="Put the query in brackets.")
        else:
            inputs.append((self._table_name(reader), True))

    def _table_name(self, reader: Reader) -> Span:
        """``[TABLE] a.b.c`` or the path of a file the engine reads."""
        marked = reader.accept("TABLE")
        first = reader.index
        if marked and reader.peek().kind == "string":
            reader.take()
            return reader.span_from(first)
        reader.name("a table's name" if marked else _INPUT)
        while reader.accept("."):
            reader.name("a table's name")
        if reader.sees("("):
            raise reader.error('","', hint="Write (SELECT * FROM function(...)): a table function goes into a query.")
        return reader.span_from(first)

    # -- errors ------------------------------------------------------------------------------------------------------

    def _misplaced_table(self, candidate: Candidate) -> SqlSyntaxError:
        name = f"ML.{candidate.function}"
        return SqlSyntaxError(
            f"{name} with a table is a table function: it stands in FROM"
            if candidate.function in SCALAR_FUNCTIONS
            else f"{name} is a table function: it stands in FROM",
            hint=f"Write SELECT * FROM {name}(MODEL name, ...).",
            position=self.tokens[candidate.index].start,
            text=self.text,
        )

    def _misplaced_scalar(self, candidate: Candidate) -> SqlSyntaxError:
        return SqlSyntaxError(
            f"{candidate.function} is a scalar function: it stands in an expression",
            hint=f"Write SELECT {candidate.function}(model, *) FROM table.",
            position=self.tokens[candidate.index].start,
            text=self.text,
        )


def _leading_name(reader: Reader) -> ModelName | None:
    """A model's name if that is what comes before the first comma, USING or the end."""
    try:
        name = reader.model_name()
    except SqlSyntaxError:
        return None
    return name if reader.at_end() or reader.peek().upper in (",", "USING") else None


# Words that make MODEL a column's name in front of them: predict(model IS NULL).
_OPERATOR_WORDS = RESERVED | frozenset({"BETWEEN", "GLOB", "ILIKE", "IS", "ISNULL", "LIKE", "NOTNULL", "SIMILAR"})
_INPUT = "TABLE name, (query) or STRUCT(...)"
