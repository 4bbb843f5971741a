-- Statements of DuckDB 2.0 of every kind, written from its documentation. They hold no ML syntax, though many hold its words.
-- Blank lines separate them; they run in order on one empty in-memory database, in a temporary directory.
-- A statement that begins with the comment "-- error" must fail, by plain DuckDB and through sqlml alike.

CREATE TABLE flights (id INTEGER PRIMARY KEY, origin VARCHAR, carrier VARCHAR, delay DOUBLE, dep TIMESTAMP, model VARCHAR);

INSERT INTO flights VALUES (1, 'JFK', 'AA', 3.5, '2013-01-01 10:00:00', 'A320'), (2, 'LGA', 'UA', NULL, '2013-02-01 11:30:00', 'B737'), (3, 'EWR', 'UA', -4, '2013-03-05 06:15:00', NULL);

CREATE TABLE predict (model VARCHAR, ml INTEGER, value DOUBLE);

INSERT INTO predict (model, ml) VALUES ('late', 1), ('early', 2);

INSERT INTO predict VALUES ('x', 3, 0.5) RETURNING model, ml AS predict;

SELECT model, ml, predict.value FROM predict ORDER BY predict.ml;

CREATE TABLE models AS SELECT 1 AS model_id, 'm' AS "model";

FROM models;

DESCRIBE models;

DESCRIBE predict;

SELECT model FROM models AS ml WHERE ml.model = 'm';

SELECT ml.model FROM predict ml ORDER BY ALL;

SELECT 'CREATE MODEL m AS SELECT 1; SELECT PREDICT(m, *)' AS text;

SELECT $$PREDICT(MODEL m, TABLE t)$$ AS body, $tag$ ML.EVALUATE(MODEL m) $$ $tag$ AS other;

/* CREATE MODEL late AS SELECT 1 /* nested */ still a comment */ SELECT 1 -- PREDICT(MODEL m)

SELECT "ML.PREDICT(MODEL m)" FROM (SELECT 1 AS "ML.PREDICT(MODEL m)");

CREATE MACRO predict(m, x) AS m + x;

SELECT predict(1, 2), predict(model_id, 2) FROM models;

CREATE OR REPLACE MACRO predict_proba(model := 1) AS model * 2;

SELECT predict_proba(), predict_proba(model := 4);

DROP MACRO predict_proba;

CREATE SCHEMA ml;

CREATE MACRO ml.predict(x) AS TABLE SELECT x AS model;

SELECT * FROM ml.predict('late');

SELECT * FROM ml.predict(42) AS model(predict);

CREATE MACRO ml.evaluate(name) AS name || '!';

SELECT ml.evaluate('late'), ml.evaluate(model) FROM models;

DROP SCHEMA ml CASCADE;

SELECT origin, count(*) AS n FROM flights GROUP BY origin ORDER BY n DESC, origin LIMIT 2 OFFSET 1;

SELECT DISTINCT ON (carrier) carrier, id FROM flights ORDER BY carrier, id;

FROM flights;

FROM flights SELECT id, delay WHERE delay IS NOT NULL ORDER BY id;

FROM flights f SELECT f.* EXCLUDE (dep, model) ORDER BY ALL;

SELECT * EXCEPT (dep, model) FROM flights ORDER BY id;

SELECT * REPLACE (delay * 2 AS delay) FROM flights ORDER BY id;

SELECT * RENAME (delay AS predict) FROM flights ORDER BY id;

SELECT COLUMNS('^d') FROM flights ORDER BY id;

SELECT COLUMNS(lambda c: c LIKE '%ri%') FROM flights ORDER BY id;

SELECT min(COLUMNS(* EXCLUDE (dep))) FROM flights;

SELECT a: 1, b: a + 1;

SELECT f.id FROM f: flights ORDER BY 1;

SELECT `id`, `f`.`delay` FROM `flights` AS `f` ORDER BY `id`;

SELECT "a""b", `c``d` FROM (SELECT 1 AS "a""b", 2 AS `c``d`);

SELECT id AS select, origin AS from FROM flights ORDER BY id;

SELECT id FROM flights WHERE delay IS DISTINCT FROM 3.5 ORDER BY id;

SELECT id, delay IS NOT DISTINCT FROM NULL FROM flights ORDER BY id;

SELECT extract(year FROM dep), extract('month' FROM dep) FROM flights ORDER BY id;

SELECT substring('predict' FROM 2 FOR 3), trim(BOTH 'x' FROM 'xmlx'), position('ml' IN 'html'), overlay('model' PLACING 'x' FROM 2 FOR 1);

