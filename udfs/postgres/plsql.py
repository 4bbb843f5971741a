"""The SQL scorer for PostgreSQL: a model in, CREATE FUNCTION statements in PL/pgSQL out, for servers without native code.

<stem>(arguments)           float8[]   what LightGBM's predict gives
<stem>_value(arguments)     float8     the same for a model of one output: the fast path
<stem>_raw(arguments)       float8[]   the sums of the trees
<stem>_features(arguments)  float8[]   what the forest sees, NaN = missing

Whoever writes a forest as expressions pays twice: PL/pgSQL plans them once a session, and prepares them anew in every
transaction, with a look at the privileges of each operator. So a small forest is written twice: as bit strings (``plsql_bits``:
four operators a tree, for statements that score a few rows) and as CASE expressions (``plsql_cases``: two operators a node, the
faster way for a scan). A statement that has run for 50 ms is a scan. Larger forests have CASE expressions only, as the masks of
their bits grow with the square of their size.

Measured on PostgreSQL 15 (processor time on a busy machine; trees x leaves x features):

                          100 x 31 x 10                          200 x 31 x 10
                          rows/s   one row   first call          rows/s   one row   first call
    bits                  52-63k   0.14 ms   21 ms,  9 MiB       31k      0.23 ms   50 ms, 20 MiB
    CASE, 25 trees a sum  68-70k   1.1 ms    25 ms, 11 MiB       30k      2.1 ms    50 ms, 21 MiB
    both                  65k      0.19 ms   31 ms, 14 MiB

Tried and left: one CASE a statement (35k, a statement costs 100 ns), IF trees (10k rows/s, 0.8 ms a row), a loop over arrays of
leaves (26k), all leaves in one array constant (52k, but 52 MiB, as every use copies it), bits without the order by frequency (50k).
Each function has a search path of its own, so that a caller's operators and types do not come before the server's in its body: that
takes a microsecond and a half a row. The server's JIT does not compile PL/pgSQL's expressions, whatever their cost: no function needs SET jit, which would cost more.
"""

from __future__ import annotations

from itertools import count

from udfs.model import Model
from udfs.postgres import plsql_bits, plsql_cases
from udfs.postgres.plsql_features import average_path, used_features
from udfs.postgres.plsql_literals import double, identifier
from udfs.postgres.plsql_objective import write_predictions
from udfs.postgres.plsql_program import SQL_TYPES, parameter, write_features
from udfs.postgres.plsql_refusal import plsql_refusal
from udfs.postgres.plsql_scope import Scope

MOST_MASK_BYTES = 3 << 19
# Both ways give the same bits, so that the function stays immutable whatever the clock says.
IS_SHORT = "clock_timestamp() < statement_timestamp() + '50 ms'::interval"
# Types as they are whatever types a caller has of the same names.
_ABSOLUTE = {
    "float8": "pg_catalog.float8",
    "boolean": "pg_catalog.bool",
    "text": "pg_catalog.text",
    "date": "pg_catalog.date",
    "timestamp": 'pg_catalog."timestamp"',
    "timestamptz": "pg_catalog.timestamptz",
}

__all__ = ["plsql_functions", "plsql_refusal"]


def plsql_functions(model: Model, schema: str, stem: str) -> list[str]:
    """The statements that make a model's functions; the model must be one that ``plsql_refusal`` has nothing against."""
    name = f"{identifier(schema)}.{{}}"
    statements = [
        _function(model, name.format(identifier(f"{stem}_features")), "float8[]", *_features(model)),
        _function(model, name.format(identifier(f"{stem}_raw")), "float8[]", *_raw(model)),
    ]
    vector = _predictions(model)
    if model.forest.outputs == 1:
        value = name.format(identifier(f"{stem}_value"))
        statements.append(_function(model, value, "float8", *_value(model)))
        names = ", ".join(parameter(position) for position in range(len(model.arguments)))
        vector = Scope(), f"ARRAY[{value}({names})]"
    statements.append(_function(model, name.format(identifier(stem)), "float8[]", *vector))
    return statements


def _features(model: Model) -> tuple[Scope, str]:
    scope = Scope()
    features = write_features(model, range(len(model.features)), scope)
    values = ", ".join(f"coalesce({feature}, {double(float('nan'))})" for feature in features)
    return scope, f"ARRAY[{values}]::float8[]"


def _raw(model: Model) -> tuple[Scope, str]:
    scope = Scope()
    return scope, f"ARRAY[{', '.join(_sums(model, scope))}]"


def _value(model: Model) -> tuple[Scope, str]:
    scope = Scope()
    return scope, write_predictions(model.forest, _sums(model, scope), scope)[0]


def _predictions(model: Model) -> tuple[Scope, str]:
    scope = Scope()
    return scope, f"ARRAY[{', '.join(write_predictions(model.forest, _sums(model, scope), scope))}]"


def _sums(model: Model, scope: Scope) -> list[str]:
    features = write_features(model, used_features(model.forest), scope)
    sums = [scope.let("float8", double(0.0)) for _ in range(model.forest.outputs)]
    if plsql_bits.mask_bytes(model.forest) > MOST_MASK_BYTES:
        plsql_cases.write_sums(model.forest, features, sums, scope)
        return sums
    scope.emit(f"IF {IS_SHORT} THEN")
    plsql_bits.write_sums(model.forest, features, sums, scope)
    scope.emit("ELSE")
    plsql_cases.write_sums(model.forest, features, sums, scope)
    scope.emit("END IF;")
    return sums


def _function(model: Model, name: str, result: str, scope: Scope, expression: str) -> str:
    arguments = ", ".join(
        f"{parameter(position)} {_ABSOLUTE[SQL_TYPES[argument.kind]]}"
        for position, argument in enumerate(model.arguments)
    )
    declarations = "\n".join(scope.declarations)
    statements = "\n".join(scope.statements)
    body = f"DECLARE\n{declarations}\nBEGIN\n{statements}\nRETURN {expression};\nEND"
    quote = next(tag for k in count() if (tag := f"$sqlml{k or ''}$") not in body)
    return (
        f"CREATE OR REPLACE FUNCTION {name}({arguments}) RETURNS pg_catalog.{result} LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE "
        f"COST {cost(model)} SET search_path = pg_catalog, pg_temp AS {quote}\n{body} {quote}"
    )


def cost(model: Model) -> int:
    """In Postgres' unit, the price of one simple operator: a node is a comparison and a jump, a step a few operators."""
    return 20 + 5 * len(model.arguments) + 5 * len(model.steps) + round(2 * average_path(model.forest))
