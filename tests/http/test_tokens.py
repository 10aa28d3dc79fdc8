"""Tokens: what each kind of signature is good for, and what forgers try."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from orchestrator.domain.principal import EVERYWHERE, path_scope
from orchestrator.doors import trust
from orchestrator.doors.keyring import Caller, Keyring, digest
from orchestrator.doors.tokens import Tokens
from orchestrator.settings import Auth, Database, SettingsError
from tests import postgres
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving
from worker_client.contract.keys import CreateToken
from worker_client.errors import Unauthorized

pytestmark = pytest.mark.anyio

SECRET: Final = "s" * 32
OLDER: Final = "o" * 32
ISSUER: Final = "https://login.example"
RSA: Final = rsa.generate_private_key(65537, 2048)
EC: Final = ec.generate_private_key(ec.SECP256R1())
OTHER_RSA: Final = rsa.generate_private_key(65537, 2048)
PEM: Final = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip
WEAK: Final = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is refused


def jwk(key: Any, kid: str | None = None, **facts: Any) -> dict[str, Any]:
    """A public key as sets have it."""
    kind: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else jwt.algorithms.ECAlgorithm
    named = {} if kid is None else {"kid": kid}
    return {**kind.to_jwk(key, as_dict=True), **named, **facts}


def claims(**more: Any) -> dict[str, Any]:
    """Good ones, but for what is said; None leaves out."""
    usual = {"sub": "me", "exp": int(time.time()) + 600, "iss": ISSUER, "aud": "tasks", "scope": "read openid", **more}
    return {name: value for name, value in usual.items() if value is not None}


def part(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def signed_by_hand(header: dict[str, Any], payload: dict[str, Any], secret: bytes) -> str:
    """What no library would sign: HS256 with anything for a secret."""
    signing = part(header) + b"." + part(payload)
    signature = base64.urlsafe_b64encode(hmac.new(secret, signing, hashlib.sha256).digest()).rstrip(b"=")
    return (signing + b"." + signature).decode()


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "key.pem").write_bytes(PEM)
    (folder / "keys.json").write_text(json.dumps({"keys": [jwk(EC.public_key(), "ec-1")]}))
    auth = Auth(
        bootstrap_key=BOOTSTRAP,
        jwt_secret=f"{SECRET}, {OLDER}",
        jwt_public_key_file=str(folder / "key.pem"),
        jwt_jwks_file=str(folder / "keys.json"),
        jwt_issuer=ISSUER,
        jwt_audience="tasks",
    )
    async with serving(folder / "tasks.db", auth=auth) as running:
        yield running


async def ask(server: Running, token: str, path: str = "/tasks") -> int:
    return (await server.client.get(path, headers=bearer(token))).status_code


GOOD: Final[dict[str, Callable[[], str]]] = {
    "a shared secret": lambda: jwt.encode(claims(), SECRET, "HS256"),
    "the one before it": lambda: jwt.encode(claims(), OLDER, "HS256"),
    "a public key": lambda: jwt.encode(claims(), RSA, "RS256"),
    "under a name of its own": lambda: jwt.encode(claims(), RSA, "RS256", headers={"kid": "nobody knows"}),
    "one of the set": lambda: jwt.encode(claims(), EC, "ES256"),
    "one of the set by its name": lambda: jwt.encode(claims(), EC, "ES256", headers={"kid": "ec-1"}),
    "just over": lambda: jwt.encode(claims(exp=int(time.time()) - 20), SECRET, "HS256"),
    "about to begin": lambda: jwt.encode(claims(nbf=int(time.time()) + 20), SECRET, "HS256"),
    "a fraction of a second": lambda: jwt.encode(claims(exp=time.time() + 600.5), SECRET, "HS256"),
    "one of several audiences": lambda: jwt.encode(claims(aud=["others", "tasks"]), SECRET, "HS256"),
}


@pytest.mark.parametrize("how", GOOD)
async def test_who_is_trusted_is_let_in(server: Running, how: str) -> None:
    token = GOOD[how]()
    for _ in range(2):
        assert await ask(server, token) == 200
        assert await ask(server, token, "/auth/keys") == 403
        assert (await server.client.post("/tasks", json={}, headers=bearer(token))).status_code == 403


_ALGORITHMS = (
    "HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "EdDSA", "none", "None", "NONE", "", None, 1, ["HS256"],
)  # fmt: skip


def _tampered(place: int) -> str:
    parts = jwt.encode(claims(), SECRET, "HS256").split(".")
    parts[place] = {0: part({"alg": "HS256", "typ": "at"}).decode(), 1: part(claims(scope="admin")).decode(), 2: "A" * 43}[place]
    return ".".join(parts)


FORGED: Final[dict[str, Callable[[], str]]] = {
    "no signature": lambda: jwt.encode(claims(), None, "none"),
    "an empty signature": lambda: jwt.encode(claims(), SECRET, "HS256").rpartition(".")[0] + ".",
    "the public key as a secret": lambda: signed_by_hand({"alg": "HS256", "typ": "JWT"}, claims(), PEM),
    "the public key as a secret, stripped": lambda: signed_by_hand({"alg": "HS256"}, claims(), PEM.strip()),
    "the set as a secret": lambda: signed_by_hand(
        {"alg": "HS256", "kid": "ec-1"}, claims(), json.dumps(jwk(EC.public_key())).encode()
    ),
    "an empty secret": lambda: signed_by_hand({"alg": "HS256"}, claims(), b""),
    "the secrets as they stand in the settings": lambda: signed_by_hand(
        {"alg": "HS256"}, claims(), f"{SECRET}, {OLDER}".encode()
    ),
    "a key of somebody else": lambda: jwt.encode(claims(), OTHER_RSA, "RS256"),
    "a key of somebody else under a known name": lambda: jwt.encode(
        claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "ec-1"}
    ),
    "a key that it brings along": lambda: jwt.encode(
        claims(), OTHER_RSA, "RS256", headers={"jwk": jwk(OTHER_RSA.public_key()), "jku": "file:///etc/passwd", "x5u": "http://x"}
    ),
    "the right key under another algorithm": lambda: jwt.encode(claims(), RSA, "PS256"),
    "another header": lambda: _tampered(0),
    "other claims": lambda: _tampered(1),
    "another signature": lambda: _tampered(2),
    "a name that is a path": lambda: jwt.encode(claims(), OTHER_RSA, "RS256", headers={"kid": "../../../etc/passwd"}),
    "a name that is a statement": lambda: jwt.encode(claims(), OTHER_RSA, "RS256", headers={"kid": "' OR 1=1 --"}),
    "a name that is none": lambda: signed_by_hand({"alg": "HS256", "kid": ["ec-1"]}, claims(), SECRET.encode()),
    "an extension that matters": lambda: jwt.encode(claims(), SECRET, "HS256", headers={"crit": ["exp"], "exp": 1}),
    "an extension with half a character": lambda: signed_by_hand({"alg": "HS256", "crit": ["\ud800"]}, claims(), SECRET.encode()),
    "an issuer who is not trusted": lambda: jwt.encode(claims(iss="https://login.example.org"), SECRET, "HS256"),
    "no issuer": lambda: jwt.encode(claims(iss=None), SECRET, "HS256"),
    "another audience": lambda: jwt.encode(claims(aud="mails"), SECRET, "HS256"),
    "no audience": lambda: jwt.encode(claims(aud=None), SECRET, "HS256"),
    "a time that is over": lambda: jwt.encode(claims(exp=int(time.time()) - 40), SECRET, "HS256"),
    "a time to come": lambda: jwt.encode(claims(nbf=int(time.time()) + 40), SECRET, "HS256"),
    "a birth to come": lambda: jwt.encode(claims(iat=int(time.time()) + 40), SECRET, "HS256"),
    "no end": lambda: jwt.encode(claims(exp=None), SECRET, "HS256"),
    "an end that is no number": lambda: signed_by_hand({"alg": "HS256"}, claims(exp="never"), SECRET.encode()),
    "an end in words": lambda: signed_by_hand({"alg": "HS256"}, claims(exp="99999999999"), SECRET.encode()),
    "an endless end": lambda: signed_by_hand({"alg": "HS256"}, claims(exp=float("inf")), SECRET.encode()),
    "nobody": lambda: jwt.encode(claims(sub=None), SECRET, "HS256"),
    "an empty name": lambda: jwt.encode(claims(sub=""), SECRET, "HS256"),
    "a name with a line break": lambda: jwt.encode(claims(sub="me\nroot"), SECRET, "HS256"),
    "a name with half a character": lambda: signed_by_hand({"alg": "HS256"}, claims(sub="\ud800"), SECRET.encode()),
    "a name that is a number": lambda: signed_by_hand({"alg": "HS256"}, claims(sub=1), SECRET.encode()),
    "scopes as a list": lambda: jwt.encode(claims(scope=["admin"]), SECRET, "HS256"),
    "paths as text": lambda: jwt.encode(claims(paths="/a/**"), SECRET, "HS256"),
    "relative paths": lambda: jwt.encode(claims(paths=["a"]), SECRET, "HS256"),
    "a key that is not there": lambda: jwt.encode(claims(key="0" * 12), SECRET, "HS256"),
    "claims that are no object": lambda: signed_by_hand({"alg": "HS256"}, ["sub"], SECRET.encode()),  # type: ignore[arg-type]
    "claims without a floor": lambda: f"{part({'alg': 'HS256'}).decode()}.{base64.urlsafe_b64encode(b'[' * 5000).decode()}.x",
    "a header without a floor": lambda: f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.e30.x",
    "a very long name": lambda: jwt.encode(claims(sub="x" * 10_000), SECRET, "HS256"),
    "two dots": lambda: "..",
    **{
        f"the algorithm {name!r}": lambda name=name: signed_by_hand({"alg": name}, claims(), SECRET.encode())
        for name in _ALGORITHMS
    },  # type: ignore[misc]
}


@pytest.mark.parametrize("how", FORGED)
async def test_what_is_forged_or_unfit_is_refused(server: Running, how: str) -> None:
    error = await server.refused("GET", "/tasks", 401, headers=bearer(FORGED[how]()))
    assert error["code"] == "UNAUTHORIZED"
    assert "token" in error["message"]


async def test_a_token_of_others_is_no_administrator_of_what_it_does_not_name(server: Running) -> None:
    token = jwt.encode(claims(scope="admin", paths=["/only/**"]), SECRET, "HS256")
    body = {"work_directory": "/elsewhere", "prompt": "p"}
    assert (await server.client.post("/tasks", json=body, headers=bearer(token))).status_code == 403
    made = await server.client.post("/tasks", json={**body, "work_directory": "/only/x"}, headers=bearer(token))
    assert made.status_code == 201
    trail = await Keys(server).ask("GET", "/audit", params={"work_path": "/only", "actor": "sub:me"})
    assert [entry["type"] for entry in trail["items"]] == ["task.created"]
    assert await ask(server, token, "/ip-control/status") == 403
    nowhere = jwt.encode(claims(scope="read", paths=[]), SECRET, "HS256")
    assert (await server.client.get("/tasks", headers=bearer(nowhere))).json()["data"]["total"] == 0


@pytest.mark.parametrize("name", ["bootstrap", "local", "system"])
async def test_nobody_becomes_the_server_by_calling_themselves_so(server: Running, name: str) -> None:
    token = jwt.encode(claims(sub=name, scope="submit"), SECRET, "HS256")
    body = {"work_directory": f"/named/{name}", "prompt": "p"}
    assert (await server.client.post("/tasks", json=body, headers=bearer(token))).status_code == 201
    trail = await Keys(server).ask("GET", "/audit", params={"work_path": f"/named/{name}"})
    assert {entry["actor"] for entry in trail["items"]} == {f"sub:{name}"}


async def token_of(server: Running, key: str, **body: Any) -> dict[str, Any]:
    answer = await server.client.post("/auth/token", json=body, headers=bearer(key))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


async def test_a_key_makes_tokens_that_can_do_no_more_and_end_with_it(server: Running) -> None:
    keys = Keys(server)
    key = await keys.make("mother", "read", "submit", paths=["/m/**"])
    whole, part_of = await token_of(server, key), await token_of(server, key, scopes=["read"], paths=["/m/x"], expires_in=60)
    assert (whole["token_type"], whole["scopes"], whole["paths"]) == ("Bearer", ["read", "submit"], ["/m/**"])
    assert (part_of["scopes"], part_of["paths"]) == (["read"], ["/m/x"])
    body = {"work_directory": "/m/y", "prompt": "p"}
    made = await server.client.post("/tasks", json=body, headers=bearer(whole["token"]))
    assert made.status_code == 201
    path = f"/tasks/{made.json()['data']['id']}"
    assert await ask(server, whole["token"], path) == 200
    assert await ask(server, part_of["token"], path) == 404
    assert (await server.client.post("/tasks", json=body, headers=bearer(part_of["token"]))).status_code == 403
    for more, status in (
        ({"scopes": ["work"]}, 403),
        ({"paths": ["/n"]}, 403),
        ({"paths": ["n"]}, 400),
        ({"expires_in": 0}, 400),
    ):
        answer = await server.client.post("/auth/token", json=more, headers=bearer(key))
        assert answer.status_code == status, more
    answer = await server.client.post("/auth/token", headers=bearer(whole["token"]))
    assert answer.status_code == 403, "a token makes no tokens"
    trail = await keys.ask("GET", "/audit", params={"work_path": "/m"})
    assert {entry["actor"] for entry in trail["items"]} == {keys.made["mother"]}, "it acts as its key"
    await keys.change("mother", disabled=True)
    assert await ask(server, whole["token"]) == 401
    await keys.change("mother", disabled=False)
    assert await ask(server, whole["token"]) == 200
    await keys.revoke("mother")
    assert await ask(server, whole["token"]) == 401
    assert await ask(server, part_of["token"]) == 401


async def test_a_token_that_says_more_than_its_key_is_held_to_that(server: Running) -> None:
    keys = Keys(server)
    await keys.make("narrow", "read", paths=["/n/**"])
    of_key = {"key": keys.made["narrow"]}
    wide = jwt.encode(claims(scope="admin", **of_key), SECRET, "HS256")
    assert await ask(server, wide) == 200
    assert await ask(server, wide, "/auth/keys") == 403
    assert await ask(server, jwt.encode(claims(paths=["/"], **of_key), SECRET, "HS256")) == 401


async def test_the_servers_own_key_makes_tokens_that_end_with_it(tmp_path: Path) -> None:
    auth = Auth(bootstrap_key=BOOTSTRAP, jwt_secret=SECRET)
    async with serving(tmp_path / "tasks.db", auth=auth) as server:
        token = (await token_of(server, BOOTSTRAP))["token"]
        assert await ask(server, token, "/auth/keys") == 200
    async with serving(tmp_path / "tasks.db", auth=auth) as server:
        assert await ask(server, token, "/auth/keys") == 200
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key="c" * 40, jwt_secret=SECRET)) as server:
        assert await ask(server, token) == 401


async def test_servers_that_share_a_database_need_a_secret_in_common(tmp_path: Path) -> None:
    database, auth = Database(url=postgres.database(tmp_path)), Auth(bootstrap_key=BOOTSTRAP)
    async with serving(tmp_path / "x", database=database, auth=auth) as server:
        error = await server.refused("POST", "/auth/token", 409, headers=bearer(BOOTSTRAP))
        assert "APP_AUTH_JWT_SECRET" in error["message"]


async def test_an_open_server_makes_no_tokens(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        assert "make a key first" in (await server.refused("POST", "/auth/token", 409))["message"]


# Tokens by themselves, with time in the test's hand


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
    file.write_text(json.dumps({"keys": [jwk(RSA.public_key(), "1")]}))
    bench = Bench(Auth(jwt_jwks_file=str(file)))
    old, new = [
        jwt.encode({"sub": "me", "exp": bench.now // 1000 + 600}, key, "RS256", headers={"kid": kid})
        for key, kid in ((RSA, "1"), (OTHER_RSA, "2"))
    ]
    assert bench.check(old).principal.id == "sub:me"
    assert bench.refuses(new)
    file.write_text(json.dumps({"keys": [jwk(OTHER_RSA.public_key(), "2")]}))
    assert bench.refuses(new), "not at every guess"
    bench.now += 10_000
    assert bench.check(new).principal.id == "sub:me"
    assert bench.refuses(old), "who is no longer in the set is no longer trusted"
    file.write_text("{")
    bench.now += 10_000
    assert bench.refuses(old)
    assert bench.check(new).principal.id == "sub:me", "a broken file changes nothing"


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
