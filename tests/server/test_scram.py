"""SCRAM-SHA-256: the numbers of RFC 7677, and what Postgres itself keeps of a password."""

import base64

import pytest

from sqlml.errors import LoginError, ProtocolError
from sqlml.server.scram import Exchange, make_secret, mock_secret, parse_secret, prepare

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
PROOF = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="


def exchange(password="pencil", *, known=True):
    return Exchange("user", make_secret(password, salt=SALT), known=known, nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")


def test_example_of_the_rfc():
    login = exchange()
    assert login.first(FIRST) == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert login.final(PROOF) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("login", [exchange("pencils"), exchange(known=False)], ids=["wrong", "unknown"])
def test_wrong_proof_and_unknown_user_look_alike(login):
    login.first(FIRST)
    with pytest.raises(LoginError, match=r'^password authentication failed for user "user"$'):
        login.final(PROOF)


@pytest.mark.parametrize(
    "message", [b"", b"n,,", b"p=tls-unique,,n=u,r=x", b"n,,n=u", b"n,,r=x,n=u", b"n,,n=u,r=", b"\xff\xff"]
)
def test_malformed_first_message(message):
    with pytest.raises(ProtocolError, match="malformed SCRAM message"):
        exchange().first(message)


@pytest.mark.parametrize(
    "message", [b"", b"c=biws,r=other,p=" + b"A" * 44, b"c=biws", PROOF[:-4], PROOF.replace(b"biws", b"eSws")]
)
def test_malformed_final_message(message):
    login = exchange()
    login.first(FIRST)
    with pytest.raises(ProtocolError, match="malformed SCRAM message"):
        login.final(message)


def test_secret_is_what_postgres_keeps(cluster):
    cluster.query("CREATE ROLE scram_twin PASSWORD 'l\u00f6we \u2168'")
    ((stored,),) = cluster.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_twin'")
    kept = parse_secret(stored)
    assert make_secret("l\u00f6we \u2168", salt=kept.salt, iterations=kept.iterations) == kept
    assert str(kept) == stored


def test_prepares_passwords():
    assert prepare("I\u00adX") == "IX"
    assert prepare("\u2168") == "IX"
    assert prepare("a\u0007") == "a\u0007"


def test_unknown_users_keep_their_salt():
    assert mock_secret("bob", b"k").salt == mock_secret("bob", b"k").salt != mock_secret("eve", b"k").salt
