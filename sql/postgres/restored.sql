-- In a cluster without the file of the native library nobody can score by it, and changes of the catalog need no announcing.
DO $library$
DECLARE
    library text := (
        SELECT p.probin FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'sqlml'::regnamespace AND p.proname = '_catalog_changed'
    );
BEGIN
    IF (pg_catalog.pg_stat_file(library, true)).size IS NULL THEN
        DROP FUNCTION IF EXISTS sqlml._catalog_changed() CASCADE;
    END IF;
END
$library$;

-- After a restore into another cluster roles have other numbers, and transactions too: there the names count.
UPDATE sqlml._grants AS g SET grantee_number = r.oid FROM pg_catalog.pg_roles AS r
WHERE r.rolname = g.grantee_name AND g.grantee_number <> 0 AND r.oid <> g.grantee_number;
UPDATE sqlml.artifacts SET stored_in = NULL WHERE stored_in IS NOT NULL;
