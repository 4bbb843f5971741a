-- The catalog of models in a Postgres database, version 1. {schema} stands for "sqlml".
--
-- Tables with an underscore are sqlml's own and written by it alone; the views are for everybody who may use the schema. Columns
-- beyond those of the other engines' catalogs stand last and fill themselves. All times are in UTC.

CREATE SCHEMA IF NOT EXISTS {schema};

CREATE TABLE {schema}._catalog (
    schema_version integer NOT NULL,
    created_at timestamp NOT NULL
);

-- A name is unique whatever its case. Every change to a model increments its revision. A row without versions is a name reserved
-- by a transaction that is still training. Owners are kept by oid and by name, since a restored dump knows only names.
CREATE TABLE {schema}._models (
    model_id uuid PRIMARY KEY,
    schema_name text NOT NULL,
    model_name text NOT NULL,
    schema_key text NOT NULL,
    model_key text NOT NULL,
    default_version integer,
    last_version integer NOT NULL,
    revision bigint NOT NULL,
    options json NOT NULL,
    created_at timestamp NOT NULL,
    owner oid NOT NULL DEFAULT (to_regrole(quote_ident(current_user))::oid),
    owner_name name NOT NULL DEFAULT current_user,
    UNIQUE (schema_key, model_key)
);

CREATE TABLE {schema}._versions (
    model_id uuid NOT NULL,
    version integer NOT NULL,
    artifact_hash text NOT NULL,
    task text NOT NULL,
    statement text NOT NULL,
    options json NOT NULL,
    label text NOT NULL,
    label_type text NOT NULL,
    signature json NOT NULL,
    engine text NOT NULL,
    engine_version text NOT NULL,
    library_versions json NOT NULL,
    fingerprint json,
    seed bigint,
    reproducible boolean NOT NULL,
    created_at timestamp NOT NULL,
    evaluation json NOT NULL,
    training_info json NOT NULL,
    notices json NOT NULL,
    freed boolean NOT NULL,
    PRIMARY KEY (model_id, version)
);

CREATE INDEX ON {schema}._versions (artifact_hash);

-- Artifacts by their SHA-256; versions with equal artifacts share one. A freed version keeps its record; the artifact goes when
-- no other version needs it.
CREATE TABLE {schema}.artifacts (
    artifact_hash text PRIMARY KEY,
    body bytea NOT NULL,
    size bigint NOT NULL,
    revision bigint NOT NULL
);

ALTER TABLE {schema}.artifacts ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE {schema}._metrics (
    model_id uuid NOT NULL,
    version integer NOT NULL,
    split text NOT NULL,
    iteration integer,
    metric text NOT NULL,
    value double precision
);

CREATE INDEX ON {schema}._metrics (model_id, version);

CREATE TABLE {schema}._features (
    model_id uuid NOT NULL,
    version integer NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    row_count bigint NOT NULL,
    null_count bigint NOT NULL,
    minimum text,
    maximum text,
    mean double precision,
    stddev double precision,
    distinct_count bigint,
    top_values json NOT NULL,
    quantiles double precision[] NOT NULL
);

CREATE INDEX ON {schema}._features (model_id, version);

CREATE TABLE {schema}._aliases (
    model_id uuid NOT NULL,
    alias text NOT NULL,
    alias_key text NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (model_id, alias_key)
);

-- Views of this database whose text calls a model; a version or alias is set where the text pins one.
CREATE TABLE {schema}._views (
    model_id uuid NOT NULL,
    kind text NOT NULL,
    schema_name text NOT NULL,
    view_name text NOT NULL,
    version integer,
    alias text,
    statement text NOT NULL
);

CREATE TABLE {schema}._events (
    happened_at timestamp NOT NULL,
    event text NOT NULL,
    model_id uuid NOT NULL,
    schema_name text NOT NULL,
    model_name text NOT NULL,
    version integer,
    detail json NOT NULL,
    role name NOT NULL DEFAULT current_user
);

CREATE VIEW {schema}.models AS
SELECT m.schema_name, m.model_name, v.task, v.label, m.default_version, m.last_version, m.options ->> 'description' AS description,
    m.options, m.created_at, v.created_at AS default_created_at, m.owner_name AS owner
FROM {schema}._models AS m LEFT JOIN {schema}._versions AS v ON v.model_id = m.model_id AND v.version = m.default_version
WHERE m.last_version > 0;

CREATE VIEW {schema}.model_versions AS
SELECT m.schema_name, m.model_name, v.version, v.version IS NOT DISTINCT FROM m.default_version AS is_default, v.task, v.label,
    v.label_type, v.artifact_hash, a.size AS artifact_size, NOT v.freed AS has_artifact, v.signature, v.options,
    v.evaluation -> 'metrics' AS metrics, CAST(v.fingerprint ->> 'row_count' AS bigint) AS training_rows,
    v.fingerprint ->> 'content_hash' AS data_hash, v.seed, v.reproducible, v.engine, v.engine_version, v.library_versions,
    v.training_info, v.notices, v.statement, v.created_at
FROM {schema}._versions AS v JOIN {schema}._models AS m USING (model_id) LEFT JOIN {schema}.artifacts AS a USING (artifact_hash);

CREATE VIEW {schema}.model_metrics AS
SELECT m.schema_name, m.model_name, x.version, x.split, x.iteration, x.metric, x.value
FROM {schema}._metrics AS x JOIN {schema}._models AS m USING (model_id);

CREATE VIEW {schema}.model_features AS
SELECT m.schema_name, m.model_name, f.version, f.position, f.name, f.kind, f.row_count, f.null_count, f.minimum, f.maximum, f.mean,
    f.stddev, f.distinct_count, f.top_values, f.quantiles
FROM {schema}._features AS f JOIN {schema}._models AS m USING (model_id);

CREATE VIEW {schema}.model_aliases AS
SELECT m.schema_name, m.model_name, a.alias, a.version FROM {schema}._aliases AS a JOIN {schema}._models AS m USING (model_id);

CREATE VIEW {schema}.model_views AS
SELECT m.schema_name AS model_schema, m.model_name, w.kind, w.schema_name, w.view_name, w.version, w.alias, w.statement
FROM {schema}._views AS w JOIN {schema}._models AS m USING (model_id);

CREATE VIEW {schema}.model_events AS
SELECT happened_at, event, schema_name, model_name, version, detail, role FROM {schema}._events;

-- The names that can be scored and the artifacts they stand for. Its columns, and those of artifacts, are the same in every
-- version of the catalog.
CREATE VIEW {schema}.serving AS
SELECT m.schema_name, m.model_name, v.version, NULL::text AS alias,
    v.version IS NOT DISTINCT FROM m.default_version AS is_default, v.artifact_hash
FROM {schema}._versions AS v JOIN {schema}._models AS m USING (model_id) JOIN {schema}.artifacts AS b USING (artifact_hash)
WHERE NOT v.freed
UNION ALL
SELECT m.schema_name, m.model_name, v.version, a.alias, FALSE, v.artifact_hash
FROM {schema}._aliases AS a JOIN {schema}._models AS m USING (model_id)
    JOIN {schema}._versions AS v ON v.model_id = a.model_id AND v.version = a.version
    JOIN {schema}.artifacts AS b USING (artifact_hash)
WHERE NOT v.freed;

INSERT INTO {schema}._catalog VALUES (1, now() AT TIME ZONE 'UTC');