SELECT trim(FROM '  model ');

SELECT CAST('1' AS INTEGER), '1'::INTEGER, TRY_CAST('x' AS INTEGER), 1::DECIMAL(9, 2)::VARCHAR;

SELECT DATE '2013-01-01', TIMESTAMP '2013-01-01 01:02:03', TIME '01:02:03', INTERVAL 3 DAY, INTERVAL '1 month';

SELECT E'a\'b\n\x41', 'it''s', '\', N'national', x'AB01', b'0101';

SELECT 1_000_000, 0x1F, 0b101, 0o17, 1e3, 1.5e-3, .5, 5., -7 // 2, 7 % 3, 2 ** 3, 2 ^ 3;

SELECT 5 & 3, 5 | 3, xor(5, 3), ~5, 1 << 3, 8 >> 1, 'a' || 'b', @ -5, 5!;

SELECT 1 < 2, 1 <= 2, 1 <> 2, 1 != 2, 1 = 1, 1 == 1, NOT TRUE, TRUE AND FALSE OR TRUE;

SELECT 'abc' LIKE 'a%', 'abc' NOT LIKE 'b%', 'ABC' ILIKE 'a%', 'abc' SIMILAR TO 'a.*', 'abc' GLOB 'a*', 'abc' ~ 'b', 'abc' ^@ 'ab';

SELECT 'a%c' LIKE 'a$%c' ESCAPE '$', 'abc' ~~ 'a%', 'abc' !~~ 'a%';

SELECT CASE WHEN delay > 0 THEN 'late' WHEN delay IS NULL THEN 'unknown' ELSE 'early' END AS model FROM flights ORDER BY id;

SELECT CASE origin WHEN 'JFK' THEN 1 ELSE 0 END FROM flights ORDER BY id;

SELECT coalesce(delay, 0), nullif(delay, 3.5), ifnull(delay, 1), greatest(1, 2), if(delay > 0, 1, 0) FROM flights ORDER BY id;

SELECT id FROM flights WHERE id BETWEEN 1 AND 2 AND origin IN ('JFK', 'LGA') AND carrier NOT IN ('XX') ORDER BY id;

SELECT [1, 2, 3] AS l, l[1], l[2:3], l[-1], l[:2], len(l);

SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1] AS model;

SELECT list_transform([1, 2, 3], lambda x: x + 1), list_filter([1, 2, 3], lambda x: x > 1), list_reduce([1, 2, 3], lambda acc, x: acc + x);

SELECT list_transform([1, 2], lambda x, i: x * i);

SELECT s, s.a, s.b.c, s['a'] FROM (SELECT {'a': 1, 'b': {'c': [1, 2]}} AS s);

SELECT {a: 1, "model": 2}, struct_pack(x := 1, y := 'z'), row(1, 'a');

SELECT MAP {'a': 1, 'b': 2} AS m, m['a'], map_keys(m), map([1, 2], ['x', 'y']);

SELECT u, union_tag(u), u.num FROM (SELECT union_value(num := 2) AS u);

SELECT '{"a": {"b": [1, 2]}}'::JSON AS j, j->'a', j->>'$.a.b[0]', j->'a'->>'b', json_extract(j, '$.a');

SELECT j->'a.b', j->>'a.b' FROM (SELECT '{"a.b": 1}'::JSON AS j);

SELECT array_value(1, 2, 3) AS a, [1, 2, 3]::INTEGER[3], array_cosine_similarity([1.0, 2.0]::DOUBLE[2], [1.0, 2.0]::DOUBLE[2]);

SELECT unnest([1, 2, 3]) AS model, unnest(['a', 'b']);

SELECT * FROM unnest([1, 2]) AS t(model);

SELECT * FROM range(3) AS r(i), generate_series(1, 2) AS g(j) ORDER BY i, j;

SELECT f.id, g.x FROM flights f, LATERAL (SELECT f.id * 10 AS x) g ORDER BY 1;

SELECT f.id, u.x FROM flights f CROSS JOIN LATERAL unnest([f.id, f.id + 1]) AS u(x) ORDER BY ALL;

SELECT f.id, g.id FROM flights f JOIN flights g ON f.carrier = g.carrier AND f.id < g.id;

SELECT id, l.origin FROM flights l LEFT JOIN (SELECT id, origin FROM flights WHERE id > 1) r USING (id) ORDER BY id;

SELECT * FROM (SELECT 1 AS a, 2 AS b) NATURAL JOIN (SELECT 1 AS a, 3 AS c);

