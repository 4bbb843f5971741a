-- The only way for those who do not own the schema to get an artifact in. {load} stands for the lines that find the package.

CREATE OR REPLACE FUNCTION sqlml._verified_hash(body bytea) RETURNS text LANGUAGE plpython3u IMMUTABLE AS $python$
{load udfs.postgres.stored}
return module.verified_hash(plpy, body)
$python$;

CREATE OR REPLACE FUNCTION sqlml._store_artifact(body bytea) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    hash text := sqlml._verified_hash(body);
BEGIN
    PERFORM sqlml._put_artifact(hash, body);
    {build_image}
    RETURN hash;
END
$body$;
