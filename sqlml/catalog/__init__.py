"""Models and versions in ordinary tables of the user's database."""