SELECT * FROM (SELECT 1 AS a) POSITIONAL JOIN (SELECT 2 AS b);

SELECT * FROM (VALUES (1), (2)) l(a) FULL OUTER JOIN (VALUES (2), (3)) r(a) ON l.a = r.a ORDER BY ALL;

SELECT * FROM (VALUES (1), (2)) l(a) RIGHT JOIN (VALUES (2), (3)) r(a) USING (a) ORDER BY ALL;

SELECT id FROM flights SEMI JOIN (SELECT 'UA' AS carrier) USING (carrier) ORDER BY id;

SELECT id FROM flights ANTI JOIN (SELECT 'UA' AS carrier) USING (carrier) ORDER BY id;

SELECT a.t, b.v FROM (VALUES (1), (5)) a(t) ASOF JOIN (VALUES (0, 'x'), (4, 'y')) b(t, v) ON a.t >= b.t ORDER BY 1;

SELECT a.x FROM ((VALUES (1)) a(x) JOIN (VALUES (1)) b(x) ON a.x = b.x);

SELECT id FROM flights WHERE EXISTS (SELECT 1 FROM models WHERE model_id = flights.id);

SELECT id, (SELECT max(m.model_id) FROM models m WHERE m.model_id <= f.id) AS model FROM flights f ORDER BY id;

SELECT id FROM flights WHERE delay > ALL (SELECT delay FROM flights WHERE delay < 0) ORDER BY id;

SELECT id FROM flights WHERE id = ANY (SELECT model_id FROM models);

SELECT id IN (FROM models SELECT model_id) FROM flights ORDER BY id;

SELECT ARRAY(SELECT id FROM flights ORDER BY id);

WITH ml AS (SELECT 1 AS model), predict AS (SELECT model + 1 AS model FROM ml) SELECT * FROM ml UNION ALL SELECT * FROM predict ORDER BY 1;

WITH c AS MATERIALIZED (SELECT 1 AS a), d AS NOT MATERIALIZED (SELECT 2 AS a) SELECT c.a, d.a FROM c, d;

WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r;

WITH RECURSIVE r(n, model) USING KEY (n) AS (SELECT 1, 'a' UNION SELECT n + 1, 'b' FROM r WHERE n < 3) SELECT * FROM r ORDER BY n;

SELECT * FROM (WITH inner_cte AS (SELECT 1 AS x) SELECT x FROM inner_cte) WHERE x = 1;

SELECT 1 AS a UNION SELECT 2 UNION ALL SELECT 2 ORDER BY a;

(SELECT 1 AS a EXCEPT SELECT 2) INTERSECT SELECT 1;

SELECT 1 AS a, 2 AS b UNION ALL BY NAME SELECT 3 AS b, 4 AS c ORDER BY b;

SELECT 1 EXCEPT ALL SELECT 2;

VALUES (1, 'a'), (2, 'b');

TABLE models;

SELECT * FROM (TABLE models);

SELECT carrier, sum(delay) FILTER (WHERE delay > 0) AS s, count(DISTINCT origin), string_agg(origin, ',' ORDER BY id) FROM flights GROUP BY carrier HAVING count(*) > 0 ORDER BY carrier;

SELECT origin, carrier, count(*) FROM flights GROUP BY GROUPING SETS ((origin), (carrier), ()) ORDER BY ALL;

SELECT origin, carrier, count(*) FROM flights GROUP BY CUBE (origin, carrier) ORDER BY ALL;

SELECT origin, carrier, grouping_id(origin, carrier) FROM flights GROUP BY ROLLUP (origin, carrier) ORDER BY ALL;

SELECT origin, count(*) FROM flights GROUP BY ALL ORDER BY ALL;

