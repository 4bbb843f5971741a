"""Text to statements with spans; knows no engine."""
