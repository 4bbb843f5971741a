"""ML.* preprocessors of TRANSFORM: their arguments, as in BigQuery ML, to steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from typing import Any, Protocol

import numpy as np

from sqlml.errors import OptionValueError, SqlmlError, TransformError
from sqlml.language.tokens import string_value
from sqlml.planning.literals import read_constant
from sqlml.planning.select_list import MlCall, Range, SelectList
from sqlml.planning.values import TEXTS, Emitter, Value

OUTPUT_LIMIT = 1_000
BUCKET_LIMIT = 65_535


@dataclass(frozen=True)
class Made:
    """A register that a preprocessor makes, and the ending of its feature's name where there are several."""

    register: str
    categorical: bool = False
    suffix: str | None = None
    numeric: bool = True  # may be used inside an expression


class Scope(Protocol):
    """What a preprocessor needs of the planner."""

    items: SelectList
    emitter: Emitter
    classes: int

    def value(self, body: Range) -> Value:
        """A typed value, portable or computed by the engine."""

    def joined_list(self, body: Range) -> str | None:
        """The register of a list of text joined by the engine; None where the expression is no list."""


class Call:
    """A call's arguments, read by position."""

    def __init__(self, scope: Scope, call: MlCall) -> None:
        self.scope = scope
        self.emitter = scope.emitter
        self.name = f"ML.{call.name}"
        self._call = call
        self.position = scope.items.position(call.whole)

    def error(self, message: str, hint: str | None = None, at: Range | None = None) -> SqlmlError:
        """An error at the call, or at one of its arguments."""
        position = self.position if at is None else self.scope.items.position(at)
        return TransformError(message, hint=hint, position=position, text=self.scope.items.text)

    def count(self) -> int:
        return len(self._call.arguments)

    def argument(self, index: int) -> Range:
        return self._call.arguments[index]

    def number(self, index: int) -> str:
        """The register of a numeric argument."""
        return self._number(self.argument(index))

    def _number(self, body: Range) -> str:
        value = self.scope.value(body)
        if value.type.base not in ("boolean", "integer", "decimal", "float", "double", "null"):
            hint = (
                "Encode text with ML.LABEL_ENCODER, ML.ONE_HOT_ENCODER or ML.TARGET_ENCODER, or cast it."
                if value.type.base in ("text", "enum")
                else "Make a number of it, as with epoch(x) or year(x)."
            )
            raise self.error(f"{self.name} expects a number, got {value.type.base}", hint, at=body)
        return self.emitter.double(value)

    def text(self, index: int) -> str:
        """The register of a text argument."""
        return self._text(self.argument(index))

    def _text(self, body: Range) -> str:
        value = self.scope.value(body)
        if value.type.base not in TEXTS:
            hint = "Write CAST(x AS VARCHAR) to encode it as text."
            raise self.error(f"{self.name} expects text, got {value.type.base}", hint, at=body)
        return value.register

    def members(self, index: int, opening: str) -> list[tuple[Range, str]]:
        """The expressions in STRUCT(...) or [...], with the names that their features get."""
        items = self.scope.items
        inner = items.inside(self.argument(index), opening)
        if inner is None:
            form = "STRUCT(a, b)" if opening == "(" else "[a, b]"
            raise self.error(f"{self.name} expects {form}", f"Write {self.name}({form}).", at=self.argument(index))
        parts = []
        for number, part in enumerate(items.split(inner)):
            item = items._named(part)  # noqa: SLF001 - the same grammar as an item of the list
            tokens = items.tokens[item.body.first : item.body.end]
            plain = tokens[0].text.strip('"`') if len(tokens) == 1 else f"f{number + 1}"
            parts.append((item.body, item.alias or plain))
        return parts

    def numbers(self, index: int, opening: str) -> list[tuple[str, str]]:
        return [(self._number(body), name) for body, name in self.members(index, opening)]

    def texts(self, index: int, opening: str) -> list[tuple[str, str]]:
        return [(self._text(body), name) for body, name in self.members(index, opening)]

    def constant(self, index: int, default: Any, check: Callable[[Any], bool], wanted: str) -> Any:
        """A literal argument, or its default where it is left out."""
        if index >= self.count():
            return default
        value = read_constant(self.scope.items, self.argument(index))
        if not check(value):
            raise OptionValueError(
                f"{self.name} expects {wanted} as argument {index + 1}, got {value!r}",
                hint=f"Write {self.name}({PREPROCESSORS[self._call.name].usage}).",
                position=self.scope.items.position(self.argument(index)),
                text=self.scope.items.text,
            )
        return value

    def whole(self, index: int, default: int | None, low: int, high: int) -> int | None:
        def check(value: Any) -> bool:
            return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

        result = self.constant(index, default, check, f"a whole number from {low} to {high}")
        return None if result is None else int(result)

    def choice(self, index: int, choices: tuple[str, ...]) -> str:
        listed = ", ".join(f"'{choice}'" for choice in choices)
        return str(self.constant(index, choices[0], lambda value: value in choices, f"one of {listed}"))

    def flag(self, index: int, *, default: bool) -> bool:
        return bool(self.constant(index, default, lambda value: isinstance(value, bool), "TRUE or FALSE"))

    def vocabulary(self, index: int, limit: int) -> dict[str, int]:
        """[, top_k] [, frequency_threshold]."""
        settings = {
            "top_k": self.whole(index, None, 1, limit),
            "frequency_threshold": self.whole(index + 1, None, 0, 2**53),
        }
        return {name: value for name, value in settings.items() if value is not None}


