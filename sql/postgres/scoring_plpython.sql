-- The PL/Python scorer. {load} stands for the lines that find the package.
--
-- Generated SQL calls sqlml._value and its siblings with the arguments in groups: numbers (booleans as 0 and 1), points in time
-- (dates and timestamps as if in UTC), texts. The functions in SQL are inlined.
--
-- They are PARALLEL UNSAFE: PL/Python runs every query in a subtransaction, which no process of a parallel plan can start.

DO $functions$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT * FROM (VALUES
        ('value', 'float8'), ('probs', 'float8[]'), ('class', 'int4'), ('raw', 'float8[]'), ('features', 'float8[]'),
        ('contribs', 'float8[]')
    ) AS outputs(output, kind) LOOP
        EXECUTE pg_catalog.format($create$
            CREATE OR REPLACE FUNCTION sqlml._py_%1$s(
                reference text, numbers bytea, times bytea, texts text[]
            ) RETURNS %2$s LANGUAGE plpython3u STABLE COST 4000 AS $python$
{load udfs.postgres.plpython}
return module.score(plpy, "%1$s", reference, numbers, times, texts)
$python$
        $create$, item.output, item.kind);
        EXECUTE pg_catalog.format($create$
            CREATE OR REPLACE FUNCTION sqlml._%1$s(reference text, numbers float8[], times timestamptz[], texts text[])
            RETURNS %2$s LANGUAGE sql STABLE COST 4000
            BEGIN ATOMIC
                SELECT sqlml._py_%1$s(reference, pg_catalog.array_send(numbers), pg_catalog.array_send(times), texts);
            END
        $create$, item.output, item.kind);
        -- Many rows at a time: their numbers and each of the model's arguments, packed. What comes back is one array, row after row.
        CONTINUE WHEN item.output = 'class';
        EXECUTE pg_catalog.format($create$
            CREATE OR REPLACE FUNCTION sqlml._py_block_%1$s(reference text, keys bytea, arguments bytea[])
            RETURNS float8[] LANGUAGE plpython3u STABLE COST 50000 AS $python$
{load udfs.postgres.plpython}
return module.score_block(plpy, "%1$s", reference, keys, arguments)
$python$
        $create$, item.output);
    END LOOP;
END
$functions$;

CREATE OR REPLACE FUNCTION sqlml._py_row_value(reference text, sent bytea, row_text text)
RETURNS float8 LANGUAGE plpython3u STABLE COST 4000 AS $python$
{load udfs.postgres.plpython}
return module.row_value(plpy, reference, sent, row_text)
$python$;

CREATE OR REPLACE FUNCTION sqlml._py_row_label(reference text, sent bytea, row_text text)
RETURNS text LANGUAGE plpython3u STABLE COST 4000 AS $python$
{load udfs.postgres.plpython}
return module.row_label(plpy, reference, sent, row_text)
$python$;

CREATE OR REPLACE FUNCTION sqlml._py_row_probability(reference text, class_label text, sent bytea, row_text text)
RETURNS float8 LANGUAGE plpython3u STABLE COST 4000 AS $python$
{load udfs.postgres.plpython}
return module.row_probability(plpy, reference, class_label, sent, row_text)
$python$;

-- A whole row, matched by column name; or the only argument.
CREATE OR REPLACE FUNCTION sqlml.predict(name text, r anyelement) RETURNS float8
LANGUAGE sql STABLE COST 4000 SET client_encoding = 'UTF8' SET DateStyle = 'ISO' AS $body$
    SELECT sqlml._py_row_value(
        name, pg_catalog.record_send(ROW(r)), pg_catalog.to_json(r)::pg_catalog.text
    )
$body$;

-- Numbers by position, for models that take nothing else.
CREATE OR REPLACE FUNCTION sqlml.predict(name text, first float8, second float8, VARIADIC others float8[] DEFAULT '{}')
RETURNS float8 LANGUAGE sql STABLE COST 4000
BEGIN ATOMIC
    SELECT sqlml._py_value(
        name, pg_catalog.array_send(pg_catalog.array_cat(ARRAY[first, second], others)), NULL, NULL
    );
END;

CREATE OR REPLACE FUNCTION sqlml.predict_label(name text, r anyelement) RETURNS text
LANGUAGE sql STABLE COST 4000 SET client_encoding = 'UTF8' SET DateStyle = 'ISO' AS $body$
    SELECT sqlml._py_row_label(
        name, pg_catalog.record_send(ROW(r)), pg_catalog.to_json(r)::pg_catalog.text
    )
$body$;

-- The label in the type of the last argument, which is otherwise of no account: predict_label('churn', t, NULL::boolean).
CREATE OR REPLACE FUNCTION sqlml.predict_label(name text, r anyelement, of_type anycompatible) RETURNS anycompatible
LANGUAGE plpgsql STABLE COST 4000 SET client_encoding = 'UTF8' SET DateStyle = 'ISO' AS $body$
BEGIN
    of_type := sqlml._py_row_label(
        name, pg_catalog.record_send(ROW(r)), pg_catalog.to_json(r)::pg_catalog.text
    );
    RETURN of_type;
END
$body$;

CREATE OR REPLACE FUNCTION sqlml.predict_proba(name text, class_label text, r anyelement) RETURNS float8
LANGUAGE sql STABLE COST 4000 SET client_encoding = 'UTF8' SET DateStyle = 'ISO' AS $body$
    SELECT sqlml._py_row_probability(
        name, class_label,
        pg_catalog.record_send(ROW(r)), pg_catalog.to_json(r)::pg_catalog.text
    )
$body$;

-- Immutable, since a version never changes: for generated columns and expression indexes. Rights are asked as everywhere.
CREATE OR REPLACE FUNCTION sqlml._py_version_value(name text, version int, numbers float8[])
RETURNS float8 LANGUAGE plpgsql IMMUTABLE COST 4000 AS $body$
BEGIN
    RETURN sqlml._py_value(
        pg_catalog.concat(name, '@', version), pg_catalog.array_send(numbers), NULL, NULL
    );
END
$body$;

CREATE OR REPLACE FUNCTION sqlml.predict_version(name text, version int, VARIADIC numbers float8[])
RETURNS float8 LANGUAGE sql IMMUTABLE COST 4000
BEGIN ATOMIC
    SELECT sqlml._py_version_value(name, version, numbers);
END;
