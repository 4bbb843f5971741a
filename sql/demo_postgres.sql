-- # Flights out of New York, 2013
-- 336,776 flights, the weather at the airport and the aircraft: who will be late?
-- `sqlml demo --postgres` has loaded the tables flights, weather and planes into the server; everything below is SQL.

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
    make_timestamp(f.year::int, f.month::int, f.day::int, f.hour::int, f.minute::int, 0) AS departs,
    f.hour + f.minute / 60.0::float8 AS hour_of_day,
    extract(isodow FROM make_date(f.year::int, f.month::int, f.day::int))::int AS weekday,
    f.carrier,
    f.origin,
    f.dest,
    f.distance,
    (f.sched_arr_time / 100 * 60 + f.sched_arr_time % 100 - f.hour * 60 - f.minute + 1440) % 1440 AS minutes_planned,
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
LEFT JOIN weather AS w ON w.origin = f.origin AND w.time_hour = f.time_hour - INTERVAL '1 hour';

-- ## Hold out the future
-- The models see January to October; November and December stay unseen until the end.

CREATE OR REPLACE VIEW past AS SELECT * FROM departures WHERE departs < DATE '2013-11-01';

CREATE OR REPLACE VIEW unseen AS SELECT * FROM departures WHERE departs >= DATE '2013-11-01';

-- ## Train: will it arrive more than fifteen minutes late?
-- The label is a BOOLEAN, so this becomes a classifier. Training stops early on the latest fifth of the past.

CREATE OR REPLACE MODEL late
OPTIONS (
    input_label_cols = ['is_late'],
    data_split_method = 'SEQ',
    data_split_col = 'departs',
    data_split_eval_fraction = 0.2
) AS
SELECT departs, hour_of_day, weekday, carrier, origin, dest, distance, minutes_planned, plane_age, manufacturer, seats,
    temp, dewp, humid, wind_dir, wind_speed, precip, pressure, visib, is_late
FROM past;

-- ## How good is it?
-- First on the part that training held out, then on the two months that it never saw.

SELECT * FROM ML.EVALUATE(MODEL late);

SELECT * FROM ML.EVALUATE(MODEL late, TABLE unseen);

SELECT * FROM ML.CONFUSION_MATRIX(MODEL late, TABLE unseen, STRUCT(0.3 AS threshold));

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

SELECT flight, departs, dest, round(PREDICT_PROBA(late, *)::numeric, 3) AS risk, arr_delay
FROM unseen
WHERE departs::DATE = DATE '2013-11-27' AND PREDICT_PROBA(late, *) > 0.4
ORDER BY PREDICT_PROBA(late, *) DESC, flight
LIMIT 5;

-- ... and whether the risk means what it says: one flight in ten of those with a risk of 0.1 should be late.

SELECT
    round(PREDICT_PROBA(late, *)::numeric, 1) AS risk,
    count(*) AS flights,
    round(avg(is_late::INTEGER), 2) AS were_late
FROM unseen
GROUP BY round(PREDICT_PROBA(late, *)::numeric, 1)
ORDER BY risk;

-- ## A number: how many minutes late, once it has left the gate?
-- A later moment, so one thing more is known: how late it left.

CREATE OR REPLACE MODEL arrival
OPTIONS (
    input_label_cols = ['arr_delay'],
    data_split_method = 'SEQ',
    data_split_col = 'departs'
) AS
SELECT departs, hour_of_day, weekday, carrier, origin, dest, distance, minutes_planned, plane_age, manufacturer, seats,
    temp, dewp, humid, wind_dir, wind_speed, precip, pressure, visib, dep_delay, arr_delay
FROM past;

SELECT * FROM ML.EVALUATE(MODEL arrival, TABLE unseen);

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

SELECT * FROM ML.EVALUATE(MODEL airport, TABLE unseen);

SELECT * FROM ML.CONFUSION_MATRIX(MODEL airport, TABLE unseen);

-- ## A view for every other program
-- It is an ordinary view: a dashboard reads it and need not know that there is a model behind it.

CREATE OR REPLACE VIEW risky_flights AS
SELECT flight, departs, carrier, origin, dest, PREDICT_PROBA(late, *) AS risk
FROM unseen;

SELECT carrier, count(*) AS flights, round(avg(risk)::numeric, 3) AS mean_risk
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
SELECT departs, hour_of_day, weekday, carrier, origin, dest, distance, minutes_planned, plane_age, manufacturer, seats,
    temp, dewp, humid, wind_dir, wind_speed, precip, pressure, visib, is_late
FROM past;

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

SELECT round(avg(PREDICT_PROBA(late, *))::numeric, 4) AS first_version, round(avg(PREDICT_PROBA(late@challenger, *))::numeric, 4) AS second_version
FROM unseen;

-- ## In the server
-- What was installed answers any client, with no sqlml on its side: functions score rows by the names of their columns ...

SELECT flight, departs, sqlml.predict('late', u) AS risk, sqlml.predict_label('late', u) AS predicted
FROM unseen AS u
ORDER BY departs, flight
LIMIT 3;

-- ... and the dialect itself is a function, whose training runs in the server.

SELECT result FROM sqlml.execute($$
    CREATE OR REPLACE MODEL seats OPTIONS (input_label_cols = ['seats'], max_iterations = 30)
    AS SELECT year, manufacturer, engines, engine, seats FROM planes
$$);

SELECT metric, round(value::numeric, 3) AS value FROM sqlml.evaluate('seats');

SELECT sqlml.explain_scorer('late');

SHOW MODELS;
