"""Functions in a server that call LightGBM's C API for each row: through ctypes in PL/Python, and in C as PostgresML does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from sqlml.cli.postgres_programs import PostgresPrograms
from sqlml.cli.private_cluster import PrivateCluster

# The model is made once a session, the call prepared once (LightGBM's fast form for single rows).
CTYPES_PER_ROW = """
CREATE OR REPLACE FUNCTION ctypes_score(x float8[]) RETURNS float8 LANGUAGE plpython3u AS $python$
import ctypes
if "call" not in SD:
    import lightgbm
    body = plpy.execute("SELECT body FROM boosters")[0]["body"]
    library, booster = lightgbm.basic._LIB, lightgbm.Booster(model_str=body)
    config, count, out = ctypes.c_void_p(), ctypes.c_int64(), ctypes.c_double()
    memory = (ctypes.c_double * len(x))()
    library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 0, 0, -1, 1, ctypes.c_int32(len(x)), b"num_threads=1", ctypes.byref(config)
    )
    call = library.LGBM_BoosterPredictForMatSingleRowFast
    SD["call"], SD["kept"] = (call, config, memory, count, out), booster
call, config, memory, count, out = SD["call"]
memory[:] = x
call(config, memory, ctypes.byref(count), ctypes.byref(out))
return out.value
$python$
"""

ROW, BATCH = "C function a row (PostgresML's)", "C function over array_agg (PostgresML's batch)"
CHECKED = 1_000
SOURCE = Path(__file__).with_name("postgres_rival.c")
FUNCTIONS = """
CREATE OR REPLACE FUNCTION rival_load(name text, model text) RETURNS int STRICT LANGUAGE c AS '{0}';
CREATE OR REPLACE FUNCTION rival_predict(name text, features real[]) RETURNS real IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS '{0}';
CREATE OR REPLACE FUNCTION rival_predict_batch(name text, features real[]) RETURNS SETOF real
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS '{0}';
"""


class CompiledRival:
    """PostgresML's shape, compiled for a server and loaded into a session of it."""

    def __init__(self, cluster: PrivateCluster) -> None:
        self.folder = cluster.directory / "rival"  # which the server's user reaches, and which goes with the cluster
        self.missing = self._compile(cluster.programs)

    def _compile(self, programs: PostgresPrograms) -> str | None:
        """Why there is no library; None when there is one."""
        import lightgbm

        asked = subprocess.run(
            [programs.path("pg_config"), "--includedir-server"], capture_output=True, text=True, check=False
        )
        headers, compiler = Path(asked.stdout.strip() or "/nowhere"), shutil.which("cc")
        if compiler is None or not (headers / "fmgr.h").exists():
            return f"a C compiler and the server's headers (postgresql-server-dev-{programs.major})"
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        engine = Path(shutil.copy(Path(lightgbm.__file__).parent / "lib" / "lib_lightgbm.so", self.folder))
        options = ["-O2", "-shared", "-fPIC", f"-I{headers}", "-o", str(self._library), f"-Wl,-rpath,{self.folder}"]
        subprocess.run([compiler, *options, str(SOURCE), str(engine)], check=True)
        return None

    @property
    def _library(self) -> Path:
        return self.folder / "rival.so"

    def queries(self, connection: Any, booster: Any, columns: int, rows: int) -> dict[str, str]:
        """Queries that sum the scores of the table ``points``, by name: the session has the functions and the model by then."""
        connection.execute(FUNCTIONS.format(self._library))
        connection.execute("SELECT rival_load('m', %s)", [booster.model_to_string()])
        row = "ARRAY[" + ", ".join(f"f{i}::real" for i in range(columns)) + "]"
        points = f"(SELECT * FROM points LIMIT {rows}) AS points"
        each, all_at_once = f"rival_predict('m', {row})", f"rival_predict_batch('m', array_agg({row}))"
        for scores in (f"SELECT {each} FROM", f"SELECT {all_at_once} FROM"):
            _demand_lightgbms(connection, booster, scores, columns)
        return {
            ROW: f"SELECT sum({each}) FROM {points}",
            BATCH: f"SELECT sum(p) FROM (SELECT {all_at_once} AS p FROM {points}) AS scores",
        }


def _demand_lightgbms(connection: Any, booster: Any, scores: str, columns: int) -> None:
    """A rival that is fast and wrong is none: its scores are to be LightGBM's, to the bit."""
    import numpy as np

    # Rows of their own: a scan of a large table joins one that is under way, so that LIMIT alone gives others each time.
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS checked AS SELECT * FROM points LIMIT {CHECKED}")
    rows = connection.execute(f"SELECT {', '.join(f'f{i}' for i in range(columns))} FROM checked").fetchall()
    wanted = booster.predict(np.array(rows, np.float32)).astype(np.float32)
    got = np.array(connection.execute(f"{scores} checked").fetchall(), np.float32)[:, 0]
    if not np.array_equal(got, wanted):
        raise SystemExit(f"not LightGBM's scores: {scores}")
