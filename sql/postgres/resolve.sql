-- From a reference in SQL text to the hash of the artifact to score by, and the one way to get an artifact in.
--
-- A reference is sha256:<64 digits>, or a name as the dialect writes it: churn, "public"."churn"@3, public.churn@champion,
-- with settings behind a question mark that are the scorer's business. Asked once a statement, so that REVOKE and SET ROLE count.

CREATE OR REPLACE FUNCTION sqlml._resolve_name(reference text, path name[], asking name) RETURNS text LANGUAGE plpgsql
STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    pieces text[];
    parts text[];
    wanted_name text;
    mark text;
    model record;
    number int;
    hash text;
    is_freed boolean;
BEGIN
    -- Compiling the expression below costs a new session more than looking the model up: a plain name has no need of it.
    IF translate(reference, '_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789', '') = ''
        AND ascii(reference) > ascii('9') THEN
        pieces := ARRAY[reference, NULL];
    ELSE
        -- Names in quotes or plain ones, up to three with dots between; then a version or alias; then settings. No backslash: what
        -- that means in a text is a setting of the caller's.
        pieces := regexp_match(
            reference,
            '^((?:"(?:[^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*)(?:[.](?:"(?:[^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*)){0,2})'
            '(?:@("(?:[^"]|"")+"|[^"?]+))?(?:[?].*)?$'
        );
    END IF;
    IF pieces IS NULL THEN
        RAISE EXCEPTION '"%" is no name of a model', reference USING ERRCODE = '42704',
            HINT = 'Write churn, public.churn, public.churn@3 or public.churn@champion.';
    END IF;
    mark := pieces[2];
    parts := parse_ident(pieces[1]);
    wanted_name := parts[cardinality(parts)];
    -- A database's name in front is the one under which a text was stored: a restored database may have another.
    IF cardinality(parts) > 1 THEN
        path := ARRAY[parts[cardinality(parts) - 1]::name];
    END IF;
    -- The version is another query: to plan a join costs a new session more than to plan two look-ups.
    SELECT m.model_id, m.model_name, m.default_version INTO model FROM sqlml._models AS m
    WHERE (m.model_name = wanted_name OR m.model_key = lower(wanted_name)) AND m.last_version > 0
        AND m.schema_name = ANY (path)
    ORDER BY array_position(path, m.schema_name::name), m.model_name = wanted_name DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" does not exist', wanted_name USING ERRCODE = '42704',
            HINT = 'SELECT schema_name, model_name FROM sqlml.models lists the models.';
    END IF;
    IF NOT pg_has_role(asking, CURRENT_USER, 'USAGE') AND NOT sqlml._may_use(model.model_id, asking) THEN
        RAISE EXCEPTION 'permission denied for model "%"', model.model_name USING ERRCODE = '42501',
            HINT = 'Its owner can GRANT USAGE ON MODEL to you.';
    END IF;
    IF mark IS NULL THEN
        number := model.default_version;
    ELSIF mark ~ '^[0-9]{1,9}$' THEN
        number := mark::int;
    ELSE
        IF starts_with(mark, '"') THEN
            mark := replace(substr(mark, 2, length(mark) - 2), '""', '"');
        END IF;
        SELECT a.version INTO number FROM sqlml._aliases AS a
        WHERE a.model_id = model.model_id AND (a.alias = mark OR a.alias_key = lower(mark))
        ORDER BY a.alias = mark DESC LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'model "%" has no alias "%"', model.model_name, mark USING ERRCODE = '42704';
        END IF;
    END IF;
    SELECT v.artifact_hash, v.freed INTO hash, is_freed FROM sqlml._versions AS v
    WHERE v.model_id = model.model_id AND v.version = number;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" has no version %', model.model_name, number USING ERRCODE = '42704';
    END IF;
    IF is_freed THEN
        RAISE EXCEPTION 'the artifact of version % of model "%" was freed', number, model.model_name USING ERRCODE = '55000',
            HINT = 'Train it again, or use a newer version.';
    END IF;
    RETURN hash;
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._resolve_hash(hash text, asking name) RETURNS text LANGUAGE plpgsql
STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    IF NOT EXISTS (SELECT FROM sqlml.artifacts AS a WHERE a.artifact_hash = hash)
        OR NOT sqlml._may_use_artifact(hash, asking) THEN
        RAISE EXCEPTION 'no model with the artifact %... may be used', left(hash, 12) USING ERRCODE = '42501',
            DETAIL = 'It does not exist, or no right to use it was granted.',
            HINT = 'The owner of the model can GRANT USAGE ON MODEL to you.';
    END IF;
    RETURN hash;
