"""The README, held to its word: its SQL and Python run, its reference names what exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import sqlml
from sqlml.cli.main import _parser
from sqlml.cli.script import split_script
from sqlml.cli.syntax import STATEMENTS
from sqlml.planning.option_rules import RULES

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def section(title):
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A database in which the README's five minutes of SQL have been run; every SELECT returned rows."""
    monkeypatch.chdir(tmp_path)
    with sqlml.connect("shop.duckdb") as connection:
        for block in blocks("sql", section("Five minutes of SQL")):
            for piece in split_script(block):
                rows = connection.execute(piece.text)
                if piece.text.split()[0] in {"SELECT", "SHOW"}:
                    assert rows.fetchall(), piece.text
    return tmp_path


def test_five_minutes_of_sql_and_the_doors(shop, capsys):
    assert (shop / "churn.txt").read_text().startswith("tree\n")
    for block in blocks("python", section("Doors")):
        exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "churn" in printed


def test_first_example_is_a_statement_of_the_dialect(shop):
    with sqlml.connect(str(shop / "shop.duckdb")) as connection:
        connection.execute("DROP MODEL churn CASCADE")
        connection.execute(blocks("sql")[0].split("\n\n")[0])
        assert len(connection.execute(blocks("sql")[0].split("\n\n")[1]).fetchall()) == 10


@pytest.mark.parametrize("name", STATEMENTS)
def test_grammar_is_the_one_of_the_shell(name):
    assert STATEMENTS[name].grammar in README
    assert STATEMENTS[name].summary in README


@pytest.mark.parametrize("name", RULES)
def test_every_option_is_listed(name):
    assert f"`{name}`" in section("Reference")


def test_every_flag_of_the_shell_that_is_mentioned_exists():
    help_text = _parser().format_help()
    for flag in set(re.findall(r"--[a-z-]+", section("Doors"))):
        assert flag in help_text


def test_markers_of_the_benchmarks_are_there():
    assert README.index("<!-- benchmarks: begin -->") < README.index("<!-- benchmarks: end -->")


@pytest.fixture
def fleet(cluster):
    """The database that the README's example is in."""
    yield cluster.create_database("fleet")
    cluster.drop_database("fleet")


def test_five_minutes_with_postgres(plpython, fleet, tmp_path):
    """As a newcomer has it: the installation by the command, then psql and nothing else."""
    from sqlml.cli.main import main
    from sqlml.cli.tour import flight_csv

    assert main(["install", fleet]) == 0
    shutil.copy(flight_csv("planes", tmp_path), tmp_path / "planes.csv")
    for block in blocks("psql", section("Five minutes with Postgres")):
        command = [shutil.which("psql"), "--no-psqlrc", "--set", "ON_ERROR_STOP=1", fleet]
        done = subprocess.run(command, input=block, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, block + done.stderr
        assert "ERROR" not in done.stderr
        assert "(0 rows)" not in done.stdout
