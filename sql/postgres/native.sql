-- The scoring functions of the native scorer; {library} is the path of the library, seen from the server's data directory.
-- Whom a model is for is asked in every call by sqlml._resolve: these functions run with the caller's rights.

CREATE OR REPLACE FUNCTION sqlml._value(reference text, VARIADIC arguments "any") RETURNS float8
    LANGUAGE c STABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_value';

CREATE OR REPLACE FUNCTION sqlml._probs(reference text, VARIADIC arguments "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_probs';

CREATE OR REPLACE FUNCTION sqlml._class(reference text, VARIADIC arguments "any") RETURNS int4
    LANGUAGE c STABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_class';

CREATE OR REPLACE FUNCTION sqlml._raw(reference text, VARIADIC arguments "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_raw';

CREATE OR REPLACE FUNCTION sqlml._features(reference text, VARIADIC arguments "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_features';

CREATE OR REPLACE FUNCTION sqlml._contribs(reference text, VARIADIC arguments "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 5000 AS '{library}', 'sqlml_contribs';

CREATE OR REPLACE FUNCTION sqlml.predict(name text, VARIADIC columns "any") RETURNS float8
    LANGUAGE c STABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_predict';

CREATE OR REPLACE FUNCTION sqlml.predict_label(name text, VARIADIC columns "any") RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_predict_label';

CREATE OR REPLACE FUNCTION sqlml.predict_proba(name text, class text, VARIADIC columns "any") RETURNS float8
    LANGUAGE c STABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_predict_proba';

CREATE OR REPLACE FUNCTION sqlml.predict_version(name text, version int4, VARIADIC columns "any") RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 500 AS '{library}', 'sqlml_predict_version';
