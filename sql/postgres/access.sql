-- Who may use which model: its owner, the roles it was granted to, and superusers.
--
-- Functions that read as their caller have bodies that were parsed when they were created, or a search path of their own:
-- neither the caller's search path nor temporary objects nor operators of theirs can come in between. A role is known by its
-- number and its name: after a restore into another cluster neither alone would be safe.

-- Whose transaction stored an artifact has its bytes, and may make a version of it.
ALTER TABLE sqlml.artifacts ADD COLUMN IF NOT EXISTS stored_in xid8;

CREATE TABLE IF NOT EXISTS sqlml._grants (
    model_id uuid NOT NULL REFERENCES sqlml._models (model_id) ON DELETE CASCADE,
    grantee_name name NOT NULL,
    grantee_number oid NOT NULL, -- 0 is PUBLIC
    PRIMARY KEY (model_id, grantee_name)
);

CREATE OR REPLACE FUNCTION sqlml._is_member(number oid, role_name name) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_roles AS r
        WHERE r.oid = number AND r.rolname = role_name AND pg_catalog.pg_has_role(r.oid, 'USAGE')
    );
END;

CREATE OR REPLACE FUNCTION sqlml._owns(id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM sqlml._models AS m WHERE m.model_id = id AND sqlml._is_member(m.owner, m.owner_name))
        OR pg_catalog.pg_has_role((SELECT n.nspowner FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'sqlml'), 'USAGE');
END;

CREATE OR REPLACE FUNCTION sqlml._may_use(id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT sqlml._owns(id) OR EXISTS (
        SELECT FROM sqlml._grants AS g
        WHERE g.model_id = id
            AND (g.grantee_number = 0 AND g.grantee_name = 'public' OR sqlml._is_member(g.grantee_number, g.grantee_name))
    );
END;

-- Of all versions, also of those that the caller does not see.
CREATE OR REPLACE FUNCTION sqlml._is_referenced(hash text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM sqlml._versions AS v WHERE v.artifact_hash = hash AND NOT v.freed);
END;

CREATE OR REPLACE FUNCTION sqlml._may_use_artifact(hash text) RETURNS boolean LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM sqlml._versions AS v WHERE v.artifact_hash = hash AND NOT v.freed AND sqlml._may_use(v.model_id)
    ) OR NOT sqlml._is_referenced(hash);
END;

CREATE OR REPLACE FUNCTION sqlml._may_create_in(schema_name text) RETURNS boolean LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(
        pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema_name))::oid, 'CREATE'), false
    );
END;

ALTER TABLE sqlml._models ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS names ON sqlml._models;
CREATE POLICY names ON sqlml._models FOR SELECT USING (true);
DROP POLICY IF EXISTS creation ON sqlml._models;
CREATE POLICY creation ON sqlml._models FOR INSERT
    WITH CHECK (owner_name = CURRENT_USER AND sqlml._is_member(owner, owner_name) AND sqlml._may_create_in(schema_name));
DROP POLICY IF EXISTS changes ON sqlml._models;
CREATE POLICY changes ON sqlml._models FOR UPDATE USING (sqlml._owns(model_id))
    WITH CHECK (sqlml._is_member(owner, owner_name));
DROP POLICY IF EXISTS removal ON sqlml._models;
CREATE POLICY removal ON sqlml._models FOR DELETE USING (sqlml._owns(model_id));

-- What is stored about versions tells of the training data: it is for those who may use the model.
ALTER TABLE sqlml._versions ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS use ON sqlml._versions;
CREATE POLICY use ON sqlml._versions FOR SELECT USING (sqlml._may_use(model_id));
DROP POLICY IF EXISTS creation ON sqlml._versions;
CREATE POLICY creation ON sqlml._versions FOR INSERT WITH CHECK (
    sqlml._owns(model_id) AND EXISTS (
        SELECT FROM sqlml.artifacts AS a
        WHERE a.artifact_hash = _versions.artifact_hash
            AND (sqlml._may_use_artifact(a.artifact_hash) OR a.stored_in = pg_catalog.pg_current_xact_id())
    )
);
DROP POLICY IF EXISTS changes ON sqlml._versions;
CREATE POLICY changes ON sqlml._versions FOR UPDATE USING (sqlml._owns(model_id)) WITH CHECK (sqlml._owns(model_id));
DROP POLICY IF EXISTS removal ON sqlml._versions;
CREATE POLICY removal ON sqlml._versions FOR DELETE USING (sqlml._owns(model_id));

DO $policies$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['_metrics', '_features', '_aliases', '_views', '_grants'] LOOP
        EXECUTE pg_catalog.format('ALTER TABLE sqlml.%I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE pg_catalog.format('DROP POLICY IF EXISTS use ON sqlml.%I', table_name);
        EXECUTE pg_catalog.format(
            'CREATE POLICY use ON sqlml.%I FOR SELECT USING (%s)', table_name,
            CASE WHEN table_name = '_grants' THEN 'true' ELSE 'sqlml._may_use(model_id)' END
        );
        EXECUTE pg_catalog.format('DROP POLICY IF EXISTS changes ON sqlml.%I', table_name);
        EXECUTE pg_catalog.format(
            'CREATE POLICY changes ON sqlml.%I FOR ALL USING (sqlml._owns(model_id)) WITH CHECK (sqlml._owns(model_id))',
            table_name
        );
    END LOOP;
END
$policies$;

-- The event of a model that was just dropped has no owner any more.
ALTER TABLE sqlml._events ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS use ON sqlml._events;
CREATE POLICY use ON sqlml._events FOR SELECT USING (sqlml._may_use(model_id));
DROP POLICY IF EXISTS creation ON sqlml._events;
CREATE POLICY creation ON sqlml._events FOR INSERT WITH CHECK (true);

-- An artifact that no version refers to is on its way in or out, in the transaction of whoever sees it.
ALTER TABLE sqlml.artifacts ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS use ON sqlml.artifacts;
CREATE POLICY use ON sqlml.artifacts FOR SELECT
    USING (sqlml._may_use_artifact(artifact_hash) OR stored_in = pg_catalog.pg_current_xact_id_if_assigned());
DROP POLICY IF EXISTS claims ON sqlml.artifacts;
CREATE POLICY claims ON sqlml.artifacts FOR UPDATE USING (sqlml._may_use_artifact(artifact_hash));
DROP POLICY IF EXISTS removal ON sqlml.artifacts;
CREATE POLICY removal ON sqlml.artifacts FOR DELETE USING (NOT sqlml._is_referenced(artifact_hash));

-- What the native scorer loads; the only rows are those that _store_artifact or the installation makes.
CREATE TABLE IF NOT EXISTS sqlml._images (
    artifact_hash text PRIMARY KEY,
    image bytea NOT NULL
);
ALTER TABLE sqlml._images ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS use ON sqlml._images;
CREATE POLICY use ON sqlml._images FOR SELECT USING (sqlml._may_use_artifact(artifact_hash));

CREATE OR REPLACE FUNCTION sqlml._drop_image() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    DELETE FROM sqlml._images WHERE artifact_hash = OLD.artifact_hash;
    RETURN NULL;
END
$body$;

CREATE OR REPLACE TRIGGER drop_image AFTER DELETE ON sqlml.artifacts FOR EACH ROW EXECUTE FUNCTION sqlml._drop_image();
