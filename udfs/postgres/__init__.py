"""Models as functions of a PostgreSQL server."""
