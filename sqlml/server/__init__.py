"""The Postgres-wire server: clients of Postgres on one side, the dialect's sessions on the other."""
