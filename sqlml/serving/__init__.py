"""Where a session's models are loaded, and how those who score outside of the session learn of changes."""
