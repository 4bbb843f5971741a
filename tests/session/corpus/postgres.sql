CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, total numeric(10, 2) CHECK (total >= 0), placed date, tags text[], details jsonb)

INSERT INTO orders (customer, total, placed, tags, details) VALUES
    ('ann', 10.50, '2024-01-01', '{a,b}', '{"kind": "x", "n": [1, 2]}'), ('bob', 20, '2024-01-02', NULL, '{"kind": "y"}'),
    ('ann', 7.25, '2024-01-03', '{}', NULL), ('cat', 0, NULL, '{"with space","quote\""}', '[]')

SELECT * FROM orders ORDER BY id

TABLE orders ORDER BY id DESC LIMIT 2

SELECT customer, sum(total) FROM orders GROUP BY customer ORDER BY 1

SELECT customer, sum(total) FILTER (WHERE total > 8) FROM orders GROUP BY ROLLUP (customer) ORDER BY 1 NULLS LAST

SELECT DISTINCT ON (customer) customer, total FROM orders ORDER BY customer, total DESC

SELECT id, rank() OVER w, lag(total) OVER w FROM orders WINDOW w AS (PARTITION BY customer ORDER BY placed) ORDER BY id

SELECT details ? 'kind', details ?| array['kind', 'n'], details ?& array['kind', 'n'] FROM orders ORDER BY id

SELECT details->'n'->>0, details #>> '{n,1}', details @> '{"kind": "x"}' FROM orders ORDER BY id

SELECT id FROM orders WHERE details @? '$.n[*] ? (@ > 1)'

SELECT details @@ '$.kind == "x"' FROM orders ORDER BY id

SELECT jsonb_path_query(details, '$.n[*]') FROM orders ORDER BY 1

SELECT tags[1], tags[1:1], cardinality(tags), 'a' = ANY (tags) FROM orders ORDER BY id

SELECT ARRAY[1, 2, 3], ARRAY[[1, 2], [3, 4]], '{1,2}'::int[] || 3

SELECT ARRAY(SELECT id FROM orders ORDER BY id)

SELECT ROW(1, 'a', NULL), (1, 2) = (1, 2), ROW(1, 2) < ROW(1, 3)

SELECT 'it''s', E'tab\there', U&'d\0061t\+000061', $$dollar 'quoted'$$, $tag$ $$inside$$ $tag$

SELECT "customer" AS "select", "id" AS "A b""c" FROM orders ORDER BY id LIMIT 1

SELECT 1::text, CAST('12' AS integer), '1e3'::float8, int '7', date '2024-02-29', interval '1 day 2 hours'

SELECT 10 / 3, 10 % 3, -7 / 2, 2 ^ 10, |/ 16, @ -5, 5 # 3, ~1, 1 << 4, 7 & 3, 1 | 6

SELECT 'abc' ~ '^a', 'abc' !~ 'z', 'ABC' ~* 'b', 'abc' LIKE 'a%', 'abc' SIMILAR TO '%(b|d)%', 'abc' ILIKE 'A%', 'abc' ^@ 'ab'

SELECT NULL IS DISTINCT FROM 1, NULL IS NOT DISTINCT FROM NULL, 5 BETWEEN SYMMETRIC 9 AND 1

SELECT CASE WHEN 1 > 2 THEN 'x' ELSE 'y' END, coalesce(NULL, 2), nullif(1, 1), greatest(1, 3, 2)

SELECT extract(year FROM date '2024-05-06'), date_trunc('month', timestamp '2024-05-06 07:08:09'), age(date '2024-05-06', date '2020-01-01')

SELECT timestamptz '2024-05-06 07:08:09+02' AT TIME ZONE 'UTC', timestamp '2024-05-06' AT TIME ZONE 'Europe/Paris'

SELECT position('b' IN 'abc'), substring('abcdef' FROM 2 FOR 3), overlay('abcdef' PLACING 'ZZ' FROM 2), trim(BOTH 'x' FROM 'xax')

SELECT format('%I %L %s', 'a b', 'c''d', 5), quote_ident('Select'), concat_ws('-', 'a', NULL, 'b')

SELECT regexp_replace('foobar', 'o+', '<\&>'), regexp_matches('foobar', '(o+)(b)'), string_to_array('a,b', ',')

