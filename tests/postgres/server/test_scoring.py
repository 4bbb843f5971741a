"""The PL/Python scorer: the same numbers as the kernels have for Arrow batches, by whichever function of SQL."""

import psycopg
import psycopg.sql
import pytest

import sqlml
from sqlml.install.installation import install
from udfs.artifact import read_artifact
from udfs.scorer import build_scorer

from .conftest import run, value

ROWS = """
CREATE TABLE odd AS SELECT g AS id,
    CASE g % 7 WHEN 0 THEN NULL WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-Infinity' ELSE g / 8.0 END::float8 AS age,
    CASE g % 5 WHEN 0 THEN NULL WHEN 1 THEN 'gold' WHEN 2 THEN 'silver ü' WHEN 3 THEN '' ELSE 'never seen' END AS plan,
    CASE g % 3 WHEN 0 THEN NULL ELSE g::numeric(10,2) / 3 END AS spend,
    CASE g % 6 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' WHEN 3 THEN '0044-03-15 BC'
        WHEN 4 THEN '2024-02-29 23:59:59.999999+05:45' ELSE '1999-12-31' END::timestamptz AS seen,
    CASE g % 4 WHEN 0 THEN NULL ELSE g % 2 = 0 END AS is_new
FROM generate_series(1, 840) AS g
"""


@pytest.fixture
def odd(root):
    root.execute(ROWS)
    return root


@pytest.fixture
def kernel(cluster, server, odd):
    """The kernels' predictions for the odd rows, in the order of their ids."""
    with sqlml.connect(cluster.dsn(server)) as client:
        batches = client.sql("SELECT age, plan, spend::float8 AS spend, seen, is_new FROM odd ORDER BY id")
    scorer = build_scorer(read_artifact(value(odd, "SELECT body FROM sqlml.artifacts")))
    names = [argument.name for argument in scorer.model.arguments]
    batch = batches.select(names).combine_chunks().to_batches()[0]
    return scorer, batch


def packed(function, reference="churn"):
    return (
        f"SELECT array_agg(p ORDER BY id) FROM (SELECT id, sqlml._{function}('{reference}', "
        "ARRAY[age, spend::float8, is_new::int::float8], ARRAY[seen], ARRAY[plan]) AS p FROM odd) AS s"
    )


def test_packed_rows_score_as_batches_do(odd, kernel):
    scorer, batch = kernel
    assert value(odd, packed("value")) == scorer.predict(batch).tolist()
    assert value(odd, packed("probs")) == scorer.probabilities(batch).T.tolist()
    assert value(odd, packed("raw")) == scorer.raw_scores(batch).T.tolist()
    assert value(odd, packed("class")) == scorer.class_index(batch).tolist()
    assert value(odd, packed("class", "churn?threshold=0.9")) == scorer.class_index(batch, 0.9).tolist()
    assert value(odd, packed("contribs")) == scorer.attributions(batch).T.tolist()
    shown = str(value(odd, packed("features")))
    assert shown == str(scorer.features(batch).T.tolist())  # NaN equals NaN as text


def test_generated_sql_scores_as_batches_do(odd, kernel):
    scorer, batch = kernel
    rows = run(odd, "SELECT id, PREDICT_PROBA(churn, *) AS q FROM odd ORDER BY id")
    assert [row["q"] for row in rows] == scorer.predict(batch).tolist()


def test_whole_rows_score_as_batches_do(odd, kernel):
    scorer, batch = kernel
    query = "SELECT array_agg(sqlml.predict('churn', o) ORDER BY id) FROM odd AS o WHERE seen IS NULL OR extract(year FROM seen) > 0"
    kept = odd.execute(
        "SELECT id - 1 FROM odd WHERE seen IS NULL OR extract(year FROM seen) > 0 ORDER BY id"
    ).fetchall()
    expected = scorer.predict(batch)
    assert value(odd, query) == [expected[place] for (place,) in kept]


def test_labels_and_probabilities_of_rows(root):
    one = "FROM customers AS c ORDER BY id LIMIT 1"
    label = value(root, f"SELECT sqlml.predict_label('churn', c) {one}")
    assert label in ("true", "false")
    assert value(root, f"SELECT sqlml.predict_label('churn', c, NULL::boolean) {one}") is (label == "true")
    both = value(
        root, f"SELECT sqlml.predict_proba('churn', 'true', c) + sqlml.predict_proba('churn', 'false', c) {one}"
    )
    assert both == pytest.approx(1)
    assert set(value(root, f"SELECT sqlml.explain('churn', c) {one}")) >= {"age", "spend", "plan"}
    with pytest.raises(psycopg.Error, match='has no class "maybe"'):
        root.execute(f"SELECT sqlml.predict_proba('churn', 'maybe', c) {one}")


