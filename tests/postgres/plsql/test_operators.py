"""Every operator's form in PL/pgSQL against its kernel, bit for bit, on ordinary and on hostile values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from udfs.model import Argument, Feature, Forest, Input, Label, Model, Step
from udfs.postgres.plsql import plsql_refusal
from udfs.postgres.plsql_operators import FORMS
from udfs.transforms import OPERATORS, arithmetic, comparison, elementwise, logic, polynomial_expand
from udfs.transforms.calendar import PARTS
from udfs.transforms.dictionary import texts
from udfs.transforms.zones import zone_params

ARGUMENTS = (
    Argument("a", "number"),
    Argument("b", "number"),
    Argument("k", "boolean"),
    Argument("l", "boolean"),
    Argument("s", "text"),
    Argument("u", "text"),
    Argument("t", "timestamp"),
    Argument("v", "timestamp"),
    Argument("z", "timestamptz"),
    Argument("d", "date"),
)
ROWS = 3_000
HOSTILE = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, np.nan, np.inf, -np.inf, 2.0**53, 7.0, -3.0, 3.0, 100.0),
    *(1e300, -1e300, 1e308, -1.7e308, 1.7976931348623157e308, 8.98846567431158e307, 1e155, 1e154, 1e-155, -1e-160),
    *(5e-324, -5e-324, 2.2250738585072014e-308, 1e-310, 1e-320, 2.0**-537, 2.0**-538, 2.0**-538 * 1.5, 2.0**512),
    *(
        3.4028235677973366e38,
        3.4028235e38,
        2.0**-150,
        2.0**-149,
        709.782712893384,
        709.7827128933841,
        -745.1332191019411,
    ),
    *(-745.1332191019412, -740.0, -750.0, 720.0, 0.49999999999999994, 2.675, 1e15 + 0.5, 1 / 3),
]
TEXTS = [
    "",
    "a",
    "b",
    None,
    "abcdefgh",
    "abcdefgi",
    "żółć",
    "b a",
    "a b a",
    "A",
    'it\'s \\ {"q"}',
    "a ",
    "\U0001f600",
    "x" * 300,
]
MANY = [*(word for word in TEXTS if word), *(f"word {i}" for i in range(40))]


def moments(rng, low, high):
    """Microseconds, some at the edges of days, hours and years."""
    day = 86_400_000_000
    values = rng.integers(low, high, ROWS)
    whole = rng.random(ROWS)
    values = np.where(whole < 0.2, values // day * day, values)
    return np.where((whole > 0.2) & (whole < 0.3), values // day * day - 1, values)


class Table:
    """Random columns as Arrow and as what COPY takes."""

    def __init__(self):
        rng = np.random.default_rng(4)
        pick, smooth = rng.choice(HOSTILE, (2, ROWS)), rng.normal(0, 10, (2, ROWS))
        whole = rng.integers(-20, 20, (2, ROWS)).astype(float)
        which = rng.random((2, ROWS))
        a, b = np.where(which < 0.5, pick, np.where(which < 0.8, smooth, whole))
        k, m = (list(rng.choice(np.array([True, False, None], object), ROWS)) for _ in range(2))
        s, u = (list(rng.choice(np.array([*TEXTS, "word 3"], object), ROWS)) for _ in range(2))
        t = moments(rng, -210_000_000_000_000_000, 9_000_000_000_000_000_000)
        t[::2] = moments(rng, -(10**16), 10**16)[::2]
        v = moments(rng, -(10**16), 10**16)
        z = moments(rng, -4_000_000_000_000_000, 5_800_000_000_000_000)
        d = rng.integers(-2_440_000, 106_000_000, ROWS)
        d[::2] = rng.integers(-200_000, 200_000, ROWS)[::2]
        empty = rng.random((4, ROWS)) < 0.05
        times = [pa.array(x, pa.timestamp("us"), mask=e) for x, e in zip((t, v), empty, strict=False)]
        zoned = pa.array(z, pa.timestamp("us", "UTC"), mask=empty[2])
        days = pa.array(d.astype(np.int32), pa.int32(), mask=empty[3]).cast(pa.date32())
        arrays = [pa.array(a), pa.array(b), pa.array(k, pa.bool_()), pa.array(m, pa.bool_())]
        arrays += [pa.array(s, pa.string()), pa.array(u, pa.string()), *times, zoned, days]
        self.batch = pa.record_batch(arrays, [argument.name for argument in ARGUMENTS])
        self.columns = [a.tolist(), b.tolist(), k, m, s, u]
        for values, mask in zip((t, v, z, d * 86_400_000_000), empty, strict=True):
            self.columns.append([None if e else int(x) for x, e in zip(values, mask, strict=True)])


@pytest.fixture(scope="module")
def table():
    return Table()


@pytest.fixture(scope="module")
def loaded(dsn, table):
    """The table in the server; times go in as whole microseconds, which text would not keep in every year."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        columns = "a float8, b float8, k bool, l bool, s text, u text, t int8, v int8, z int8, d int8"
        connection.execute(f"DROP TABLE IF EXISTS raw CASCADE; CREATE TABLE raw (id int, {columns})")
        with connection.cursor().copy("COPY raw FROM STDIN") as copy:
            for row in zip(range(ROWS), *table.columns, strict=True):
                copy.write_row(row)
        moment = "timestamp '1970-01-01' + make_interval(days => ({0} / 86400000000)::int, secs => 0) + ({0} % 86400000000) * interval '1 microsecond'"
        connection.execute(
            "DROP TABLE IF EXISTS operands; CREATE TABLE operands AS SELECT id, a AS c0, b AS c1, k AS c2, l AS c3, s AS c4, u AS c5, "
            f"{moment.format('t')} AS c6, {moment.format('v')} AS c7, ({moment.format('z')}) AT TIME ZONE 'UTC' AS c8, "
            "date '1970-01-01' + (d / 86400000000)::int AS c9 FROM raw"
        )
    return table


