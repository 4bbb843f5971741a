"""The comparison with other libraries: who wins is said as it is, and whoever fails leaves a line."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import lightgbm as lgb
import numpy as np
import pytest

from benchmarks import contest, rivals, sql_trees
from benchmarks.environments import NotInstalledError
from benchmarks.pictures import bars, curves, moved_apart
from benchmarks.rivals_page import IN_DATABASE, KERNEL, QUERY, absent, of_the_query, table, verdict


def result(**times):
    return {
        "sizes": {
            size.removeprefix("n"): {"cpu": value, "difference": 0.0, "close": 1.0, "same_bits": True}
            for size, value in times.items()
        }
    }


def test_a_rival_that_wins_is_said_to():
    found = {
        KERNEL: result(n1=4e-6, n100=1e-6),
        "tortoise": result(n1=8e-6, n100=3e-6),
        "hare": result(n1=2e-6, n100=2e-6),
    }
    first, second = verdict(found)
    assert first == "* **Single rows: hare wins**, 2.00 times as fast as sqlml's kernel."
    assert second.endswith("2.0 times as fast as the best rival, hare.")
    assert "| hare | **2 µs** | 2 µs |" in table(found, "cpu")[-1]


def test_where_a_query_loses_is_said():
    found = {
        QUERY: result(n1=1e-3, n100=1e-5, n10000=3e-7),
        "hare": result(n1=1e-5, n100=5e-6, n10000=2e-6),
        "tortoise": result(n1=2e-5, n100=2e-5, n10000=2e-6),
        IN_DATABASE[0]: result(n1=1e-1, n100=1e-3, n10000=3e-5),
    }
    lost, inside = of_the_query(found)
    assert (
        "single rows (hare is 100 times as fast; faster are 2 of them) and batches of 100 (hare is 2.0 times as fast;"
        in lost
    )
    assert lost.startswith("* **")
    assert "is 100 times as fast as the best of the trees as SQL" in inside
    found[IN_DATABASE[1]] = result(n1=5e-4)
    assert "trees as SQL win somewhere**: they take 0.50 times" in of_the_query(found)[1]


def test_scores_of_another_model_do_not_win():
    fast = result(n1=1e-9)
    fast["sizes"]["1"]["close"] = 0.5
    found = {KERNEL: result(n1=4e-6), "guesser": fast}
    assert "guesser" not in "".join([*verdict(found), *table(found, "cpu")])
    assert "guesser: not this model: 50 %" in "".join(absent(found))
    lucky = result(n1=1e-9, n100=1e-9, n10000=1e-9)  # the one row was right, and ten thousand took too long to compare
    lucky["sizes"]["100"]["close"] = 0.7
    del lucky["sizes"]["10000"]["close"], lucky["sizes"]["10000"]["difference"]
    found = {KERNEL: result(n1=4e-6, n100=4e-6, n10000=4e-6), "lucky": lucky}
    assert "lucky" not in "".join([*verdict(found), *table(found, "cpu")])


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((2_000, 4))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    rows[:, 3] = rng.integers(0, 20, len(rows))
    label = (np.nan_to_num(rows[:, 0]) + np.sin(rows[:, 3]) > 0).astype(float)
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 7, "min_data_per_group": 5}
    booster = lgb.train(parameters, lgb.Dataset(rows, label, categorical_feature=[3]), 8)
    booster.save_model(tmp_path / "model.txt")
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "wanted.npy", booster.predict(rows, num_threads=1))
    return tmp_path


def test_plain_sql_gives_the_scores(folder):
    task = contest.Task(folder, 1_000)
    compared = contest.compared(task, sql_trees.plain_sql(task))
    assert compared["difference"] < 1e-12


def test_plain_sql_gives_the_scores_of_several_classes(tmp_path):
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((500, 3))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    parameters = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1, "num_leaves": 5}
    label = np.digitize(np.nan_to_num(rows[:, 0]) + np.nan_to_num(rows[:, 1]), [-0.5, 0.5])
    booster = lgb.train(parameters, lgb.Dataset(rows, label), 4)
    booster.save_model(tmp_path / "model.txt")
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "wanted.npy", booster.predict(rows, num_threads=1))
    task = contest.Task(tmp_path, 500)
    assert contest.compared(task, sql_trees.plain_sql(task))["difference"] < 1e-12


def test_what_was_never_ready_is_not_waited_for_again(folder, monkeypatch):
    monkeypatch.setattr(rivals, "PREPARING", 0.01)
    monkeypatch.setattr(rivals, "python_of", lambda _: Path(sys.executable))
    rivals.prepare_one("ONNX Runtime", folder)
    monkeypatch.setattr(rivals, "contest", lambda *_, **__: pytest.fail("it was run again"))
    found = rivals.measured("ONNX Runtime", folder, quick=True)
    assert found == {"sizes": {}, "failed": "not done after 0 s of making it ready"}


def test_the_limit_is_of_cpu_time(folder, monkeypatch):
    monkeypatch.setattr(rivals, "python_of", lambda _: Path(sys.executable))
    found = rivals.contest("LightGBM predict, numpy", folder, (1,), 1, least=100)
    assert found["failed"] == "not done after 1 s"


def test_failures_are_told(folder, monkeypatch):
    def refuse(_):
        raise NotInstalledError("no such package")

    monkeypatch.setattr(rivals, "python_of", refuse)
    assert rivals.contest("lleaves", folder, (1,), 60) == {"sizes": {}, "failed": "not installed: no such package"}
    monkeypatch.setattr(rivals, "python_of", lambda _: Path(sys.executable))
    (folder / "model.txt").write_text("tree\n", encoding="utf-8")
    broken = rivals.contest("LightGBM predict, numpy", folder, (1,), 60)
    assert not broken["sizes"]
    assert "rror" in broken["failed"]
    assert "not done after" in rivals.contest("LightGBM predict, numpy", folder, (1,), 0.01)["failed"]


def test_a_contestant_in_its_process(folder, monkeypatch):
    monkeypatch.setattr(rivals, "python_of", lambda _: Path(sys.executable))
    found = rivals.contest(KERNEL, folder, (1, 100, 1_000), 120, least=0)
    assert [said["same_bits"] for said in found["sizes"].values()] == [True] * 3, found


def test_pictures_are_svg():
    values = {"sqlml": 1e-7, "a < b & c": 3e-6}
    for text in (bars("title", values), curves("title", {name: {1: v, 100: v / 2} for name, v in values.items()})):
        words = "".join(ET.fromstring(text).itertext())
        assert "a < b & c" in words
        assert "title" in words


def test_labels_are_moved_apart():
    places = moved_apart([10.0, 11.0, 12.0, 90.0])
    assert all(b - a > 13.9 for a, b in itertools.pairwise(places))
    assert sum(places[:3]) / 3 == pytest.approx(11)
