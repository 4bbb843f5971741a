"""The functions through the life of databases, plans and processes; runs with the native scorer and with Arrow UDFs."""

from __future__ import annotations

import gc
import threading

import duckdb
import numpy as np
import pytest

import udfs.duckdb
from udfs.duckdb import registry
from udfs.errors import ModelReferenceError


def column(connection, sql, parameters=None):
    return np.array([row[0] for row in connection.execute(sql, parameters).fetchall()])


def store(path, models):
    """A database file with the catalog's two doors: the serving view and the table of artifacts."""
    built = path.with_name("built")  # in a file named sqlml.duckdb these statements would be ambiguous
    with duckdb.connect(str(built)) as connection:
        connection.execute("CREATE SCHEMA sqlml")
        connection.execute("CREATE TABLE sqlml.artifacts (artifact_hash VARCHAR PRIMARY KEY, body BLOB)")
        connection.execute(
            "CREATE TABLE sqlml.rows (schema_name VARCHAR, model_name VARCHAR, version INTEGER, alias VARCHAR,"
            " is_default BOOLEAN, artifact_hash VARCHAR)"
        )
        connection.execute("CREATE VIEW sqlml.serving AS SELECT * FROM rows")
        for name, trained in models.items():
            body = bytearray(trained.artifact)
            if name.startswith("damaged"):
                body[100] ^= 255
            connection.execute("INSERT OR IGNORE INTO sqlml.artifacts VALUES (?, ?)", [trained.hash, bytes(body)])
            connection.execute("INSERT INTO sqlml.rows VALUES ('main', ?, 1, NULL, true, ?)", [name, trained.hash])
            connection.execute("INSERT INTO sqlml.rows VALUES ('main', ?, 1, 'best', false, ?)", [name, trained.hash])
        connection.execute("CREATE TABLE t AS SELECT i / 10 AS x FROM range(100) r(i)")
    built.rename(path)


@pytest.mark.parametrize("name", ["store.duckdb", "sqlml.duckdb", "ml.duckdb", 'qu"o te.duckdb'])
def test_a_plain_connection_sees_what_is_committed(tmp_path, connect, regression, name):
    store(tmp_path / name, {"delay": regression})
    connection, _ = connect(tmp_path / name)
    for reference in ("delay", "delay@1", "delay@best", "main.delay"):
        got = connection.execute(f"SELECT __sqlml_value('{reference}', 1.5, 0, 0, 0, 0)").fetchone()[0]
        assert got == regression.booster.predict([[1.5, 0, 0, 0, 0]])[0]


def test_read_only_and_odd_catalogs_open(tmp_path, connect, regression, binary):
    store(tmp_path / "a.duckdb", {"delay": regression, "damaged": binary})
    connection, _ = connect(tmp_path / "a.duckdb", read_only=True)
    assert connection.execute("SELECT count(__sqlml_value('delay', x, x, x, x, x)) FROM t").fetchone() == (100,)
    with pytest.raises(duckdb.Error, match="cannot be used"):
        connection.execute("SELECT __sqlml_value('damaged', 1, 2, 3, 4, 5)").fetchall()
    with duckdb.connect(str(tmp_path / "b.duckdb")) as other:
        other.execute("CREATE SCHEMA sqlml; CREATE VIEW sqlml.serving AS SELECT 1 AS something_else")
    with duckdb.connect(str(tmp_path / "b.duckdb")) as other:
        assert other.execute("SELECT * FROM sqlml.serving").fetchone() == (1,)


def test_views_survive_closing_and_opening(tmp_path, regression, uses_arrow):
    if uses_arrow:
        pytest.skip("Arrow UDFs keep a database open as long as the process lives")
    path = tmp_path / "v.duckdb"
    store(path, {"delay": regression})
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE VIEW scored AS SELECT x, ml_predict('delay', x, x, x, x, x) AS p FROM t")
        before = connection.execute("SELECT * FROM scored WHERE p > 0 ORDER BY x").fetchall()
        first = connection.execute("SELECT __sqlml_instance()").fetchone()[0]
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT * FROM scored WHERE p > 0 ORDER BY x").fetchall() == before
        assert connection.execute("SELECT __sqlml_instance()").fetchone()[0] != first
    with pytest.raises(ModelReferenceError, match="is not open in this process"):
        registry.instance(first)


