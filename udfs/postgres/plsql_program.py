"""The transform program as PL/pgSQL: arguments in, the variables of the features out; only what is asked for is computed.

register of shape    variable
number               float8, NULL = missing, never NaN
time                 int8 microseconds since 1970, NULL = missing
text                 text COLLATE "C": equal and ordered by bytes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from udfs.columns import DAY, LAST_DAY
from udfs.model import Argument, Kind, Model, Step
from udfs.postgres.plsql_operators import FORMS
from udfs.postgres.plsql_scope import Scope
from udfs.transforms.operator import Shape
from udfs.transforms.registry import OPERATORS

SQL_TYPES: dict[Kind, str] = {
    "number": "float8",
    "boolean": "boolean",
    "text": "text",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}
_SHAPES: dict[Kind, Shape] = {"number": "number", "boolean": "number", "text": "text"}
TYPES: dict[Shape, str] = {"number": "float8", "time": "int8", "text": 'text COLLATE "C"'}
_END = "294247-01-10 04:00:54.775806"  # the first moment beyond 64 bits of microseconds since 1970


@dataclass
class _Register:
    """A value that becomes a variable when it is first read: an argument, or an output of a step."""

    shape: Shape
    step: Step | None
    inputs: list[_Register] = field(default_factory=list)
    siblings: list[_Register] = field(default_factory=list)
    expression: str = ""
    variable: str = ""


def parameter(position: int) -> str:
    """The name of an argument of the SQL function."""
    return f"a{position}"


def write_features(model: Model, wanted: Iterable[int], scope: Scope) -> list[str]:
    """The variables of the features by number; those not wanted are NULL constants."""
    names = {
        argument.name: _Register(_SHAPES.get(argument.kind, "time"), None, expression=_argument(argument, position))
        for position, argument in enumerate(model.arguments)
    }
    for step in model.steps:
        _define(step, names)
    variables = ["NULL"] * len(model.features)
    for index in sorted(set(wanted)):
        variables[index] = _read(names[model.features[index].name], scope)
    return variables


def _define(step: Step, names: dict[str, _Register]) -> None:
    inputs = [names[name] for name in step.inputs]
    if step.op == "copy":
        names[step.outputs[0]] = inputs[0]
        return
    shapes = OPERATORS[step.op].shapes(step, tuple(register.shape for register in inputs))
    outputs = [_Register(shape, step, inputs) for shape in shapes]
    for register in outputs:
        register.siblings = outputs
    names.update(zip(step.outputs, outputs, strict=True))


def _read(register: _Register, scope: Scope) -> str:
    if not register.variable:
        if register.step is not None and not register.expression:
            inputs = [_read(source, scope) for source in register.inputs]
            expressions = FORMS[register.step.op](register.step, inputs, scope)
            for sibling, expression in zip(register.siblings, expressions, strict=True):
                sibling.expression = expression
        register.variable = scope.let(TYPES[register.shape], register.expression)
    return register.variable


def _argument(argument: Argument, position: int) -> str:
    """An argument as a register: NaN and infinite points in time are missing."""
    name = parameter(position)
    match argument.kind:
        case "number":
            return f"nullif({name}, 'NaN')"
        case "boolean":
            return f"{name}::int4::float8"
        case "text":
            return name
        case "date":
            last = f"date '1970-01-01' + {LAST_DAY}"  # the first one is in 4714 BC
            is_near = f"{name} > '-infinity' AND {name} <= {last}"
            return f"CASE WHEN {is_near} THEN ({name} - date '1970-01-01')::int8 * {DAY} END"
    is_near = f"{name} > '-infinity' AND {name} < '{_END}{'+00' if argument.kind == 'timestamptz' else ''}'"
    return f"CASE WHEN {is_near} THEN (extract(epoch FROM {name}) * 1000000)::int8 END"
