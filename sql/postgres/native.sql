-- The scoring functions of the native scorer; {library} is the path of the library, seen from the server's data directory.
-- Whom a model is for is asked in every call by sqlml._resolve: these functions run with the caller's rights.
-- COST is in units of a simple operator (some 15 ns): 0.35 us a row for 100 trees x 31 leaves, ten times that for 500 x 63. More than
-- the price of the small model makes the planner compile plans (JIT) whose compilation, in each worker, takes longer than the scores.

CREATE OR REPLACE FUNCTION sqlml._value(reference text, VARIADIC arguments "any") RETURNS float8
    LANGUAGE c STABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_value';

CREATE OR REPLACE FUNCTION sqlml._probs(reference text, VARIADIC arguments "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_probs';

CREATE OR REPLACE FUNCTION sqlml._class(reference text, VARIADIC arguments "any") RETURNS int4
    LANGUAGE c STABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_class';

CREATE OR REPLACE FUNCTION sqlml._raw(reference text, VARIADIC arguments "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_raw';

CREATE OR REPLACE FUNCTION sqlml._features(reference text, VARIADIC arguments "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_features';

CREATE OR REPLACE FUNCTION sqlml._contribs(reference text, VARIADIC arguments "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 5000 AS '{library}', 'sqlml_contribs';

CREATE OR REPLACE FUNCTION sqlml.predict(name text, VARIADIC columns "any") RETURNS float8
    LANGUAGE c STABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_predict';

CREATE OR REPLACE FUNCTION sqlml.predict_label(name text, r record) RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_predict_label';

CREATE OR REPLACE FUNCTION sqlml.predict_proba(name text, class text, VARIADIC columns "any") RETURNS float8
    LANGUAGE c STABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_predict_proba';

CREATE OR REPLACE FUNCTION sqlml.predict_version(name text, version int4, VARIADIC columns "any") RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 25 AS '{library}', 'sqlml_predict_version';

-- The label in the type of the last argument, which is otherwise of no account: predict_label('churn', t, NULL::boolean). This is why
-- the function above takes a row and no list of columns, which nothing could be told from; ROW(a, b) is one by position.
CREATE OR REPLACE FUNCTION sqlml.predict_label(name text, r record, of_type anyelement) RETURNS anyelement
    LANGUAGE plpgsql STABLE PARALLEL SAFE COST 25 AS $body$
BEGIN
    of_type := sqlml.predict_label(name, r);
    RETURN of_type;
END
$body$;

-- The role through which a user may use the one model that has this artifact; NULL where it is not a matter of one role and model.
CREATE OR REPLACE FUNCTION sqlml._granting_role_of(hash text, asking name) RETURNS oid LANGUAGE plpgsql STABLE PARALLEL SAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    models uuid[] := ARRAY(SELECT DISTINCT v.model_id FROM sqlml._versions AS v WHERE v.artifact_hash = hash AND NOT v.freed);
BEGIN
    IF cardinality(models) <> 1 THEN
        RETURN NULL;
    ELSIF pg_has_role(asking, CURRENT_USER, 'USAGE') THEN
        RETURN to_regrole(quote_ident(CURRENT_USER))::oid;
    END IF;
    RETURN (
        SELECT r.oid FROM (
            SELECT m.owner, m.owner_name FROM sqlml._models AS m WHERE m.model_id = models[1]
            UNION ALL SELECT g.grantee_number, g.grantee_name FROM sqlml._grants AS g WHERE g.model_id = models[1]
            UNION ALL SELECT to_regrole(quote_ident(asking))::oid, asking FROM sqlml._grants AS g
            WHERE g.model_id = models[1] AND g.grantee_number = 0 AND g.grantee_name = 'public'
        ) AS those (number, name)
        JOIN pg_roles AS r ON r.oid = those.number AND r.rolname = those.name
        WHERE pg_has_role(asking, r.oid, 'USAGE') LIMIT 1
    );
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._granting_role(hash text) RETURNS oid LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT sqlml._granting_role_of(hash, CURRENT_USER);
END;

-- Backends keep what sqlml._resolve told them until one of these says that the catalog has changed.
CREATE OR REPLACE FUNCTION sqlml._catalog_changed() RETURNS trigger LANGUAGE c AS '{library}', 'sqlml_changed';

DO $triggers$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['_models', '_versions', '_aliases', '_grants', 'artifacts'] LOOP
        EXECUTE pg_catalog.format(
            'CREATE OR REPLACE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sqlml.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION sqlml._catalog_changed()', table_name
        );
        EXECUTE pg_catalog.format('ALTER TABLE sqlml.%I ENABLE ALWAYS TRIGGER catalog_changed', table_name);
    END LOOP;
END
$triggers$;
