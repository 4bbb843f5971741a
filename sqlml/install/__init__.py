"""Putting sqlml into a Postgres server, and taking it out again."""
