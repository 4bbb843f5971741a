"""One library for servers of several versions and for two levels of processors: loaded by each, with LightGBM's scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psycopg
import pytest

from udfs.postgres.emit import LEVELS, build_library
from udfs.postgres.image import build_server_image
from udfs.postgres.install import library_name, reference_model
from udfs.scorer import Scorer

from .conftest import CATALOG, SQL, write_file


@pytest.fixture(scope="module")
def expected():
    import pyarrow as pa

    rows = np.random.default_rng(6).normal(size=(400, 4))
    rows[::7, 1] = np.nan
    batch = pa.record_batch([pa.array(column) for column in rows.T], list("abcd"))
    return rows, Scorer(reference_model()).predict(batch)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("major", [15, 16, 17])
def test_scores_on_every_version_and_level(cluster_of, expected, major, level):
    if level == "x86-64-v3" and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this machine is older")
    cluster = cluster_of(major)
    name = f"native_{level.replace('-', '_')}"
    library = build_library(major * 10_000, level)
    rows, predictions = expected
    with psycopg.connect(cluster.create_database(name), autocommit=True) as connection:
        connection.execute(CATALOG)
        path = f"{connection.execute('SHOW data_directory').fetchone()[0]}/{library_name(library)}"
        write_file(connection, path, library)
        connection.execute(SQL.read_text().replace("{library}", path))
        connection.execute(
            "INSERT INTO sqlml._images VALUES (%s, %s)", ["0" * 64, build_server_image(reference_model())]
        )
        connection.execute("INSERT INTO named VALUES ('m', %s)", ["0" * 64])
        connection.execute(
            "CREATE TABLE r (id int, a float8, b float8, c float8, d float8, t timestamptz DEFAULT now())"
        )
        with connection.cursor().copy("COPY r (id, a, b, c, d) FROM STDIN") as copy:
            for number, row in enumerate(rows.tolist()):
                copy.write_row([number, *row])
        for query in ("sqlml._value('m', a, b, c, d)", "sqlml.predict('m', r)", "sqlml.predict('m', a, b, c, d)"):
            found = connection.execute(f"SELECT {query} FROM r ORDER BY id").fetchall()
            assert np.array_equal([value for (value,) in found], predictions)
        classes = connection.execute("SELECT sqlml.predict_label('m', r) FROM r ORDER BY id").fetchall()
        assert [label == "true" for (label,) in classes] == (predictions > 0.5).tolist()
        shares = connection.execute("SELECT sqlml._contribs('m', a, b, c, d) FROM r").fetchall()
        assert np.isfinite(np.array(shares)).all()
        with pytest.raises(psycopg.errors.UndefinedObject):
            connection.execute("SELECT sqlml.predict('n', 1, 2, 3, 4)")
    cluster.drop_database(name)


def test_a_library_of_another_version_is_refused_by_the_server(installed):
    with psycopg.connect(installed, autocommit=True) as connection:
        other = 160_000 if connection.info.server_version < 160_000 else 150_000
        library = build_library(other, "x86-64-v2")
        path = f"{connection.execute('SHOW data_directory').fetchone()[0]}/other.so"
        write_file(connection, path, library)
        with pytest.raises(psycopg.Error, match="version mismatch"):
            connection.execute(f"CREATE FUNCTION other(text) RETURNS float8 LANGUAGE c AS '{path}', 'sqlml_value'")
