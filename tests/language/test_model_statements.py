"""Model statements to their dataclasses."""

import pytest

from sqlml.errors import SqlSyntaxError
from sqlml.language.parser import parse, parse_each
from sqlml.language.statements import (
    AlterModel,
    CreateModel,
    DescribeModel,
    DropModel,
    EngineStatement,
    ExportModel,
    ImportModel,
    LaterStatement,
    RefreshModel,
    ShowCreateModel,
    ShowModels,
    ShowModelVersions,
)


@pytest.fixture
def one():
    def read(text, dialect="duckdb"):
        (statement,) = parse(text, dialect, lambda parts: False)
        return statement

    return read


def test_create_model_with_everything(one):
    text = """-- a comment
    create or replace model d."My schema".late -- here too
      transform (* except (id), ML.BUCKETIZE(a, [1, 2]) as b)
      options (Model_Type = 'BOOSTED_TREE_CLASSIFIER', input_label_cols = ['late'], learn_rate = 1e-2)
    as /* all */ with x as (select 1) select * from x;  -- done
    """
    statement = one(text)
    assert isinstance(statement, CreateModel)
    assert statement.or_replace
    assert not statement.if_not_exists
    assert statement.name.parts == ("d", "My schema", "late")
    assert statement.name.quoted == (False, True, False)
    assert statement.transform.of(text) == "* except (id), ML.BUCKETIZE(a, [1, 2]) as b"
    assert [(option.key, option.value) for option in statement.options] == [
        ("model_type", "BOOSTED_TREE_CLASSIFIER"),
        ("input_label_cols", ("late",)),
        ("learn_rate", 0.01),
    ]
    assert [option.span.of(text) for option in statement.options][2] == "learn_rate = 1e-2"
    assert statement.query.of(text) == "with x as (select 1) select * from x"
    assert statement.span.of(text).startswith("create or replace")
    assert statement.span.of(text).endswith("from x")


@pytest.mark.parametrize(
    "query", ["SELECT 1", "FROM t", "TABLE s.t", "VALUES (1)", "(SELECT 1)", "WITH a AS (FROM t) FROM a"]
)
def test_create_model_takes_any_query(one, query):
    text = f"CREATE MODEL IF NOT EXISTS transform AS {query}"
    statement = one(text)
    assert statement.if_not_exists
    assert statement.name.parts == ("transform",)
    assert statement.query.of(text) == query


def test_clauses_come_in_either_order(one):
    text = "CREATE MODEL m OPTIONS (a = 1) TRANSFORM (*) AS TABLE t"
    statement = one(text)
    assert statement.transform.of(text) == "*"
    assert statement.options[0].value == 1


def test_create_model_finds_calls_in_its_query(one):
    text = "CREATE MODEL m TRANSFORM (ML.STANDARD_SCALER(a) OVER () AS a) AS SELECT * FROM ML.PREDICT(MODEL n, TABLE t)"
    assert [call.span.of(text) for call in one(text).calls] == ["ML.PREDICT(MODEL n, TABLE t)"]


@pytest.mark.parametrize(
    ("text", "parts", "version", "alias"),
    [
        ("late", ("late",), None, None),
        ("Late@3", ("Late",), 3, None),
        ("s.late@champion", ("s", "late"), None, "champion"),
        ("`d.s.late`@2", ("d", "s", "late"), 2, None),
        ("`d`.`s.late`", ("d", "s", "late"), None, None),
        ('"a.b"."c""d"', ("a.b", 'c"d'), None, None),
        ("'s.\"My Model\"@2'", ("s", "My Model"), 2, None),
        ('"select"', ("select",), None, None),
        ("version", ("version",), None, None),
        ("日本@été", ("日本",), None, "été"),
    ],
)
def test_model_names(one, text, parts, version, alias):
    statement = one(f"DESCRIBE MODEL {text}")
    assert isinstance(statement, DescribeModel)
    assert (statement.name.parts, statement.name.version, statement.name.alias) == (parts, version, alias)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DROP MODEL m", {}),
        ("DROP MODEL IF EXISTS m", {"if_exists": True}),
        ("DROP MODEL m VERSION 2 CASCADE", {"version": 2, "cascade": True}),
        ("DROP MODEL m@2 RESTRICT", {"version": 2}),
    ],
)
def test_drop_model(one, text, expected):
    statement = one(text)
    assert isinstance(statement, DropModel)
    defaults = {"if_exists": False, "version": None, "cascade": False}
    found = {key: getattr(statement, key) for key in defaults}
    assert found == {**defaults, **expected}


