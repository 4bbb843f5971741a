"""A Postgres server behind ours: its bytes are relayed, and only what the dialect knows is answered here."""
