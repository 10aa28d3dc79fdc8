"""Tokens by themselves, with time in the test's hand, and the files that keys of others stand in."""

import json
import time
from base64 import urlsafe_b64decode
from base64 import urlsafe_b64encode as b64encode
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.domain.principal import EVERYWHERE, path_scope
from orchestrator.doors import trust
from orchestrator.doors.keyring import Caller, Keyring, digest
from orchestrator.doors.tokens import Tokens
from orchestrator.settings import Auth, SettingsError
from tests.signers import EC, OLDER, OTHER_RSA, PEM, RSA, SECRET, WEAK, jwk
from worker_client.contract.keys import CreateToken
from worker_client.errors import Unauthorized

BOOTSTRAP = "b" * 40


class Bench:
    """The tokens of a server without the server."""

    def __init__(self, auth: Auth) -> None:
        self.now = int(time.time() * 1000)
        self.keyring = Keyring()
        self.tokens = Tokens(self.keyring, lambda: self.now, "own" * 12)
        self.configure(auth)

    def configure(self, auth: Auth) -> None:
        self.tokens.configure(auth, trust.public_keys(auth))

    def check(self, token: str) -> Caller:
        return self.tokens.check(token.encode(), digest(token))

    def refuses(self, token: str) -> bool:
        try:
            self.check(token)
        except Unauthorized:
            return True
        return False


