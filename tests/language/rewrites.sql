-- Statements with calls, and what is found in each: function, model, arguments, and the scope behind the bar. Models late, m, n.

SELECT PREDICT(late, *) FROM flights
-->
SELECT «predict late(*) item | from flights seen flights» FROM flights

SELECT id, PREDICT(late, *) AS p, PREDICT(late, a, b + 1) q, PREDICT(late USING *) FROM flights f
-->
SELECT id, «predict late(*) | from flights f seen f» AS p, «predict late(a; b + 1) | from flights f seen f» q, «predict late(*) item | from flights f seen f» FROM flights f

SELECT PREDICT(late), predict(late@3, *), Predict(s.late@champion, t.*), PREDICT(d.s.late, x) FROM t
-->
SELECT «predict late() item | from t seen t», «predict late@3(*) item | from t seen t», «predict s.late@champion(t.*) item | from t seen t», «predict d.s.late(x) item | from t seen t» FROM t

SELECT PREDICT(late, * EXCEPT (id, "day of week")), PREDICT(late, t.* EXCLUDE id, 1 + x AS delay, y := 5) FROM t
-->
SELECT «predict late(* without id day of week) item | from t seen t», «predict late(t.* without id; 1 + x as delay; 5 as y) item | from t seen t» FROM t

SELECT PREDICT_PROBA(late, *), PREDICT_PROBA(late, 'yes', *), PREDICT_PROBA(late, -1, a), PREDICT_PROBA(late, TRUE USING *), PREDICT_PROBA(late, 'x') FROM t
-->
SELECT «predict_proba late(*) item | from t seen t», «predict_proba late(class 'yes'; *) item | from t seen t», «predict_proba late(class -1; a) item | from t seen t», «predict_proba late(class TRUE; *) item | from t seen t», «predict_proba late('x') item | from t seen t» FROM t

SELECT PREDICT(MODEL m, a, b), PREDICT(MODEL 'm', a), PREDICT(MODEL anything, *), ML.PREDICT(MODEL m, *) FROM t
-->
SELECT «predict m(a; b) item | from t seen t», «predict m(a) item | from t seen t», «predict anything(*) item | from t seen t», «predict m(*) item | from t seen t» FROM t

SELECT PREDICT(`ds.m`, *), PREDICT("my model", *), PREDICT("Taux d'été", *), PREDICT('late@2', a), PREDICT("select", *) FROM t
-->
SELECT «predict ds.m(*) item | from t seen t», «predict my model(*) item | from t seen t», «predict Taux d'été(*) item | from t seen t», «predict late@2(a) item | from t seen t», «predict select(*) item | from t seen t» FROM t

SELECT ml_predict('late', t), ML_PREDICT_PROBA('d.s."My Model"@2', 'yes', t), ml_predict('nope', a, b) FROM t
-->
SELECT «predict late(t) item | from t seen t», «predict_proba d.s.My Model@2(class 'yes'; t) item | from t seen t», «predict nope(a; b) item | from t seen t» FROM t

SELECT PREDICT /* why */ ( -- here
  late /* ) */ , ')', $$ , $$, t . a ) FROM t
-->
SELECT «predict late(')'; $$ , $$; t . a) item | from t seen t» FROM t

SELECT * FROM ML.PREDICT(MODEL late, TABLE flights)
-->
SELECT * FROM «predict late(table flights) | nothing»

SELECT * FROM ML.PREDICT(MODEL late@3, TABLE d.s."my flights", STRUCT(0.3 AS threshold, TRUE AS flat)) AS p WHERE p.x > 1
-->
SELECT * FROM «predict late@3(table d.s."my flights"; threshold=0.3; flat=True) | nothing» AS p WHERE p.x > 1

SELECT * FROM ML . PREDICT (MODEL late, (SELECT * FROM flights WHERE PREDICT(m, *) > 0), threshold => .5)
-->
SELECT * FROM «predict late(query SELECT * FROM flights WHERE PREDICT(m, *) > 0; threshold=0.5) | nothing»
  inside: «predict m(*) | from flights seen flights»