def model_of(steps, features):
    forest = Forest((), 1, "regression", False, tuple(features))
    return Model(
        "regression",
        Label("y", "float8"),
        tuple(Input(a.name, a.kind, "?") for a in ARGUMENTS),
        ARGUMENTS,
        tuple(steps),
        tuple(Feature(name) for name in features),
        forest,
    )


@pytest.fixture
def check(connection, twins, loaded):
    """Hold a step's outputs against the scorer's."""
    connection.execute("DROP TABLE IF EXISTS t CASCADE")
    connection.execute("CREATE TABLE t AS SELECT * FROM operands")

    def run(op, inputs, outputs=1, **params):
        names = tuple(f"o{i}" for i in range(outputs))
        run_steps([Step(op, tuple(inputs), names, params)], names)

    def run_steps(steps, names):
        pair = twins(model_of(steps, names))
        pair.check_features(loaded.batch)

    run.steps = run_steps
    return run


def test_arguments(check):
    """What every kind of argument arrives as."""
    micros = [Step("time_difference", ("t", name), (f"m{name}",), {"unit": 1}) for name in "vzd"]
    constant = Step("time_constant", (), ("zero",), {"value": 0})
    since = [Step("time_difference", ("zero", name), (f"s{name}",), {"unit": 1}) for name in "tvzd"]
    names = [step.outputs[0] for step in (*micros, *since)]
    check.steps([*micros, constant, *since], [*names, "a", "b", "k", "l"])


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("function", arithmetic.FUNCTIONS)
def test_arithmetic(check, function, single):
    check("arithmetic", "ab", function=function, single=single)


@pytest.mark.parametrize("factor", [100.0, 0.001, 1e300, 5e-324, 1.0])
@pytest.mark.parametrize("function", [f for f in elementwise.FUNCTIONS if f != "log2"])
def test_elementwise(check, function, factor):
    check("elementwise", "a", function=function, factor=factor)


@pytest.mark.parametrize("function", comparison.FUNCTIONS)
def test_comparison(check, function):
    for shape, pair in (("number", "ab"), ("text", "su"), ("time", "tv")):
        check(f"{shape}_comparison", pair, function=function)


