-- Who may use which model: its owner, the roles it was granted to, and whoever owns the schema.
--
-- The rules are functions that read as the owner of the schema and are told whom they are asked about, since inside of them that
-- cannot be known: CURRENT_USER stands in the policies and in sqlml._resolve, which run as the caller. Each has a search path of its
-- own, so that neither the caller's path nor temporary objects nor operators of theirs come in between. A role is known by its
-- number and its name: after a restore into another cluster neither alone would be safe.

-- Whose transaction stored an artifact has its bytes, and may make a version of it.
ALTER TABLE sqlml.artifacts ADD COLUMN IF NOT EXISTS stored_in xid8;

ALTER TABLE sqlml._models ALTER COLUMN owner SET DEFAULT pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid;

CREATE TABLE IF NOT EXISTS sqlml._grants (
    model_id uuid NOT NULL REFERENCES sqlml._models (model_id) ON DELETE CASCADE,
    grantee_name name NOT NULL,
    grantee_number oid NOT NULL, -- 0 is PUBLIC
    PRIMARY KEY (model_id, grantee_name)
);

-- What the native scorer loads; the only rows are those that _store_artifact or the installation makes.
CREATE TABLE IF NOT EXISTS sqlml._images (
    artifact_hash text PRIMARY KEY,
    image bytea NOT NULL
);
ALTER TABLE sqlml._images ALTER COLUMN image SET STORAGE EXTERNAL;

CREATE OR REPLACE FUNCTION sqlml._owns(id uuid, asking name) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN pg_has_role(asking, CURRENT_USER, 'USAGE') OR EXISTS (
        SELECT FROM sqlml._models AS m JOIN pg_roles AS r ON r.oid = m.owner AND r.rolname = m.owner_name
        WHERE m.model_id = id AND pg_has_role(asking, r.oid, 'USAGE')
    );
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._may_use(id uuid, asking name) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN pg_has_role(asking, CURRENT_USER, 'USAGE') OR EXISTS (
        SELECT FROM sqlml._models AS m JOIN pg_roles AS r ON r.oid = m.owner AND r.rolname = m.owner_name
        WHERE m.model_id = id AND pg_has_role(asking, r.oid, 'USAGE')
    ) OR EXISTS (
        SELECT FROM sqlml._grants AS g LEFT JOIN pg_roles AS r ON r.oid = g.grantee_number AND r.rolname = g.grantee_name
        WHERE g.model_id = id
            AND (g.grantee_number = 0 AND g.grantee_name = 'public' OR r.oid IS NOT NULL AND pg_has_role(asking, r.oid, 'USAGE'))
    );
END
$body$;

-- An artifact that no version refers to is on its way in or out, in the transaction of whoever sees it.
CREATE OR REPLACE FUNCTION sqlml._is_referenced(hash text) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN EXISTS (SELECT FROM sqlml._versions AS v WHERE v.artifact_hash = hash AND NOT v.freed);
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._may_use_artifact(hash text, asking name) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN pg_has_role(asking, CURRENT_USER, 'USAGE') OR EXISTS (
        SELECT FROM sqlml._versions AS v
        WHERE v.artifact_hash = hash AND NOT v.freed AND sqlml._may_use(v.model_id, asking)
    ) OR NOT EXISTS (SELECT FROM sqlml._versions AS v WHERE v.artifact_hash = hash AND NOT v.freed);
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._may_create_in(schema_name text, asking name) RETURNS boolean LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN coalesce(has_schema_privilege(asking, to_regnamespace(quote_ident(schema_name))::oid, 'CREATE'), false);
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._is_free(model_schema text, model text) RETURNS boolean LANGUAGE plpgsql STABLE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM sqlml._models AS m
        WHERE m.schema_key IN (lower(model_schema), model_schema) AND (m.model_name = model OR m.model_key = lower(model))
    );
END
$body$;

DO $policies$
DECLARE
    rule record;
    table_name text;
