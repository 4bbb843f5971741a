-- After a restore into another cluster roles have other numbers, and transactions too: there the names count.
UPDATE sqlml._grants AS g SET grantee_number = r.oid FROM pg_catalog.pg_roles AS r
WHERE r.rolname = g.grantee_name AND g.grantee_number <> 0 AND r.oid <> g.grantee_number;
UPDATE sqlml.artifacts SET stored_in = NULL WHERE stored_in IS NOT NULL;
