"""CREATE MODEL and the life of models: versions, transactions, crashes, interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import sqlml
from sqlml.errors import (
    CancelledError,
    DataError,
    DependencyError,
    ModelExistsError,
    ReadOnlyError,
    SqlSyntaxError,
    UnknownModelError,
)

WORTH = "OPTIONS (input_label_cols = ['value'], max_iterations = 5, num_threads = 1) AS SELECT tenure, charges, plan, senior, value FROM churn"


def hash_of(con, name):
    return con._session.find(name).artifact_hash


def test_result_tells_what_was_trained(churn):
    churn.execute(f"CREATE MODEL worth {WORTH}")
    row = dict(zip([d[0] for d in churn.description], churn.fetchone(), strict=True))
    assert row["model"] == "worth"
    assert row["version"] == 1
    assert row["task"] == "regression"
    assert row["training_rows"] + row["evaluation_rows"] == 3000
    assert row["metric"] == "mean_absolute_error"


def test_exists_or_replace_if_not_exists(churn):
    churn.execute(f"CREATE MODEL worth {WORTH}")
    with pytest.raises(ModelExistsError, match='model "worth" already exists') as caught:
        churn.execute(f"CREATE MODEL Worth {WORTH}")
    assert "OR REPLACE" in caught.value.hint
    churn.execute(f"CREATE MODEL IF NOT EXISTS worth {WORTH}")
    assert any("already exists, skipping" in notice for notice in churn.notices)
    assert churn.execute("SHOW MODEL VERSIONS worth").arrow().num_rows == 1
    churn.execute(f"CREATE OR REPLACE MODEL worth {WORTH}")
    assert churn.execute("SHOW MODEL VERSIONS worth").arrow()["version"].to_pylist() == [2, 1]


def test_the_same_statement_gives_the_same_hash(churn):
    churn.execute(f"CREATE MODEL worth {WORTH}")
    (statement,) = churn.execute("SELECT statement FROM sqlml.model_versions").fetchone()
    assert churn.execute("SHOW CREATE MODEL worth").fetchone()[1] == statement
    churn.execute("ALTER MODEL worth RENAME TO first")
    churn.execute(statement)
    assert hash_of(churn, "worth") == hash_of(churn, "first")


def test_a_join_is_deterministic(churn):
    query = """OPTIONS (input_label_cols = ['value'], max_iterations = 5)
        AS SELECT a.tenure, b.charges, a.value FROM churn a JOIN churn b USING (id)"""
    for name in ("one", "two"):
        churn.execute(f"CREATE MODEL {name} {query}")
    assert hash_of(churn, "one") == hash_of(churn, "two")


def test_rollback_leaves_nothing(churn):
    churn.execute("BEGIN")
    churn.execute(f"CREATE MODEL worth {WORTH}")
    assert churn.execute("SELECT count(PREDICT(worth, *)) FROM churn").fetchone() == (3000,)
    churn.execute("ROLLBACK")
    for text in ("DESCRIBE MODEL worth", "SELECT count(PREDICT(worth, *)) FROM churn"):
        with pytest.raises(UnknownModelError, match="worth"):
            churn.execute(text)
    assert churn.execute("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'sqlml'").fetchone() == (
        0,
    )


def test_connect_creates_nothing(empty):
    assert empty.models == []
    assert empty.execute("SHOW MODELS").fetchall() == []
    assert empty.execute("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'sqlml'").fetchone() == (
        0,
    )


def test_versions_default_and_aliases(churn):
    churn.execute(f"CREATE MODEL worth {WORTH}")
    churn.execute(f"CREATE OR REPLACE MODEL worth {WORTH.replace('= 5', '= 9')}")
    sums = [
        churn.execute(f"SELECT sum(PREDICT({name}, *)) FROM churn").fetchone()[0]
        for name in ("worth@1", "worth@2", "worth")
    ]
    assert sums[0] != sums[1]
    assert sums[1] == sums[2]
    churn.execute("ALTER MODEL worth SET DEFAULT VERSION 1")
    churn.execute("ALTER MODEL worth SET ALIAS challenger = 2")
    assert churn.execute("SELECT sum(PREDICT(worth, *)) FROM churn").fetchone()[0] == sums[0]
    assert churn.execute("SELECT sum(PREDICT(worth@challenger, *)) FROM churn").fetchone()[0] == sums[1]
    with pytest.raises(DependencyError, match=r"challenger|version 2"):
        churn.execute("DROP MODEL worth VERSION 2")
    with pytest.raises(DependencyError, match="default"):
        churn.execute("DROP MODEL worth VERSION 1")
    churn.execute("ALTER MODEL worth DROP ALIAS challenger")
    churn.execute("DROP MODEL worth VERSION 2")
    with pytest.raises(DependencyError, match="only one"):
        churn.execute("DROP MODEL worth VERSION 1")


def test_keep_versions_frees_artifacts(churn):
    churn.execute(f"CREATE MODEL worth {WORTH}")
    for iterations in (6, 7):
        churn.execute(f"CREATE OR REPLACE MODEL worth {WORTH.replace('= 5', f'= {iterations}')}")
    churn.execute("ALTER MODEL worth KEEP 1 VERSIONS")
    assert churn.execute("SHOW MODEL VERSIONS worth").arrow()["has_artifact"].to_pylist() == [True, False, False]
    with pytest.raises(sqlml.SqlmlError, match="version 1"):
        churn.execute("SELECT PREDICT(worth@1, *) FROM churn")
    assert churn.execute("SELECT count(PREDICT(worth, *)) FROM churn").fetchone() == (3000,)


def test_rename_drop_show_describe(churn):
    churn.execute(f"CREATE MODEL worth {WORTH}")
    churn.execute("ALTER MODEL worth SET OPTIONS (description = 'what a customer is worth')")
    churn.execute("ALTER MODEL worth RENAME TO value_of")
    assert churn.models == ["value_of"]
    shown = churn.execute("SHOW MODELS LIKE 'value%'").arrow().to_pylist()
    assert shown[0]["name"] == "value_of"
    assert shown[0]["description"] == "what a customer is worth"
    assert churn.execute("SHOW MODELS LIKE 'x%'").fetchall() == []
    described = dict(churn.execute("DESCRIBE MODEL value_of").fetchall())
    assert described["task"] == "regression"
    assert described["input tenure"] == "number"
    churn.execute("DROP MODEL value_of")
    churn.execute("DROP MODEL IF EXISTS value_of")
    with pytest.raises(UnknownModelError, match="value_of"):
        churn.execute("DROP MODEL value_of")


def test_schemas(churn):
    churn.execute("CREATE SCHEMA sales")
    churn.execute(f"CREATE MODEL sales.worth {WORTH}")
    assert churn.execute("SELECT count(PREDICT(sales.worth, *)) FROM churn").fetchone() == (3000,)
    assert churn.models == ["sales.worth"]


@pytest.mark.duckdb_only("a connection to Postgres knows one database")
def test_attached_databases(churn, tmp_path):
    churn.execute(f"ATTACH '{tmp_path / 'other.duckdb'}' AS other")
    churn.execute(f"CREATE MODEL other.main.worth {WORTH}")
    assert churn.execute("SELECT count(PREDICT(other.main.worth, *)) FROM churn").fetchone() == (3000,)
    assert churn.execute("SELECT count(*) FROM other.sqlml.models").fetchone() == (1,)
    churn.execute("DETACH other")
    with sqlml.connect(tmp_path / "other.duckdb") as con:
        assert con.models == ["worth"]


@pytest.mark.parametrize("name", ["sqlml.duckdb", "ml.duckdb", "main.duckdb", "model.duckdb"])
def test_file_names_that_clash(tmp_path, name):
    with sqlml.connect(tmp_path / name) as con:
        con.execute("CREATE TABLE t AS SELECT i AS x, i * 2.0 AS y FROM range(200) r(i)")
        con.execute("CREATE MODEL m OPTIONS (input_label_cols = ['y']) AS TABLE t")
        con.execute("CREATE VIEW v AS SELECT *, PREDICT(m, *) AS p FROM t")
        expected = con.execute("SELECT sum(PREDICT(m, *)), count(*) FROM t").fetchone()
    with sqlml.connect(tmp_path / name) as con:
        assert con.execute("SELECT sum(p), count(*) FROM v").fetchone() == expected
        assert con.execute("SELECT * FROM ML.METRICS(MODEL m)").fetchall()


@pytest.mark.parametrize(
    "name", ['"select"', '"with ""quotes"""', '"größe"', '"a.b"', '"x; DROP TABLE churn"', "`back tick`", '"a@b"']
)
def test_names_that_need_quotes(churn, name):
    churn.execute(f"CREATE MODEL {name} {WORTH}")
    assert churn.execute(f"SELECT count(PREDICT({name}, *)) FROM churn").fetchone() == (3000,)
    churn.execute(f"CREATE VIEW v AS SELECT PREDICT({name}, *) AS p FROM churn")
    assert churn.execute("SELECT count(p) FROM v").fetchone() == (3000,)
    assert churn.execute(f"SELECT count(*) FROM ML.METRICS(MODEL {name})").fetchone()[0] > 0