SELECT generate_series(1, 3), generate_series(1, 2)

SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS g(a, n)

SELECT * FROM unnest(ARRAY[1, 2], ARRAY['x', 'y', 'z']) AS u(a, b)

SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(5, 7)) AS r(a, b)

SELECT * FROM jsonb_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') AS r(a int, b text)

SELECT o.id, l.n FROM orders o CROSS JOIN LATERAL (SELECT count(*) AS n FROM orders i WHERE i.customer = o.customer) l ORDER BY 1

SELECT a.id, b.id FROM orders a LEFT JOIN orders b ON b.id = a.id + 1 ORDER BY 1

SELECT id FROM orders a NATURAL JOIN (SELECT id, customer FROM orders) b ORDER BY 1

SELECT * FROM (VALUES (1, 'one'), (2, 'two')) AS v(n, word)

VALUES (1, NULL), (2, 'b')

WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t

WITH a AS MATERIALIZED (SELECT 1 AS x), b AS NOT MATERIALIZED (SELECT x + 1 AS y FROM a) SELECT * FROM a, b

WITH moved AS (DELETE FROM orders WHERE customer = 'cat' RETURNING *) SELECT customer, total FROM moved

SELECT 1 UNION SELECT 2 UNION ALL SELECT 2 EXCEPT SELECT 1 ORDER BY 1

SELECT 1 INTERSECT ALL SELECT 1

SELECT id FROM orders ORDER BY total USING > FETCH FIRST 2 ROWS ONLY

SELECT id FROM orders ORDER BY id FOR UPDATE SKIP LOCKED

SELECT count(*) FROM orders TABLESAMPLE BERNOULLI (100) REPEATABLE (1)

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total), mode() WITHIN GROUP (ORDER BY customer) FROM orders

SELECT string_agg(customer, ', ' ORDER BY id), array_agg(DISTINCT customer ORDER BY customer), jsonb_object_agg(id, customer) FROM orders

SELECT GROUPING(customer), customer, count(*) FROM orders GROUP BY GROUPING SETS ((customer), ()) ORDER BY 1, 2

SELECT pg_typeof(1.5), pg_typeof('x'), pg_typeof(NULL::jsonb), pg_typeof(ARRAY[1])

INSERT INTO orders (customer, total) VALUES ('dan', 1) RETURNING customer, total

INSERT INTO orders (id, customer) OVERRIDING SYSTEM VALUE VALUES (100, 'eve') ON CONFLICT (id) DO UPDATE SET customer = excluded.customer RETURNING id

INSERT INTO orders (id, customer) VALUES (100, 'eve')

INSERT INTO orders (customer, total) VALUES ('neg', -1)

INSERT INTO orders (customer) VALUES (NULL)

UPDATE orders SET total = total + 1 FROM (VALUES ('ann', 1)) v(who, n) WHERE customer = v.who RETURNING orders.customer, total

MERGE INTO orders o USING (VALUES ('ann'), ('zoe')) v(who) ON o.customer = v.who WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (customer) VALUES (v.who)

DELETE FROM orders USING (VALUES ('dan')) v(who) WHERE customer = v.who

TRUNCATE nosuch

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')

SELECT 'ok'::mood < 'happy'::mood, enum_range(NULL::mood)

SELECT 'bad'::mood

CREATE TYPE pair AS (a int, b text)

SELECT (ROW(1, 'x')::pair).b, ROW(2, 'y')::pair

CREATE DOMAIN positive AS int CHECK (value > 0)

SELECT 5::positive

SELECT (-5)::positive

