-- The dialect as functions: SELECT * FROM sqlml.execute($$CREATE MODEL ... $$). {load} stands for the lines that find sqlml.
--
-- They run in the caller's transaction, with the caller's rights and search path. The underscored ones return an error as JSON,
-- which the public ones raise, so that clients get its message, detail, hint and SQLSTATE and nothing of Python's.

CREATE OR REPLACE FUNCTION sqlml._raise(error jsonb) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    message text := error ->> 'message';
    detail text := error ->> 'detail';
    hint text := error ->> 'hint';
    state text := error ->> 'sqlstate';
BEGIN
    IF detail IS NULL AND hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message;
    ELSIF detail IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, HINT = hint;
    ELSIF hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail;
    END IF;
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail, HINT = hint;
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._execute(statement text)
RETURNS TABLE (result jsonb, error jsonb) LANGUAGE plpython3u AS $python$
{load sqlml.backend.entry}
return module.execute(plpy, statement)
$python$;

CREATE OR REPLACE FUNCTION sqlml._create_model(name text, query text, options jsonb, or_replace boolean)
RETURNS TABLE (result jsonb, error jsonb) LANGUAGE plpython3u AS $python$
{load sqlml.backend.entry}
return module.create_model(plpy, name, query, options, or_replace)
$python$;

CREATE OR REPLACE FUNCTION sqlml._drop_model(name text, if_exists boolean, is_cascade boolean)
RETURNS TABLE (result jsonb, error jsonb) LANGUAGE plpython3u AS $python$
{load sqlml.backend.entry}
return module.drop_model(plpy, name, if_exists, is_cascade)
$python$;

CREATE OR REPLACE FUNCTION sqlml._call(function_name text, name text, query text, settings jsonb)
RETURNS TABLE (result jsonb, error jsonb) LANGUAGE plpython3u AS $python$
{load sqlml.backend.entry}
return module.call(plpy, function_name, name, query, settings)
$python$;

CREATE OR REPLACE FUNCTION sqlml._evaluate(name text, query text, settings jsonb)
RETURNS TABLE (result jsonb, error jsonb) LANGUAGE plpython3u AS $python$
{load sqlml.backend.entry}
return module.evaluate(plpy, name, query, settings)
$python$;

CREATE OR REPLACE FUNCTION sqlml.execute(statement text) RETURNS TABLE (result jsonb) LANGUAGE plpgsql AS $body$
DECLARE
    answer record;
BEGIN
    FOR answer IN SELECT e.result AS row_of, e.error AS error_of FROM sqlml._execute(statement) AS e LOOP
        IF answer.error_of IS NOT NULL THEN
            PERFORM sqlml._raise(answer.error_of);
        END IF;
        result := answer.row_of;
        RETURN NEXT;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION sqlml.execute(text) IS 'Runs any statement of the dialect; one JSON object a row of its result.';

CREATE OR REPLACE FUNCTION sqlml.create_model(
    name text, query text, options jsonb DEFAULT '{}', or_replace boolean DEFAULT false
) RETURNS TABLE (result jsonb) LANGUAGE plpgsql AS $body$
DECLARE
    answer record;
BEGIN
    FOR answer IN SELECT e.result AS row_of, e.error AS error_of
        FROM sqlml._create_model(name, query, options, or_replace) AS e LOOP
        IF answer.error_of IS NOT NULL THEN
            PERFORM sqlml._raise(answer.error_of);
        END IF;
        result := answer.row_of;
        RETURN NEXT;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION sqlml.create_model(text, text, jsonb, boolean) IS
    'Trains a model on a query: sqlml.create_model(''churn'', ''SELECT * FROM customers'', ''{"input_label_cols": ["churned"]}'').';

CREATE OR REPLACE FUNCTION sqlml.drop_model(name text, if_exists boolean DEFAULT false, is_cascade boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    answer record;
BEGIN
    FOR answer IN SELECT e.error AS error_of FROM sqlml._drop_model(name, if_exists, is_cascade) AS e LOOP
        IF answer.error_of IS NOT NULL THEN
            PERFORM sqlml._raise(answer.error_of);
        END IF;
    END LOOP;
END
$body$;

CREATE OR REPLACE FUNCTION sqlml.evaluate(name text, query text DEFAULT NULL, settings jsonb DEFAULT '{}')
RETURNS TABLE (metric text, value float8) LANGUAGE plpgsql AS $body$
DECLARE
    answer record;
BEGIN
    FOR answer IN SELECT e.result AS row_of, e.error AS error_of FROM sqlml._evaluate(name, query, settings) AS e LOOP
        IF answer.error_of IS NOT NULL THEN
            PERFORM sqlml._raise(answer.error_of);
        END IF;
        metric := pg_catalog.jsonb_extract_path_text(answer.row_of, 'metric');
        value := pg_catalog.jsonb_extract_path_text(answer.row_of, 'value')::pg_catalog.float8;
        RETURN NEXT;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION sqlml.evaluate(text, text, jsonb) IS
    'Metrics of a model on the held-out rows of its training, or on the rows of a query.';

-- The other table functions of the dialect; a column is a member of the JSON object, since columns differ from model to model.
DO $functions$
DECLARE
    function_name text;
BEGIN
    FOREACH function_name IN ARRAY ARRAY[
        'confusion_matrix', 'roc_curve', 'feature_importance', 'feature_info', 'training_info', 'metrics',
        'global_explain', 'explain_predict', 'predict_rows', 'transform'
    ] LOOP
        EXECUTE pg_catalog.format($create$
            CREATE OR REPLACE FUNCTION sqlml.%I(name text, query text DEFAULT NULL, settings jsonb DEFAULT '{}')
            RETURNS TABLE (result jsonb) LANGUAGE plpgsql AS $body$
            DECLARE
                answer record;
            BEGIN
                FOR answer IN SELECT e.result AS row_of, e.error AS error_of
                    FROM sqlml._call(%L, name, query, settings) AS e LOOP
                    IF answer.error_of IS NOT NULL THEN
                        PERFORM sqlml._raise(answer.error_of);
                    END IF;
                    result := answer.row_of;
                    RETURN NEXT;
                END LOOP;
            END
            $body$
        $create$, function_name, CASE function_name WHEN 'predict_rows' THEN 'PREDICT' ELSE pg_catalog.upper(function_name) END);
    END LOOP;
END
$functions$;
