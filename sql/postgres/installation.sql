-- What is installed, one row. Everything in the schema belongs to whoever installs: the owner of a schema could replace what
-- others call.

CREATE TABLE IF NOT EXISTS sqlml._installation (
    version text NOT NULL,
    scorer text NOT NULL,
    python text[] NOT NULL,
    server_version int NOT NULL,
    installed_by name NOT NULL DEFAULT CURRENT_USER,
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
DELETE FROM sqlml._installation;

DO $ownership$
DECLARE
    item record;
    before name := (SELECT nspowner::regrole::text FROM pg_catalog.pg_namespace WHERE nspname = 'sqlml');
BEGIN
    ALTER SCHEMA sqlml OWNER TO CURRENT_USER;
    FOR item IN
        SELECT c.oid::regclass::text AS name, c.relkind FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'sqlml'::regnamespace AND c.relkind IN ('r', 'v')
            AND c.relowner <> pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
    LOOP
        EXECUTE pg_catalog.format(
            'ALTER %s %s OWNER TO CURRENT_USER', CASE item.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, item.name
        );
    END LOOP;
    FOR item IN
        SELECT p.oid::regprocedure::text AS name FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'sqlml'::regnamespace AND p.proowner <> pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO CURRENT_USER', item.name);
    END LOOP;
    IF before <> pg_catalog.quote_ident(CURRENT_USER) THEN
        EXECUTE pg_catalog.format('GRANT sqlml_trainer TO %s', before);
    END IF;
END
$ownership$;

-- After a restore into another cluster roles have other numbers: there the names count.
UPDATE sqlml._models AS m SET owner = r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = m.owner_name AND r.oid <> m.owner;
