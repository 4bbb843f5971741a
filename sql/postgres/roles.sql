-- Two roles without login, for GRANT: who may score, and who may train as well. They belong to the whole cluster, so that
-- uninstalling from one database leaves them.

DO $roles$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'sqlml_reader') THEN
        CREATE ROLE sqlml_reader NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'sqlml_trainer') THEN
        CREATE ROLE sqlml_trainer NOLOGIN;
    END IF;
END
$roles$;

GRANT sqlml_reader TO sqlml_trainer;