@pytest.mark.parametrize(
    ("text", "action", "expected"),
    [
        ("SET DEFAULT VERSION 3", "set_default", {"version": 3}),
        ("SET DEFAULT VERSION champion REBUILD VIEWS", "set_default", {"alias": "champion", "rebuild_views": True}),
        ("SET ALIAS champion = 3", "set_alias", {"alias": "champion", "version": 3}),
        ("DROP ALIAS champion", "drop_alias", {"alias": "champion"}),
        ("KEEP 5 VERSIONS", "keep", {"version": 5}),
        ("KEEP 1 VERSION", "keep", {"version": 1}),
    ],
)
def test_alter_model(one, text, action, expected):
    statement = one(f"ALTER MODEL s.m {text}")
    assert isinstance(statement, AlterModel)
    assert statement.action == action
    assert {key: getattr(statement, key) for key in expected} == expected


def test_alter_model_with_names_and_options(one):
    assert one("ALTER MODEL m@3 SET DEFAULT").version == 3
    assert one("ALTER MODEL m@a SET DEFAULT").alias == "a"
    assert one("ALTER MODEL IF EXISTS m RENAME TO s.n").new_name.parts == ("s", "n")
    assert one("ALTER MODEL m SET OPTIONS (description = 'x')").options[0].value == "x"


def test_the_rest_of_the_statements(one):
    assert one("SHOW MODELS") == ShowModels(one("SHOW MODELS").span)
    assert one("show models like 'l%'").like == "l%"
    assert isinstance(one("SHOW CREATE MODEL m@2"), ShowCreateModel)
    assert isinstance(one("SHOW MODEL VERSIONS m"), ShowModelVersions)
    assert isinstance(one("DESC MODEL m"), DescribeModel)
    refresh = one("REFRESH MODEL m OPTIONS (force = TRUE)")
    assert isinstance(refresh, RefreshModel)
    assert refresh.options[0].value is True
    export = one("EXPORT MODEL m@2 TO '/x/it''s' OPTIONS (format = 'lightgbm')")
    assert isinstance(export, ExportModel)
    assert export.path == "/x/it's"
    imported = one("IMPORT OR REPLACE MODEL m FROM $$/x$$ OPTIONS (label = 'y')")
    assert isinstance(imported, ImportModel)
    assert (imported.path, imported.or_replace) == ("/x", True)
    assert one("IMPORT MODEL IF NOT EXISTS m FROM 'x'").if_not_exists


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("COMMENT ON MODEL s.m IS 'x'", "COMMENT ON MODEL"),
    ],
)
def test_later_statements_are_read(one, text, what):
    statement = one(text)
    assert isinstance(statement, LaterStatement)
    assert statement.what == what
    assert statement.name.parts == ("s", "m")


def test_several_statements_keep_their_texts(is_model):
    text = " SELECT 1 -- one; still\n; /* two */ CREATE MODEL m AS SELECT 1;; SELECT ';' ;\n-- end\n"
    statements = parse(text, "duckdb", is_model)
    assert [type(statement).__name__ for statement in statements] == [
        "EngineStatement",
        "CreateModel",
        "EngineStatement",
    ]
    assert [statement.span.of(text) for statement in statements] == [
        " SELECT 1 -- one; still\n",
        "CREATE MODEL m AS SELECT 1",
        " SELECT ';' ",
    ]


@pytest.mark.parametrize("text", ["", "  \n", "-- nothing", ";;", "/* nothing */;"])
def test_nothing_is_one_engine_statement(text, is_model):
    (statement,) = parse(text, "duckdb", is_model)
    assert statement.keyword == ""
    assert isinstance(statement, EngineStatement)


def test_a_model_created_earlier_in_the_text_is_known():
    text = "CREATE MODEL s.late AS FROM t; SELECT PREDICT(late, a), PREDICT(S.LATE, a), PREDICT(x.late, a) FROM t"
    _, statement = parse(text, "duckdb", lambda parts: False)
    assert [call.model.parts for call in statement.calls] == [("late",), ("S", "LATE")]
    assert [name.parts for name in statement.rejected] == [("x", "late")]


def test_a_renamed_and_an_imported_model_are_known():
    text = "IMPORT MODEL a FROM 'x'; ALTER MODEL a RENAME TO b; SELECT PREDICT(a, x), PREDICT(b, x) FROM t"
    *_, statement = parse(text, "duckdb", lambda parts: False)
    assert len(statement.calls) == 2


def test_parse_each_asks_when_the_time_has_come():
    known = set()
    text = "USE other; SELECT PREDICT(m, a) FROM t"
    statements = parse_each(text, "duckdb", lambda parts: parts in known)
    assert next(statements).keyword == "USE"
    known.add(("m",))
    assert len(next(statements).calls) == 1
    assert next(statements, None) is None


def test_parse_each_checks_the_whole_text_first():
    from sqlml.errors import SqlSyntaxError

    statements = parse_each("SELECT 1; CREATE MODEL", "duckdb", lambda parts: False)
    with pytest.raises(SqlSyntaxError, match="expected a model name"):
        next(statements)


