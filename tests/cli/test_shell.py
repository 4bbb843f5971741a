"""The shell on a pseudo terminal, as a person meets it."""

from __future__ import annotations

import signal
import time

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from sqlml.cli.backslash import COMMANDS
from sqlml.cli.completion import Names, SqlCompleter


def test_runs_statements_over_several_lines(open_terminal):
    terminal = open_terminal()
    terminal.enter("SELECT 40")
    terminal.until("  >")
    terminal.type("+ 2 AS answer;\r")
    terminal.until("│     42 │")
    terminal.until("(1 row, 0.")
    terminal.until("sqlml>")
    terminal.type("\x04")
    assert terminal.wait() == 0


def test_goes_on_after_an_error(open_terminal):
    terminal = open_terminal()
    terminal.enter("SELEC 1;")
    terminal.until('ERROR:  syntax error at or near "SELEC"')
    terminal.enter("\\nope")
    terminal.until("ERROR:  unknown command \\nope")
    terminal.enter("SELECT 7 AS seven;")
    terminal.until("│     7 │")
    terminal.enter("\\q")
    assert terminal.wait() == 0


def test_interrupt_stops_the_statement_and_not_the_shell(open_terminal):
    terminal = open_terminal()
    terminal.enter("SELECT count(*) FROM range(1000000000000) AS r(i) WHERE i % 3 = 1;")
    terminal.until("= 1;")
    time.sleep(2)  # until the shell has handed the terminal to the statement
    terminal.type("\x03")
    terminal.until("interrupted")
    terminal.enter("SELECT 8 AS eight;")
    terminal.until("│     8 │")
    terminal.enter("\\q")
    assert terminal.wait() == 0


def test_trains_with_progress_and_lists_models(open_terminal, database):
    terminal = open_terminal(database)
    terminal.enter(
        "CREATE OR REPLACE MODEL sign OPTIONS (input_label_cols = ['y'], max_iterations = 1000, early_stop = FALSE) AS TABLE points;"
    )
    assert "trees" in terminal.until("CREATE MODEL")
    terminal.enter("\\dm")
    terminal.until("sign")
    terminal.enter("\\dm sign")
    terminal.until("is_default")
    terminal.enter("\\d points")
    terminal.until("column_name")
    terminal.enter("\\h create model")
    terminal.until("TRANSFORM (select_list)")
    terminal.enter("\\q")
    assert terminal.wait() == 0


def test_history_lasts(open_terminal, tmp_path):
    terminal = open_terminal()
    terminal.enter("SELECT 'kept' AS word;")
    terminal.until("│ kept │")
    terminal.enter("\\q")
    terminal.wait()
    assert "SELECT 'kept' AS word;" in (tmp_path / "state" / "sqlml" / "history").read_text()


def test_a_shell_that_is_hung_up_ends(open_terminal):
    terminal = open_terminal()
    terminal.until("sqlml>")
    import os

    os.kill(terminal.process, signal.SIGHUP)
    assert terminal.wait() == -signal.SIGHUP


def completions(text):
    names = Names()
    names.models, names.relations, names.columns = ["late", "late_flights"], ["flights"], ["flight", "carrier"]
    found = SqlCompleter(names).get_completions(Document(text), CompleteEvent())
    return [completion.text for completion in found]


def test_completes_what_fits():
    assert completions("SELECT PREDICT(la") == ["late", "late_flights"]
    assert completions("DROP MODEL l") == ["late", "late_flights"]
    assert completions("FROM ML.EVALUATE(MODEL ") == ["late", "late_flights"]
    assert completions("SELECT fl") == ["flights", "flight"]
    assert completions("sel") == ["select"]
    assert "ML.EVALUATE(" in completions("FROM ML.E")
    assert completions("\\d") == [name for name in COMMANDS if name.startswith("\\d") and name != "\\d"]
    assert completions("\\h create") == ["CREATE MODEL"]
    assert completions("\\d fl") == ["flights"]
    assert completions("SELECT 1 ") == []