def _fit(call: Call, op: str, inputs: tuple[str, ...], **settings: Any) -> str:
    return call.emitter.emit(op, inputs, **settings)


def _scaler(op: str) -> Callable[[Call], list[Made]]:
    return lambda call: [Made(_fit(call, op, (call.number(0),)))]


def _robust_scaler(call: Call) -> list[Made]:
    def check(value: Any) -> bool:
        numbers = isinstance(value, list) and len(value) == 2 and all(isinstance(v, int | float) for v in value)
        return numbers and 0 <= value[0] < value[1] <= 100

    quantiles = call.constant(1, [25, 75], check, "[low, high] between 0 and 100")
    settings = {
        "quantile_range": [float(value) for value in quantiles],
        "with_median": call.flag(2, default=True),
        "with_quantile_range": call.flag(3, default=True),
    }
    return [Made(_fit(call, "robust_scaler", (call.number(0),), **settings))]


def _normalizer(call: Call) -> list[Made]:
    def check(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and (value == 0 or value >= 1)

    members = call.numbers(0, "[")
    p = float(call.constant(1, 2.0, check, "0 or a number from 1 to infinity"))
    registers = call.emitter.emit_many("normalizer", tuple(r for r, _ in members), len(members), p=p)
    return [Made(r, suffix=name) for r, (_, name) in zip(registers, members, strict=True)]


def _imputer(call: Call) -> list[Made]:
    strategy = call.choice(1, ("mean", "median", "most_frequent")) if call.count() > 1 else "mean"
    value = call.scope.value(call.argument(0))
    if value.type.base not in TEXTS:
        return [Made(_fit(call, "imputer", (call.number(0),), strategy=strategy))]
    if strategy != "most_frequent":
        raise call.error(f"{call.name} cannot take the {strategy} of text", "Use 'most_frequent'.")
    return [Made(_fit(call, "dictionary", (value.register,), impute=True), categorical=True, numeric=False)]


_BUCKET_FORMATS = ("bucket_names", "bucket_ranges", "bucket_ranges_json")


def _bucketize(call: Call) -> list[Made]:
    def check(value: Any) -> bool:
        numbers = isinstance(value, list) and all(isinstance(v, int | float) for v in value)
        return numbers and 0 < len(value) < BUCKET_LIMIT and all(math.isfinite(v) for v in value)

    points = np.unique(np.array(call.constant(1, None, check, "a list of numbers"), np.float64))
    if call.flag(2, default=False):
        points = points[1:-1]
    kind = call.choice(3, _BUCKET_FORMATS)
    register = call.emitter.emit("bucketize", (call.number(0),), points=points, format=kind)
    return [Made(register, categorical=True, numeric=False)]


def _quantile_bucketize(call: Call) -> list[Made]:
    buckets = call.whole(1, None, 2, BUCKET_LIMIT)
    kind = call.choice(2, _BUCKET_FORMATS)
    register = _fit(call, "quantile_bucketize", (call.number(0),), buckets=buckets, format=kind)
    return [Made(register, categorical=True, numeric=False)]


def _one_hot(call: Call) -> list[Made]:
    drop = call.choice(1, ("none", "most_frequent"))
    settings = call.vocabulary(2, OUTPUT_LIMIT)
    return [Made(_fit(call, "one_hot_encoder", (call.text(0),), drop=drop, **settings), numeric=False)]


def _label_encoder(call: Call) -> list[Made]:
    return [Made(_fit(call, "label_encoder", (call.text(0),), **call.vocabulary(1, 1_000_000)))]


def _target_encoder(call: Call) -> list[Made]:
    def check(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        return value == "auto" or number

    smooth = call.constant(1, "auto", check, "'auto' or a number from 0")
    settings: dict[str, Any] = {"smooth": smooth}
    if call.scope.classes > 2:
        settings["classes"] = call.scope.classes
    register = _fit(call, "target_encoder", (call.text(0),), **settings)
    return [Made(register, numeric=call.scope.classes <= 2)]


def _feature_cross(call: Call) -> list[Made]:
    members = call.texts(0, "(")
    degree = call.whole(1, 2, 2, 3) or 2
    if len(members) < degree:
        raise call.error(f"{call.name} of degree {degree} expects at least {degree} texts, got {len(members)}")
    made = []
    for chosen in combinations(members, degree):
        register = _fit(call, "feature_cross", tuple(register for register, _ in chosen))
        made.append(Made(register, True, "_".join(name for _, name in chosen), numeric=False))
    return made if len(made) > 1 else [Made(made[0].register, categorical=True, numeric=False)]


def _polynomial(call: Call) -> list[Made]:
    members = call.numbers(0, "(")
    degree = call.whole(1, 2, 1, 4) or 2
    terms = [term for size in range(1, degree + 1) for term in combinations_with_replacement(range(len(members)), size)]
    if len(terms) > OUTPUT_LIMIT:
        raise call.error(f"{call.name} would make {len(terms)} features, more than {OUTPUT_LIMIT}")
    sizes = np.array([len(term) for term in terms], np.int64)
    flat = np.array([factor for term in terms for factor in term], np.int64)
    inputs = tuple(register for register, _ in members)
    registers = call.emitter.emit_many("polynomial_expand", inputs, len(terms), sizes=sizes, terms=flat)
    names = ["_".join(members[factor][1] for factor in term) for term in terms]
    return [Made(register, suffix=name) for register, name in zip(registers, names, strict=True)]


def _hash_bucketize(call: Call) -> list[Made]:
    buckets = call.whole(1, None, 1, BUCKET_LIMIT)
    register = call.emitter.emit("hash_bucketize", (call.text(0),), buckets=buckets)
    return [Made(register, categorical=True, numeric=False)]


_SPLITTERS = ("SPLIT", "STRING_SPLIT", "STR_SPLIT", "STRING_TO_ARRAY")


def _tokens(call: Call, body: Range) -> tuple[str, dict[str, Any]]:
    """The register of a list of tokens as one text, and how it is cut: text, split(text, 'x'), ML.NGRAMS(...), or a list."""
    items = call.scope.items
    nested = items.calls(body)
    if len(nested) == 1 and nested[0].whole == body and nested[0].name == "NGRAMS":
        return _ngram_tokens(Call(call.scope, nested[0]))
    token = items.tokens[body.first]
    inner = items.inside(body, "(")
    if token.upper in _SPLITTERS and inner is not None:
        parts = items.split(inner)
        separator = items.tokens[parts[-1].first]
        single = len(parts) == 2 and parts[1].end - parts[1].first == 1 and separator.kind == "string"
        if single and len(string_value(separator).encode()) == 1:
            text = Call(call.scope, MlCall(call.name[3:], (parts[0],), body)).text(0)
            return text, {"separator": string_value(separator), "low": 1, "high": 1}
    register = call.scope.joined_list(body)
    if register is not None:
        return register, {"separator": chr(31), "low": 1, "high": 1}
    return call._text(body), {"separator": " ", "low": 1, "high": 1}  # noqa: SLF001 - our own helper


def _ngram_tokens(call: Call) -> tuple[str, dict[str, Any]]:
    if not 2 <= call.count() <= 3:
        raise call.error("ML.NGRAMS expects (tokens, [low, high] [, separator])")

    def check(value: Any) -> bool:
        sizes = value if isinstance(value, list) else [value]
        whole = all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
        return whole and len(sizes) in (1, 2) and 1 <= sizes[0] <= sizes[-1] <= 16

    sizes = call.constant(1, None, check, "[low, high] between 1 and 16")
    sizes = sizes if isinstance(sizes, list) else [sizes]
    joint = call.constant(2, " ", lambda value: isinstance(value, str), "a text")
    register, cut = _tokens(call, call.argument(0))
    return register, {**cut, "low": sizes[0], "high": sizes[-1], "joint": joint}


def _terms(op: str) -> Callable[[Call], list[Made]]:
    def make(call: Call) -> list[Made]:
        register, cut = _tokens(call, call.argument(0))
        return [Made(_fit(call, op, (register,), **cut, **call.vocabulary(1, OUTPUT_LIMIT)), numeric=False)]

    return make


def _ngrams(call: Call) -> list[Made]:
    register, cut = _ngram_tokens(call)
    return [Made(_fit(call, "multi_hot_encoder", (register,), **cut), numeric=False)]


@dataclass(frozen=True)
class Preprocessor:
    """How to make it, how many arguments it takes, and how it is written."""

    make: Callable[[Call], list[Made]]
    arguments: tuple[int, int]
    usage: str


PREPROCESSORS = {
    "STANDARD_SCALER": Preprocessor(_scaler("standard_scaler"), (1, 1), "x"),
    "MIN_MAX_SCALER": Preprocessor(_scaler("min_max_scaler"), (1, 1), "x"),
    "MAX_ABS_SCALER": Preprocessor(_scaler("max_abs_scaler"), (1, 1), "x"),
    "ROBUST_SCALER": Preprocessor(_robust_scaler, (1, 4), "x [, [low, high]] [, with_median] [, with_quantile_range]"),
    "NORMALIZER": Preprocessor(_normalizer, (1, 2), "[a, b, ...] [, p]"),
    "IMPUTER": Preprocessor(_imputer, (1, 2), "x, 'mean' | 'median' | 'most_frequent'"),
    "BUCKETIZE": Preprocessor(_bucketize, (2, 4), "x, [points] [, exclude_boundaries] [, output_format]"),
    "QUANTILE_BUCKETIZE": Preprocessor(_quantile_bucketize, (2, 3), "x, buckets [, output_format]"),
    "ONE_HOT_ENCODER": Preprocessor(_one_hot, (1, 4), "text [, drop] [, top_k] [, frequency_threshold]"),
    "MULTI_HOT_ENCODER": Preprocessor(_terms("multi_hot_encoder"), (1, 3), "list [, top_k] [, frequency_threshold]"),
    "LABEL_ENCODER": Preprocessor(_label_encoder, (1, 3), "text [, top_k] [, frequency_threshold]"),
    "TARGET_ENCODER": Preprocessor(_target_encoder, (1, 2), "text [, smooth]"),
    "FEATURE_CROSS": Preprocessor(_feature_cross, (1, 2), "STRUCT(a, b, ...) [, degree]"),
    "POLYNOMIAL_EXPAND": Preprocessor(_polynomial, (1, 2), "STRUCT(a, b, ...) [, degree]"),
    "HASH_BUCKETIZE": Preprocessor(_hash_bucketize, (2, 2), "text, buckets"),
    "NGRAMS": Preprocessor(_ngrams, (2, 3), "tokens, [low, high] [, separator]"),
    "BAG_OF_WORDS": Preprocessor(_terms("bag_of_words"), (1, 3), "tokens [, top_k] [, frequency_threshold]"),
}
