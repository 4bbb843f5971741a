/*
 * PostgresML's way to score with LightGBM, in as few words as it takes: pgml.predict(name, real[]) for a row and
 * pgml.predict_batch(name, real[]) for an array of rows. Both copy the array into a vector and call LGBM_BoosterPredictForMat on it,
 * with no parameters, each time; scores come back as real. What PostgresML does besides is left out, in its favour: locks, two maps
 * from the name to the model, pgrx's conversions. Where it rounds the scores of a classifier to a class, we do not.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

/* Of LightGBM's c_api.h. */
typedef void *BoosterHandle;
#define C_API_DTYPE_FLOAT32 0
#define C_API_PREDICT_NORMAL 0
extern const char *LGBM_GetLastError(void);
extern int LGBM_BoosterLoadModelFromString(const char *text, int *iterations, BoosterHandle *out);
extern int LGBM_BoosterGetNumFeature(BoosterHandle booster, int *out);
extern int LGBM_BoosterGetNumClasses(BoosterHandle booster, int *out);
extern int LGBM_BoosterPredictForMat(BoosterHandle booster, const void *data, int data_type, int32 rows, int32 columns, int is_row_major,
                                     int predict_type, int start_iteration, int iterations, const char *parameters, int64 *out_length,
                                     double *out);

static BoosterHandle booster;
static char *booster_name;
static int columns;

static void check(int failed)
{
    if (failed)
        elog(ERROR, "LightGBM: %s", LGBM_GetLastError());
}

PG_FUNCTION_INFO_V1(rival_load);
Datum rival_load(PG_FUNCTION_ARGS)
{
    int iterations;

    check(LGBM_BoosterLoadModelFromString(text_to_cstring(PG_GETARG_TEXT_PP(1)), &iterations, &booster));
    check(LGBM_BoosterGetNumFeature(booster, &columns));
    booster_name = MemoryContextStrdup(TopMemoryContext, text_to_cstring(PG_GETARG_TEXT_PP(0)));
    PG_RETURN_INT32(iterations);
}

/* The scores of all rows in an array, whether it has one dimension or two. */
static double *scores_of(FunctionCallInfo fcinfo, int64 *count)
{
    char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    ArrayType *array = PG_GETARG_ARRAYTYPE_P(1);
    int items = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)), classes;
    float *vector = palloc(sizeof(float) * Max(items, 1));
    double *out;

    if (booster == NULL || strcmp(name, booster_name) != 0)
        elog(ERROR, "no model \"%s\"", name);
    if (ARR_ELEMTYPE(array) != FLOAT4OID || ARR_HASNULL(array) || items == 0 || items % columns != 0)
        elog(ERROR, "expected rows of %d columns", columns);
    memcpy(vector, ARR_DATA_PTR(array), sizeof(float) * items);
    check(LGBM_BoosterGetNumClasses(booster, &classes));
    out = palloc0(sizeof(double) * (items / columns) * classes);
    check(LGBM_BoosterPredictForMat(booster, vector, C_API_DTYPE_FLOAT32, items / columns, columns, 1, C_API_PREDICT_NORMAL, 0, -1, "",
                                    count, out));
    return out;
}

PG_FUNCTION_INFO_V1(rival_predict);
Datum rival_predict(PG_FUNCTION_ARGS)
{
    int64 count;

    PG_RETURN_FLOAT4((float4) scores_of(fcinfo, &count)[0]);
}

PG_FUNCTION_INFO_V1(rival_predict_batch);
Datum rival_predict_batch(PG_FUNCTION_ARGS)
{
    FuncCallContext *context;
    float4 score;

    if (SRF_IS_FIRSTCALL()) {
        MemoryContext caller;
        int64 count;

        context = SRF_FIRSTCALL_INIT();
        caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);
        context->user_fctx = scores_of(fcinfo, &count);
        context->max_calls = count;
        MemoryContextSwitchTo(caller);
    }
    context = SRF_PERCALL_SETUP();
    if (context->call_cntr >= context->max_calls)
        SRF_RETURN_DONE(context);
    score = (float4) ((double *) context->user_fctx)[context->call_cntr]; /* the macro counts before it looks */
    SRF_RETURN_NEXT(context, Float4GetDatum(score));
}