def test_columns_that_need_quotes(empty):
    empty.execute(
        'CREATE TABLE t AS SELECT i AS "select", i % 3 AS "a ""b""", i * 1.5 AS "ö; --", i * 2.0 AS "the label" FROM generate_series(0, 299) r(i)'
    )
    empty.execute("CREATE MODEL m OPTIONS (input_label_cols = ['the label']) AS SELECT * FROM t")
    assert empty.execute("SELECT count(PREDICT(m, *)) FROM t").fetchone() == (300,)
    empty.execute("SELECT * FROM ML.PREDICT(MODEL m, TABLE t)")
    assert empty.description[-1][0] == "predicted_the label"


def test_training_on_predictions_and_ctes(churn):
    churn.execute(f"CREATE MODEL worth {WORTH}")
    churn.execute(
        "CREATE MODEL second OPTIONS (input_label_cols = ['left_us'], max_iterations = 3) AS "
        "WITH p AS (SELECT * FROM ML.PREDICT(MODEL worth, TABLE churn)) SELECT predicted_value, tenure, left_us FROM p"
    )
    query = "SELECT count(PREDICT(second, *)) FROM ML.PREDICT(MODEL worth, TABLE churn)"
    assert churn.execute(query).fetchone() == (3000,)


def test_temporary_tables_and_uncommitted_rows_train(empty):
    rows = "SELECT i AS x, i * 2.0::FLOAT8 AS y FROM generate_series(0, 99) r(i)"
    empty.execute("BEGIN")
    empty.execute(f"CREATE TEMP TABLE t AS {rows}")
    empty.execute("CREATE MODEL a OPTIONS (input_label_cols = ['y']) AS SELECT * FROM t")
    empty.execute("COMMIT")
    empty.execute(f"CREATE MODEL b OPTIONS (input_label_cols = ['y']) AS {rows}")
    assert hash_of(empty, "a") == hash_of(empty, "b")


