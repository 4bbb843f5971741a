"""sqlml inside of a Postgres backend: what the functions of schema ``sqlml`` call."""
