"""Tokens: what each kind of signature is good for, and what forgers try."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.settings import Auth, Database
from tests import postgres
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving
from tests.signers import EC, ISSUER, OLDER, OTHER_RSA, PEM, RSA, SECRET, jwk

pytestmark = pytest.mark.anyio


def claims(**more: Any) -> dict[str, Any]:
    """Good ones, but for what is said; None leaves out."""
    usual = {"sub": "me", "exp": int(time.time()) + 600, "iss": ISSUER, "aud": "tasks", "scope": "read openid", **more}
    return {name: value for name, value in usual.items() if value is not None}


def part(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def signed_by_hand(header: dict[str, Any], payload: object, secret: bytes) -> str:
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
    "no signature": lambda: jwt.encode(claims(), "", "none"),
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
    "a time that never comes": lambda: signed_by_hand({"alg": "HS256"}, claims(nbf=float("inf")), SECRET.encode()),
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
    "claims that are no object": lambda: signed_by_hand({"alg": "HS256"}, ["sub"], SECRET.encode()),
    "claims without a floor": lambda: f"{part({'alg': 'HS256'}).decode()}.{base64.urlsafe_b64encode(b'[' * 5000).decode()}.x",
    "a header without a floor": lambda: f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.e30.x",
    "a very long name": lambda: jwt.encode(claims(sub="x" * 10_000), SECRET, "HS256"),
    "two dots": lambda: "..",
    **{f"the algorithm {name!r}": partial(signed_by_hand, {"alg": name}, claims(), SECRET.encode()) for name in _ALGORITHMS},
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