@pytest.mark.duckdb_only("a server sees no variables of the program")
def test_data_frames_train(empty):
    pa = pytest.importorskip("pyarrow")
    mine = pa.table({"x": list(range(100)), "y": [v * 2.0 for v in range(100)]})
    assert len(mine) == 100
    empty.execute("CREATE MODEL a OPTIONS (input_label_cols = ['y']) AS SELECT * FROM mine")
    empty.execute(
        "CREATE MODEL b OPTIONS (input_label_cols = ['y']) AS SELECT range AS x, range * 2.0::DOUBLE AS y FROM range(100)"
    )
    assert hash_of(empty, "a") == hash_of(empty, "b")


def test_parameters_in_a_training_query_are_refused(churn):
    with pytest.raises(SqlSyntaxError, match="cannot have parameters"):
        churn.execute("CREATE MODEL m OPTIONS (input_label_cols = ['value']) AS SELECT * FROM churn WHERE id < $1", [5])


def test_query_that_fails_half_way_leaves_nothing(churn):
    with pytest.raises(sqlml.SqlmlError, match=r"convert|invalid input syntax"):
        churn.execute(
            "CREATE MODEL m OPTIONS (input_label_cols = ['value']) AS "
            "SELECT CAST(CASE WHEN id = 2999 THEN 'x' ELSE '1' END AS INTEGER) AS a, value FROM churn"
        )
    assert churn.models == []
    assert churn.execute("SELECT 1").fetchone() == (1,)


