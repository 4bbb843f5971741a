"""Addresses of servers to be served."""

import pytest

from sqlml.errors import OptionValueError
from sqlml.server.gateway.address import ServerAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("postgresql://db.example", ServerAddress("db.example")),
        ("postgres://db.example:6000/fleet", ServerAddress("db.example", 6000, "fleet")),
        ("postgresql://[::1]:6000/a%20b", ServerAddress("::1", 6000, "a b")),
        ("postgresql:///fleet?host=/var/run/postgresql", ServerAddress("/var/run/postgresql", 5432, "fleet")),
        ("postgresql://h?sslmode=verify-full&sslrootcert=ca.pem", ServerAddress("h", encryption="verify-full", roots="ca.pem")),
        ("postgresql://h?port=7000&dbname=d", ServerAddress("h", 7000, "d")),
        ("postgresql:///", ServerAddress("localhost")),
    ],
)  # fmt: skip
def test_read(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://ann@h/d", "no user or password"),
        ("postgresql://h/d?password=x", "no user or password"),
        ("postgresql://h/d?options=-c", '"options" cannot be given'),
        ("postgresql://h/d?sslmode=allow", '"allow" is no sslmode'),
        ("postgresql://a,b/d", "only one server"),
        ("postgresql://h:0/d", '"0" is no port'),
        ("postgresql://h:x/d", '"x" is no port'),
    ],
)
def test_refused(text, message):
    with pytest.raises(OptionValueError, match=message):
        parse_address(text)


def test_encryption():
    assert parse_address("postgresql://h?sslmode=disable").context() is None
    assert parse_address("postgresql:///d?host=/tmp").context() is None
    assert not parse_address("postgresql://h?sslmode=require").context().check_hostname
    assert parse_address("postgresql://h?sslmode=verify-full").context().check_hostname
