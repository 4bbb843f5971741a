"""EXPORT MODEL and IMPORT MODEL: our artifact, and LightGBM's own text from whoever trained it."""

from __future__ import annotations

import os
import threading

import lightgbm
import numpy as np
import pandas as pd
import pytest

import sqlml
from sqlml.errors import ArtifactError, DataError, OptionError, OptionValueError, ResourceError


@pytest.fixture
def frame():
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "a": rng.standard_normal(600),
            "b": np.where(rng.random(600) < 0.1, np.nan, rng.standard_normal(600)),
            "city": pd.Categorical(rng.choice(["Oslo", "Rome", "Köln"], 600)),
        }
    )


def test_artifact_travels(con, tmp_path):
    file = tmp_path / "churned.sqlml"
    con.execute(f"EXPORT MODEL churned TO '{file}'")
    expected = con.execute("SELECT PREDICT_PROBA(churned, *) FROM churn ORDER BY id").fetchall()
    digest = con._session.find("churned").artifact_hash
    con.execute(f"IMPORT MODEL again FROM '{file}'")
    assert con._session.find("again").artifact_hash == digest
    assert con.execute("SELECT PREDICT_PROBA(again, *) FROM churn ORDER BY id").fetchall() == expected


def test_exported_text_loads_in_lightgbm(con, tmp_path):
    file = tmp_path / "worth.txt"
    con.execute(f"EXPORT MODEL worth TO '{file}' OPTIONS (format = 'lightgbm')")
    booster = lightgbm.Booster(model_file=str(file))
    table = con.execute("SELECT * FROM ML.TRANSFORM(MODEL worth, TABLE churn)").arrow()
    assert booster.feature_name() == table.schema.names
    assert any("transforms" in notice for notice in con.notices) or booster.num_trees() == 20


@pytest.mark.parametrize(
    ("objective", "label"),
    [
        ("regression", lambda f: f.a * 2 + f.b.fillna(0)),
        ("binary", lambda f: (f.a > 0).astype(int)),
        ("multiclass", lambda f: (f.a > 0).astype(int) + (f.b > 0).astype(int)),
        ("poisson", lambda f: np.floor(np.abs(f.a) * 3)),
        ("quantile", lambda f: f.a),
    ],
)
def test_foreign_text_scores_as_its_booster(empty, tmp_path, frame, objective, label, give):
    give(empty, "frame_", frame)
    parameters = {"objective": objective, "verbose": -1, "num_leaves": 7, "min_data_in_leaf": 5}
    if objective == "multiclass":
        parameters["num_class"] = 3
    booster = lightgbm.train(parameters, lightgbm.Dataset(frame, label(frame)), 12)
    file = tmp_path / "model.txt"
    booster.save_model(str(file))
    empty.execute(f"IMPORT MODEL foreign_one FROM '{file}'")
    expected = booster.predict(frame)
    if objective == "multiclass":
        rows = empty.execute("SELECT * FROM ML.PREDICT(MODEL foreign_one, TABLE frame_, STRUCT(TRUE AS flat))").arrow()
        got = np.column_stack([rows[f"predicted_label_prob_{k}"] for k in range(3)])
    else:
        function = "PREDICT_PROBA" if objective == "binary" else "PREDICT"
        got = np.array(empty.execute(f"SELECT {function}(foreign_one, *) FROM frame_").fetchall())[:, 0]
    assert np.array_equal(got, expected)


def test_class_labels_and_label_name(empty, tmp_path, frame):
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1}, lightgbm.Dataset(frame[["a", "b"]], (frame.a > 0).astype(int)), 5
    )
    file = tmp_path / "model.txt"
    booster.save_model(str(file))
    empty.execute(f"IMPORT MODEL m FROM '{file}' OPTIONS (input_label_cols = ['up'], class_labels = ['down', 'up'])")
    row = empty.execute("SELECT * FROM ML.PREDICT(MODEL m, (SELECT 2.0 AS a, 0.0 AS b))").fetchone()
    assert row[2] == "up"
    assert [d[0] for d in empty.description][2] == "predicted_up"
    with pytest.raises(OptionValueError, match="must list 2 classes"):
        empty.execute(f"IMPORT MODEL n FROM '{file}' OPTIONS (class_labels = ['x', 'y', 'z'])")


def test_evaluate_of_an_imported_model_needs_data(empty, tmp_path, frame, give):
    give(empty, "frame_", frame)
    booster = lightgbm.train({"objective": "regression", "verbose": -1}, lightgbm.Dataset(frame[["a"]], frame.a), 5)
    file = tmp_path / "model.txt"
    booster.save_model(str(file))
    empty.execute(f"IMPORT MODEL m FROM '{file}'")
    with pytest.raises(sqlml.SqlmlError, match="no held-out evaluation data") as caught:
        empty.execute("SELECT * FROM ML.EVALUATE(MODEL m)")
    assert "TABLE t" in caught.value.hint
    assert empty.execute(
        "SELECT r2_score > 0.5 FROM ML.EVALUATE(MODEL m, (SELECT a, a AS label FROM frame_))"
    ).fetchone() == (True,)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01nonsense", b"tree\n", b"tree\nversion=v4\nnum_class=1\n", "größe".encode("utf-16")]
)
def test_files_that_are_no_models(empty, tmp_path, content):
    file = tmp_path / "model.bin"
    file.write_bytes(content)
    with pytest.raises(sqlml.SqlmlError) as caught:
        empty.execute(f"IMPORT MODEL m FROM '{file}'")
    assert caught.value.sqlstate != "XX000"
    assert empty.models == []


def test_a_flipped_byte_is_noticed(con, tmp_path):
    file = tmp_path / "worth.sqlml"
    con.execute(f"EXPORT MODEL worth TO '{file}'")
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    with pytest.raises(ArtifactError, match=r"checksum|damaged|corrupt"):
        con.execute(f"IMPORT MODEL m FROM '{file}'")


def test_linear_trees_are_refused(empty, tmp_path, frame):
    booster = lightgbm.train(
        {"objective": "regression", "linear_tree": True, "verbose": -1}, lightgbm.Dataset(frame[["a"]], frame.a), 3
    )
    file = tmp_path / "model.txt"
    booster.save_model(str(file))
    with pytest.raises(sqlml.SqlmlError, match="linear") as caught:
        empty.execute(f"IMPORT MODEL m FROM '{file}'")
    assert caught.value.sqlstate == "0A000"


def test_bad_paths_and_options(con, tmp_path):
    with pytest.raises(DataError, match="could not read file"):
        con.execute(f"IMPORT MODEL m FROM '{tmp_path / 'nowhere'}'")
    with pytest.raises(ResourceError, match="could not write file"):
        con.execute(f"EXPORT MODEL worth TO '{tmp_path / 'no' / 'where'}'")
    with pytest.raises(OptionValueError, match="must be one of sqlml, lightgbm"):
        con.execute(f"EXPORT MODEL worth TO '{tmp_path / 'x'}' OPTIONS (format = 'onnx')")
    with pytest.raises(OptionError, match='unknown option "fromat"'):
        con.execute(f"EXPORT MODEL worth TO '{tmp_path / 'x'}' OPTIONS (fromat = 'sqlml')")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_stays_a_pipe(con, tmp_path):
    """A device is no file to be replaced: as root that would be /dev/null for everybody."""
    pipe, written = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: written.append(pipe.read_bytes()))
    reader.start()
    con.execute(f"EXPORT MODEL churned TO '{pipe}'")
    reader.join()
    assert pipe.is_fifo()
    assert written == [con._session.store.artifact(con._session.find("churned"))]
