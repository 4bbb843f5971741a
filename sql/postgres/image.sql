-- What the native scorer loads of a model, made whenever an artifact is stored. {load} stands for the lines that find the package.

CREATE OR REPLACE FUNCTION sqlml._image_of(body bytea) RETURNS bytea LANGUAGE plpython3u IMMUTABLE AS $python$
{load udfs.postgres.stored}
return module.image_of(plpy, body)
$python$;
