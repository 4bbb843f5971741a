"""Statements to what has to be run: features, prediction SQL, training plans."""