SELECT * FROM PREDICT(MODEL 'late', TABLE flights), PREDICT(MODEL 'late', flights) b, ml.predict('late', flights) c, PREDICT(late, TABLE 'x.parquet') d
-->
SELECT * FROM «predict late(table flights) | nothing», «predict late(table flights) | outer (over ?)» b, «predict late(table flights) | outer (over ? b)» c, «predict late(table 'x.parquet') | outer (over ? b c)» d

SELECT * FROM ML.EVALUATE(MODEL late) JOIN ml.evaluate('late') e USING (f1_score) CROSS JOIN ML.ROC_CURVE(MODEL late, TABLE t) AS r(a, b)
-->
SELECT * FROM «evaluate late() | nothing» JOIN «evaluate late() | outer (over ?)» e USING (f1_score) CROSS JOIN «roc_curve late(table t) | outer (over ? e)» AS r(a, b)

FROM ML.CONFUSION_MATRIX(MODEL late)
-->
FROM «confusion_matrix late() | nothing»

SELECT (SELECT max(gain) FROM ML.FEATURE_IMPORTANCE(MODEL late)) AS x
-->
SELECT (SELECT max(gain) FROM «feature_importance late() | nothing») AS x

SELECT * FROM ML.VALIDATE_DATA_DRIFT(TABLE a, (SELECT * FROM b), STRUCT(0.1 AS categorical_default_threshold)), ML.VALIDATE_DATA_SKEW(MODEL m, TABLE t), ML.EXPLAIN_PREDICT(MODEL m, TABLE t, STRUCT(3 AS top_k_features))
-->
SELECT * FROM «validate_data_drift -(table a; query SELECT * FROM b; categorical_default_threshold=0.1) | nothing», «validate_data_skew m(table t) | outer (over ?)», «explain_predict m(table t; top_k_features=3) | outer (over ? ?)»

SELECT * FROM t WHERE PREDICT(late, *) = 'yes' AND delay IS DISTINCT FROM PREDICT(m, t.a) GROUP BY PREDICT(m, 1) HAVING PREDICT(m, 2) > 1 QUALIFY PREDICT(m, 3) > 1 ORDER BY PREDICT(m, 4) LIMIT (SELECT PREDICT(m, u.*) FROM u)
-->
SELECT * FROM t WHERE «predict late(*) | from t seen t» = 'yes' AND delay IS DISTINCT FROM «predict m(t.a) | from t seen t» GROUP BY «predict m(1) | from t seen t» HAVING «predict m(2) | from t seen t» > 1 QUALIFY «predict m(3) | from t seen t» > 1 ORDER BY «predict m(4) | from t seen t» LIMIT (SELECT «predict m(u.*) item | from u seen u outer (from t seen t)» FROM u)

FROM flights f SELECT PREDICT(late, *) WHERE PREDICT(m, f.x) > 1 ORDER BY 1
-->
FROM flights f SELECT «predict late(*) item | from flights f seen f» WHERE «predict m(f.x) | from flights f seen f» > 1 ORDER BY 1

FROM (FROM t SELECT PREDICT(late, *) AS p) x SELECT p
-->
FROM (FROM t SELECT «predict late(*) | from t seen t» AS p) x SELECT p

SELECT a.x, PREDICT(m, *) FROM a JOIN b ON a.k = b.k LEFT JOIN c AS cc USING (k), d NATURAL JOIN "E e" POSITIONAL JOIN f
-->
SELECT a.x, «predict m(*) item | from a JOIN b ON a.k = b.k LEFT JOIN c AS cc USING (k), d NATURAL JOIN "E e" POSITIONAL JOIN f seen a b cc d E e f» FROM a JOIN b ON a.k = b.k LEFT JOIN c AS cc USING (k), d NATURAL JOIN "E e" POSITIONAL JOIN f