def test_columns_match_by_name_whatever_their_order_and_case(root):
    query = "SELECT sqlml.predict('churn', x) FROM (SELECT id, seen, spend, plan AS \"PLAN\", is_new, age FROM customers ORDER BY id LIMIT 1) AS x"
    assert value(root, query) == value(root, "SELECT sqlml.predict('churn', c) FROM customers AS c ORDER BY id LIMIT 1")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match='missing column "plan"') as caught:
        root.execute(
            "SELECT sqlml.predict('churn', x) FROM (SELECT age, spend, seen, is_new FROM customers LIMIT 1) AS x"
        )
    assert caught.value.diag.message_hint == "The row has: age, spend, seen, is_new."


def test_in_every_part_of_a_query(root):
    p = "sqlml.predict('churn', c)"
    assert value(root, f"SELECT count(*) FROM customers AS c WHERE {p} > 0.5") > 0
    ordered = [row[0] for row in root.execute(f"SELECT {p} FROM customers AS c ORDER BY {p} DESC LIMIT 5")]
    assert ordered == sorted(ordered, reverse=True)
    assert value(root, f"SELECT sum(x) FROM (SELECT {p} AS x FROM customers AS c GROUP BY c.*) AS s") is not None
    root.execute(
        "SET debug_parallel_query = on" if root.info.server_version >= 160000 else "SET force_parallel_mode = on"
    )
    root.execute("SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0")
    assert value(root, f"SELECT round(sum({p})::numeric, 6) FROM customers AS c") is not None


def test_a_new_default_counts_from_the_next_statement(root):
    one = "SELECT sqlml.predict('churn', c) FROM customers AS c ORDER BY id LIMIT 1"
    root.execute("PREPARE scored AS " + one)
    before = value(root, "EXECUTE scored")
    run(
        root,
        "CREATE OR REPLACE MODEL churn OPTIONS (input_label_cols = ['churned'], max_iterations = 2) AS SELECT age, churned FROM customers",
    )
    after = value(root, "EXECUTE scored")
    assert after != before
    assert value(root, one.replace("'churn'", "'churn@1'")) == before
    run(root, "ALTER MODEL churn SET ALIAS old = 1")
    assert value(root, one.replace("'churn'", "'public.churn@old'")) == before
    assert value(root, one.replace("'churn'", '\'"public"."churn"@"OLD"\'')) == before
    run(root, "ALTER MODEL churn SET DEFAULT VERSION 1")
    assert value(root, "EXECUTE scored") == before


def test_changes_within_one_statement_count(root):
    heard = []
    root.add_notice_handler(lambda diagnosis: heard.append(diagnosis.message_primary))
    root.execute(
        "DO $$ BEGIN RAISE NOTICE '%', (SELECT sqlml.predict('churn', c) FROM customers AS c ORDER BY id LIMIT 1);"
        "PERFORM sqlml.execute('CREATE OR REPLACE MODEL churn OPTIONS (input_label_cols = [''churned''], max_iterations = 2) AS "
        "SELECT age, churned FROM customers');"
        "RAISE NOTICE '%', (SELECT sqlml.predict('churn', c) FROM customers AS c ORDER BY id LIMIT 1); END $$"
    )
    scores = [text for text in heard if text.startswith("0.")]
    assert len(scores) == 2
    assert scores[0] != scores[1]


def test_explain_scorer(root):
    scorer, reason = root.execute("SELECT * FROM sqlml.explain_scorer('churn')").fetchone()
    assert scorer == "plpython"
    assert "the native scorer is not installed" in reason


@pytest.fixture
def sums(root):
    """A model of two numbers."""
    run(
        root,
        "CREATE MODEL sums OPTIONS (input_label_cols = ['y']) AS SELECT age AS a, spend AS b, age * 2 + spend AS y FROM customers",
    )
    return root