def test_read_only(database):
    with sqlml.connect(database, read_only=True) as con:
        assert con.execute("SELECT count(PREDICT(worth, *)) FROM churn").fetchone() == (3000,)
        with pytest.raises(ReadOnlyError, match="read"):
            con.execute(
                "CREATE OR REPLACE MODEL worth OPTIONS (input_label_cols = ['value']) AS SELECT tenure, value FROM churn"
            )
        with pytest.raises(ReadOnlyError, match="read"):
            con.execute("DROP MODEL worth")


def test_two_sessions_replacing_one_model_make_two_versions(database):
    with sqlml.connect(database) as one, sqlml.connect(database) as two:
        failures = []

        def replace(con, iterations):
            try:
                con.execute(f"CREATE OR REPLACE MODEL worth {WORTH.replace('= 5', f'= {iterations}')}")
            except sqlml.SqlmlError as error:
                failures.append(error)

        threads = [threading.Thread(target=replace, args=(con, n)) for con, n in ((one, 3), (two, 4))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert one.execute("SHOW MODEL VERSIONS worth").arrow()["version"].to_pylist() == [3, 2, 1]


def test_interrupt_stops_training_and_leaves_nothing(churn):
    churn.execute("CREATE TABLE big AS SELECT c.* FROM churn c, generate_series(1, 30) g(i)")
    seen = threading.Event()
    churn.on_progress = lambda event: seen.set() if event.phase == "training" else None

    def stop():
        seen.wait(60)
        churn.interrupt()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(CancelledError, match="cancelled"):
        churn.execute(
            "CREATE MODEL m OPTIONS (input_label_cols = ['value'], max_iterations = 5000, num_leaves = 255, early_stop = FALSE) "
            "AS SELECT tenure, charges, plan, senior, value FROM big"
        )
    thread.join()
    assert churn.models == []
    churn.execute(f"CREATE MODEL m {WORTH}")


def test_kill_during_training_leaves_the_old_default(database):
    program = f"""
import sqlml
con = sqlml.connect({str(database)!r})
con.execute("CREATE TABLE big AS SELECT c.* FROM churn c, generate_series(1, 30) g(i)")
con.on_progress = lambda event: print(event.phase, flush=True)
con.execute('''CREATE OR REPLACE MODEL worth OPTIONS (input_label_cols = ['value'], max_iterations = 5000, num_leaves = 255,
    early_stop = FALSE) AS SELECT tenure, charges, plan, senior, value FROM big''')
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "training":
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with sqlml.connect(database) as con:
        assert con.execute("SHOW MODEL VERSIONS worth").arrow()["version"].to_pylist() == [1]
        assert con.execute("SELECT count(PREDICT(worth, *)) FROM churn").fetchone() == (3000,)


def test_label_errors(churn):
    with pytest.raises(sqlml.SqlmlError, match='label column "nosuch"'):
        churn.execute("CREATE MODEL m OPTIONS (input_label_cols = ['nosuch']) AS SELECT * FROM churn")
    with pytest.raises(DataError, match=r"no rows|empty"):
        churn.execute("CREATE MODEL m OPTIONS (input_label_cols = ['value']) AS SELECT * FROM churn WHERE FALSE")


def test_progress_comes_in_order(churn):
    phases = []
    churn.on_progress = lambda event: phases.append(event.phase)
    churn.execute(f"CREATE MODEL worth {WORTH}")
    assert phases[-1] == "finished"
    assert "training" in phases


def test_connection_works_after_a_long_statement_was_refused(churn):
    started = time.monotonic()
    with pytest.raises(sqlml.SqlmlError, match="memory"):
        churn.execute(
            "CREATE MODEL m OPTIONS (input_label_cols = ['value'], memory_limit = '1MB') AS SELECT c.* FROM churn c, generate_series(1, 100) g(i)"
        )
    assert time.monotonic() - started < 60
    assert churn.models == []