SELECT PREDICT(m, *) FROM a SEMI JOIN b USING (k) ANTI JOIN c ON a.k = c.k ASOF LEFT JOIN d ON a.t >= d.t
-->
SELECT «predict m(*) item | from a SEMI JOIN b USING (k) ANTI JOIN c ON a.k = c.k ASOF LEFT JOIN d ON a.t >= d.t seen a d» FROM a SEMI JOIN b USING (k) ANTI JOIN c ON a.k = c.k ASOF LEFT JOIN d ON a.t >= d.t

SELECT PREDICT(m, *) FROM (a JOIN b USING (k)) JOIN (c JOIN d USING (j)) AS e ON TRUE
-->
SELECT «predict m(*) item | from (a JOIN b USING (k)) JOIN (c JOIN d USING (j)) AS e ON TRUE seen a b e» FROM (a JOIN b USING (k)) JOIN (c JOIN d USING (j)) AS e ON TRUE

SELECT PREDICT(m, *) FROM a AS x(p, q), (VALUES (1, 2)) v(p, q), VALUES (1), (2) w, range(3) r, generate_series(1, 2), 'dir/data.parquet', read_csv('x.csv') AS z, LATERAL (SELECT 1) l, y: a, u: (SELECT 2)
-->
SELECT «predict m(*) item | from a AS x(p, q), (VALUES (1, 2)) v(p, q), VALUES (1), (2) w, range(3) r, generate_series(1, 2), 'dir/data.parquet', read_csv('x.csv') AS z, LATERAL (SELECT 1) l, y: a, u: (SELECT 2) seen x v w r generate_series data z l y u» FROM a AS x(p, q), (VALUES (1, 2)) v(p, q), VALUES (1), (2) w, range(3) r, generate_series(1, 2), 'dir/data.parquet', read_csv('x.csv') AS z, LATERAL (SELECT 1) l, y: a, u: (SELECT 2)

SELECT PREDICT(m, *) FROM t TABLESAMPLE reservoir(10 ROWS) REPEATABLE (7), u x TABLESAMPLE 10%, v AT (VERSION => 1) y, unnest([1]) WITH ORDINALITY AS o(i, j)
-->
SELECT «predict m(*) item | from t TABLESAMPLE reservoir(10 ROWS) REPEATABLE (7), u x TABLESAMPLE 10%, v AT (VERSION => 1) y, unnest([1]) WITH ORDINALITY AS o(i, j) seen t x y o» FROM t TABLESAMPLE reservoir(10 ROWS) REPEATABLE (7), u x TABLESAMPLE 10%, v AT (VERSION => 1) y, unnest([1]) WITH ORDINALITY AS o(i, j)

SELECT PREDICT(m, *) FROM t PIVOT (sum(v) FOR k IN (1, 2) GROUP BY a) AS p
-->
SELECT «predict m(*) item | from t PIVOT (sum(v) FOR k IN (1, 2) GROUP BY a) AS p seen p» FROM t PIVOT (sum(v) FOR k IN (1, 2) GROUP BY a) AS p

SELECT PREDICT(m, *) FROM t UNPIVOT INCLUDE NULLS (v FOR k IN (a, b)) q WHERE TRUE USING SAMPLE 10%
-->
SELECT «predict m(*) item | from t UNPIVOT INCLUDE NULLS (v FOR k IN (a, b)) q seen q» FROM t UNPIVOT INCLUDE NULLS (v FOR k IN (a, b)) q WHERE TRUE USING SAMPLE 10%

SELECT PREDICT(m, *) FROM t, u,
-->
SELECT «predict m(*) item | from t, u seen t u» FROM t, u,

SELECT PREDICT(m, *), FROM t JOIN u ON PREDICT(n, t.a, u.b) > 0.5 JOIN v ON v.x IN (SELECT PREDICT(n, w.*) FROM w)
-->
SELECT «predict m(*) item | from t JOIN u ON PREDICT(n, t.a, u.b) > 0.5 JOIN v ON v.x IN (SELECT PREDICT(n, w.*) FROM w) seen t u v», FROM t JOIN u ON «predict n(t.a; u.b) | over t u» > 0.5 JOIN v ON v.x IN (SELECT «predict n(w.*) item | from w seen w outer (over t u v)» FROM w)