CREATE FUNCTION add_one(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n + 1

SELECT add_one(41), add_one(n => 1)

CREATE FUNCTION twice(n int) RETURNS SETOF int LANGUAGE plpgsql AS $body$
BEGIN
    RETURN NEXT n; RAISE NOTICE 'n is %', n;
    RETURN NEXT n; -- a comment; with 'quotes' and PREDICT(m, *)
END $body$

SELECT * FROM twice(3)

CREATE FUNCTION predict(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a * b'

SELECT predict(6, 7), predict(a => 2, b => 3)

SELECT model FROM (SELECT 1 AS model) s WHERE model = 1

SELECT 'CREATE MODEL m AS SELECT 1', $$SELECT * FROM ML.PREDICT(MODEL m, TABLE t)$$

/* PREDICT(m, *) /* nested ML.PREDICT( */ */ SELECT 1 -- CREATE MODEL

CREATE PROCEDURE note() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO orders (customer) VALUES ('proc'); END $$

CALL note()

DO $$ BEGIN RAISE NOTICE 'hello'; END $$

DO $$ BEGIN RAISE EXCEPTION 'no %', 'way' USING HINT = 'try another', DETAIL = 'some detail', ERRCODE = 'P1234'; END $$

CREATE VIEW busy AS SELECT customer, count(*) AS n FROM orders GROUP BY customer

CREATE MATERIALIZED VIEW busy_now AS SELECT * FROM busy WITH NO DATA

SELECT * FROM busy_now

REFRESH MATERIALIZED VIEW busy_now

SELECT * FROM busy_now ORDER BY 1

CREATE INDEX ON orders USING gin (details jsonb_path_ops)

CREATE UNIQUE INDEX busy_by_customer ON busy_now (customer)

CREATE TABLE copied (LIKE orders INCLUDING ALL)

CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k)

CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10)

INSERT INTO parted VALUES (5, 'in'), (50, 'out')

CREATE TEMP TABLE scratch ON COMMIT PRESERVE ROWS AS SELECT 1 AS a

SELECT * FROM scratch

CREATE SCHEMA "Mixed Case"

CREATE TABLE "Mixed Case"."Tab le" ("Col" int, col int)

INSERT INTO "Mixed Case"."Tab le" VALUES (1, 2)

SELECT "Col", col, t FROM "Mixed Case"."Tab le" t

SELECT Col FROM "Mixed Case".tab

SET search_path = "Mixed Case", public

SELECT * FROM "Tab le"

SHOW search_path

RESET search_path

SET LOCAL statement_timeout = '1s'

SHOW server_version_num

SELECT current_setting('application_name') IS NOT NULL, current_schema, current_user

BEGIN

INSERT INTO scratch VALUES (2)

SAVEPOINT here

INSERT INTO scratch VALUES ('x')

SELECT 1

ROLLBACK TO SAVEPOINT here

SELECT count(*) FROM scratch

COMMIT

BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE

INSERT INTO orders (customer) VALUES ('never')

ROLLBACK

COMMIT

PREPARE p (int) AS SELECT $1 + 1

EXECUTE p (4)

EXECUTE p ('x')

DEALLOCATE p

BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id FROM orders ORDER BY id

FETCH 2 FROM c

MOVE LAST IN c

FETCH BACKWARD 1 FROM c

CLOSE c; COMMIT

EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE id = 1

EXPLAIN (FORMAT JSON, COSTS OFF) SELECT 1

LOCK TABLE orders

LISTEN channel

NOTIFY channel, 'payload'

COMMENT ON TABLE orders IS 'the orders'

SELECT obj_description('orders'::regclass)

GRANT SELECT ON orders TO PUBLIC

ANALYZE orders

ALTER TABLE orders ADD COLUMN extra int DEFAULT 5, ALTER COLUMN customer TYPE varchar(50)

SELECT extra FROM orders LIMIT 1

SELECT 1; SELECT 2, 'two'

SELECT 1;; ;SELECT 3

SELECT

SELECT FROM orders

SELEC 1

SELECT nosuch FROM orders

SELECT * FROM nosuch

SELECT nosuch(1)

SELECT 1 +

SELECT 'unterminated

SELECT "unterminated

SELECT 1 / 0

SELECT 'x'::int

SELECT * FROM orders o, orders p WHERE id = 1

SELECT customer, total FROM orders GROUP BY customer

SELECT sum(sum(total)) FROM orders

SELECT (SELECT id FROM orders)

SELECT 1 WHERE 'a'

SELECT $1

SELECT 'é日本' AS "ü日本", length('日本')

SELECT   1   -- spaces  and	tabs

DROP TABLE nosuch

DROP TABLE IF EXISTS nosuch

DROP TYPE mood

DROP SCHEMA "Mixed Case"

DROP SCHEMA "Mixed Case" CASCADE

VACUUM orders
