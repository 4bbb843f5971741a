-- Statements that break the dialect's grammar, and the whole error as a terminal shows it.

CREATE MODEL
-->
ERROR:  expected a model name, found the end of the statement
LINE 1: CREATE MODEL
                    ^

CREATE MODEL AS SELECT 1
-->
ERROR:  expected a model name, found "AS"
LINE 1: CREATE MODEL AS SELECT 1
                     ^
HINT:  "AS" is a reserved word: write it in double quotes to use it as a name.

CREATE MODEL 5 AS SELECT 1
-->
ERROR:  expected a model name, found "5"
LINE 1: CREATE MODEL 5 AS SELECT 1
                     ^

CREATE MODEL m
-->
ERROR:  expected TRANSFORM, OPTIONS or AS, found the end of the statement
LINE 1: CREATE MODEL m
                      ^
HINT:  The statement is CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name [TRANSFORM (...)] [OPTIONS (...)] AS query.

CREATE MODEL m SELECT 1
-->
ERROR:  expected TRANSFORM, OPTIONS or AS, found "SELECT"
LINE 1: CREATE MODEL m SELECT 1
                       ^
HINT:  The statement is CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name [TRANSFORM (...)] [OPTIONS (...)] AS query.

CREATE MODEL m AS
-->
ERROR:  expected a query or TABLE name, found the end of the statement
LINE 1: CREATE MODEL m AS
                         ^
HINT:  Write AS SELECT ..., or AS TABLE name.

CREATE MODEL m AS 5
-->
ERROR:  expected a query or TABLE name, found "5"
LINE 1: CREATE MODEL m AS 5
                          ^
HINT:  Write AS SELECT ..., or AS TABLE name.

CREATE MODEL m AS t
-->
ERROR:  expected a query or TABLE name, found "t"
LINE 1: CREATE MODEL m AS t
                          ^
HINT:  Write AS SELECT ..., or AS TABLE name.

CREATE MODEL m@3 AS SELECT 1
-->
ERROR:  a version cannot be given here
LINE 1: CREATE MODEL m@3 AS SELECT 1
                      ^
HINT:  Leave out the @ and what follows it.

CREATE MODEL a.b.c.d AS SELECT 1
-->
ERROR:  a model name has too many parts
LINE 1: CREATE MODEL a.b.c.d AS SELECT 1
                     ^
HINT:  Write [[database.]schema.]name.

CREATE MODEL `a..b` AS SELECT 1
-->
ERROR:  a name cannot be empty
LINE 1: CREATE MODEL `a..b` AS SELECT 1
                     ^

CREATE MODEL "" AS SELECT 1
-->
ERROR:  a name cannot be empty
LINE 1: CREATE MODEL "" AS SELECT 1
                     ^

CREATE TEMP MODEL m AS SELECT 1
-->
ERROR:  expected MODEL, found "TEMP"
LINE 1: CREATE TEMP MODEL m AS SELECT 1
               ^
HINT:  There are no temporary models.

CREATE OR MODEL m AS SELECT 1
-->
ERROR:  expected MODEL, found "OR"
LINE 1: CREATE OR MODEL m AS SELECT 1
               ^

CREATE OR REPLACE MODEL IF NOT EXISTS m AS SELECT 1
-->
ERROR:  OR REPLACE and IF NOT EXISTS exclude each other
LINE 1: CREATE OR REPLACE MODEL IF NOT EXISTS m AS SELECT 1
        ^

CREATE MODEL IF EXISTS m AS SELECT 1
-->
ERROR:  expected TRANSFORM, OPTIONS or AS, found "EXISTS"
LINE 1: CREATE MODEL IF EXISTS m AS SELECT 1
                        ^
HINT:  The statement is CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name [TRANSFORM (...)] [OPTIONS (...)] AS query.

CREATE MODEL m TRANSFORM AS SELECT 1
-->
ERROR:  expected "(", found "AS"
LINE 1: CREATE MODEL m TRANSFORM AS SELECT 1
                                 ^
HINT:  Write TRANSFORM (select_list).

CREATE MODEL m TRANSFORM () AS SELECT 1
-->
ERROR:  TRANSFORM is empty
LINE 1: CREATE MODEL m TRANSFORM () AS SELECT 1
                                 ^
