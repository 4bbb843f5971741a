"""The grammar of the dialect as people read it: what the shell's help shows and what the README's reference repeats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A statement or function: one line on what it does, and its grammar."""

    summary: str
    grammar: str


STATEMENTS = {
    "CREATE MODEL": Topic(
        "Train a model on the result of a query; a model that exists gets a new version with OR REPLACE.",
        """\
CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name
    [TRANSFORM (select_list)]
    [OPTIONS (key = value, ...)]
    AS { query | TABLE t }""",
    ),
    "DROP MODEL": Topic(
        "Remove a model, or one version of it; CASCADE also what depends on it.",
        "DROP MODEL [IF EXISTS] name [VERSION n] [CASCADE]",
    ),
    "ALTER MODEL": Topic(
        "Choose the version that answers to the bare name; aliases, options, another name, how many versions to keep.",
        """\
ALTER MODEL [IF EXISTS] name SET DEFAULT VERSION n [REBUILD VIEWS]
ALTER MODEL [IF EXISTS] name SET ALIAS alias = n
ALTER MODEL [IF EXISTS] name DROP ALIAS alias
ALTER MODEL [IF EXISTS] name SET OPTIONS (key = value, ...)
ALTER MODEL [IF EXISTS] name RENAME TO other
ALTER MODEL [IF EXISTS] name KEEP n VERSIONS""",
    ),
    "SHOW MODELS": Topic("List the models.", "SHOW MODELS [LIKE 'pattern']"),
    "SHOW MODEL VERSIONS": Topic("List the versions of a model, the newest first.", "SHOW MODEL VERSIONS name"),
    "SHOW CREATE MODEL": Topic("The statement that made the default version.", "SHOW CREATE MODEL name"),
    "DESCRIBE MODEL": Topic("What a model takes, gives and was trained with.", "DESCRIBE MODEL name"),
    "EXPORT MODEL": Topic(
        "Write a version to a file: sqlml's own artifact, or LightGBM's model text.",
        "EXPORT MODEL name TO 'file' [OPTIONS (format = 'sqlml' | 'lightgbm')]",
    ),
    "IMPORT MODEL": Topic(
        "Read a model from a file: an artifact, or any model text of LightGBM.",
        "IMPORT [OR REPLACE] MODEL [IF NOT EXISTS] name FROM 'file' [OPTIONS (label = 'y', class_labels = [...])]",
    ),
    "GRANT": Topic(
        "Let roles use a model, or no longer; in a Postgres server with sqlml installed.",
        """\
GRANT USAGE ON MODEL name TO role [, ...]
REVOKE USAGE ON MODEL name FROM role [, ...]""",
    ),
    "PREDICT": Topic(
        "The prediction of a row, anywhere an expression may stand; * means the columns of the FROM beside it.",
        """\
PREDICT(name, *)        PREDICT(name, a, b)       PREDICT(name, expr AS feature, ...)
PREDICT(name USING *)   ml_predict('name', t)     -- t: the row of a table""",
    ),
    "PREDICT_PROBA": Topic(
        "The probability of a class: of the greater label of two without a class.",
        """\
PREDICT_PROBA(name, *)             PREDICT_PROBA(name, 'class', *)
ml_predict_proba('name', t)        ml_predict_proba('name', 'class', t)""",
    ),
    "ML.PREDICT": Topic(
        "A table with all columns of the input, then predicted_<label> and, for classes, predicted_<label>_probs.",
        """\
ML.PREDICT(MODEL name, { TABLE t | (query) }
           [, STRUCT(0.3 AS threshold, TRUE AS keep_original_columns, TRUE AS flat)])""",
    ),
    "ML.EVALUATE": Topic(
        "Metrics on given rows, or those stored from the held-out split.",
        "ML.EVALUATE(MODEL name [, { TABLE t | (query) } [, STRUCT(0.3 AS threshold)]])",
    ),
    "ML.CONFUSION_MATRIX": Topic(
        "How often each class was taken for each other.",
        "ML.CONFUSION_MATRIX(MODEL name [, { TABLE t | (query) } [, STRUCT(0.3 AS threshold)]])",
    ),
    "ML.ROC_CURVE": Topic(
        "Recall and false positive rate by threshold, of a model of two classes.",
        "ML.ROC_CURVE(MODEL name [, { TABLE t | (query) } [, STRUCT([0.3, 0.5] AS thresholds)]])",
    ),
    "ML.FEATURE_IMPORTANCE": Topic(
        "How often and with what gain the trees split on each feature.", "ML.FEATURE_IMPORTANCE(MODEL name)"
    ),
    "ML.FEATURE_INFO": Topic("Statistics of each input in the training data.", "ML.FEATURE_INFO(MODEL name)"),
    "ML.TRAINING_INFO": Topic("The learning curve, one row an iteration.", "ML.TRAINING_INFO(MODEL name)"),
    "ML.METRICS": Topic("All metrics stored with a version.", "ML.METRICS(MODEL name)"),
    "ML.TRANSFORM": Topic("The features as the trees see them.", "ML.TRANSFORM(MODEL name, { TABLE t | (query) })"),
}


def topics_like(words: str) -> dict[str, Topic]:
    """The topics whose name begins with the words, in any case; without words, all."""
    wanted = " ".join(words.upper().rstrip(";").split())
    return {name: topic for name, topic in STATEMENTS.items() if name.startswith(wanted) or name == f"ML.{wanted}"}