@pytest.mark.parametrize(
    ("text", "stores", "name", "temporary"),
    [
        ("CREATE VIEW s.v AS SELECT 1", "view", ("s", "v"), False),
        ("CREATE OR REPLACE TEMP VIEW v(a) AS SELECT 1", "view", ("v",), True),
        ("CREATE VIEW IF NOT EXISTS v AS SELECT 1", "view", ("v",), False),
        ("CREATE MACRO f(a) AS a", "macro", ("f",), False),
        ("CREATE TEMPORARY FUNCTION f(a) AS TABLE SELECT a", "macro", ("f",), True),
        ("CREATE TABLE t AS SELECT 1", None, ("t",), False),
        ("CREATE TABLE t (a INTEGER)", "table", ("t",), False),
        ("ALTER TABLE IF EXISTS t ADD COLUMN a INTEGER", "table", ("t",), False),
        ("CREATE UNIQUE INDEX i ON t (a)", "index", ("i",), False),
        ("CREATE TRIGGER g AFTER INSERT ON t FOR EACH STATEMENT DELETE FROM u", "trigger", ("g",), False),
        ("PREPARE p AS SELECT 1", "prepare", ("p",), True),
        ("EXPLAIN CREATE VIEW v AS SELECT 1", "view", ("v",), False),
        ("CREATE SCHEMA s", None, (), False),
        ("SELECT 1", None, (), False),
    ],
)
def test_what_is_stored(one, text, stores, name, temporary):
    statement = one(text)
    assert (statement.stores, statement.stored_name, statement.temporary) == (stores, name, temporary)
    assert statement.explains == text.startswith("EXPLAIN")


@pytest.mark.parametrize(
    ("text", "drops"),
    [
        ('DROP VIEW IF EXISTS a, s."B" CASCADE', (("a",), ("s", "B"))),
        ("DROP MACRO f", (("f",),)),
        ("DROP MACRO TABLE f", (("f",),)),
        ("DROP TABLE t", ()),
        ("SELECT 1", ()),
    ],
)
def test_what_is_dropped(one, text, drops):
    assert one(text).drops == drops


def test_items_whose_names_would_be_generated_sql(is_model):
    """An item that is a call gets a name of its own; one with an alias needs none; one without a call keeps the engine's."""
    text = (
        "SELECT PREDICT(m, *), PREDICT(m, *) > 0.5, a + 1, upper(PREDICT(m, *)) AS u, (SELECT max(f1) FROM ML.EVALUATE(MODEL m)),"
        " predict(x, 1) + 1 FROM (SELECT PREDICT(m, *)::INTEGER FROM t)"
    )
    (statement,) = parse(text, "duckdb", is_model)
    assert [span.of(text) for span in statement.unnamed_items] == [
        "PREDICT(m, *)::INTEGER",
        "PREDICT(m, *) > 0.5",
        "(SELECT max(f1) FROM ML.EVALUATE(MODEL m))",
    ]
    (statement,) = parse("CREATE MODEL n AS SELECT PREDICT(m, *) > 1 FROM t", "duckdb", is_model)
    assert len(statement.unnamed_items) == 1


def test_postgres_texts_are_read_too(one):
    text = "CREATE MODEL m OPTIONS (a = E'x\\'y') AS SELECT $$a;b$$, U&'\\0041', x::jsonb #>> '{a}' FROM t"
    statement = one(text, "postgres")
    assert statement.options[0].value == "x'y"
    body = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $f$ SELECT PREDICT(MODEL m, TABLE t); $f$"
    assert one(body, "postgres").calls == ()


@pytest.mark.parametrize(
    ("text", "roles", "revokes"),
    [
        ("GRANT USAGE ON MODEL s.m TO joe", ("joe",), False),
        ('GRANT ALL PRIVILEGES ON MODEL s.m TO Joe, "Jane D", PUBLIC', ("joe", "Jane D", "public"), False),
        ("REVOKE ALL ON MODEL s.m FROM joe", ("joe",), True),
    ],
)
def test_grants(one, text, roles, revokes):
    statement = one(text)
    assert (statement.name.parts, statement.roles, statement.revokes) == (("s", "m"), roles, revokes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GRANT SELECT ON MODEL m TO joe", "expected USAGE"),
        ("GRANT USAGE ON MODEL m FROM joe", "expected TO"),
        ("REVOKE USAGE ON MODEL m TO joe", "expected FROM"),
        ("GRANT USAGE ON MODEL m TO", "expected a role"),
        ("GRANT USAGE ON MODEL m@1 TO joe", "a version cannot be given here"),
    ],
)
def test_grants_that_are_none(one, text, expected):
    with pytest.raises(SqlSyntaxError, match=expected):
        one(text)