@pytest.mark.parametrize("function", logic.BINARY)
def test_logic(check, function):
    check("logic", "kl", function=function)
    check("logic", "ab", function=function)


@pytest.mark.parametrize("function", logic.UNARY)
def test_truth(check, function):
    check("truth", "k", function=function)
    check("truth", "a", function=function)


def test_nulls_and_choices(check):
    steps = [
        Step("text_is_null", ("s",), ("n1",)),
        Step("time_is_null", ("t",), ("n2",)),
        Step("number_choice", ("k", "a", "b"), ("c1",)),
        Step("text_choice", ("k", "s", "u"), ("c2",)),
        Step("time_choice", ("a", "t", "v"), ("c3",)),
        Step("text_comparison", ("c2", "s"), ("e2",), {"function": "not_distinct"}),
        Step("time_comparison", ("c3", "v"), ("e3",), {"function": "not_distinct"}),
        Step("copy", ("c1",), ("c4",)),
    ]
    check.steps(steps, ["n1", "n2", "c1", "e2", "e3", "c4"])


@pytest.mark.parametrize("value", [None, 0, -0.0, 2.5, float("nan"), float("inf"), 5e-324, 1e308])
def test_constants(check, value):
    steps = [
        Step("number_constant", (), ("n",), {"value": value}),
        Step("time_constant", (), ("m",), {"value": None if value is None else 1_600_000_000_000_001}),
        Step("text_constant", (), ("w",), {"value": None if value is None else 'it\'s \\ {"q"}'}),
        Step("time_difference", ("m", "t"), ("x",), {"unit": 1_000_000}),
        Step("text_comparison", ("w", "s"), ("y",), {"function": "eq"}),
        Step("arithmetic", ("n", "a"), ("p",), {"function": "multiply"}),
        Step("arithmetic", ("a", "n"), ("q",), {"function": "divide"}),
    ]
    check.steps(steps, ["n", "x", "y", "p", "q"])


@pytest.mark.parametrize("has_null", [True, False])
def test_membership(check, has_null):
    check("number_membership", "a", values=np.array([0.0, 1.5, np.inf]), has_null=has_null)
    check("number_membership", "a", values=np.zeros(0), has_null=has_null)
    for words in ([], ["a", ""], MANY):
        check("text_membership", "s", **texts("values", words), has_null=has_null)


@pytest.mark.parametrize("words", [[], ["b", "żółć", ""], ["a", "b", "a"], MANY, ["bad\udcff", "zero\0", "a"]])
def test_texts(check, words):
    count = len(words)
    for null_code in (-1, 0, count):
        check("dictionary", "s", **texts("levels", words), null_code=null_code)
    check("label_encoder", "s", **texts("vocabulary", words))
    encodings = np.random.default_rng(0).normal(size=2 * (count + 2))
    encodings[0] = np.nan
    check("target_encoder", "s", 2, encodings=encodings, **texts("levels", words))
    if count:
        check("one_hot_encoder", "s", count, **texts("vocabulary", words))


def test_feature_cross(check):
    parts = [["", "a", "żółć"], ["a", "b"]]
    keys, codes = np.array([0, 3, 4]), np.array([1, 2, 0])
    pieces = {**texts("part_0", parts[0]), **texts("part_1", parts[1])}
    check("feature_cross", "su", **pieces, keys=keys, codes=codes)
    check("feature_cross", "su", **pieces, keys=keys[:0], codes=codes[:0])
    check("feature_cross", "sus", **pieces, **texts("part_2", parts[0]), keys=np.array([1, 7, 12]), codes=codes)


@pytest.mark.parametrize("separator", [" ", "a", "'", "\\", "\0", chr(31)])
@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 3), (2, 2)])
def test_tokens(check, low, high, separator):
    for op in ("bag_of_words", "multi_hot_encoder"):
        for words in (["a", "b", "b a", "a b a", "", " ", "it", "a"], [*MANY, "x", ""]):
            cut = {"separator": separator, "low": low, "high": high}
            check(op, "s", len(words), **texts("vocabulary", words), **cut)


