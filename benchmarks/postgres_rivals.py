"""Functions in a server that call LightGBM's C API for each row: through ctypes in PL/Python, and in C as PostgresML does."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

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

SOURCE = r"""
#include "postgres.h"
#include "fmgr.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
PG_MODULE_MAGIC;
typedef void *Handle;
extern int LGBM_BoosterLoadModelFromString(const char *, int *, Handle *);
extern int LGBM_BoosterPredictForMatSingleRow(Handle, const void *, int, int, int, int, int, int, const char *, int64 *, double *);
extern int LGBM_BoosterPredictForMat(Handle, const void *, int, int32, int32, int, int, int, int, const char *, int64 *, double *);
static Handle booster;
PG_FUNCTION_INFO_V1(rival_load);
Datum rival_load(PG_FUNCTION_ARGS) {
    int iterations;
    if (LGBM_BoosterLoadModelFromString(text_to_cstring(PG_GETARG_TEXT_PP(0)), &iterations, &booster)) elog(ERROR, "no model");
    PG_RETURN_INT32(iterations);
}
PG_FUNCTION_INFO_V1(rival_row);
Datum rival_row(PG_FUNCTION_ARGS) {
    ArrayType *row = PG_GETARG_ARRAYTYPE_P(0);
    int64 count; double out;
    LGBM_BoosterPredictForMatSingleRow(booster, ARR_DATA_PTR(row), 0, ArrayGetNItems(ARR_NDIM(row), ARR_DIMS(row)), 1, 0, 0, -1, "num_threads=1", &count, &out);
    PG_RETURN_FLOAT8(out);
}
PG_FUNCTION_INFO_V1(rival_batch);
Datum rival_batch(PG_FUNCTION_ARGS) {
    ArrayType *rows = PG_GETARG_ARRAYTYPE_P(0);
    int columns = PG_GETARG_INT32(1), items = ArrayGetNItems(ARR_NDIM(rows), ARR_DIMS(rows));
    int64 count; double total = 0, *out = palloc(sizeof(double) * (items / columns + 1));
    LGBM_BoosterPredictForMat(booster, ARR_DATA_PTR(rows), 0, items / columns, columns, 1, 0, 0, -1, "num_threads=1", &count, out);
    for (int64 i = 0; i < count; i++) total += out[i];
    PG_RETURN_FLOAT8(total);
}
"""
BATCH = 1_000


def c_per_row(connection: Any, model: str, shape: Any, rows: int) -> dict[str, str]:
    """Queries by name, after the functions were compiled and have their model; none where that cannot be done here."""
    library = _compiled(connection)
    if library is None:
        return {}
    for name, given, kind in (("load", "text", "int"), ("row", "real[]", "float8"), ("batch", "real[], int", "float8")):
        connection.execute(f"CREATE OR REPLACE FUNCTION rival_{name}({given}) RETURNS {kind} LANGUAGE c AS '{library}'")
    connection.execute("SELECT rival_load(%s)", [model])
    array = ", ".join(f"f{i}::real" for i in range(shape.columns))
    numbered = f"(SELECT row_number() OVER () / {BATCH} AS b, ARRAY[{array}] AS x FROM points LIMIT {rows}) AS numbered"
    unnested = f"(SELECT b, array_agg(v) AS x FROM {numbered}, unnest(x) AS v GROUP BY b) AS batches"
    return {
        "C function a row (PostgresML's)": f"SELECT sum(rival_row(ARRAY[{array}])) FROM (SELECT * FROM points LIMIT {rows}) AS p",
        "C function a batch (PostgresML's)": f"SELECT sum(rival_batch(x, {shape.columns})) FROM {unnested}",
    }


def _compiled(connection: Any) -> str | None:
    """The path of the library, readable by the server, or None."""
    import lightgbm

    compiler, major = shutil.which("gcc"), connection.info.server_version // 10_000
    headers = next(
        (p for p in Path("/usr/include/postgresql").glob(f"{major}/server") if (p / "fmgr.h").exists()), None
    )
    if compiler is None or headers is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="sqlml-rivals-"))
    folder.chmod(0o755)
    (folder / "rival.c").write_text(SOURCE, encoding="utf-8")
    engine = Path(shutil.copy(lightgbm.libpath.find_lib_path()[0], folder / "lib_lightgbm.so"))
    command = [
        compiler,
        "-O2",
        "-shared",
        "-fPIC",
        f"-I{headers}",
        "-o",
        "rival.so",
        "rival.c",
        engine.name,
        f"-Wl,-rpath,{folder}",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return str(folder / "rival.so") if done.returncode == 0 else None
