-- Last: nothing for PUBLIC, scoring and reading for sqlml_reader, training and storing for sqlml_trainer.

DO $privileges$
DECLARE
    item record;
    training text[] := ARRAY[
        'execute', 'create_model', 'drop_model', '_execute', '_create_model', '_drop_model', '_store_artifact',
        '_grant_usage', '_revoke_usage', '_require_owner', '_require_creation', '_pinned_by',
        'score_on_insert', '_score_on_insert', '_qualified'
    ];
    internal text[] := ARRAY['_put_artifact', '_verified_hash', '_image_of', '_drop_image', '_py_forget', '_catalog_changed'];
BEGIN
    FOR item IN
        SELECT c.oid::regclass::text AS name, c.relkind = 'v' AS is_view FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'sqlml'::regnamespace AND c.relkind IN ('r', 'v')
    LOOP
        IF item.is_view THEN
            -- A view reads as whoever asks: what row-level security hides of the tables, it hides of the views.
            EXECUTE pg_catalog.format('ALTER VIEW %s SET (security_invoker = true)', item.name);
        END IF;
        EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM PUBLIC', item.name);
        EXECUTE pg_catalog.format('GRANT SELECT ON %s TO sqlml_reader', item.name);
    END LOOP;
    FOR item IN
        SELECT p.oid::regprocedure::text AS name, p.proname FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'sqlml'::regnamespace
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', item.name);
        IF item.proname = ANY (training) THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO sqlml_trainer', item.name);
        ELSIF item.proname <> ALL (internal) THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO sqlml_reader', item.name);
        END IF;
    END LOOP;
END
$privileges$;

REVOKE ALL ON SCHEMA sqlml FROM PUBLIC;
GRANT USAGE ON SCHEMA sqlml TO sqlml_reader;

GRANT INSERT, DELETE ON sqlml._models, sqlml._versions TO sqlml_trainer;
GRANT UPDATE (schema_name, model_name, schema_key, model_key, default_version, last_version, revision, options)
    ON sqlml._models TO sqlml_trainer;
GRANT UPDATE (freed) ON sqlml._versions TO sqlml_trainer;
GRANT INSERT, UPDATE, DELETE ON sqlml._metrics, sqlml._features, sqlml._aliases, sqlml._views, sqlml._grants TO sqlml_trainer;
GRANT INSERT ON sqlml._events TO sqlml_trainer;
GRANT UPDATE (revision), DELETE ON sqlml.artifacts TO sqlml_trainer;
