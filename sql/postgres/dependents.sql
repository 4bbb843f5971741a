-- Generated columns, indexes and constraints that score by one version of a model: they would be wrong, or fail, without it.

CREATE OR REPLACE FUNCTION sqlml._pinned_by(id uuid)
RETURNS TABLE (kind text, schema_name text, object_name text, version int, removal text) LANGUAGE plpgsql STABLE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    model record;
    item record;
    call text[];
    parts text[];
BEGIN
    SELECT m.schema_name AS model_schema, m.model_name, m.model_key INTO model FROM sqlml._models AS m WHERE m.model_id = id;
    FOR item IN
        SELECT 'column' AS what, n.nspname, c.relname || '.' || a.attname AS object, pg_get_expr(d.adbin, d.adrelid) AS text,
            format('ALTER TABLE %I.%I DROP COLUMN %I', n.nspname, c.relname, a.attname) AS drop_it
        FROM pg_attrdef AS d JOIN pg_class AS c ON c.oid = d.adrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        UNION ALL
        SELECT 'index', n.nspname, c.relname, pg_get_indexdef(i.indexrelid), format('DROP INDEX %I.%I', n.nspname, c.relname)
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
        UNION ALL
        SELECT 'constraint', n.nspname, c.relname || '.' || k.conname, pg_get_constraintdef(k.oid),
            format('ALTER TABLE %I.%I DROP CONSTRAINT %I', n.nspname, c.relname, k.conname)
        FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE k.contype = 'c'
    LOOP
        FOR call IN
            SELECT m FROM regexp_matches(item.text, 'predict_version[(]''((?:[^'']|'''')*)''::text, ([0-9]+)', 'g') AS m
        LOOP
            BEGIN
                parts := parse_ident(replace(call[1], '''''', ''''));
            EXCEPTION WHEN invalid_parameter_value THEN
                CONTINUE;
            END;
            CONTINUE WHEN parts[cardinality(parts)] <> model.model_name AND lower(parts[cardinality(parts)]) <> model.model_key;
            -- A bare name may mean the model of any schema.
            CONTINUE WHEN cardinality(parts) > 1 AND parts[cardinality(parts) - 1] <> model.model_schema;
            kind := item.what;
            schema_name := item.nspname;
            object_name := item.object;
            version := call[2]::int;
            removal := item.drop_it;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$body$;