BEGIN
    FOR rule IN
        SELECT c.oid::regclass::text AS table_name, p.polname FROM pg_catalog.pg_policy AS p
        JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid WHERE c.relnamespace = 'sqlml'::regnamespace
    LOOP
        EXECUTE pg_catalog.format('DROP POLICY %I ON %s', rule.polname, rule.table_name);
    END LOOP;
    FOREACH table_name IN ARRAY ARRAY[
        '_models', '_versions', '_metrics', '_features', '_aliases', '_views', '_grants', '_events', 'artifacts', '_images'
    ] LOOP
        EXECUTE pg_catalog.format('ALTER TABLE sqlml.%I ENABLE ROW LEVEL SECURITY', table_name);
    END LOOP;
    -- What is stored of a model tells of its training data: it is for those who may use the model, and its owner changes it.
    FOREACH table_name IN ARRAY ARRAY['_metrics', '_features', '_aliases', '_views', '_grants'] LOOP
        EXECUTE pg_catalog.format(
            'CREATE POLICY reading ON sqlml.%I FOR SELECT USING (sqlml._may_use(model_id, CURRENT_USER))', table_name
        );
        EXECUTE pg_catalog.format(
            'CREATE POLICY creation ON sqlml.%I FOR INSERT WITH CHECK (sqlml._owns(model_id, CURRENT_USER))', table_name
        );
        EXECUTE pg_catalog.format(
            'CREATE POLICY changes ON sqlml.%I FOR UPDATE USING (sqlml._owns(model_id, CURRENT_USER))', table_name
        );
        EXECUTE pg_catalog.format(
            'CREATE POLICY removal ON sqlml.%I FOR DELETE USING (sqlml._owns(model_id, CURRENT_USER))', table_name
        );
    END LOOP;
END
$policies$;

-- A row that is being written is not yet one that a function could find: its own columns are asked about.
CREATE POLICY reading ON sqlml._models FOR SELECT USING (
    owner_name = CURRENT_USER AND owner = pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
    OR sqlml._may_use(model_id, CURRENT_USER)
);
CREATE POLICY creation ON sqlml._models FOR INSERT WITH CHECK (
    owner_name = CURRENT_USER AND owner = pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
    AND sqlml._may_create_in(schema_name, CURRENT_USER)
);
CREATE POLICY changes ON sqlml._models FOR UPDATE USING (sqlml._owns(model_id, CURRENT_USER))
    WITH CHECK (sqlml._may_create_in(schema_name, CURRENT_USER));
CREATE POLICY removal ON sqlml._models FOR DELETE USING (sqlml._owns(model_id, CURRENT_USER));

-- A version is made of an artifact that one may use already, or whose bytes one has given in this transaction.
CREATE POLICY reading ON sqlml._versions FOR SELECT USING (sqlml._may_use(model_id, CURRENT_USER));
CREATE POLICY creation ON sqlml._versions FOR INSERT WITH CHECK (
    sqlml._owns(model_id, CURRENT_USER)
    AND EXISTS (SELECT FROM sqlml.artifacts AS a WHERE a.artifact_hash = _versions.artifact_hash)
);
CREATE POLICY changes ON sqlml._versions FOR UPDATE USING (sqlml._owns(model_id, CURRENT_USER));
CREATE POLICY removal ON sqlml._versions FOR DELETE USING (sqlml._owns(model_id, CURRENT_USER));

-- The event of a model that was just dropped has no owner any more.
CREATE POLICY reading ON sqlml._events FOR SELECT USING (sqlml._may_use(model_id, CURRENT_USER));
CREATE POLICY creation ON sqlml._events FOR INSERT WITH CHECK (role = CURRENT_USER);

CREATE POLICY reading ON sqlml.artifacts FOR SELECT USING (
    sqlml._may_use_artifact(artifact_hash, CURRENT_USER) OR stored_in = pg_catalog.pg_current_xact_id_if_assigned()
);
CREATE POLICY changes ON sqlml.artifacts FOR UPDATE USING (sqlml._may_use_artifact(artifact_hash, CURRENT_USER));
CREATE POLICY removal ON sqlml.artifacts FOR DELETE USING (NOT sqlml._is_referenced(artifact_hash));

CREATE POLICY reading ON sqlml._images FOR SELECT USING (sqlml._may_use_artifact(artifact_hash, CURRENT_USER));

CREATE OR REPLACE FUNCTION sqlml._drop_image() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    DELETE FROM sqlml._images WHERE artifact_hash = OLD.artifact_hash;
    RETURN NULL;
END
$body$;

CREATE OR REPLACE TRIGGER drop_image AFTER DELETE ON sqlml.artifacts FOR EACH ROW EXECUTE FUNCTION sqlml._drop_image();
