"""Triggers as they are saved and shown, and webhooks that show that they may."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Standard

from orchestrator.domain.principal import OPEN, Principal
from orchestrator.doors.sealing import SEALED, Sealing
from orchestrator.doors.secrets import Secrets
from orchestrator.triggers import TYPES, checked, shown
from orchestrator.triggers.web import Incoming, Taken, WebTrigger
from worker_client.errors import Forbidden, OrchestratorError, PayloadTooLarge, Unauthorized, ValidationFailed

SECRET = "correct horse battery"
BODY = '{"text": "grüße 🦔", "n": 1}'.encode()


def sealing(**secrets: str) -> Sealing:
    made = Sealing()
    made.configure("k" * 32, None, Secrets(secrets))
    return made


def hook(**auth: Any) -> dict[str, Any]:
    return {"type": "webhook", "auth": {"secret": SECRET, **auth}}


def refusal(*sent: Any, by: Principal = OPEN, here: Sealing | None = None) -> OrchestratorError:
    with pytest.raises((ValidationFailed, Forbidden)) as refused:
        checked(sent, by, here or sealing())
    assert SECRET not in str(refused.value.body)
    return refused.value


def test_secrets_are_stored_sealed_and_shown_as_stars() -> None:
    sent = [hook(type="token"), {"type": "manual", "confirm": True}, hook(type="hmac", secret="{{ secrets.HOOK }}")]
    kept = checked(sent, OPEN, sealing(HOOK="x"))
    assert sent[0]["auth"]["secret"] == SECRET
    assert kept[0]["auth"]["secret"].startswith(SEALED)
    assert SECRET not in json.dumps(kept)
    seen = shown(kept)
    assert [one.get("auth", {}).get("secret") for one in seen] == ["***", None, "{{ secrets.HOOK }}"]
    assert kept[0]["auth"]["secret"].startswith(SEALED)


def test_a_secret_that_comes_back_as_it_was_shown_stays() -> None:
    here = sealing()
    first = checked([{"type": "manual"}, hook(type="token")], OPEN, here)
    for place in (0, 1):
        sent = shown(first)[1:] if place == 0 else shown(first)
        again = checked(sent, OPEN, here, first)
        assert here.revealed(again[place]["auth"]["secret"]) == SECRET
    assert checked([{"type": "manual"}, hook(type="token")], OPEN, here, first) == first
    assert "none was stored before" in refusal(*shown(first), here=here).message


@pytest.mark.parametrize(
    ("sent", "field", "told"),
    [
        ({}, "triggers[0].type", "is missing"),
        ({"type": "carrier pigeon"}, "triggers[0].type", "expected one of"),
        ({"type": "manual", "confrim": True}, "triggers[0].confrim", "did you mean `confirm`"),
        ({"type": "manual", "enabled": "no"}, "triggers[0].enabled", "expected boolean"),
        ({"type": "webhook"}, "triggers[0].auth", "is missing"),
        ({"type": "webhook", "auth": {"type": "token"}}, "triggers[0].auth.secret", "is missing"),
        (hook(type="none"), "triggers[0].auth.secret", "leave it out"),
        (hook(type="tokne"), "triggers[0].auth.type", "tokne"),
        (hook(type="token", prefix="x"), "triggers[0].auth.prefix", "hmac alone"),
        (hook(type="standard-webhooks"), "triggers[0].auth.secret", "whsec_"),
        (hook(type="token", secret="short"), "triggers[0].auth.secret", "has 5 characters"),
        (hook(type="token", secret=[SECRET]), "triggers[0].auth.secret", "is no string"),
        (hook(type="token", header="X Y"), "triggers[0].auth.header", "name of a header"),
        (hook(type="token") | {"methods": []}, "triggers[0].methods", "length"),
        (hook(type="token") | {"methods": ["TRACE"]}, "triggers[0].methods[0]", "one of DELETE, GET"),
        ({"type": "webhook", "auth": SECRET}, "triggers[0].auth", "object"),
        ({"type": "cron"}, "triggers[0].cron", "is missing"),
        ({"type": "cron", "cron": "0 0 31 2 *"}, "triggers[0].cron", "0 0 31 2 *"),
        ({"type": "cron", "cron": "@daily", "timezone": "Mars/Base"}, "triggers[0].timezone", "Mars/Base"),
        ({"type": "cron", "cron": "@daily", "dry_run": True}, "triggers[0].dry_run", "preview"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused_and_never_shown(sent: Any, field: str, told: str) -> None:
    refused = refusal(sent)
    assert refused.details["field"] == field
    assert told in refused.message


def call(headers: dict[str, str] | None = None, raw: bytes = BODY, method: str = "POST", **query: str) -> Incoming:
    named = {"content-type": "application/json", **(headers or {})}
    return Incoming(method=method, headers=tuple(named.items()), query=query, raw=raw)


def taken(sent: dict[str, Any], incoming: Incoming) -> Taken:
    here = sealing()
    (kept,) = checked([sent], OPEN, here)
    trigger = TYPES[sent["type"]]
    assert isinstance(trigger, WebTrigger)
    settings = trigger.read(kept)
    trigger.admit(settings, incoming, here.revealed)
    return trigger.take(settings, incoming)


def digest(algorithm: str = "sha256", raw: bytes = BODY, secret: str = SECRET) -> bytes:
    return hmac.digest(secret.encode(), raw, algorithm)


SIGNED = digest().hex()


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        ({"type": "token"}, {"authorization": f"Bearer {SECRET}"}),
        ({"type": "token"}, {"authorization": f"bearer {SECRET}"}),
        ({"type": "token"}, {"x-webhook-token": SECRET}),
        ({"type": "token", "header": "X-Gitlab-Token"}, {"x-gitlab-token": SECRET}),
        ({"type": "token", "header": "X-T", "secret": "größe größe"}, {"x-t": "größe größe".encode().decode("latin-1")}),
        ({"type": "hmac"}, {"x-signature-256": SIGNED}),
        ({"type": "hmac"}, {"x-hub-signature-256": f"sha256={SIGNED}"}),
        ({"type": "hmac"}, {"x-signature": base64.b64encode(digest()).decode()}),
        ({"type": "hmac", "header": "X-S", "prefix": "v0="}, {"x-s": f"v0={SIGNED}"}),
        ({"type": "hmac", "algorithm": "sha512"}, {"x-signature": f"sha512={digest('sha512').hex()}"}),
        ({"type": "hmac", "algorithm": "sha1"}, {"x-signature": f"sha1={digest('sha1').hex()}"}),
    ],
)  # fmt: skip
def test_who_shows_the_secret_is_let_in(auth: Any, headers: dict[str, str]) -> None:
    found = taken(hook(**auth), call({"user-agent": "me", **headers}))
    assert found.input == {"text": "grüße 🦔", "n": 1}
    assert found.trigger["headers"] == {"content-type": "application/json", "user-agent": "me"}
    assert found.facts == {"method": "POST", "bytes": len(BODY), "user_agent": "me"}


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        ({"type": "token"}, {}),
        ({"type": "token"}, {"authorization": ""}),
        ({"type": "token"}, {"authorization": "Bearer "}),
        ({"type": "token"}, {"authorization": f"Basic {SECRET}"}),
        ({"type": "token"}, {"x-webhook-token": SECRET[:-1]}),
        ({"type": "token"}, {"x-webhook-token": SECRET + " "}),
        ({"type": "token", "header": "X-Gitlab-Token"}, {"authorization": f"Bearer {SECRET}"}),
        ({"type": "hmac"}, {}),
        ({"type": "hmac"}, {"x-signature": ""}),
        ({"type": "hmac"}, {"x-signature": SIGNED[:-1]}),
        ({"type": "hmac"}, {"x-signature": f"sha512={SIGNED}"}),
        ({"type": "hmac"}, {"x-signature": digest(raw=BODY[:-1] + bytes([BODY[-1] ^ 1])).hex()}),
        ({"type": "hmac"}, {"x-signature": digest(secret=SECRET + "x").hex()}),
        ({"type": "hmac"}, {"x-signature": SECRET}),
        ({"type": "hmac", "prefix": "v0="}, {"x-signature": SIGNED}),
        ({"type": "hmac"}, {"x-signature": "\xff\xfe" * 32}),
    ],
)  # fmt: skip
def test_who_does_not_is_not(auth: Any, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as refused:
        taken(hook(**auth), call(headers))
    assert SECRET not in str(refused.value.body)
    assert SIGNED not in str(refused.value.body)


def test_a_header_that_stands_twice_proves_nothing() -> None:
    twice = Incoming(method="POST", headers=(("x-signature", "00"), ("x-signature", SIGNED)), query={}, raw=BODY)
    with pytest.raises(ValidationFailed, match="stands 2 times"):
        taken(hook(type="hmac"), twice)


STANDARD = "whsec_" + base64.b64encode(b"sixteen bytes ok").decode()


def standard(raw: bytes = BODY, at: datetime | None = None, changed: dict[str, str] | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    signature = Standard(STANDARD).sign("msg_1", at, raw.decode())
    signed = {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    return {**signed, **(changed or {})}


def test_standard_webhooks() -> None:
    found = taken(hook(type="standard-webhooks", secret=STANDARD), call(standard()))
    assert (found.key, found.trigger["delivery_id"]) == ("msg_1", "msg_1")
    rotated = "v1,AAAA " + standard()["webhook-signature"]
    assert taken(hook(type="standard-webhooks", secret=STANDARD), call(standard(changed={"webhook-signature": rotated}))).key


@pytest.mark.parametrize(
    "headers",
    [
        dict,
        lambda: standard(at=datetime.now(UTC) - timedelta(minutes=6)),
        lambda: standard(at=datetime.now(UTC) + timedelta(minutes=6)),
        lambda: standard(BODY + b" "),
        lambda: standard(changed={"webhook-id": "msg_2"}),
        lambda: standard(changed={"webhook-timestamp": "nan"}),
        lambda: standard(changed={"webhook-timestamp": "1e400"}),
        lambda: standard(changed={"webhook-signature": "v1"}),
        lambda: standard(changed={"webhook-signature": "v1,=!"}),
        lambda: standard(changed={"webhook-signature": "v2," + standard()["webhook-signature"][3:]}),
    ],
    ids=["none", "old", "early", "altered", "renamed", "nan", "infinite", "unsigned", "garbled", "unknown"],
)  # fmt: skip
def test_standard_webhooks_that_are_old_or_altered(headers: Callable[[], dict[str, str]]) -> None:
    with pytest.raises(Unauthorized):
        taken(hook(type="standard-webhooks", secret=STANDARD), call(headers()))
    with pytest.raises(Unauthorized):
        taken(hook(type="standard-webhooks", secret=STANDARD), call(standard(), b"\xff\xfe"))


OPENED = {"type": "webhook", "auth": {"type": "none"}}


@pytest.mark.parametrize(
    ("media", "raw", "found"),
    [
        ("application/json; charset=utf-8", b'{"a": [1, null]}', {"a": [1, None]}),
        ("application/cloudevents+json", b'{"a": 1}', {"a": 1}),
        ("application/json", b"[1, 2]", {"body": [1, 2]}),
        ("application/x-www-form-urlencoded", b"a=1&b=&a=2&a=3&c=%F0%9F%A6%94", {"a": ["1", "2", "3"], "b": "", "c": "🦔"}),
        ("text/plain", b'{"a": 1}', {"body": '{"a": 1}'}),
        ("", b'{"a": 1}', {"a": 1}),
        ("", b"just words", {"body": "just words"}),
        ("application/json", b"", {"q": "1"}),
    ],
)  # fmt: skip
def test_what_a_body_says(media: str, raw: bytes, found: Any) -> None:
    assert taken(OPENED, call({"content-type": media}, raw, q="1")).input == found


@pytest.mark.parametrize(
    ("media", "raw"),
    [
        ("application/json", b"{"),
        ("application/json", b'{"a": "\\ud800"}'),
        ("application/json", b'{"a": "\\u0000"}'),
        ("application/json", b"[" * 100_000),
        ("application/json", b"\xff"),
        ("application/json", b'{"a": 1e999}'),
        ("text/plain", b"\xff"),
        ("text/plain", b"a\0b"),
        ("application/x-www-form-urlencoded", b"a=%00"),
        ("application/x-www-form-urlencoded", b"a=%FF"),
        ("application/x-www-form-urlencoded", b"a&" * 2000),
    ],
)  # fmt: skip
def test_a_body_that_is_not_what_it_is_said_to_be(media: str, raw: bytes) -> None:
    with pytest.raises(ValidationFailed):
        taken(OPENED, call({"content-type": media}, raw))


def test_a_body_that_would_swell_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        taken(OPENED, call(raw=b"[" + b"{}," * 300_000 + b"{}]"))


def test_a_delivery_that_names_itself_is_known_by_that() -> None:
    assert taken(OPENED, call({"idempotency-key": "k1"})).key == "k1"
    assert taken(OPENED, call({"webhook-id": "w1"})).key == "w1"
    assert taken(OPENED, call({})).key is None
    own = OPENED | {"idempotency_header": "X-Event-Id"}
    assert taken(own, call({"x-event-id": "e1", "idempotency-key": "k1"})).key == "e1"
    with pytest.raises(ValidationFailed, match="256 characters"):
        taken(OPENED, call({"idempotency-key": "k" * 256}))
