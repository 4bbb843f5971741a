"""The number of threads: how many work, and that the model does not depend on it."""

from __future__ import annotations

import threading
from pathlib import Path

import lightgbm as oracle
import numpy as np
import pytest

from sqlml.planning.options import TrainingOptions
from sqlml.training.lightgbm import Booster, Dataset, library
from sqlml.training.parameters import is_row_wise
from sqlml.training.team import in_blocks, in_team, is_limitable

limitable = pytest.mark.skipif(not is_limitable(), reason="only GNU's OpenMP can be told how many threads work")


@pytest.fixture(scope="module")
def uneven():
    """Labels of so many magnitudes that sums of gradients depend on how the rows are cut."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(20_000, 5))
    return matrix, (matrix[:, 0] * np.exp(9 * rng.normal(size=20_000))).astype(np.float32)


def parameters(way, threads):
    fixed = {"verbosity": -1, "deterministic": True, "objective": "regression", "boost_from_average": False}
    return {**fixed, way: True, "num_threads": threads}


def trees(text):
    return text.split("parameters:")[0]


def trained(data, way, threads):
    matrix, label = data
    dataset = Dataset.from_sample(matrix.T.copy(), len(matrix), parameters(way, threads))
    dataset.push(matrix)
    dataset.finish(label)
    settings, size = in_blocks(parameters(way, threads))
    assert size == threads

    def grow():
        booster = Booster(dataset, settings)
        assert all(booster.update() for _ in range(10))
        return trees(booster.text())

    return in_team(size, grow)


@limitable
@pytest.mark.parametrize("way", ["force_row_wise", "force_col_wise"])
def test_any_number_of_threads_makes_the_same_trees(uneven, way):
    first = trained(uneven, way, 1)
    assert all(trained(uneven, way, threads) == first for threads in (2, 3, 20))
    if way == "force_row_wise":
        alone = [
            trees(oracle.train(parameters(way, threads), oracle.Dataset(*uneven), 10).model_to_string())
            for threads in (1, 2)
        ]
        assert alone[0] != alone[1]  # so the sums do round, and LightGBM's own trees depend on the threads


@limitable
def test_no_more_threads_work_than_are_asked_for(uneven):
    """OpenMP keeps the threads it has made: this Python thread is new and has none yet."""
    counts = []

    def count():
        before = len(list(Path("/proc/self/task").iterdir()))
        trained(uneven, "force_row_wise", 1)
        counts.append(len(list(Path("/proc/self/task").iterdir())) - before)
        trained(uneven, "force_row_wise", 3)
        counts.append(len(list(Path("/proc/self/task").iterdir())) - before)

    worker = threading.Thread(target=count)
    worker.start()
    worker.join()
    assert counts == [0, 2]
    assert library().omp_get_thread_limit() > 3  # of this thread, as before


@limitable
def test_what_work_gives_and_raises_comes_out():
    assert in_team(2, lambda: library().omp_get_thread_limit()) == 2
    with pytest.raises(KeyboardInterrupt):
        in_team(1, lambda: (_ for _ in ()).throw(KeyboardInterrupt))


@limitable
def test_rows_are_summed_row_by_row_where_that_is_faster():
    assert is_row_wise(TrainingOptions(), 100_000, 50)
    assert not is_row_wise(TrainingOptions(), 99_999, 50)
    assert not is_row_wise(TrainingOptions(), 100_000, 51)
    assert not is_row_wise(TrainingOptions(), 10_000_000, 20)  # the second copy of the bins would be large
    assert is_row_wise(TrainingOptions({"force_row_wise": True}), 10, 500)
    assert not is_row_wise(TrainingOptions({"force_col_wise": True}), 100_000, 50)
