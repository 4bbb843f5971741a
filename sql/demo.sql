-- # Flights out of New York, 2013
-- 336,776 flights, the weather at the airport and the aircraft: who will be late?
-- `sqlml demo` has loaded the tables flights, weather and planes into the database; everything below is SQL.

SELECT origin, count(*) AS flights, count(arr_delay) AS arrived, round(avg(arr_delay), 1) AS mean_delay
FROM flights
GROUP BY origin
ORDER BY origin;

-- ## One row a departure
-- Only what is known before the plane leaves: the schedule, the aircraft, and the weather one hour earlier. What is known
-- afterwards (dep_time, air_time, arr_time) would make a model that is brilliant on paper and useless at the gate.
-- is_late is NULL for a flight that never arrived: training leaves it out.

CREATE OR REPLACE VIEW departures AS
SELECT
    f.carrier || ' ' || f.flight AS flight,
    make_timestamp(f.year, f.month, f.day, f.hour, f.minute, 0) AS departs,
    f.hour + f.minute / 60 AS hour_of_day,
    isodow(make_date(f.year, f.month, f.day)) AS weekday,
    f.carrier,
    f.origin,
    f.dest,
    f.distance,
    (f.sched_arr_time // 100 * 60 + f.sched_arr_time % 100 - f.hour * 60 - f.minute + 1440) % 1440 AS minutes_planned,
    f.year - p.year AS plane_age,
    p.manufacturer,
    p.seats,
    w.temp,
    w.dewp,
    w.humid,
    w.wind_dir,
    w.wind_speed,
    w.precip,
    w.pressure,
    w.visib,
    f.dep_delay,
    f.arr_delay,
    f.arr_delay > 15 AS is_late
FROM flights AS f
LEFT JOIN planes AS p ON p.tailnum = f.tailnum
LEFT JOIN weather AS w ON w.origin = f.origin AND w.time_hour = f.time_hour - INTERVAL 1 HOUR;

-- ## Hold out the future
-- The models see January to October; November and December stay unseen until the end.

CREATE OR REPLACE VIEW past AS FROM departures WHERE departs < DATE '2013-11-01';

CREATE OR REPLACE VIEW unseen AS FROM departures WHERE departs >= DATE '2013-11-01';

-- ## Train: will it arrive more than fifteen minutes late?
-- The label is a BOOLEAN, so this becomes a classifier. Training stops early on the latest fifth of the past.

CREATE OR REPLACE MODEL late
OPTIONS (
    input_label_cols = ['is_late'],
    data_split_method = 'SEQ',
    data_split_col = 'departs',
    data_split_eval_fraction = 0.2
) AS
SELECT * EXCLUDE (flight, dep_delay, arr_delay) FROM past;

-- ## How good is it?
-- First on the part that training held out, then on the two months that it never saw.

FROM ML.EVALUATE(MODEL late);

FROM ML.EVALUATE(MODEL late, TABLE unseen);

FROM ML.CONFUSION_MATRIX(MODEL late, TABLE unseen, STRUCT(0.3 AS threshold));

-- ## What does it look at?

SELECT * FROM ML.FEATURE_IMPORTANCE(MODEL late) ORDER BY importance_gain DESC LIMIT 8;

-- ## Scores as a table
-- All columns of the input, then the prediction and the probability of each class.

SELECT flight, departs, dest, is_late, predicted_is_late, predicted_is_late_probs
FROM ML.PREDICT(MODEL late, TABLE unseen, STRUCT(0.3 AS threshold))
ORDER BY departs, flight
LIMIT 5;

-- ## Scores anywhere an expression may stand
-- The riskiest departures of the day before Thanksgiving ...

SELECT flight, departs, dest, round(PREDICT_PROBA(late, *), 3) AS risk, arr_delay
FROM unseen
WHERE departs::DATE = DATE '2013-11-27' AND PREDICT_PROBA(late, *) > 0.4
ORDER BY PREDICT_PROBA(late, *) DESC, flight
LIMIT 5;

-- ... and whether the risk means what it says: one flight in ten of those with a risk of 0.1 should be late.

SELECT
    round(PREDICT_PROBA(late, *), 1) AS risk,
    count(*) AS flights,
    round(avg(is_late::INTEGER), 2) AS were_late
FROM unseen
GROUP BY round(PREDICT_PROBA(late, *), 1)
ORDER BY risk;

-- ## A number: how many minutes late, once it has left the gate?
-- A later moment, so one thing more is known: how late it left.

CREATE OR REPLACE MODEL arrival
OPTIONS (
    input_label_cols = ['arr_delay'],
    data_split_method = 'SEQ',
    data_split_col = 'departs'
) AS
SELECT * EXCLUDE (flight, is_late) FROM past;

FROM ML.EVALUATE(MODEL arrival, TABLE unseen);

SELECT flight, departs, dep_delay, arr_delay, round(PREDICT(arrival, *)) AS predicted
FROM unseen
ORDER BY dep_delay DESC NULLS LAST
LIMIT 5;

-- ## One of three: which airport did it leave from?
-- Distance and weather would give the airport away, so they stay out.

CREATE OR REPLACE MODEL airport
OPTIONS (
    input_label_cols = ['origin'],
    data_split_method = 'RANDOM',
    data_split_eval_fraction = 0.1
) AS
SELECT origin, carrier, dest, hour_of_day, weekday, manufacturer, plane_age, seats FROM past;

FROM ML.EVALUATE(MODEL airport, TABLE unseen);

FROM ML.CONFUSION_MATRIX(MODEL airport, TABLE unseen);

-- ## A view for every other program
-- It is an ordinary view: a dashboard reads it and need not know that there is a model behind it.

CREATE OR REPLACE VIEW risky_flights AS
SELECT flight, departs, carrier, origin, dest, PREDICT_PROBA(late, *) AS risk
FROM unseen;

SELECT carrier, count(*) AS flights, round(avg(risk), 3) AS mean_risk
FROM risky_flights
GROUP BY carrier
ORDER BY mean_risk DESC
LIMIT 5;

-- ## A second version
-- The same columns, prepared differently: routes instead of destinations, a slower and longer training.

CREATE OR REPLACE MODEL late
TRANSFORM (
    * EXCEPT (dest, wind_dir),
    ML.FEATURE_CROSS(STRUCT(origin, dest)) AS route,
    wind_speed * cos(radians(wind_dir)) AS north_wind,
    ML.QUANTILE_BUCKETIZE(distance, 10) OVER () AS distance_class
)
OPTIONS (
    input_label_cols = ['is_late'],
    data_split_method = 'SEQ',
    data_split_col = 'departs',
    learn_rate = 0.05,
    max_iterations = 300,
    num_leaves = 63,
    min_data_in_leaf = 100
) AS
SELECT * EXCLUDE (flight, dep_delay, arr_delay) FROM past;

SHOW MODEL VERSIONS late;

-- Both versions are there, side by side, under the name of the model.

SELECT 'late@1' AS version, log_loss, roc_auc FROM ML.EVALUATE(MODEL late@1, TABLE unseen)
UNION ALL
SELECT 'late@2', log_loss, roc_auc FROM ML.EVALUATE(MODEL late@2, TABLE unseen)
ORDER BY version;

-- ## Back to the first
-- One statement, and every view and every query uses the first version again.

ALTER MODEL late SET DEFAULT VERSION 1;

ALTER MODEL late SET ALIAS challenger = 2;

SELECT round(avg(PREDICT_PROBA(late, *)), 4) AS first_version, round(avg(PREDICT_PROBA(late@challenger, *)), 4) AS second_version
FROM unseen;

SHOW MODELS;