def test_instances_do_not_see_each_other(connect, regression, binary):
    (one, registry_one), (two, registry_two) = connect(), connect()
    assert registry_one is not registry_two
    registry_one.put(regression.hash, regression.artifact)
    registry_one.publish("memory", {("main", "m"): {None: regression.hash}})
    assert one.execute("SELECT __sqlml_value('m', 1, 1, 1, 1, 1)").fetchone()
    for reference in ("m", f"sha256:{regression.hash}"):
        with pytest.raises(duckdb.Error, match=r"does not exist|not loaded"):
            two.execute(f"SELECT __sqlml_value('{reference}', 1, 1, 1, 1, 1)").fetchall()


def test_prepared_statements_follow_the_default(database, regression):
    registry_of = udfs.duckdb.instance_of(database)
    database.execute("PREPARE p AS SELECT sum(__sqlml_value('delay', t)) FROM t WHERE id < ?")
    database.execute("PREPARE q AS SELECT __sqlml_value('delay', ?, ?, ?, ?, ?)")
    (before,) = database.execute("EXECUTE p(100)").fetchone()
    assert before == pytest.approx(regression.predictions()[:100].sum())
    assert (
        database.execute("EXECUTE q(1, 2, 3, 4, 5)").fetchone()[0] == regression.booster.predict([[1, 2, 3, 4, 5]])[0]
    )
    names = dict(registry_of.published()["memory"])
    late = names["main", "late"][None]
    registry_of.publish("memory", names | {("main", "delay"): {None: late}})
    (after,) = database.execute("EXECUTE p(100)").fetchone()
    assert 0 < after < 100
    assert after != before


def test_parameters_of_the_client(database, regression):
    got = database.execute("SELECT __sqlml_value($1, $2, 2, 3, 4, 5)", ["delay", 1.0]).fetchone()[0]
    assert got == regression.booster.predict([[1, 2, 3, 4, 5]])[0]


def test_anywhere_an_expression_may_stand(database, regression):
    p = "__sqlml_value('delay', t)"
    want = regression.predictions()
    (filtered,) = database.execute(f"SELECT count(*) FROM t WHERE {p} > 0.5 AND id % 7 < 5").fetchone()
    assert filtered == int(((want > 0.5) & (np.arange(len(want)) % 7 < 5)).sum())
    top = database.execute(f"SELECT id FROM t ORDER BY {p} DESC, id LIMIT 3").fetchall()
    assert [row[0] for row in top] == sorted(range(len(want)), key=lambda i: (-want[i], i))[:3]
    database.execute(f"CREATE TABLE scored AS SELECT id, {p} AS p FROM t")
    assert np.array_equal(column(database, "SELECT p FROM scored ORDER BY id"), want)
    database.execute(f"UPDATE scored SET p = s.q + 1 FROM (SELECT id, {p} AS q FROM t) s WHERE s.id = scored.id")
    assert np.array_equal(column(database, "SELECT p FROM scored ORDER BY id"), want + 1)
    database.execute("CREATE MACRO score(v) AS __sqlml_value('delay', v, v, v, v, v)")
    assert database.execute("SELECT score(1.0)").fetchone()[0] == regression.booster.predict([[1.0] * 5])[0]
    union = f"SELECT sum(n) FROM (SELECT count(*) n FROM t GROUP BY {p} > 0 UNION ALL SELECT 1 WHERE {p.replace('t)', 'NULL, 1, 1, 1, 1)')} > -1e9)"
    assert database.execute(union).fetchone()[0] == len(want) + 1
    window = f"SELECT max(p) OVER (ORDER BY id ROWS 1 PRECEDING) FROM (SELECT id, {p} AS p FROM t) ORDER BY id"
    assert np.array_equal(column(database, window)[1:], np.maximum(want[1:], want[:-1]))


def test_rows_that_are_stored_structs_and_subqueries(database, regression):
    want = regression.predictions()
    database.execute("CREATE TABLE s AS SELECT id, t AS row FROM t")
    assert np.array_equal(column(database, "SELECT __sqlml_value('delay', row) FROM s ORDER BY id"), want)
    picked = "SELECT __sqlml_value('delay', row) FROM s WHERE id % 11 = 3 ORDER BY id"
    assert np.array_equal(column(database, picked), want[3::11])
    database.execute("INSERT INTO s VALUES (-1, NULL)")
    missing = regression.booster.predict(np.full((1, 5), np.nan))[0]
    assert database.execute("SELECT __sqlml_value('delay', row) FROM s WHERE id = -1").fetchone()[0] == missing
    scalar = "SELECT __sqlml_value('delay', (SELECT 1), (SELECT max(i) FROM range(3) r(i)), 3, 4, 5)"
    assert database.execute(scalar).fetchone()[0] == regression.booster.predict([[1, 2, 3, 4, 5]])[0]


