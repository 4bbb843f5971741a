-- Why a row scores as it does, in PL/Python for every scorer that has it. {load} stands for the lines that find the package.

CREATE OR REPLACE FUNCTION sqlml._py_row_explanation(reference text, sent bytea, row_text text)
RETURNS jsonb LANGUAGE plpython3u STABLE COST 500 AS $python$
{load udfs.postgres.plpython}
return module.row_explanation(plpy, reference, sent, row_text)
$python$;

CREATE OR REPLACE FUNCTION sqlml.explain(name text, r anyelement) RETURNS jsonb
LANGUAGE sql STABLE COST 500 SET client_encoding = 'UTF8' SET DateStyle = 'ISO' AS $body$
    SELECT sqlml._py_row_explanation(
        name, pg_catalog.record_send(ROW(r)), pg_catalog.to_json(r)::pg_catalog.text
    )
$body$;

-- Within one statement, such as a block of PL/pgSQL, models may be changed and used.
CREATE OR REPLACE FUNCTION sqlml._py_forget() RETURNS trigger LANGUAGE plpython3u SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $python$
{load udfs.postgres.plpython}
module.forget()
$python$;

DO $triggers$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['_models', '_versions', '_aliases', '_grants'] LOOP
        EXECUTE pg_catalog.format(
            'CREATE OR REPLACE TRIGGER forget AFTER INSERT OR UPDATE OR DELETE ON sqlml.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION sqlml._py_forget()', table_name
        );
    END LOOP;
END
$triggers$;
