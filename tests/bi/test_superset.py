"""Apache Superset on a prediction view: the numbers of its charts are those of plain DuckDB."""

import datetime as dt
import json

import duckdb
import pytest

BY_PLAN = "SELECT plan, avg(risk), count(*) FROM scored GROUP BY plan ORDER BY plan"
RISKIEST = "SELECT id, risk FROM scored WHERE plan <> 'basic' ORDER BY risk DESC, id LIMIT 10"
BY_MONTH = "SELECT date_trunc('month', ordered)::DATE, sum(risk) FROM scored GROUP BY ALL ORDER BY ALL"
LAB = "SELECT sum(ml_predict_proba('churn', true, plan, spend, ordered)) FROM customers WHERE spend > 50"


@pytest.fixture(scope="session")
def expected(database):
    """What plain DuckDB says, before the file is served."""
    with duckdb.connect(str(database), read_only=True) as plain:
        return {query: plain.sql(query).fetchall() for query in (BY_PLAN, RISKIEST, BY_MONTH, LAB)}


@pytest.fixture(scope="session")
def connected(superset, uri):
    """The database as Superset knows it."""
    settings = {"database_name": "warehouse", "sqlalchemy_uri": uri}
    superset.post("/api/v1/database/test_connection/", settings)
    return superset.post("/api/v1/database/", {**settings, "expose_in_sqllab": True})["id"]


@pytest.fixture(scope="session")
def dataset(superset, connected):
    """A data set on the prediction view."""
    wanted = {"database": connected, "schema": "public", "table_name": "scored"}
    return superset.post("/api/v1/dataset/", wanted)["id"]


def metric(function, column):
    return {
        "expressionType": "SIMPLE", "aggregate": function, "column": {"column_name": column},
        "label": f"{function}({column})",
    }  # fmt: skip


def chart(superset, dataset, name, kind, query):
    """A chart that is stored, and what it shows when it is opened."""
    context = {
        "datasource": {"id": dataset, "type": "table"}, "queries": [query], "result_format": "json", "result_type": "full",
        "force": True,
    }  # fmt: skip
    stored = {
        "slice_name": name, "viz_type": kind, "datasource_id": dataset, "datasource_type": "table",
        "params": json.dumps({"viz_type": kind, "datasource": f"{dataset}__table"}), "query_context": json.dumps(context),
    }  # fmt: skip
    number = superset.post("/api/v1/chart/", stored)["id"]
    (opened,) = superset.get(f"/api/v1/chart/{number}/data/?force=true")["result"]
    (asked,) = superset.post("/api/v1/chart/data", context)["result"]
    assert opened["status"] == asked["status"] == "success"
    assert opened["data"] == asked["data"]
    return asked["data"]


def test_the_tree_shows_tables_and_views(superset, connected):
    schemas = superset.get(f"/api/v1/database/{connected}/schemas/")["result"]
    assert "public" in schemas
    found = superset.get(f"/api/v1/database/{connected}/tables/?q=(schema_name:public)")["result"]
    assert {(entry["value"], entry["type"]) for entry in found} >= {("customers", "table"), ("scored", "view")}


def test_the_data_set_knows_its_columns(superset, dataset):
    columns = superset.get(f"/api/v1/dataset/{dataset}")["result"]["columns"]
    assert {(column["column_name"], column["type"], column["is_dttm"]) for column in columns} == {
        ("id", "INTEGER", False), ("plan", "TEXT", False), ("ordered", "DATE", True), ("churned", "BOOLEAN", False),
        ("risk", "DOUBLE PRECISION", False),
    }  # fmt: skip


def test_a_bar_chart(superset, dataset, expected):
    query = {
        "columns": ["plan"], "metrics": [metric("AVG", "risk"), metric("COUNT", "id")], "orderby": [["plan", True]],
        "row_limit": 100,
    }  # fmt: skip
    rows = chart(superset, dataset, "risk by plan", "echarts_timeseries_bar", query)
    found = [(row["plan"], row["AVG(risk)"], row["COUNT(id)"]) for row in rows]
    assert found == [(plan, pytest.approx(risk, rel=1e-12), count) for plan, risk, count in expected[BY_PLAN]]


def test_a_table(superset, dataset, expected):
    query = {
        "columns": ["id", "risk"], "metrics": [], "orderby": [["risk", False], ["id", True]], "row_limit": 10,
        "filters": [{"col": "plan", "op": "!=", "val": "basic"}],
    }  # fmt: skip
    rows = chart(superset, dataset, "riskiest", "table", query)
    assert [(row["id"], row["risk"]) for row in rows] == expected[RISKIEST]  # scores are the same bits


def test_a_time_series(superset, dataset, expected):
    axis = {
        "columnType": "BASE_AXIS", "sqlExpression": "ordered", "label": "ordered", "expressionType": "SQL",
        "timeGrain": "P1M",
    }  # fmt: skip
    query = {
        "columns": [axis], "metrics": [metric("SUM", "risk")], "row_limit": 1000,
        "filters": [{"col": "ordered", "op": "TEMPORAL_RANGE", "val": "2024-01-01 : 2025-01-01"}],
    }  # fmt: skip
    rows = chart(superset, dataset, "risk by month", "echarts_timeseries_line", query)
    found = sorted((dt.datetime.fromtimestamp(row["ordered"] / 1000, dt.UTC).date(), row["SUM(risk)"]) for row in rows)
    assert len(found) == 12
    assert found == [(month, pytest.approx(risk, rel=1e-12)) for month, risk in expected[BY_MONTH]]


def test_the_sql_lab_calls_a_model(superset, connected, expected):
    wanted = {"database_id": connected, "sql": LAB, "schema": "public", "runAsync": False, "client_id": "lab0000001"}
    answer = superset.post("/api/v1/sqllab/execute/", wanted)
    assert [list(row.values()) for row in answer["data"]] == [[pytest.approx(expected[LAB][0][0], rel=1e-12)]]


def test_no_statement_failed(dataset, log):
    """Of all that Superset sent until here, in the order of the tests."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len([line for line in lines if line["event"] == "statement"]) > 10
    assert [line for line in lines if "sqlstate" in line] == []
