"""The terminal's door: the `sqlml` command, its shell and its demo; sees the database through a Connection only."""
