-- Scores on arrival. After each INSERT into a table, the new rows' scores go to the table "<table>_scores" beside it, in the same
-- transaction, all rows of a statement at once: key, score (of a regression or of the positive class), label, hash of the artifact.
--
-- The model is the default version, or the one that the name pins, at the time of the INSERT. Without columns a model sees the
-- whole row. The trigger works with the rights of whoever sets it up, so that those who insert need none on the model.

-- The reference with the schema in which it is found on a path, and all names quoted: it means the same everywhere.
CREATE OR REPLACE FUNCTION sqlml._qualified(reference text, path name[]) RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    pieces text[] := regexp_match(reference, '^((?:"(?:[^"]|"")*"|[^"@?])+)(.*)$');
    parts text[] := parse_ident(pieces[1]);
    found text;
BEGIN
    IF cardinality(parts) = 1 THEN
        SELECT format('"%s"."%s"%s', replace(m.schema_name, '"', '""'), replace(m.model_name, '"', '""'), pieces[2]) INTO found
        FROM sqlml._models AS m
        WHERE (m.model_name = parts[1] OR m.model_key = lower(parts[1])) AND m.schema_name = ANY (path)
        ORDER BY array_position(path, m.schema_name::name), m.model_name = parts[1] DESC LIMIT 1;
    END IF;
    RETURN coalesce(found, reference);
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._score_on_insert(target regclass, model text, key text, columns text[])
RETURNS regclass LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    table_schema name;
    table_name name;
    key_type text;
    hash text;
    task text;
    scores text;
    row_text text;
    value_text text;
    stem text;
    function_name text;
    stranger text;
BEGIN
    IF NOT EXISTS (SELECT FROM sqlml._installation AS i WHERE i.scorer <> 'sql') THEN
        RAISE EXCEPTION 'scores on arrival need the native or the PL/Python scorer' USING ERRCODE = '0A000',
            HINT = 'sqlml install --scorer native, or a trigger of your own that inserts from the new rows.';
    END IF;
    SELECT n.nspname, c.relname INTO table_schema, table_name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = target;
    SELECT format_type(a.atttypid, a.atttypmod) INTO key_type FROM pg_attribute AS a
    WHERE a.attrelid = target AND a.attname = key AND a.attnum > 0 AND NOT a.attisdropped;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'column "%" of table "%" does not exist', key, table_name USING ERRCODE = '42703',
            HINT = 'Name the column that tells rows apart, such as the primary key.';
    END IF;
    hash := sqlml._resolve(model);
    SELECT v.task INTO task FROM sqlml._versions AS v WHERE v.artifact_hash = hash LIMIT 1;
    -- Names are cut at 63 bytes: those of two tables that begin alike must not become one.
    stem := CASE WHEN octet_length(table_name::text) <= 49 THEN table_name::text
        ELSE concat(left(table_name::text, 8), '_', left(md5(table_name::text), 12)) END;
    function_name := stem || '_score_trigger';
    scores := format('%I.%I', table_schema, stem || '_scores');
    -- What others have put there would run with the rights of the caller: their triggers, or their function.
    SELECT x.name INTO stranger FROM (
        SELECT c.oid::regclass::text AS name, c.relowner AS owner FROM pg_class AS c WHERE c.oid = to_regclass(scores)
        UNION ALL
        SELECT p.oid::regprocedure::text, p.proowner FROM pg_proc AS p
        WHERE p.oid = to_regprocedure(format('%I.%I()', table_schema, function_name))
    ) AS x WHERE x.owner <> to_regrole(quote_ident(CURRENT_USER))::oid LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'must be owner of %', stranger USING ERRCODE = '42501',
            HINT = 'Somebody else has made an object of that name: it has to go, or the table to be called something else.';
    END IF;
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS %s (%I %s PRIMARY KEY, score float8, label text, artifact_hash text NOT NULL, '
        'scored_at timestamptz NOT NULL)', scores, key, key_type
    );
    SELECT string_agg(format('n.%I', c), ', ') INTO row_text FROM unnest(columns) AS c;
    row_text := format('(SELECT %s)', coalesce(row_text, 'n.*'));
    value_text := CASE task WHEN 'multiclass' THEN 'NULL' ELSE format('sqlml.predict(%L, x)', model) END;
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION %I.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = %s AS %L',
        table_schema, function_name, 'pg_catalog, ' || quote_ident(table_schema) || ', pg_temp', format($trigger$
        BEGIN
            INSERT INTO %1$s
            SELECT n.%2$I, %3$s, %4$s, sqlml._resolve(%5$L), pg_catalog.now()
            FROM new_rows AS n CROSS JOIN LATERAL %6$s AS x
            ON CONFLICT (%2$I) DO UPDATE SET score = EXCLUDED.score, label = EXCLUDED.label,
                artifact_hash = EXCLUDED.artifact_hash, scored_at = EXCLUDED.scored_at;
            RETURN NULL;
        END
        $trigger$, scores, key, value_text,
        CASE WHEN task IN ('binary', 'multiclass') THEN format('sqlml.predict_label(%L, x)', model) ELSE 'NULL' END,
        model, row_text)
    );
    EXECUTE format('REVOKE ALL ON FUNCTION %I.%I() FROM PUBLIC', table_schema, function_name);
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER sqlml_score AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT '
        'EXECUTE FUNCTION %I.%I()', target::text, table_schema, function_name
    );
    RETURN scores::regclass;
END
$body$;

CREATE OR REPLACE FUNCTION sqlml.score_on_insert(target regclass, model text, key text, VARIADIC columns text[] DEFAULT '{}')
RETURNS regclass LANGUAGE sql
BEGIN ATOMIC
    SELECT sqlml._score_on_insert(target, sqlml._qualified(model, pg_catalog.current_schemas(false)), key, columns);
END;

CREATE OR REPLACE FUNCTION sqlml.explain_scorer(name text) RETURNS TABLE (scorer text, reason text) LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT i.scorer, pg_catalog.concat(
        CASE i.scorer
            WHEN 'native' THEN pg_catalog.concat('machine code installed in the server, reading an image of ',
                (SELECT pg_catalog.length(m.image) FROM sqlml._images AS m WHERE m.artifact_hash = hash), ' bytes')
            WHEN 'plpython' THEN 'functions in PL/Python: the native scorer is not installed'
            ELSE 'functions in PL/pgSQL, made by a client for each model: neither native code nor PL/Python is installed'
        END, '; artifact ', pg_catalog.left(hash, 12)
    )
    FROM sqlml._installation AS i, sqlml._resolve(name) AS hash;
END;