SELECT PREDICT(m, *) FROM q JOIN p APPROX NEAREST 5 BY DISTANCE array_distance(q.v, p.v)
-->
SELECT «predict m(*) item | from q JOIN p APPROX NEAREST 5 BY DISTANCE array_distance(q.v, p.v) seen q p» FROM q JOIN p APPROX NEAREST 5 BY DISTANCE array_distance(q.v, p.v)

SELECT t.id, (SELECT PREDICT(m, u.*) FROM u WHERE u.k = t.k) FROM t
-->
SELECT t.id, (SELECT «predict m(u.*) item | from u seen u outer (from t seen t)» FROM u WHERE u.k = t.k) FROM t

SELECT * FROM t WHERE EXISTS (FROM u WHERE u.k = t.k AND PREDICT(m, u.a, t.b) > 0.5)
-->
SELECT * FROM t WHERE EXISTS (FROM u WHERE u.k = t.k AND «predict m(u.a; t.b) | from u seen u outer (from t seen t)» > 0.5)

SELECT * FROM t, LATERAL (SELECT PREDICT(m, t.*) AS p) l, LATERAL (SELECT PREDICT(m, l.p, t.a)) k
-->
SELECT * FROM t, LATERAL (SELECT «predict m(t.*) | outer (over t)» AS p) l, LATERAL (SELECT «predict m(l.p; t.a) item | outer (over t l)») k

SELECT * FROM t, unnest([PREDICT(m, t.*)]) AS u(x)
-->
SELECT * FROM t, unnest([«predict m(t.*) | over t»]) AS u(x)

WITH a AS (SELECT PREDICT(m, *) AS p FROM t), b(q) AS MATERIALIZED (SELECT PREDICT(n, *) FROM a) SELECT PREDICT(m, *) FROM b JOIN ML.PREDICT(MODEL m, TABLE a) ON TRUE
-->
WITH a AS (SELECT «predict m(*) | from t seen t» AS p FROM t), b(q) AS MATERIALIZED (SELECT «predict n(*) item | from a seen a with a» FROM a) SELECT «predict m(*) item | from b JOIN ML.PREDICT(MODEL m, TABLE a) ON TRUE seen b ? with a b(q)» FROM b JOIN «predict m(table a) | with a b(q) outer (over b with a b(q))» ON TRUE

WITH a AS (SELECT 1 AS x) SELECT * FROM (WITH a AS (SELECT 2 AS x), b AS (FROM a) SELECT PREDICT(m, *) FROM a, b) s
-->
WITH a AS (SELECT 1 AS x) SELECT * FROM (WITH a AS (SELECT 2 AS x), b AS (FROM a) SELECT «predict m(*) item | from a, b seen a b with a b» FROM a, b) s

