-- Functions of Postgres that DuckDB lacks or means otherwise, as temporary macros of each session of the wire server.

CREATE TEMP MACRO __pg_format(f) AS
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
    replace(replace(replace(replace(f, '"', ''), 'YYYY', '%Y'), 'YY', '%y'), 'Month', '%B'), 'Mon', '%b'), 'MM', '%m'), 'Day', '%A'),
    'Dy', '%a'), 'DDD', '%j'), 'DD', '%d'), 'HH24', '%H'), 'HH12', '%I'), 'HH', '%I'), 'MI', '%M'), 'SS', '%S'), 'MS', '%g'), 'US', '%f'),
    'IW', '%V'), 'AM', '%p'), 'PM', '%p');
CREATE TEMP MACRO to_char(value, f) AS strftime(value, __pg_format(f));
-- DuckDB wants the format of strptime as a constant, so the usual ones are listed.
CREATE TEMP MACRO __pg_moment(value, f) AS CASE f
        WHEN 'YYYY-MM-DD' THEN strptime(value, '%Y-%m-%d')
        WHEN 'YYYY-MM' THEN strptime(value, '%Y-%m')
        WHEN 'YYYY' THEN strptime(value, '%Y')
        WHEN 'DD.MM.YYYY' THEN strptime(value, '%d.%m.%Y')
        WHEN 'MM/DD/YYYY' THEN strptime(value, '%m/%d/%Y')
        WHEN 'DD/MM/YYYY' THEN strptime(value, '%d/%m/%Y')
        WHEN 'YYYYMMDD' THEN strptime(value, '%Y%m%d')
        WHEN 'DD Mon YYYY' THEN strptime(value, '%d %b %Y')
        WHEN 'YYYY-MM-DD HH24:MI:SS' THEN strptime(value, '%Y-%m-%d %H:%M:%S')
        WHEN 'YYYY-MM-DD HH24:MI:SS.US' THEN strptime(value, '%Y-%m-%d %H:%M:%S.%f')
        WHEN 'YYYY-MM-DD HH24:MI' THEN strptime(value, '%Y-%m-%d %H:%M')
        WHEN 'YYYY-MM-DD HH24' THEN strptime(value, '%Y-%m-%d %H')
        WHEN 'YYYY-MM-DD"T"HH24:MI:SS' THEN strptime(value, '%Y-%m-%dT%H:%M:%S')
        ELSE error('to_date and to_timestamp do not know the format ' || f) END;
CREATE TEMP MACRO to_date(value, f) AS CAST(__pg_moment(value, f) AS DATE);
CREATE TEMP MACRO to_timestamp(value) AS system.main.to_timestamp(value), (value, f) AS CAST(__pg_moment(value, f) AS TIMESTAMPTZ);
CREATE TEMP MACRO btrim(value) AS trim(value), (value, characters) AS trim(value, characters);
CREATE TEMP MACRO div(a, b) AS trunc(CAST(a AS DECIMAL(38, 10)) / b);
CREATE TEMP MACRO char_length(value) AS length(value);
CREATE TEMP MACRO character_length(value) AS length(value);
CREATE TEMP MACRO initcap(value) AS
    array_to_string(list_transform(string_split(lower(value), ' '), lambda w: upper(w[1]) || w[2:]), ' ');