END
$body$;

-- A bare name is looked up on the caller's search path; all else is independent of it. The body was parsed when it was created,
-- and its operators with it.
CREATE OR REPLACE FUNCTION sqlml._resolve(reference text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN pg_catalog.starts_with(reference, 'sha256:')
        THEN sqlml._resolve_hash(pg_catalog.split_part(pg_catalog.substr(reference, 8), '?', 1), CURRENT_USER)
        ELSE sqlml._resolve_name(reference, pg_catalog.current_schemas(false), CURRENT_USER) END;
END;

-- GRANT USAGE ON MODEL and REVOKE, for whoever owns the model.
CREATE OR REPLACE FUNCTION sqlml._grant_usage(id uuid, grantee text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    number oid := CASE WHEN grantee = 'public' THEN 0 ELSE to_regrole(quote_ident(grantee))::oid END;
BEGIN
    IF number IS NULL THEN
        RAISE EXCEPTION 'role "%" does not exist', grantee USING ERRCODE = '42704';
    END IF;
    PERFORM sqlml._require_owner(id);
    INSERT INTO sqlml._grants VALUES (id, grantee, number)
    ON CONFLICT (model_id, grantee_name) DO UPDATE SET grantee_number = EXCLUDED.grantee_number;
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._revoke_usage(id uuid, grantee text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    PERFORM sqlml._require_owner(id);
    DELETE FROM sqlml._grants AS g WHERE g.model_id = id AND g.grantee_name = grantee;
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._require_owner(id uuid) RETURNS void LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    IF NOT sqlml._owns(id, CURRENT_USER) THEN
        RAISE EXCEPTION 'must be owner of model "%"', (SELECT m.model_name FROM sqlml._models AS m WHERE m.model_id = id)
            USING ERRCODE = '42501';
    END IF;
END
$body$;

-- Asked before training, so that nobody trains for an hour what they may not store.
CREATE OR REPLACE FUNCTION sqlml._require_creation(model_schema text, model text) RETURNS void LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    id uuid;
BEGIN
    SELECT m.model_id INTO id FROM sqlml._models AS m
    WHERE m.schema_key IN (lower(model_schema), model_schema) AND (m.model_name = model OR m.model_key = lower(model));
    IF FOUND THEN
        PERFORM sqlml._require_owner(id);
    ELSIF NOT sqlml._may_create_in(model_schema, CURRENT_USER) THEN
        RAISE EXCEPTION 'permission denied for schema %', model_schema USING ERRCODE = '42501',
            HINT = 'A model is created in a schema, as a table is: that takes CREATE on the schema.';
    ELSIF NOT sqlml._is_free(model_schema, model) THEN
        RAISE EXCEPTION 'must be owner of model "%"', model USING ERRCODE = '42501';
    END IF;
END
$body$;

-- The artifact's structure is verified before this runs: see _store_artifact, which only the owner of the schema can go around.
CREATE OR REPLACE FUNCTION sqlml._put_artifact(hash text, content bytea) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    INSERT INTO sqlml.artifacts AS a (artifact_hash, body, size, revision, stored_in)
    VALUES (hash, content, length(content), 0, pg_current_xact_id())
    ON CONFLICT (artifact_hash) DO UPDATE SET revision = a.revision + 1, stored_in = pg_current_xact_id();
END
$body$;