SELECT id, row_number() OVER (ORDER BY id), sum(id) OVER (PARTITION BY carrier ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM flights ORDER BY id;

SELECT id, lag(id) OVER w, first_value(origin) OVER (w RANGE UNBOUNDED PRECEDING) FROM flights WINDOW w AS (ORDER BY id) ORDER BY id;

SELECT id, carrier FROM flights QUALIFY row_number() OVER (PARTITION BY carrier ORDER BY id) = 1 ORDER BY id;

SELECT count(*) FROM flights USING SAMPLE 100 PERCENT (bernoulli, 42);

SELECT count(*) FROM flights TABLESAMPLE reservoir(10 ROWS) REPEATABLE (7);

SELECT id FROM flights ORDER BY delay DESC NULLS LAST, id LIMIT 50%;

SELECT id FROM flights ORDER BY id FETCH FIRST 2 ROWS ONLY;

SELECT quantile_cont(delay, [0.25, 0.5]), median(delay), mode(carrier), arg_max(id, delay), approx_count_distinct(id) FROM flights;

SELECT 'model'.upper().lower(), [1, 2].list_sum(), ('ml').concat('x');

SELECT #1, #2 FROM (SELECT 1, 2);

SELECT t FROM (SELECT 1 AS a, 'x' AS b) t;

SELECT dep AT TIME ZONE 'UTC' IS NOT NULL FROM flights ORDER BY id;

SELECT current_schema(), current_database(), typeof(1), version() IS NOT NULL;

SELECT ('a' COLLATE NOCASE) = 'A';

SELECT * FROM (SELECT 1 AS a, 'x' AS k, 10 AS v UNION ALL SELECT 1, 'y', 20) PIVOT (sum(v) FOR k IN ('x', 'y') GROUP BY a);

PIVOT (SELECT carrier, origin, delay FROM flights) ON origin IN ('JFK', 'LGA') USING sum(delay) GROUP BY carrier ORDER BY carrier;

UNPIVOT (SELECT 1 AS id, 2 AS a, 3 AS b) ON a, b INTO NAME model VALUE predict;

SELECT * FROM (SELECT 1 AS id, 2 AS a, NULL::INTEGER AS b) UNPIVOT INCLUDE NULLS (v FOR n IN (a, b));

SUMMARIZE SELECT id FROM flights;

DESCRIBE SELECT model FROM predict;

SHOW TABLES;

SHOW ALL TABLES;

SELECT * FROM (DESCRIBE models);

EXPLAIN SELECT model FROM models;

EXPLAIN (FORMAT json) SELECT 1;

CREATE VIEW model AS SELECT model, count(*) AS predict FROM predict GROUP BY model;

SELECT * FROM model ORDER BY 1;

DESCRIBE model;

CREATE OR REPLACE VIEW model(a, b) AS FROM predict SELECT model, ml;

ALTER VIEW model RENAME TO modelled;

DROP VIEW IF EXISTS modelled;

CREATE TEMP VIEW tv AS VALUES (1);

CREATE TABLE g (a INTEGER CHECK (a > 0), b INTEGER GENERATED ALWAYS AS (a * 2), c VARCHAR DEFAULT 'model' NOT NULL, UNIQUE (a));

INSERT INTO g (a) VALUES (1), (2);

INSERT OR IGNORE INTO g (a) VALUES (1);

INSERT INTO g BY NAME SELECT 'x' AS c, 3 AS a;

INSERT INTO g (a) SELECT 4 ON CONFLICT (a) DO UPDATE SET c = excluded.c WHERE g.a > 0 RETURNING *;

INSERT INTO g (a, c) VALUES (4, 'y') ON CONFLICT DO NOTHING;

UPDATE g SET c = 'z' WHERE a = 1;

UPDATE g AS target SET c = source.model FROM (SELECT 2 AS a, 'predict' AS model) AS source WHERE target.a = source.a RETURNING target.a, target.c;

WITH src AS (SELECT 3 AS a) UPDATE g SET c = 'w' FROM src WHERE g.a = src.a;

DELETE FROM g USING (SELECT 1 AS a) AS d WHERE g.a = d.a RETURNING g.a;

DELETE FROM g WHERE a > 3;

MERGE INTO g USING (SELECT 2 AS a, 'merged' AS c UNION ALL SELECT 9, 'new') AS s ON (g.a = s.a) WHEN MATCHED THEN UPDATE SET c = s.c WHEN NOT MATCHED THEN INSERT (a, c) VALUES (s.a, s.c);

SELECT a, b, c FROM g ORDER BY a;

CREATE TABLE big AS SELECT i, i % 7 AS model FROM range(1000) t(i);

CREATE INDEX predict_index ON big (i);

CREATE UNIQUE INDEX IF NOT EXISTS ml_index ON g ((a + 1));

DROP INDEX predict_index;

ALTER TABLE g ADD COLUMN model DOUBLE DEFAULT 1.5;

ALTER TABLE big ALTER COLUMN model SET DATA TYPE VARCHAR USING model::VARCHAR;

ALTER TABLE big RENAME COLUMN model TO ml;

ALTER TABLE big RENAME TO bigger;

COMMENT ON TABLE bigger IS 'CREATE MODEL is not here';

COMMENT ON COLUMN bigger.ml IS NULL;

CREATE SEQUENCE model_ids START 5 INCREMENT BY 2;

SELECT nextval('model_ids'), currval('model_ids');

CREATE TYPE model_kind AS ENUM ('binary', 'regression');

SELECT 'binary'::model_kind, enum_range(NULL::model_kind);

CREATE TYPE pair AS STRUCT(a INTEGER, b VARCHAR);

DROP TYPE pair;

CREATE MACRO area(r) AS pi() * r * r, (a, b) AS a * b;

SELECT round(area(2), 3), area(2, 3);

CREATE MACRO firsts(n) AS TABLE SELECT * FROM bigger ORDER BY i LIMIT n;

FROM firsts(3);

CREATE FUNCTION with_default(a, b := 10) AS a + b;

SELECT with_default(1), with_default(1, b := 2), with_default(1, b => 3);

DROP MACRO TABLE firsts;

PREPARE model AS SELECT $1 + id, ? FROM flights WHERE id = 1;

PREPARE p AS SELECT $a + 1, $b || 'x';

EXECUTE p(a := 1, b := 'model');

DEALLOCATE p;

PREPARE predict AS INSERT INTO predict VALUES (?, ?, 1);

EXECUTE predict('via prepare', 7);

SELECT count(*) FROM predict;

BEGIN TRANSACTION;

DELETE FROM predict;

ROLLBACK;

BEGIN; INSERT INTO predict (model) VALUES ('a;b'); COMMIT;

COPY (SELECT model, ml FROM predict ORDER BY ml, model) TO 'predict.csv' (HEADER, DELIMITER ';');

COPY predict (model, ml) FROM 'predict.csv' (FORMAT csv, HEADER, DELIMITER ';');

COPY flights TO 'model.parquet' (FORMAT parquet, COMPRESSION zstd);

SELECT count(*) FROM 'model.parquet';

SELECT model.id FROM 'model.parquet' ORDER BY 1;

SELECT count(*) FROM read_csv('predict.csv', header = true, columns = {'model': 'VARCHAR', 'ml': 'INTEGER'}, delim := ';');

SELECT name, type FROM parquet_schema('model.parquet') WHERE name = 'model';

EXPORT DATABASE 'exported' (FORMAT csv);

ATTACH ':memory:' AS ml;

CREATE TABLE ml.predict (model INTEGER);

INSERT INTO ml.main.predict VALUES (1), (2);

SELECT ml.predict.model, ml.main.predict.model FROM ml.predict ORDER BY 1;

USE ml;

SELECT current_database(), count(*) FROM predict;

USE memory;

DETACH ml;

SET VARIABLE model = (SELECT max(id) FROM flights);

SELECT getvariable('model') AS predict;

RESET VARIABLE model;

SET threads TO 2; SELECT current_setting('threads');

RESET threads;

PRAGMA table_info('models');

PRAGMA enable_object_cache;

CALL pragma_table_info('predict');

CHECKPOINT;

ANALYZE predict;

VACUUM;

TRUNCATE bigger;

LOAD parquet;

CREATE SECRET model_secret (TYPE http, BEARER_TOKEN 'x');

DROP SECRET model_secret;

CREATE TABLE audit (model VARCHAR);

CREATE TRIGGER model_trigger AFTER INSERT ON models FOR EACH STATEMENT INSERT INTO audit VALUES ('inserted');

INSERT INTO models VALUES (2, 'n');

SELECT * FROM audit;

SELECT query.model FROM query('SELECT 1 AS model') AS query;

SELECT * FROM query_table('models') ORDER BY ALL;

SELECT 1; SELECT 2 AS model;; SELECT 3;

SELECT '日本' AS "モデル", 'é' AS é, '🦆' AS "🦆";

SELECT 1 AS a,
       2 AS b, -- trailing comma
FROM models
WHERE TRUE
ORDER BY ALL;

SELECT a FROM (SELECT 1 AS a)
UNION ALL
/* model */ SELECT 2
ORDER BY a;

-- error
SELECT * FROM no_such_model;

-- error
SELECT no_such_predict FROM models;

-- error
SELECT no_such_function(model) FROM models;

-- error
SELEC 1;

-- error
SELECT 1 FORM models;

-- error
SELECT 'unclosed FROM models;

-- error
SELECT (1;

-- error
SELECT 1 / 'model';

-- error
CREATE TABLE models (a INTEGER);

-- error
SELECT predict(1);

-- error
SHOW model_that_is_not_there;

-- error
SELECT * FROM ml.forecast('late');

-- error
DROP VIEW no_such_model;

-- error
EXECUTE no_such_model(1);
