"""The command in scripts: what goes to which stream, in which form, with which exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import time

import duckdb
import pytest

TRAIN = "CREATE OR REPLACE MODEL sign OPTIONS (input_label_cols = ['y'], max_iterations = 5) AS TABLE points"


def test_command_prints_a_table_and_talks_beside_it(run):
    done = run("-c", "SELECT 1 AS a, 'x' AS b; CREATE TABLE t AS SELECT 1 AS i; INSERT INTO t VALUES (2), (3)")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1] == "│ a │ b │"
    assert done.stderr.splitlines() == ["(1 row)", "CREATE TABLE", "INSERT 2"]


def test_quiet_leaves_results_only(run, database):
    done = run(database, "--quiet", "-c", f"{TRAIN}; SELECT count(*) AS n FROM points")
    assert (done.returncode, done.stderr) == (0, "")
    assert "500" in done.stdout


def test_training_and_scoring(run, database):
    done = run(
        database,
        "--format",
        "csv",
        "-c",
        "SELECT x, PREDICT(sign, *) AS sign FROM points WHERE x IN (1, 499) ORDER BY x",
    )
    assert done.stdout == "x,sign\n1,false\n499,true\n"
    assert run(database, "-c", TRAIN).returncode == 0
    assert "sign" in run("models", database).stdout


def test_models_as_json(run, database):
    done = run("models", database, "--format", "json")
    assert [model["name"] for model in json.loads(done.stdout)] == ["sign"]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_formats_hold_the_same_rows(run, database, form):
    query = "SELECT x, y, PREDICT_PROBA(sign, *) AS p FROM points ORDER BY x"
    done = run(database, "--format", form, "-c", query)
    if form == "csv":
        rows = [(int(r["x"]), r["y"] == "true", float(r["p"])) for r in csv.DictReader(io.StringIO(done.stdout))]
    else:
        rows = [tuple(row.values()) for row in json.loads(done.stdout)]
    with duckdb.connect(str(database), read_only=True) as plain:
        assert rows == plain.sql("SELECT x, y, ml_predict_proba('sign', points) FROM points ORDER BY x").fetchall()


def test_parquet_to_a_file_and_to_a_pipe(run, tmp_path):
    assert run("--format", "parquet", "-o", "out.parquet", "-c", "FROM range(10) AS r(i)").returncode == 0
    (tmp_path / "piped.parquet").write_bytes(
        run("--format", "parquet", "-c", "FROM range(10) AS r(i)", binary=True).stdout
    )
    for name in ("out", "piped"):
        assert duckdb.sql(f"SELECT sum(i) FROM '{tmp_path / name}.parquet'").fetchall() == [(45,)]


def test_file_and_standard_input(run, tmp_path):
    (tmp_path / "two.sql").write_text("SELECT 1 AS a;\nSELECT 2 AS b;\n")
    assert run("-f", "two.sql", "--format", "csv").stdout == "a\n1\nb\n2\n"
    assert run("--format", "csv", text="SELECT 3 AS c").stdout == "c\n3\n"
    assert run("-f", "-", "--format", "csv", text="SELECT 4 AS d;").stdout == "d\n4\n"


def test_first_error_ends_a_script_and_names_the_place(run, tmp_path):
    (tmp_path / "bad.sql").write_text("SELECT 1 AS a;\n\n-- the culprit\nSELECT *\nFROM nowhere;\nSELECT 2 AS b;\n")
    done = run("-f", "bad.sql", "--format", "csv")
    assert (done.returncode, done.stdout) == (1, "a\n1\n")
    assert done.stderr.startswith("bad.sql:3: ERROR:  Table with name nowhere does not exist")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-c", "SELEC 1"], 1, ["ERROR:  syntax error", "LINE 1: SELEC 1", "^"]),
        (["-c", "CREATE MODEL m OPTIONS (learn_rat = 1) AS SELECT 1 AS label"], 1, ["unknown option", "HINT:  Did you mean learn_rate"]),
        (["-c", "SELECT * FROM ML.PREDICT(MODEL nobody, (SELECT 1))"], 1, ['"nobody" does not exist', "^"]),
        (["-c", "CREATE MODEL m AS SELECT"], 1, ["ERROR:"]),
        (["nowhere.duckdb", "--read-only", "-c", "SELECT 1"], 1, ["there is no database"]),
        (["/", "-c", "SELECT 1"], 1, ["ERROR:"]),
        (["-o", "no/where.csv", "-c", "SELECT 1"], 1, ["cannot write no/where.csv: No such file or directory"]),
        (["--format", "csv", "-c", "SELECT error(i::VARCHAR) FROM range(9) AS r(i)"], 1, ["ERROR:  0"]),
        (["-f", "nowhere.sql"], 1, ["cannot read nowhere.sql: No such file or directory"]),
        (["--format", "xml"], 2, ["invalid choice: 'xml'"]),
        (["--nonsense"], 2, ["unrecognized arguments"]),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_in_words(run, arguments, code, words):
    done = run(*arguments)
    assert done.returncode == code
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "Error: " not in done.stderr.replace("error: ", "")


def test_a_reader_that_leaves_is_no_error(tmp_path, environment, program):
    command = [*program, "--format", "csv", "-c", "FROM range(5000000)"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment
    ) as process:
        assert process.stdout.readline() == b"range\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.fixture
def interrupted(program, environment):
    """Start the command, send it an interrupt after a while; what it said, with its exit code."""

    def run_and_interrupt(*arguments, seconds):
        command = [*program, *map(str, arguments)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
            time.sleep(seconds)
            os.kill(process.pid, signal.SIGINT)
            try:
                return process.communicate(timeout=60)[1], process.returncode
            finally:
                process.kill()

    return run_and_interrupt


@pytest.mark.parametrize("seconds", [1.5, 3])
def test_interrupt_stops_a_statement(interrupted, seconds):
    said, code = interrupted("-c", "SELECT count(*) FROM range(1000000000000) AS r(i) WHERE i % 3 = 1", seconds=seconds)
    assert (said, code) == ("interrupted\n", 130)


def test_interrupt_stops_training_and_leaves_no_version(run, database, interrupted):
    slow = TRAIN.replace("max_iterations = 5", "max_iterations = 1000000, early_stop = FALSE")
    assert interrupted(database, "-c", slow, seconds=4) == ("interrupted\n", 130)
    assert run(database, "--format", "csv", "-c", "SELECT count(*) AS n FROM sqlml.model_versions").stdout == "n\n1\n"


def test_help_names_every_door(run):
    shown = run("--help").stdout
    for word in ("sqlml models", "sqlml demo", "--format", "exit codes"):
        assert word in shown
    assert run("--version").stdout.startswith("sqlml ")
