-- Out again: what was installed goes, the catalog with its models stays as a client made it.

DO $removal$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT p.polname, c.oid::regclass::text AS name FROM pg_catalog.pg_policy AS p
        JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid WHERE c.relnamespace = 'sqlml'::regnamespace
    LOOP
        EXECUTE pg_catalog.format('DROP POLICY %I ON %s', item.polname, item.name);
        EXECUTE pg_catalog.format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', item.name);
    END LOOP;
    FOR item IN
        SELECT t.tgname, c.oid::regclass::text AS name FROM pg_catalog.pg_trigger AS t
        JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid WHERE c.relnamespace = 'sqlml'::regnamespace AND NOT t.tgisinternal
    LOOP
        EXECUTE pg_catalog.format('DROP TRIGGER %I ON %s', item.tgname, item.name);
    END LOOP;
    -- Functions call each other; what does not fall with the first goes with the next. Others' objects fall with CASCADE only.
    FOR item IN
        SELECT p.oid, p.oid::regprocedure::text AS name FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'sqlml'::regnamespace
            AND p.proname !~ '^[mn]_[0-9a-f]{32}' -- the SQL scorer's, which clients make and call
        ORDER BY (SELECT pg_catalog.count(*) FROM pg_catalog.pg_depend AS d WHERE d.refobjid = p.oid), p.oid DESC
    LOOP
        IF EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.oid = item.oid) THEN
            EXECUTE pg_catalog.format('DROP FUNCTION %s {cascade}', item.name);
        END IF;
    END LOOP;
    DROP TABLE IF EXISTS sqlml._images, sqlml._grants, sqlml._installation;
    ALTER TABLE sqlml.artifacts DROP COLUMN IF EXISTS stored_in;
END
$removal$;