def test_generated_columns_and_indexes_keep_their_version(sums):
    sums.execute(
        "CREATE TABLE kept (a float8, b float8, p float8 GENERATED ALWAYS AS (sqlml.predict_version('sums', 1, a, b)) STORED)"
    )
    sums.execute("INSERT INTO kept SELECT g, g FROM generate_series(1, 50) AS g")
    sums.execute("CREATE INDEX by_score ON kept (sqlml.predict_version('public.sums', 1, a, b))")
    assert value(sums, "SELECT bool_and(p = sqlml.predict('sums', a, b)) FROM kept")
    run(
        sums,
        "CREATE OR REPLACE MODEL sums OPTIONS (input_label_cols = ['y'], max_iterations = 2) AS SELECT age AS a, spend AS b, age AS y FROM customers",
    )
    for statement in ("DROP MODEL sums VERSION 1", "DROP MODEL sums"):
        with pytest.raises(psycopg.errors.DependentObjectsStillExist) as caught:
            run(sums, statement)
        assert "In use by: column public.kept.p, index public.by_score." in caught.value.diag.message_detail
    run(sums, "ALTER MODEL sums KEEP 1 VERSIONS")
    assert value(sums, "SELECT has_artifact FROM sqlml.model_versions WHERE model_name = 'sums' AND version = 1")
    run(sums, "DROP MODEL sums VERSION 1 CASCADE")
    columns = sums.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'kept'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    assert columns.fetchall() == [("a",), ("b",)]


def test_scores_on_arrival(root, connect):
    root.execute("CREATE TABLE arriving (LIKE customers); ALTER TABLE arriving ADD PRIMARY KEY (id)")
    assert value(root, "SELECT sqlml.score_on_insert('arriving', 'churn', 'id')::text") == "arriving_scores"
    root.execute("INSERT INTO arriving SELECT * FROM customers WHERE id <= 100")
    query = (
        "SELECT count(*) FROM arriving_scores AS s JOIN customers AS c USING (id) "
        "WHERE s.score = sqlml.predict('churn', c) AND s.label = sqlml.predict_label('churn', c)"
    )
    assert value(root, query) == 100
    root.execute("GRANT INSERT ON arriving TO bob")
    connect("bob").execute("INSERT INTO arriving SELECT * FROM customers WHERE id = 200")
    assert value(root, query) == 101
    root.execute("SELECT sqlml.score_on_insert('arriving', 'churn', 'id', 'age', 'plan', 'spend', 'seen', 'is_new')")
    root.execute("INSERT INTO arriving SELECT * FROM customers WHERE id = 300")
    assert value(root, query) == 102
    with pytest.raises(psycopg.errors.UndefinedColumn, match='column "nope" of table "arriving" does not exist'):
        root.execute("SELECT sqlml.score_on_insert('arriving', 'churn', 'nope')")


def test_scores_on_arrival_do_not_run_what_others_have_put_there(root, connect):
    root.execute("CREATE TABLE arriving (LIKE customers)")
    eve = connect("eve")
    eve.execute(
        "CREATE TABLE arriving_scores (id int PRIMARY KEY, score float8, label text, artifact_hash text, scored_at timestamptz);"
        "GRANT ALL ON arriving_scores TO PUBLIC"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"must be owner of public[.]arriving_scores"):
        root.execute("SELECT sqlml.score_on_insert('arriving', 'churn', 'id')")
    eve.execute("DROP TABLE arriving_scores")
    eve.execute("CREATE FUNCTION arriving_score_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"must be owner of public[.]arriving_score_trigger"):
        root.execute("SELECT sqlml.score_on_insert('arriving', 'churn', 'id')")


def test_scores_on_arrival_of_tables_with_long_and_odd_names(root):
    names = [f"{'x' * 58}_{kind}" for kind in "ab"] + ["it's 100% $trigger$ \\ odd"]
    places = []
    for name in names:
        quoted = psycopg.sql.Identifier(name).as_string(root)
        root.execute(f"CREATE TABLE {quoted} (LIKE customers)".encode())
        places.append(value(root, "SELECT sqlml.score_on_insert(%s::regclass, 'churn', 'id')::text", quoted))
    for place, name in enumerate(names):
        quoted = psycopg.sql.Identifier(name).as_string(root)
        root.execute(f"INSERT INTO {quoted} SELECT * FROM customers WHERE id <= {place + 1}".encode())
    counts = [root.execute(f"SELECT count(score) FROM {place}".encode()).fetchone()[0] for place in places]
    assert counts == [1, 2, 3]


def test_scores_on_arrival_are_refused_where_only_clients_score(cluster, server, root):
    install(cluster.dsn(server), "sql", tell=lambda text: None)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="need the native or the PL/Python scorer"):
        root.execute("SELECT sqlml.score_on_insert('customers', 'churn', 'id')")