WITH RECURSIVE a AS (SELECT 1), r(n) AS (SELECT 1 UNION ALL SELECT n + PREDICT(m, *) FROM r WHERE n < 5) SELECT PREDICT(m, n) FROM r
-->
WITH RECURSIVE a AS (SELECT 1), r(n) AS (SELECT 1 UNION ALL SELECT n + «predict m(*) in item [n + PREDICT(m, *)] | from r seen r with a anchors r(n) AS (SELECT 1 recursive» FROM r WHERE n < 5) SELECT «predict m(n) item | from r seen r with a r(n) recursive» FROM r

SELECT PREDICT(m, *) FROM a UNION ALL SELECT PREDICT(m, *) FROM b EXCEPT (SELECT PREDICT(m, *) FROM c INTERSECT FROM d SELECT PREDICT(m, *)) ORDER BY PREDICT(m, 1)
-->
SELECT «predict m(*) item | from a seen a» FROM a UNION ALL SELECT «predict m(*) item | from b seen b» FROM b EXCEPT (SELECT «predict m(*) item | from c seen c» FROM c INTERSECT FROM d SELECT «predict m(*) item | from d seen d») ORDER BY «predict m(1) | nothing»

(SELECT PREDICT(m, *) FROM a) UNION BY NAME (FROM b SELECT PREDICT(m, *)) LIMIT 5
-->
(SELECT «predict m(*) item | from a seen a» FROM a) UNION BY NAME (FROM b SELECT «predict m(*) item | from b seen b») LIMIT 5

SELECT * EXCEPT (a), PREDICT(m, *) FROM t
-->
SELECT * EXCEPT (a), «predict m(*) item | from t seen t» FROM t

SELECT * FROM t EXCEPT SELECT PREDICT(m, *) FROM u
-->
SELECT * FROM t EXCEPT SELECT «predict m(*) item | from u seen u» FROM u

SELECT max(PREDICT(m, *)) FILTER (WHERE PREDICT(n, a) > 0) OVER (PARTITION BY PREDICT(n, b) ORDER BY c) AS w FROM t
-->
SELECT max(«predict m(*) | from t seen t») FILTER (WHERE «predict n(a) | from t seen t» > 0) OVER (PARTITION BY «predict n(b) | from t seen t» ORDER BY c) AS w FROM t

SELECT list_transform(l, lambda x: PREDICT(m, x AS a)), [PREDICT(m, y AS a) FOR y IN l IF y > 1], {'p': PREDICT(m, *), q: [PREDICT(n, *)]}, CASE WHEN PREDICT(m, *) > 1 THEN 1 END FROM t
-->
SELECT list_transform(l, lambda x: «predict m(x as a) in item [list_transform(l, lambda x: PREDICT(m, x AS a))] | from t seen t»), [«predict m(y as a) in item [[PREDICT(m, y AS a) FOR y IN l IF y > 1]] | from t seen t» FOR y IN l IF y > 1], {'p': «predict m(*) in item [{'p': PREDICT(m, *), q: [PREDICT(n, *)]}] | from t seen t», q: [«predict n(*) in item [{'p': PREDICT(m, *), q: [PREDICT(n, *)]}] | from t seen t»]}, CASE WHEN «predict m(*) in item [CASE WHEN PREDICT(m, *) > 1 THEN 1 END] | from t seen t» > 1 THEN 1 END FROM t

SELECT PREDICT(m, PREDICT(n, *) AS x, (SELECT max(PREDICT(n, u.*)) FROM u) AS y) FROM t
-->
SELECT «predict m(PREDICT(n, *) as x; (SELECT max(PREDICT(n, u.*)) FROM u) as y) item | from t seen t» FROM t
  inside: «predict n(*) in item [PREDICT(m, PREDICT(n, *) AS x, (SELECT max(PREDICT(n, u.*)) FROM u) AS y)] | from t seen t»
  inside: «predict n(u.*) in item [max(PREDICT(n, u.*))] | from u seen u outer (from t seen t)»

SELECT PREDICT(m, *) > 0.5, PREDICT(m, *)::INTEGER, -PREDICT(m, *), PREDICT(m, *) IS NULL, x: PREDICT(m, *), PREDICT(m, *) risk, upper(PREDICT(m, *)) FROM t
-->
SELECT «predict m(*) in item [PREDICT(m, *) > 0.5] | from t seen t» > 0.5, «predict m(*) in item [PREDICT(m, *)::INTEGER] | from t seen t»::INTEGER, -«predict m(*) in item [-PREDICT(m, *)] | from t seen t», «predict m(*) in item [PREDICT(m, *) IS NULL] | from t seen t» IS NULL, x: «predict m(*) | from t seen t», «predict m(*) | from t seen t» risk, upper(«predict m(*) in item [upper(PREDICT(m, *))] | from t seen t») FROM t

SELECT DISTINCT ON (PREDICT(m, a)) PREDICT(m, *), b AS from FROM t
-->
SELECT DISTINCT ON («predict m(a) | from t seen t») «predict m(*) item | from t seen t», b AS from FROM t

SELECT t.from, trim(FROM PREDICT(m, *)), extract(year FROM PREDICT(n, *)) FROM t
-->
SELECT t.from, trim(FROM «predict m(*) in item [trim(FROM PREDICT(m, *))] | from t seen t»), extract(year FROM «predict n(*) in item [extract(year FROM PREDICT(n, *))] | from t seen t») FROM t

VALUES (PREDICT(m, 1, 2), 3)
-->
VALUES («predict m(1; 2) | nothing», 3)

UPDATE t SET p = PREDICT(m, *), q = (SELECT PREDICT(m, u.*) FROM u WHERE u.k = t.k) WHERE PREDICT(m, a) > 1 RETURNING PREDICT(m, *), id
-->
UPDATE t SET p = «predict m(*) | from t seen t», q = (SELECT «predict m(u.*) item | from u seen u outer (from t seen t)» FROM u WHERE u.k = t.k) WHERE «predict m(a) | from t seen t» > 1 RETURNING «predict m(*) item | from t seen t», id

UPDATE d.s.t AS x SET p = PREDICT(m, *) FROM u JOIN v USING (k) WHERE x.k = u.k
-->
UPDATE d.s.t AS x SET p = «predict m(*) | over x u v» FROM u JOIN v USING (k) WHERE x.k = u.k

WITH s AS (FROM w) UPDATE t SET p = PREDICT(m, s.*) FROM s
-->
WITH s AS (FROM w) UPDATE t SET p = «predict m(s.*) | over t s with s» FROM s

DELETE FROM t WHERE PREDICT(m, *) > 1 RETURNING PREDICT(m, *)
-->
DELETE FROM t WHERE «predict m(*) | from t seen t» > 1 RETURNING «predict m(*) item | from t seen t»

DELETE FROM t x USING u JOIN v USING (k) WHERE x.k = u.k AND PREDICT(m, *) > 1
-->
DELETE FROM t x USING u JOIN v USING (k) WHERE x.k = u.k AND «predict m(*) | over x u v» > 1

INSERT INTO t BY NAME SELECT PREDICT(m, *) AS p FROM u
-->
INSERT INTO t BY NAME SELECT «predict m(*) | from u seen u» AS p FROM u

INSERT INTO t (a, b) VALUES (1, PREDICT(m, 1)) ON CONFLICT (a) DO UPDATE SET b = PREDICT(m, excluded.a) WHERE PREDICT(m, t.a) > 1 RETURNING PREDICT(m, *)
-->
INSERT INTO t (a, b) VALUES (1, «predict m(1) | nothing») ON CONFLICT (a) DO UPDATE SET b = «predict m(excluded.a) | from t seen t» WHERE «predict m(t.a) | from t seen t» > 1 RETURNING «predict m(*) item | from t seen t»

INSERT OR REPLACE INTO t AS x (SELECT PREDICT(m, *) FROM u)
-->
INSERT OR REPLACE INTO t AS x (SELECT «predict m(*) item | from u seen u» FROM u)

WITH d AS (DELETE FROM t WHERE PREDICT(m, *) > 1 RETURNING *) INSERT INTO archive SELECT *, PREDICT(m, *) FROM d
-->
WITH d AS (DELETE FROM t WHERE «predict m(*) | from t seen t» > 1 RETURNING *) INSERT INTO archive SELECT *, «predict m(*) item | from d seen d with d» FROM d

MERGE INTO t USING u AS s ON t.k = s.k AND PREDICT(m, s.*) > 1 WHEN MATCHED AND PREDICT(m, t.*) > 1 THEN UPDATE SET p = PREDICT(m, *) WHEN NOT MATCHED THEN INSERT VALUES (PREDICT(m, *)) WHEN NOT MATCHED BY SOURCE THEN UPDATE SET p = PREDICT(m, *) RETURNING PREDICT(m, t.k)
-->
MERGE INTO t USING u AS s ON t.k = s.k AND «predict m(s.*) | over t s» > 1 WHEN MATCHED AND «predict m(t.*) | over t s» > 1 THEN UPDATE SET p = «predict m(*) | over t s» WHEN NOT MATCHED THEN INSERT VALUES («predict m(*) | from u AS s seen s») WHEN NOT MATCHED BY SOURCE THEN UPDATE SET p = «predict m(*) | from t seen t» RETURNING «predict m(t.k) | over t s»

CREATE OR REPLACE TEMP VIEW v (a, b) AS SELECT *, PREDICT(m, *) FROM t
-->
CREATE OR REPLACE TEMP VIEW v (a, b) AS SELECT *, «predict m(*) item | from t seen t» FROM t

CREATE TABLE x AS FROM ML.PREDICT(MODEL m, TABLE t)
-->
CREATE TABLE x AS FROM «predict m(table t) | nothing»

CREATE TABLE x (a INTEGER, p DOUBLE GENERATED ALWAYS AS (PREDICT(m, a)), CHECK (PREDICT(m, a) > 0))
-->
CREATE TABLE x (a INTEGER, p DOUBLE GENERATED ALWAYS AS («predict m(a) | nothing»), CHECK («predict m(a) | nothing» > 0))

CREATE MACRO risk(a, b := 1) AS PREDICT(m, a, b), (a) AS PREDICT(m, a, 1)
-->
CREATE MACRO risk(a, b := 1) AS «predict m(a; b) | nothing», (a) AS «predict m(a; 1) | nothing»

CREATE MACRO scored(x) AS TABLE SELECT *, PREDICT(m, *) FROM t WHERE t.x = x
-->
CREATE MACRO scored(x) AS TABLE SELECT *, «predict m(*) item | from t seen t» FROM t WHERE t.x = x

CREATE TRIGGER g AFTER INSERT ON t FOR EACH STATEMENT INSERT INTO log SELECT PREDICT(m, *) FROM u
-->
CREATE TRIGGER g AFTER INSERT ON t FOR EACH STATEMENT INSERT INTO log SELECT «predict m(*) item | from u seen u» FROM u

CREATE INDEX i ON t (PREDICT(m, a))
-->
CREATE INDEX i ON t («predict m(a) | nothing»)

COPY (SELECT PREDICT(m, *) FROM t) TO 'predict.csv' (HEADER)
-->
COPY (SELECT «predict m(*) item | from t seen t» FROM t) TO 'predict.csv' (HEADER)

EXPLAIN ANALYZE SELECT PREDICT(m, *) FROM t
-->
EXPLAIN ANALYZE SELECT «predict m(*) item | from t seen t» FROM t

EXPLAIN (FORMAT json) FROM ML.PREDICT(MODEL m, TABLE t)
-->
EXPLAIN (FORMAT json) FROM «predict m(table t) | nothing»

PREPARE p (DOUBLE) AS SELECT PREDICT(m, $1, ?, :x) FROM t
-->
PREPARE p (DOUBLE) AS SELECT «predict m($1; ?; :x) item | from t seen t» FROM t

SET VARIABLE x = (SELECT avg(PREDICT(m, *)) FROM t)
-->
SET VARIABLE x = (SELECT avg(«predict m(*) in item [avg(PREDICT(m, *))] | from t seen t») FROM t)

PIVOT ML.PREDICT(MODEL m, TABLE t) ON k USING sum(PREDICT(n, *)) GROUP BY g
-->
PIVOT «predict m(table t) | nothing» ON k USING sum(«predict n(*) | from ML.PREDICT(MODEL m, TABLE t) seen ?») GROUP BY g

SUMMARIZE SELECT PREDICT(m, *) FROM t
-->
SUMMARIZE SELECT «predict m(*) item | from t seen t» FROM t

DESCRIBE FROM t SELECT PREDICT(m, *)
-->
DESCRIBE FROM t SELECT «predict m(*) item | from t seen t»

SELECT * FROM (SUMMARIZE SELECT PREDICT(m, *) FROM t)
-->
SELECT * FROM (SUMMARIZE SELECT «predict m(*) item | from t seen t» FROM t)

CREATE MODEL m2 AS SELECT *, PREDICT(m, *) AS p FROM ML.PREDICT(MODEL n, TABLE t)
-->
CREATE MODEL m2 AS SELECT *, «predict m(*) | from ML.PREDICT(MODEL n, TABLE t) seen ?» AS p FROM «predict n(table t) | nothing»

CREATE MODEL fresh AS FROM t; SELECT PREDICT(fresh, a) FROM t; SELECT PREDICT(stale, a) FROM t
-->
CREATE MODEL fresh AS FROM t; SELECT «predict fresh(a) item | from t seen t» FROM t; SELECT PREDICT(stale, a) FROM t

SELECT '日本', PREDICT(m, "é", 🦆) FROM "表"
-->
SELECT '日本', «predict m("é"; 🦆) item | from "表" seen 表» FROM "表"

SELECT struct_pack(values := PREDICT(m, *)), sum(values), trim(FROM PREDICT(m, *)), [PREDICT(m, *)], (VALUES (PREDICT(m, 1))), (show + PREDICT(m, *)) FROM t
-->
SELECT struct_pack(values := «predict m(*) in item [struct_pack(values := PREDICT(m, *))] | from t seen t»), sum(values), trim(FROM «predict m(*) in item [trim(FROM PREDICT(m, *))] | from t seen t»), [«predict m(*) in item [[PREDICT(m, *)]] | from t seen t»], (VALUES («predict m(1) | outer (from t seen t)»)), (show + «predict m(*) in item [(show + PREDICT(m, *))] | from t seen t») FROM t

SELECT a//* comment */b, PREDICT(m /* PREDICT(n */, *)
FROM t -- PREDICT(n, *)
WHERE TRUE
-->
SELECT a//* comment */b, «predict m(*) item | from t seen t»
FROM t -- PREDICT(n, *)
WHERE TRUE

EXPLAIN ANALYZE CREATE TABLE x AS SELECT PREDICT(m, *) FROM t
-->
EXPLAIN ANALYZE CREATE TABLE x AS SELECT «predict m(*) item | from t seen t» FROM t

ALTER TABLE t ADD COLUMN p DOUBLE DEFAULT PREDICT(m, 1)
-->
ALTER TABLE t ADD COLUMN p DOUBLE DEFAULT «predict m(1) | nothing»

SELECT PREDICT(m, *) FROM d.s."T t" TABLESAMPLE 10%, LATERAL ML.PREDICT(MODEL n, (SELECT "T t".a)) p, LATERAL unnest([1]) u(x)
-->
SELECT «predict m(*) item | from d.s."T t" TABLESAMPLE 10%, LATERAL ML.PREDICT(MODEL n, (SELECT "T t".a)) p, LATERAL unnest([1]) u(x) seen T t p u» FROM d.s."T t" TABLESAMPLE 10%, LATERAL «predict n(query SELECT "T t".a) | outer (over T t)» p, LATERAL unnest([1]) u(x)

SELECT * FROM t WHERE (a, b) IN (SELECT x, PREDICT(m, *) FROM u) OR NOT EXISTS (SELECT 1 FROM v LEFT JOIN w ON PREDICT(m, v.a, w.b) > 1 WHERE v.k = t.k)
-->
SELECT * FROM t WHERE (a, b) IN (SELECT x, «predict m(*) item | from u seen u outer (from t seen t)» FROM u) OR NOT EXISTS (SELECT 1 FROM v LEFT JOIN w ON «predict m(v.a; w.b) | over v w outer (from t seen t)» > 1 WHERE v.k = t.k)

SELECT PREDICT(nope, *), PREDICT(nope, a, * EXCEPT (b)), PREDICT_PROBA(nope USING a), predict(nope, 1) FROM t
-->
SELECT «predict nope(*) item | from t seen t», «predict nope(a; * without b) item | from t seen t», «predict_proba nope(a) item | from t seen t», predict(nope, 1) FROM t
