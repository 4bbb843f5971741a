-- The catalog of models in one database, version 1. {schema} stands for the quoted "database"."sqlml".
--
-- Tables with an underscore are sqlml's own and written by it alone; the views are for everybody. A view names its tables
-- without a schema: DuckDB looks in the view's own schema, so that a file keeps working under any name it is attached by.
-- All times are in UTC.

CREATE SCHEMA IF NOT EXISTS {schema};

CREATE TABLE {schema}._catalog (
    schema_version INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL
);

-- A name is unique whatever its case. Every change to a model increments its revision, so that two sessions that change one
-- model at the same time conflict. A row without versions is a name reserved by a transaction that is still training.
CREATE TABLE {schema}._models (
    model_id UUID PRIMARY KEY,
    schema_name VARCHAR NOT NULL,
    model_name VARCHAR NOT NULL,
    schema_key VARCHAR NOT NULL,
    model_key VARCHAR NOT NULL,
    default_version INTEGER,
    last_version INTEGER NOT NULL,
    revision BIGINT NOT NULL,
    options JSON NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (schema_key, model_key)
);

CREATE TABLE {schema}._versions (
    model_id UUID NOT NULL,
    version INTEGER NOT NULL,
    artifact_hash VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    statement VARCHAR NOT NULL,
    options JSON NOT NULL,
    label VARCHAR NOT NULL,
    label_type VARCHAR NOT NULL,
    signature JSON NOT NULL,
    engine VARCHAR NOT NULL,
    engine_version VARCHAR NOT NULL,
    library_versions JSON NOT NULL,
    fingerprint JSON,
    seed BIGINT,
    reproducible BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    evaluation JSON NOT NULL,
    training_info JSON NOT NULL,
    notices JSON NOT NULL,
    freed BOOLEAN NOT NULL,
    PRIMARY KEY (model_id, version)
);

-- Artifacts by their SHA-256; versions with equal artifacts share one, and whoever shares it increments its revision. A freed
-- version keeps its record; the artifact goes when no other version needs it.
CREATE TABLE {schema}.artifacts (
    artifact_hash VARCHAR PRIMARY KEY,
    body BLOB NOT NULL,
    size BIGINT NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE {schema}._metrics (
    model_id UUID NOT NULL,
    version INTEGER NOT NULL,
    split VARCHAR NOT NULL,
    iteration INTEGER,
    metric VARCHAR NOT NULL,
    value DOUBLE
);

CREATE TABLE {schema}._features (
    model_id UUID NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    row_count BIGINT NOT NULL,
    null_count BIGINT NOT NULL,
    minimum VARCHAR,
    maximum VARCHAR,
    mean DOUBLE,
    stddev DOUBLE,
    distinct_count BIGINT,
    top_values JSON NOT NULL,
    quantiles DOUBLE[] NOT NULL
);

CREATE TABLE {schema}._aliases (
    model_id UUID NOT NULL,
    alias VARCHAR NOT NULL,
    alias_key VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (model_id, alias_key)
);

-- Views and macros of this database whose text calls a model; a version or alias is set where the text pins one.
CREATE TABLE {schema}._views (
    model_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    schema_name VARCHAR NOT NULL,
    view_name VARCHAR NOT NULL,
    version INTEGER,
    alias VARCHAR,
    statement VARCHAR NOT NULL
);

CREATE TABLE {schema}._events (
    happened_at TIMESTAMP NOT NULL,
    event VARCHAR NOT NULL,
    model_id UUID NOT NULL,
    schema_name VARCHAR NOT NULL,
    model_name VARCHAR NOT NULL,
    version INTEGER,
    detail JSON NOT NULL
);

CREATE VIEW {schema}.models AS
SELECT m.schema_name, m.model_name, v.task, v.label, m.default_version, m.last_version, m.options ->> 'description' AS description,
    m.options, m.created_at, v.created_at AS default_created_at
FROM _models AS m LEFT JOIN _versions AS v ON v.model_id = m.model_id AND v.version = m.default_version
WHERE m.last_version > 0;

CREATE VIEW {schema}.model_versions AS
SELECT m.schema_name, m.model_name, v.version, v.version IS NOT DISTINCT FROM m.default_version AS is_default, v.task, v.label,
    v.label_type, v.artifact_hash, a.size AS artifact_size, NOT v.freed AS has_artifact, v.signature, v.options,
    v.evaluation -> 'metrics' AS metrics, CAST(v.fingerprint ->> 'row_count' AS BIGINT) AS training_rows,
    v.fingerprint ->> 'content_hash' AS data_hash, v.seed, v.reproducible, v.engine, v.engine_version, v.library_versions,
    v.training_info, v.notices, v.statement, v.created_at
FROM _versions AS v JOIN _models AS m USING (model_id) LEFT JOIN artifacts AS a USING (artifact_hash);

CREATE VIEW {schema}.model_metrics AS
SELECT m.schema_name, m.model_name, x.version, x.split, x.iteration, x.metric, x.value
FROM _metrics AS x JOIN _models AS m USING (model_id);

CREATE VIEW {schema}.model_features AS
SELECT m.schema_name, m.model_name, f.version, f.position, f.name, f.kind, f.row_count, f.null_count, f.minimum, f.maximum, f.mean,
    f.stddev, f.distinct_count, f.top_values, f.quantiles
FROM _features AS f JOIN _models AS m USING (model_id);

CREATE VIEW {schema}.model_aliases AS
SELECT m.schema_name, m.model_name, a.alias, a.version FROM _aliases AS a JOIN _models AS m USING (model_id);

CREATE VIEW {schema}.model_views AS
SELECT m.schema_name AS model_schema, m.model_name, w.kind, w.schema_name, w.view_name, w.version, w.alias, w.statement
FROM _views AS w JOIN _models AS m USING (model_id);

CREATE VIEW {schema}.model_events AS
SELECT happened_at, event, schema_name, model_name, version, detail FROM _events;

-- What a process reads when it opens the database: the committed names and the artifacts they stand for. Its columns, and
-- those of artifacts, are the same in every version of the catalog.
CREATE VIEW {schema}.serving AS
SELECT m.schema_name, m.model_name, v.version, NULL::VARCHAR AS alias,
    v.version IS NOT DISTINCT FROM m.default_version AS is_default, v.artifact_hash
FROM _versions AS v JOIN _models AS m USING (model_id) JOIN artifacts AS b USING (artifact_hash)
WHERE NOT v.freed
UNION ALL
SELECT m.schema_name, m.model_name, v.version, a.alias, FALSE, v.artifact_hash
FROM _aliases AS a JOIN _models AS m USING (model_id)
    JOIN _versions AS v ON v.model_id = a.model_id AND v.version = a.version
    JOIN artifacts AS b USING (artifact_hash)
WHERE NOT v.freed;

INSERT INTO {schema}._catalog VALUES (1, make_timestamp(epoch_us(now())));