def test_keys_of_a_set_are_read_anew_when_an_unknown_one_signs(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [jwk(RSA.public_key(), "1"), jwk(EC.public_key(), "3")]}))
    # One without a name might have signed anything.
    (tmp_path / "key.pem").write_bytes(PEM)
    bench = Bench(Auth(jwt_jwks_file=str(file), jwt_public_key_file=str(tmp_path / "key.pem")))
    old, new = [
        jwt.encode({"sub": "me", "exp": bench.now // 1000 + 600}, key, "RS256", headers={"kid": kid})
        for key, kid in ((RSA, "1"), (OTHER_RSA, "2"))
    ]
    leaving = jwt.encode({"sub": "me", "exp": bench.now // 1000 + 600}, EC, "ES256", headers={"kid": "3"})
    assert bench.check(old).principal.id == bench.check(leaving).principal.id == "sub:me"
    assert bench.refuses(new)
    file.write_text(json.dumps({"keys": [jwk(OTHER_RSA.public_key(), "2")]}))
    assert bench.refuses(new), "not at every guess"
    bench.now += 10_000
    assert bench.tokens.find(digest(leaving), bench.now) is not None
    assert bench.check(new).principal.id == "sub:me"
    assert bench.tokens.find(digest(leaving), bench.now) is None
    assert bench.refuses(leaving), "who is no longer in the set is no longer trusted"
    bench.configure(Auth(jwt_jwks_file=str(file)))
    assert bench.refuses(old)
    file.write_text("{")
    bench.now += 10_000
    assert bench.refuses(old)
    assert bench.check(new).principal.id == "sub:me", "a broken file changes nothing"


def test_what_changes_no_trust_ends_nobodys(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(PEM)
    bench = Bench(Auth(jwt_public_key_file=str(file)))
    token = jwt.encode({"sub": "me", "exp": bench.now // 1000 + 600}, RSA, "RS256")
    caller = bench.check(token)
    bench.configure(Auth(jwt_public_key_file=str(file)))
    assert caller.trust == bench.tokens.trust
    assert bench.tokens.find(digest(token), bench.now) is caller
    bench.configure(Auth(jwt_public_key_file=str(file), jwt_issuer="https://other.example"))
    assert caller.trust != bench.tokens.trust
    assert bench.tokens.find(digest(token), bench.now) is None


def test_a_token_that_was_checked_is_known_until_its_time_is_over() -> None:
    bench = Bench(Auth(jwt_secret=SECRET, jwt_leeway=5))
    token = jwt.encode({"sub": "me", "exp": bench.now // 1000 + 600}, SECRET, "HS256")
    caller = bench.check(token)
    assert bench.tokens.find(digest(token), bench.now) is caller
    assert bench.tokens.find(digest(token), bench.now + 604_000) is caller
    assert bench.tokens.find(digest(token), bench.now + 606_000) is None
    bench.configure(Auth(jwt_secret=OLDER))
    assert bench.tokens.find(digest(token), bench.now) is None
    assert bench.refuses(token)


def test_no_more_tokens_are_remembered_than_fit() -> None:
    bench = Bench(Auth(jwt_secret=SECRET))
    claims = {"exp": bench.now // 1000 + 600}
    tokens = [jwt.encode({"sub": f"{number}", **claims}, SECRET, "HS256") for number in range(1_001)]
    for token in tokens:
        bench.check(token)
    assert [bench.tokens.find(digest(token), bench.now) is not None for token in (*tokens[:2], tokens[-1])] == [False, True, True]
    assert bench.check(tokens[0]).principal.id == "sub:0"


_LOOSE = Bench(Auth(jwt_secret=SECRET))
_TOKEN = jwt.encode({"sub": "me", "exp": 2**40}, SECRET, "HS256").encode()


@given(st.binary() | st.lists(st.binary(), min_size=3, max_size=3).map(lambda parts: b".".join(map(b64encode, parts))))
def test_whatever_is_shown_is_a_token_or_is_refused(shown: bytes) -> None:
    with pytest.raises(Unauthorized):
        _LOOSE.tokens.check(shown, digest(shown))


@given(st.integers(0, len(_TOKEN) - 1), st.integers(1, 255))
def test_no_byte_of_a_token_can_be_changed(place: int, flip: int) -> None:
    changed = bytearray(_TOKEN)
    changed[place] ^= flip
    assume(_decoded(bytes(changed)) != _decoded(_TOKEN))
    with pytest.raises(Unauthorized):
        _LOOSE.tokens.check(bytes(changed), digest(bytes(changed)))


def _decoded(token: bytes) -> list[bytes]:
    """What is signed, and the signature, which can be spelled in several ways."""
    *signed, signature = token.split(b".")
    try:
        return [*signed, urlsafe_b64decode(signature + b"==")]
    except ValueError:
        return [token]


def test_the_first_of_several_secrets_signs() -> None:
    bench = Bench(Auth(jwt_secret=f"{SECRET},{OLDER}"))
    bench.keyring.own({"bootstrap": BOOTSTRAP})
    caller = bench.keyring.find(digest(BOOTSTRAP), bench.now)
    assert caller is not None
    made = bench.tokens.issue(caller, CreateToken(expires_in=60), EVERYWHERE)
    assert jwt.decode(made.token, SECRET, ["HS256"])["sub"] == "bootstrap"
    assert made.expires_at.timestamp() == bench.now // 1000 + 60
    within = bench.tokens.issue(caller, CreateToken(), path_scope(["/a"]))
    assert jwt.decode(within.token, SECRET, ["HS256"])["paths"] == ["/a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "JSON Web Key Set"),
        ("[]", "JSON Web Key Set"),
        ('{"keys": 1}', "JSON Web Key Set"),
        ('{"keys": [1]}', "JSON Web Key Set"),
        ('{"keys": []}', "none of its keys"),
        (json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}), "none of its keys"),
        (json.dumps({"keys": [jwk(WEAK.public_key())]}), "none of its keys"),
        (json.dumps({"keys": [jwk(RSA.public_key(), use="enc")]}), "none of its keys"),
        (json.dumps({"keys": [jwk(RSA.public_key(), alg="RS512")]}), "none of its keys"),
        (json.dumps({"keys": [jwk(ec.generate_private_key(ec.SECP384R1()).public_key())]}), "none of its keys"),
        (json.dumps({"keys": [{"kty": "new"}, {}]}), "none of its keys"),
    ],
)
def test_a_set_without_a_key_that_fits_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words) as caught:
        trust.public_keys(Auth(jwt_jwks_file=str(file)))
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (b"", "PEM"),
        (SECRET.encode(), "PEM"),
        (
            RSA.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "PEM",
        ),
        (
            WEAK.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            "2048 bits",
        ),
    ],
)  # fmt: skip
def test_a_file_without_a_public_key_that_fits_is_refused_in_words(tmp_path: Path, pem: bytes, words: str) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem)
    with pytest.raises(SettingsError, match=words):
        trust.public_keys(Auth(jwt_public_key_file=str(file)))
    with pytest.raises(SettingsError, match="no-such"):
        trust.public_keys(Auth(jwt_public_key_file=str(tmp_path / "no-such")))
