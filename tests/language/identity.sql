-- Statements that hold our words and are the engine's; models late, m and n exist. Behind the arrow: names that are no models.

SELECT PREDICT(nope, a, b) FROM t
-->
untouched, unless there were a model nope

SELECT predict(nope, *COLUMNS(*)), predict(nope, 2 * 3), predict(nope, t.*) FROM t
-->
untouched, unless there were a model nope, nope, nope

SELECT PREDICT(nope@3, a) FROM t
-->
untouched, unless there were a model nope

SELECT predict(x + 1, 2), predict(), predict(f(x)), predict(t.*)
-->
untouched

SELECT predict('a', 'b'), predict("a" || 'b')
-->
untouched, unless there were a model a

SELECT predict(model), predict(model, x), predict(model.x), predict(model IS NULL), predict(model LIKE 'a%') FROM t
-->
untouched, unless there were a model model, model, model.x

SELECT ml.predict('nope'), ml.evaluate(x), ml.anything(late), ml.anything('late')
-->
untouched, unless there were a model nope, x

SELECT * FROM ml.evaluate('nope')
-->
untouched, unless there were a model nope

SELECT t.predict(m), s.t.predict(m, 1) FROM t
-->
untouched

SELECT predict, predict_proba, model, ml FROM t AS predict
-->
untouched

SELECT ml_predict(name, t), ml_predict_proba($1, t) FROM t
-->
untouched

CREATE MACRO predict(m, x) AS m + x
-->
untouched

INSERT INTO predict (m, n) VALUES (1, 2)
-->
untouched

COPY predict (m) FROM 'x.csv'
-->
untouched

CREATE TABLE predict (m INTEGER, n INTEGER)
-->
untouched

CREATE INDEX i ON predict (m)
-->
untouched

WITH predict (m) AS (SELECT 1) SELECT m FROM predict
-->
untouched

SELECT * FROM t AS predict (m, n)
-->
untouched

UPDATE model SET model = 1
-->
untouched

DELETE FROM model WHERE model = 'm'
-->
untouched

CREATE TABLE model (model INTEGER)
-->
untouched

CREATE OR REPLACE VIEW model AS SELECT 1 AS model
-->
untouched

DROP TABLE model
-->
untouched

ALTER TABLE model RENAME TO m
-->
untouched

SHOW model
-->
untouched

SHOW "models"
-->
untouched

SHOW models.late
-->
untouched

DESCRIBE model
-->
untouched

DESCRIBE model.late
-->
untouched

COMMENT ON TABLE model IS 'model'
-->
untouched

GRANT SELECT ON model TO joe
-->
untouched

EXPORT DATABASE 'model'
-->
untouched

PREPARE model AS SELECT 1
-->
untouched

EXECUTE predict(m)
-->
untouched

SELECT ml.predict(MODEL), ml.predict(model, 1), ml.predict(model.x) FROM t
-->
untouched, unless there were a model MODEL, model, model.x

SELECT 'PREDICT(MODEL m, TABLE t)', $$ ML.PREDICT(MODEL m) $$, "PREDICT(MODEL m)" -- PREDICT(MODEL m)
-->
untouched

/* CREATE MODEL m AS SELECT 1 */ SELECT 1
-->
untouched

SELECT 'never closed, PREDICT(m, *)
-->
untouched

SELECT 1 -- never ends /* PREDICT(m, *)
-->
untouched

;
-->
untouched

SELECT 1;;
-->
untouched
