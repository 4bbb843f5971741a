"""What runs inside a Postgres server, and how its rows travel."""
