"""Here a test's ``database`` is one in the session's Postgres."""

import pytest


@pytest.fixture
def database(postgres_database):
    return postgres_database