def test_number_dictionary(check):
    values, codes = np.array([-3.0, 0.0, 1.5, np.inf]), np.array([2, 0, 3, 1])
    for null_code in (-1, 4):
        check("number_dictionary", "a", values=values, codes=codes, null_code=null_code)
    check("number_dictionary", "a", values=values[:0], codes=codes[:0], null_code=0)


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Warsaw", "Asia/Kathmandu", "America/New_York", "Pacific/Apia"])
def test_calendar(check, zone):
    params = {} if zone is None else zone_params(zone)
    for argument in "tvzd":
        check("calendar", (argument,), len(PARTS), parts=list(PARTS), **params)


def test_settings_of_dates_do_not_matter(check, connection):
    connection.execute(
        "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kathmandu'; SET IntervalStyle = 'sql_standard'"
    )
    for argument in "tzd":
        check("calendar", (argument,), len(PARTS), parts=list(PARTS), **zone_params("Europe/Warsaw"))


@pytest.mark.parametrize("unit", [1, 1_000_000, 86_400_000_000, 7 * 86_400_000_000])
def test_durations(check, unit):
    offset = 3 * 86_400_000_000 if unit > 86_400_000_000 else 0
    check("time_difference", "vz", unit=unit, offset=offset)
    steps = [
        Step("time_floor", ("t",), ("f",), {"unit": unit, "offset": offset}),
        Step("time_difference", ("v", "f"), ("o",), {"unit": 1}),
    ]
    check.steps(steps, ["o"])


@pytest.mark.parametrize("op", ["standard_scaler", "min_max_scaler", "max_abs_scaler", "robust_scaler"])
@pytest.mark.parametrize(
    "scaling", [(1.0, 3.0, -2.0, 2.0), (0.0, 1.0, -np.inf, np.inf), (1e308, 1e-300, 0.0, 1.0), (0.1, -7.0, 0.0, np.inf)]
)
def test_scalers(check, op, scaling):
    check(op, "a", scaling=np.array(scaling))


def test_numbers_of_preprocessors(check):
    for value in (4.5, float("nan"), -0.0, 3):
        check("imputer", "a", value=value)
    for op in ("bucketize", "quantile_bucketize"):
        check(op, "a", points=np.array([-3.0, -0.5, 0.0, 1.5, np.inf]))
        check(op, "a", points=np.zeros(0))
    terms = polynomial_expand.polynomial_terms(2, 3)
    flat, sizes = np.array([f for term in terms for f in term]), np.array([len(term) for term in terms])
    check("polynomial_expand", "ab", len(terms), sizes=sizes, terms=flat)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, 1.5, float("inf")])
def test_normalizer(check, p):
    check("normalizer", "ab", 2, p=p)


def test_refusals_name_the_operator():
    forms = set(FORMS) | {"copy"}
    assert forms <= set(OPERATORS)
    for op in set(OPERATORS) - forms:
        reason = plsql_refusal(model_of([Step(op, ("s",), ("o",), {})], ["o"]))
        assert reason == f'operator "{op}" of the transform has no form in SQL'
    reason = plsql_refusal(model_of([Step("elementwise", ("a",), ("o",), {"function": "log2"})], ["o"]))
    assert reason == 'function "log2" of the transform has no form in SQL'


def test_moments_that_count_as_missing(connection, twins):
    """Infinite dates and timestamps, and those beyond 64 bits of microseconds."""
    steps = [Step("time_is_null", (name,), (f"n{name}",)) for name in "tzd"]
    pair = twins(model_of(steps, ["nt", "nz", "nd"]))
    moments = ["infinity", "-infinity", "294247-01-10 04:00:54.775806", "294247-01-10 04:00:54.775805", "4713-01-01 BC"]
    days = ["infinity", "-infinity", "294247-01-11", "294247-01-09", "4713-01-01 BC"]
    empty = [None] * len(moments)
    zoned = [moment if "inf" in moment or "BC" in moment else f"{moment}+00" for moment in moments]
    pair.load([*[empty] * 6, moments, empty, zoned, days])
    assert pair.call("_features").tolist() == [[1.0, 1.0, 1.0, 0.0, 0.0]] * 3