HINT:  Write TRANSFORM (*) to take all columns.

CREATE MODEL m TRANSFORM (a, (b) AS SELECT 1
-->
ERROR:  "(" is never closed
LINE 1: CREATE MODEL m TRANSFORM (a, (b) AS SELECT 1
                                 ^

CREATE MODEL m TRANSFORM (a) TRANSFORM (b) AS SELECT 1
-->
ERROR:  TRANSFORM stands twice
LINE 1: CREATE MODEL m TRANSFORM (a) TRANSFORM (b) AS SELECT 1
                                     ^

CREATE MODEL m OPTIONS AS SELECT 1
-->
ERROR:  expected "(", found "AS"
LINE 1: CREATE MODEL m OPTIONS AS SELECT 1
                               ^
HINT:  Write OPTIONS (key = value, ...).

CREATE MODEL m OPTIONS (a = 1) OPTIONS (b = 2) AS SELECT 1
-->
ERROR:  OPTIONS stands twice
LINE 1: CREATE MODEL m OPTIONS (a = 1) OPTIONS (b = 2) AS SELECT 1
                                       ^
HINT:  Put all options into one OPTIONS (...).

CREATE MODEL m OPTIONS (a = 1,) AS SELECT 1
-->
ERROR:  expected an option's name, found ")"
LINE 1: CREATE MODEL m OPTIONS (a = 1,) AS SELECT 1
                                      ^

CREATE MODEL m OPTIONS (a = 1 b = 2) AS SELECT 1
-->
ERROR:  expected "," or ")", found "b"
LINE 1: CREATE MODEL m OPTIONS (a = 1 b = 2) AS SELECT 1
                                      ^

CREATE MODEL m OPTIONS (a 1) AS SELECT 1
-->
ERROR:  expected "=", found "1"
LINE 1: CREATE MODEL m OPTIONS (a 1) AS SELECT 1
                                  ^
HINT:  Write a = value.

CREATE MODEL m OPTIONS (a = ) AS SELECT 1
-->
ERROR:  expected a value, found ")"
LINE 1: CREATE MODEL m OPTIONS (a = ) AS SELECT 1
                                    ^
HINT:  A value is a literal: a number, a 'string', TRUE, FALSE, NULL or a list.

CREATE MODEL m OPTIONS ('a' = 1) AS SELECT 1
-->
ERROR:  expected an option's name, found 'a'
LINE 1: CREATE MODEL m OPTIONS ('a' = 1) AS SELECT 1
                                ^

CREATE MODEL m OPTIONS (model_type = boosted_tree_classifier) AS SELECT 1
-->
ERROR:  "boosted_tree_classifier" is not a value
LINE 1: CREATE MODEL m OPTIONS (model_type = boosted_tree_classifier) AS SELECT 1
                                             ^
HINT:  Write 'boosted_tree_classifier' in single quotes if it is text.

CREATE MODEL m OPTIONS (a = ?) AS SELECT 1
-->
ERROR:  expected a value, found "?"
LINE 1: CREATE MODEL m OPTIONS (a = ?) AS SELECT 1
                                    ^
HINT:  A value is a literal: a number, a 'string', TRUE, FALSE, NULL or a list.

CREATE MODEL m OPTIONS (a = 1 + 1) AS SELECT 1
-->
ERROR:  expected "," or ")", found "+"
LINE 1: CREATE MODEL m OPTIONS (a = 1 + 1) AS SELECT 1
                                      ^

CREATE MODEL m OPTIONS (a = -'x') AS SELECT 1
-->
ERROR:  expected a number, found 'x'
LINE 1: CREATE MODEL m OPTIONS (a = -'x') AS SELECT 1
                                     ^

CREATE MODEL m OPTIONS (a = 1e999) AS SELECT 1
-->
ERROR:  1e999 is not a number
LINE 1: CREATE MODEL m OPTIONS (a = 1e999) AS SELECT 1
                                    ^

CREATE MODEL m OPTIONS (a = [1, 2) AS SELECT 1
-->
ERROR:  expected "," or "]", found ")"
LINE 1: CREATE MODEL m OPTIONS (a = [1, 2) AS SELECT 1
                                         ^

CREATE MODEL m OPTIONS (a = STRUCT(1 AS x, 2)) AS SELECT 1
-->
ERROR:  some fields of the STRUCT have names and some do not
LINE 1: CREATE MODEL m OPTIONS (a = STRUCT(1 AS x, 2)) AS SELECT 1
                                                    ^

CREATE MODEL m OPTIONS (a = {'x' 1}) AS SELECT 1
-->
ERROR:  expected ":", found "1"
LINE 1: CREATE MODEL m OPTIONS (a = {'x' 1}) AS SELECT 1
                                         ^

CREATE MODEL m OPTIONS (a = 1
-->
ERROR:  expected "," or ")", found the end of the statement
LINE 1: CREATE MODEL m OPTIONS (a = 1
                                     ^

CREATE MODEL m OPTIONS (a = 'never closed) AS SELECT 1
-->
ERROR:  unterminated quoted text
LINE 1: CREATE MODEL m OPTIONS (a = 'never closed) AS SELECT 1
                                    ^
HINT:  It opens here and is never closed.

CREATE MODEL m /* never closed AS SELECT 1
-->
ERROR:  unterminated comment
LINE 1: CREATE MODEL m /* never closed AS SELECT 1
                       ^
HINT:  It opens here and is never closed.

DROP MODEL
-->
ERROR:  expected a model name, found the end of the statement
LINE 1: DROP MODEL
                  ^

DROP MODEL IF EXISTS
-->
ERROR:  expected a model name, found the end of the statement
LINE 1: DROP MODEL IF EXISTS
                            ^

DROP MODEL m VERSION
-->
ERROR:  expected a version number, found the end of the statement
LINE 1: DROP MODEL m VERSION
                            ^

DROP MODEL m VERSION 0
-->
ERROR:  a version number is 1 or greater
LINE 1: DROP MODEL m VERSION 0
                             ^

DROP MODEL m VERSION two
-->
ERROR:  expected a version number, found "two"
LINE 1: DROP MODEL m VERSION two
                             ^

DROP MODEL m@champion
-->
ERROR:  a version to drop is named by its number
LINE 1: DROP MODEL m@champion
                   ^
HINT:  Write DROP MODEL name VERSION n.

DROP MODEL m, n
-->
ERROR:  expected the end of the statement, found ","
LINE 1: DROP MODEL m, n
                    ^

DROP MODEL m CASCADE RESTRICT
-->
ERROR:  expected the end of the statement, found "RESTRICT"
LINE 1: DROP MODEL m CASCADE RESTRICT
                             ^

ALTER MODEL m
-->
ERROR:  expected an action, found the end of the statement
LINE 1: ALTER MODEL m
                     ^
HINT:  Actions are SET DEFAULT VERSION n, SET ALIAS a = n, DROP ALIAS a, SET OPTIONS (...), RENAME TO name, KEEP n VERSIONS.

ALTER MODEL m SET
-->
ERROR:  expected an action, found "SET"
LINE 1: ALTER MODEL m SET
                      ^
HINT:  Actions are SET DEFAULT VERSION n, SET ALIAS a = n, DROP ALIAS a, SET OPTIONS (...), RENAME TO name, KEEP n VERSIONS.

ALTER MODEL m SET DEFAULT 3
-->
ERROR:  expected VERSION, found "3"
LINE 1: ALTER MODEL m SET DEFAULT 3
                                  ^
HINT:  Write SET DEFAULT VERSION n.

ALTER MODEL m SET DEFAULT VERSION
-->
ERROR:  expected a version number or an alias, found the end of the statement
LINE 1: ALTER MODEL m SET DEFAULT VERSION
                                         ^

ALTER MODEL m SET DEFAULT VERSION 3 REBUILD
-->
ERROR:  expected VIEWS, found the end of the statement
LINE 1: ALTER MODEL m SET DEFAULT VERSION 3 REBUILD
                                                   ^

ALTER MODEL m SET ALIAS champion
-->
ERROR:  expected "=", found the end of the statement
LINE 1: ALTER MODEL m SET ALIAS champion
                                        ^
HINT:  Write SET ALIAS name = n.

ALTER MODEL m SET ALIAS champion = latest
-->
ERROR:  expected a version number, found "latest"
LINE 1: ALTER MODEL m SET ALIAS champion = latest
                                           ^

ALTER MODEL m DROP ALIAS
-->
ERROR:  expected an alias, found the end of the statement
LINE 1: ALTER MODEL m DROP ALIAS
                                ^

ALTER MODEL m SET OPTIONS
-->
ERROR:  expected "(", found the end of the statement
LINE 1: ALTER MODEL m SET OPTIONS
                                 ^
HINT:  Write OPTIONS (key = value, ...).

ALTER MODEL m RENAME n
-->
ERROR:  expected TO, found "n"
LINE 1: ALTER MODEL m RENAME n
                             ^

ALTER MODEL m RENAME TO n@2
-->
ERROR:  a version cannot be given here
LINE 1: ALTER MODEL m RENAME TO n@2
                                 ^
HINT:  Leave out the @ and what follows it.

ALTER MODEL m KEEP 3
-->
ERROR:  expected VERSIONS, found the end of the statement
LINE 1: ALTER MODEL m KEEP 3
                            ^
HINT:  Write KEEP n VERSIONS.

ALTER MODEL m KEEP VERSIONS
-->
ERROR:  expected a version number, found "VERSIONS"
LINE 1: ALTER MODEL m KEEP VERSIONS
                           ^

ALTER MODEL m ADD COLUMN x INTEGER
-->
ERROR:  expected an action, found "ADD"
LINE 1: ALTER MODEL m ADD COLUMN x INTEGER
                      ^
HINT:  Actions are SET DEFAULT VERSION n, SET ALIAS a = n, DROP ALIAS a, SET OPTIONS (...), RENAME TO name, KEEP n VERSIONS.

REFRESH MODEL
-->
ERROR:  expected a model name, found the end of the statement
LINE 1: REFRESH MODEL
                     ^

REFRESH MODEL m NOW
-->
ERROR:  expected the end of the statement, found "NOW"
LINE 1: REFRESH MODEL m NOW
                        ^

SHOW MODELS LIKE late
-->
ERROR:  expected a pattern, found "late"
LINE 1: SHOW MODELS LIKE late
                         ^
HINT:  Write it in single quotes.

SHOW MODELS IN x
-->
ERROR:  expected the end of the statement, found "IN"
LINE 1: SHOW MODELS IN x
                    ^

SHOW MODEL VERSIONS
-->
ERROR:  expected a model name, found the end of the statement
LINE 1: SHOW MODEL VERSIONS
                           ^

SHOW CREATE MODEL
-->
ERROR:  expected a model name, found the end of the statement
LINE 1: SHOW CREATE MODEL
                         ^

DESCRIBE MODEL m n
-->
ERROR:  expected the end of the statement, found "n"
LINE 1: DESCRIBE MODEL m n
                         ^

EXPORT MODEL m
-->
ERROR:  expected TO, found the end of the statement
LINE 1: EXPORT MODEL m
                      ^
HINT:  Write EXPORT MODEL name TO 'file'.

EXPORT MODEL m TO file
-->
ERROR:  expected a file's path, found "file"
LINE 1: EXPORT MODEL m TO file
                          ^
HINT:  Write it in single quotes.

EXPORT MODEL m TO 'x' format
-->
ERROR:  expected the end of the statement, found "format"
LINE 1: EXPORT MODEL m TO 'x' format
                              ^

IMPORT MODEL m FROM
-->
ERROR:  expected a file's path, found the end of the statement
LINE 1: IMPORT MODEL m FROM
                           ^
HINT:  Write it in single quotes.

IMPORT MODEL FROM 'x'
-->
ERROR:  expected a model name, found "FROM"
LINE 1: IMPORT MODEL FROM 'x'
                     ^
HINT:  "FROM" is a reserved word: write it in double quotes to use it as a name.

IMPORT MODEL m@2 FROM 'x'
-->
ERROR:  a version cannot be given here
LINE 1: IMPORT MODEL m@2 FROM 'x'
                      ^
HINT:  Leave out the @ and what follows it.

EXPLAIN CREATE MODEL m AS SELECT 1
-->
ERROR:  a model statement cannot be explained
LINE 1: EXPLAIN CREATE MODEL m AS SELECT 1
                ^

PREPARE p AS DROP MODEL m
-->
ERROR:  a model statement cannot be prepared
LINE 1: PREPARE p AS DROP MODEL m
                     ^

SELECT * FROM ML.PREDIT(MODEL m, TABLE t)
-->
ERROR:  unknown function "ML.PREDIT"
LINE 1: SELECT * FROM ML.PREDIT(MODEL m, TABLE t)
                      ^
HINT:  Did you mean ML.PREDICT?

SELECT * FROM ML.ZZZ(MODEL m)
-->
ERROR:  unknown function "ML.ZZZ"
LINE 1: SELECT * FROM ML.ZZZ(MODEL m)
                      ^
HINT:  The functions are: CONFUSION_MATRIX, DESCRIBE_DATA, EVALUATE, EXPLAIN_DIFFERENCE, EXPLAIN_PREDICT, FEATURE_IMPORTANCE, FEATURE_INFO, GLOBAL_EXPLAIN, INTERACTIONS, METRICS, PREDICT, ROC_CURVE, TRAINING_INFO, TRANSFORM, TRIAL_INFO, VALIDATE_DATA_DRIFT, VALIDATE_DATA_SKEW, WEIGHTS.

SELECT * FROM ML.PREDICT(MODEL m TABLE t)
-->
ERROR:  expected ",", found "TABLE"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m TABLE t)
                                         ^

SELECT * FROM ML.PREDICT(MODEL m, TABLE)
-->
ERROR:  expected a table's name, found ")"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, TABLE)
                                               ^

SELECT * FROM ML.PREDICT(MODEL m, )
-->
ERROR:  expected TABLE name, (query) or STRUCT(...), found ")"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, )
                                          ^

SELECT * FROM ML.PREDICT(MODEL m, TABLE t,)
-->
ERROR:  expected TABLE name, (query) or STRUCT(...), found ")"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, TABLE t,)
                                                  ^

SELECT * FROM ML.PREDICT(MODEL m, SELECT * FROM t)
-->
ERROR:  expected TABLE name, (query) or STRUCT(...), found "SELECT"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, SELECT * FROM t)
                                          ^
HINT:  Put the query in brackets.

SELECT * FROM ML.PREDICT(MODEL m, (t))
-->
ERROR:  expected a query, found "t"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, (t))
                                           ^
HINT:  Write TABLE name, or a query in brackets.

SELECT * FROM ML.PREDICT(MODEL m, TABLE f(1))
-->
ERROR:  expected ",", found "("
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, TABLE f(1))
                                                 ^
HINT:  Write (SELECT * FROM function(...)): a table function goes into a query.

SELECT * FROM ML.PREDICT(MODEL m, TABLE t, STRUCT(0.3))
-->
ERROR:  expected AS, found ")"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, TABLE t, STRUCT(0.3))
                                                             ^
HINT:  Every setting needs its name: STRUCT(value AS setting, ...).

SELECT * FROM ML.PREDICT(MODEL m, TABLE t, STRUCT(0.3 threshold))
-->
ERROR:  expected AS, found "threshold"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, TABLE t, STRUCT(0.3 threshold))
                                                              ^
HINT:  Every setting needs its name: STRUCT(value AS setting, ...).

SELECT * FROM ML.PREDICT(MODEL m, TABLE t, 0.3)
-->
ERROR:  expected TABLE name, (query) or STRUCT(...), found "0.3"
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, TABLE t, 0.3)
                                                   ^

SELECT * FROM ML.PREDICT(MODEL m@, TABLE t)
-->
ERROR:  expected a version number or an alias, found ","
LINE 1: SELECT * FROM ML.PREDICT(MODEL m@, TABLE t)
                                         ^

SELECT * FROM ML.PREDICT(MODEL 'a b', TABLE t)
-->
ERROR:  'a b' is not the name of a model
LINE 1: SELECT * FROM ML.PREDICT(MODEL 'a b', TABLE t)
                                       ^
HINT:  Write '[[database.]schema.]name', with @version or @alias if need be.

SELECT * FROM ML.PREDICT(MODEL m, TABLE t
-->
ERROR:  "(" is never closed
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, TABLE t
                                ^

SELECT * FROM ML.PREDICT(MODEL m, (SELECT [1, 2)), t)
-->
ERROR:  ")" closes nothing
LINE 1: SELECT * FROM ML.PREDICT(MODEL m, (SELECT [1, 2)), t)
                                                       ^

SELECT ML.EVALUATE(MODEL m)
-->
ERROR:  ML.EVALUATE is a table function: it stands in FROM
LINE 1: SELECT ML.EVALUATE(MODEL m)
               ^
HINT:  Write SELECT * FROM ML.EVALUATE(MODEL name, ...).

SELECT PREDICT(MODEL m, TABLE t)
-->
ERROR:  ML.PREDICT with a table is a table function: it stands in FROM
LINE 1: SELECT PREDICT(MODEL m, TABLE t)
               ^
HINT:  Write SELECT * FROM ML.PREDICT(MODEL name, ...).

SELECT * FROM PREDICT_PROBA(MODEL m, TABLE t)
-->
ERROR:  PREDICT_PROBA is a scalar function: it stands in an expression
LINE 1: SELECT * FROM PREDICT_PROBA(MODEL m, TABLE t)
                      ^
HINT:  Write SELECT PREDICT_PROBA(model, *) FROM table.

CALL ML.EVALUATE(MODEL m)
-->
ERROR:  ML.EVALUATE is a table function: it stands in FROM
LINE 1: CALL ML.EVALUATE(MODEL m)
             ^
HINT:  Write SELECT * FROM ML.EVALUATE(MODEL name, ...).

SELECT PREDICT(m, ) FROM t
-->
ERROR:  expected a column or an expression, found ")"
LINE 1: SELECT PREDICT(m, ) FROM t
                          ^

SELECT PREDICT(m, a,, b) FROM t
-->
ERROR:  expected a column or an expression, found ","
LINE 1: SELECT PREDICT(m, a,, b) FROM t
                            ^

SELECT PREDICT(m USING) FROM t
-->
ERROR:  expected a column or an expression, found ")"
LINE 1: SELECT PREDICT(m USING) FROM t
                              ^

SELECT PREDICT(MODEL m a) FROM t
-->
ERROR:  expected "," or USING, found "a"
LINE 1: SELECT PREDICT(MODEL m a) FROM t
                               ^
HINT:  Write PREDICT(model, columns) or PREDICT(model USING columns).

SELECT PREDICT(m, * REPLACE (1 AS a)) FROM t
-->
ERROR:  REPLACE is not possible here
LINE 1: SELECT PREDICT(m, * REPLACE (1 AS a)) FROM t
                            ^
HINT:  Write * EXCEPT (feature), expression AS feature.

SELECT PREDICT(m, * WITHOUT (a)) FROM t
-->
ERROR:  expected EXCEPT (column, ...), found "WITHOUT"
LINE 1: SELECT PREDICT(m, * WITHOUT (a)) FROM t
                            ^

SELECT PREDICT(m, * EXCEPT ()) FROM t
-->
ERROR:  expected a column name, found ")"
LINE 1: SELECT PREDICT(m, * EXCEPT ()) FROM t
                                    ^

SELECT PREDICT(m, * EXCEPT (a) b) FROM t
-->
ERROR:  expected ",", found "b"
LINE 1: SELECT PREDICT(m, * EXCEPT (a) b) FROM t
                                       ^

SELECT 1;
SELECT a,
	b, PREDICT(m, * REPLACE (1 AS a))
FROM t
-->
ERROR:  REPLACE is not possible here
LINE 3:  b, PREDICT(m, * REPLACE (1 AS a))
                         ^
HINT:  Write * EXCEPT (feature), expression AS feature.

SELECT '日本語', PREDICT(m, ) FROM t
-->
ERROR:  expected a column or an expression, found ")"
LINE 1: SELECT '日本語', PREDICT(m, ) FROM t
                                    ^

SELECT 'a long line is cut around the caret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', PREDICT(m, ), 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb' FROM t
-->
ERROR:  expected a column or an expression, found ")"
LINE 1: ...aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', PREDICT(m, ), 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb...
                                                             ^
