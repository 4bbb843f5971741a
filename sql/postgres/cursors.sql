-- Cursors on the caller's queries, with the caller's rights and search path. They are planned to be read to the end, without
-- workers or synchronised scans, which would change the order of rows from one reading to the next.

CREATE OR REPLACE FUNCTION sqlml._open(cursor_name text, query text) RETURNS void LANGUAGE plpgsql
SET cursor_tuple_fraction = 1.0 AS $body$
BEGIN
    EXECUTE pg_catalog.concat('DECLARE ', cursor_name, ' NO SCROLL CURSOR FOR ', query);
END
$body$;

CREATE OR REPLACE FUNCTION sqlml._fetch(cursor_name text, row_count int) RETURNS SETOF record LANGUAGE plpgsql
SET synchronize_seqscans = off AS $body$
BEGIN
    RETURN QUERY EXECUTE pg_catalog.concat('FETCH FORWARD ', row_count, ' FROM ', cursor_name);
END
$body$;