def test_all_threads_give_the_same_bits(connect, regression):
    connection, of = connect()
    of.put(regression.hash, regression.artifact)
    connection.execute("SET threads = 4")
    connection.execute("CREATE TABLE big AS SELECT (i * 7919 % 1000) / 250.0 - 2 AS x, i FROM range(400000) r(i)")
    call = f"__sqlml_value('sha256:{regression.hash}', x, x, x, x, x)"
    distinct = f"SELECT count(DISTINCT p), count(*) FROM (SELECT DISTINCT x, {call} AS p FROM big)"
    values, pairs = connection.execute(distinct).fetchone()
    assert pairs == 1_000
    grid = np.repeat((np.arange(1000) / 250.0 - 2)[:, None], 5, axis=1)
    assert values == len(np.unique(regression.booster.predict(grid)))


def test_cursors_on_many_threads(database, regression):
    want = regression.predictions().sum()
    failures = []

    def work():
        cursor = database.cursor()
        for _ in range(5):
            got = cursor.execute("SELECT sum(__sqlml_value('delay', t)) FROM t").fetchone()[0]
            if got != pytest.approx(want):
                failures.append(got)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_plans_are_freed(database, uses_arrow):
    if uses_arrow:
        pytest.skip("Arrow UDFs have no plans of their own")
    from udfs.duckdb import extension

    for _ in range(50):
        database.execute("SELECT count(ml_predict('late', t)) FROM t").fetchall()
    gc.collect()
    database.execute("SELECT count(ml_predict('late', t)) FROM t").fetchall()
    assert len(extension._plans._held) < 10


def test_artifacts_without_a_name_are_forgotten_in_the_end(connect, regression):
    _, of = connect()
    of.put(regression.hash, regression.artifact)
    for i in range(registry.UNNAMED_KEPT):
        of.put(f"{i:064x}", b"")
    assert not of.has(regression.hash)
    of.put(regression.hash, regression.artifact)
    of.publish("memory", {("main", "m"): {None: regression.hash}})
    for i in range(registry.UNNAMED_KEPT + 5):
        of.put(f"{i:064x}", b"")
    assert of.has(regression.hash)
    of.withdraw("memory")
    assert of.published() == {}


def test_databases_opened_on_many_threads_keep_their_own_models(tmp_path, regression, binary, uses_arrow):
    if uses_arrow:
        pytest.skip("Arrow UDFs keep a database open as long as the process lives")
    for i in range(4):
        store(tmp_path / f"{i}.duckdb", {f"m{i}": regression})
    found = {}

    def work(number):
        seen = set()
        for _ in range(5):
            with duckdb.connect(str(tmp_path / f"{number}.duckdb")) as connection:
                call = f"SELECT __sqlml_value('m{number}', 1, 2, 3, 4, 5), __sqlml_instance()"
                value, instance_id = connection.execute(call).fetchone()
                names = registry.instance(instance_id).published()
                seen.add((value, *(key for keys in names.values() for key in keys)))
        found[number] = seen

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    value = regression.booster.predict([[1, 2, 3, 4, 5]])[0]
    assert found == {i: {(value, ("main", f"m{i}"))} for i in range(4)}


def test_images_are_freed_with_their_model(connect, regression):
    import dataclasses
    import weakref

    from udfs.artifact import artifact_hash, write_artifact

    connection, of = connect()
    model = dataclasses.replace(regression.model, provenance={"copy": 1})
    artifact = write_artifact(model)
    name = artifact_hash(artifact)
    of.put(name, artifact)
    of.publish("memory", {("main", "m"): {None: name}})
    connection.execute("SELECT __sqlml_value('m', 1, 2, 3, 4, 5)").fetchall()
    scorer = weakref.ref(of.scorer_of(name))
    assert scorer() is not None
    of.publish("memory", {})
    for i in range(registry.UNNAMED_KEPT):
        of.put(f"{i:064x}", b"")
    of.put(regression.hash, regression.artifact)
    for _ in range(2):  # another plan, so that the old one is swept
        connection.execute(f"SELECT __sqlml_value('sha256:{regression.hash}', 1, 2, 3, 4, 5)").fetchall()
    gc.collect()
    assert scorer() is None
