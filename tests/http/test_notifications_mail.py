"""Notifications by mail, to real mail servers: encrypted or not, with a password or without, and those that refuse."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.settings import Notify, Server
from tests.certificates import certificate, issued
from tests.http.conftest import Running, serving
from tests.smtp import MailServer, mailing

pytestmark = pytest.mark.anyio

FROM = "orchestrator@example.org"
PASSWORD = "correct horse"


def trusted(folder: Path) -> tuple[ssl.SSLContext, str]:
    """The server's side of a certificate for localhost, and the file that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = issued(key)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    both, alone = folder / "both.pem", folder / "ca.pem"
    both.write_bytes(pem + private)
    alone.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, str(alone)


@asynccontextmanager
async def told(path: Path, port: int, **settings: Any) -> AsyncIterator[Running]:
    given: dict[str, Any] = {"smtp_server": "localhost", "smtp_port": port, "smtp_from": FROM, "retry_seconds": 0.1, **settings}
    server: Any = {"notify": Notify(**given), "server": Server(port=0, public_url="https://tasks.example.org")}
    async with serving(path / "tasks.db", **server) as running:
        yield running


async def rule(server: Running, **email: Any) -> Any:
    body = {"name": "mails", "events": ["task.parked", "task.created"], "email": {"to": ["ops@example.org"], **email}}
    return await server.post("/notifications/rules", body)


async def asks(server: Running, **facts: Any) -> Any:
    """A task that asks something."""
    task = await server.task("/srv/shop", **facts)
    claim = await server.claim("/srv/shop")
    asked = {"lease": claim["lease"], "reason": "question", "question": "Which\nbranch?", "options": ["main", "next"]}
    await server.post(f"/tasks/{claim['id']}/park", asked)
    return task


async def test_a_mail_says_what_happened_in_plain_words(tmp_path: Path) -> None:
    context, ca = trusted(tmp_path)
    async with (
        mailing(starttls=context, password=PASSWORD) as mails,
        told(tmp_path, mails.port, smtp_user="me", smtp_password=PASSWORD, tls_ca_file=ca) as server,
    ):
        await rule(server)
        task = await asks(server, title="Fix the\r\nBcc: evil@example.org login ü", prompt="a secret plan")
        await mails.until(2)
        created, parked = mails.letters
    assert (parked.encrypted, parked.user, parked.to) == (True, "me", ["ops@example.org"])
    message = parked.message
    named = f"Task {task['id']} 'Fix the Bcc: evil@example.org login ü'"
    assert message["subject"] == f"{named} has a question"
    assert created.message["subject"] == f"{named} was created"
    assert (message["from"], message["to"], message["bcc"], message["auto-submitted"]) == (
        FROM,
        "ops@example.org",
        None,
        "auto-generated",
    )
    text = message.get_content().replace("\r\n", "\n")
    assert text.startswith(f"{named} in /srv/shop asks: Which branch? (main / next)")
    assert "- main\n- next" in text
    assert f"https://tasks.example.org/tasks/{task['id']}" in text
    assert "secret plan" not in text


@pytest.mark.system
@pytest.mark.parametrize("tls", ["implicit", "none"])
async def test_a_subject_of_ones_own_and_other_ways_of_encrypting(tmp_path: Path, tls: str) -> None:
    context, ca = trusted(tmp_path)
    implicit = context if tls == "implicit" else None
    async with mailing(implicit=implicit) as mails, told(tmp_path, mails.port, smtp_tls=tls, tls_ca_file=ca) as server:
        await rule(server, subject="[{{ task.priority }}] {{ task.title | upper }}: {{ event.type }}", to=["a@b", "c@d"])
        await server.task("/srv/shop", title="Fix it", priority="high")
        await mails.until(1)
    (letter,) = mails.letters
    assert letter.encrypted is (tls == "implicit")
    assert (letter.to, letter.message["subject"]) == (["a@b", "c@d"], "[high] FIX IT: task.created")


async def refusal(server: Running, made: Any) -> str:
    tested = await server.post(f"/notifications/rules/{made['id']}/test")
    assert not tested["delivered"]
    assert PASSWORD not in str(tested)
    reason: str = tested["reason"]
    return reason


@pytest.mark.system
async def test_what_is_wrong_is_told_with_the_setting(tmp_path: Path) -> None:
    context, ca = trusted(tmp_path)
    stranger, _ = await asyncio.to_thread(certificate, "localhost")
    signed: dict[str, Any] = {"smtp_user": "me", "smtp_password": PASSWORD}
    wrong: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"starttls": stranger}, {"tls_ca_file": ca}, "notify.tls_ca_file"),
        ({"implicit": stranger}, {"tls_ca_file": ca, "smtp_tls": "implicit"}, "notify.tls_ca_file"),
        ({}, {}, "STARTTLS"),
        ({"starttls": context, "password": "another"}, {**signed, "tls_ca_file": ca}, "notify.smtp_password"),
        ({"password": "another"}, {"smtp_tls": "none"}, "sign in"),
    ]
    for number, (theirs, ours, words) in enumerate(wrong):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with mailing(**theirs) as mails, told(folder, mails.port, **ours) as server:
            assert words in (said := await refusal(server, await rule(server))), said
            assert mails.letters == []
    async with told(tmp_path, 1, smtp_tls="none") as server:
        assert "nobody answers" in await refusal(server, await rule(server))
    unset: Any = {"notify": Notify()}
    async with serving(tmp_path / "other.db", **unset) as server:
        assert "notify.smtp_server" in await refusal(server, await rule(server))


async def test_addresses_that_are_none_are_refused_and_never_break_a_try(tmp_path: Path) -> None:
    async with mailing() as mails, told(tmp_path, mails.port, smtp_tls="none", smtp_from="..@..") as server:
        for none in ("a\x01b@example.org", "[x]@example.org", "..@..", "group:a@example.org", "a(b)@c", "a@example.org\n"):
            body = {"name": "x", "events": ["*"], "email": {"to": [none]}}
            error = await server.refused("POST", "/notifications/rules", 400, json=body)
            assert error["details"]["field"] == "email.to[0]"
        made = await rule(server, to=["first.last+tag@mail.example.org"])
        assert "notify.smtp_from" in await refusal(server, made)


async def delivered(server: Running, mails: MailServer) -> Any:
    await mails.until(1)
    while (found := (await server.get("/notifications/deliveries"))["items"][0])["status"] == "pending":  # noqa: ASYNC110 - it is no event
        await asyncio.sleep(0.01)
    return found


@pytest.mark.system
async def test_one_that_is_busy_is_asked_again_and_who_is_not_there_keeps_it_from_nobody_else(tmp_path: Path) -> None:
    async with mailing() as mails, told(tmp_path, mails.port, smtp_tls="none") as server:
        mails.busy, mails.refused = 2, {"gone@example.org"}
        await rule(server, to=["ops@example.org", "gone@example.org"])
        await server.task("/srv/shop")
        found = await delivered(server, mails)
        assert (found["status"], found["tries"]) == ("delivered", 3)
        assert "gone@example.org" in found["reason"]
        assert [letter.to for letter in mails.letters] == [["ops@example.org"]]
        assert found["message_id"] in mails.letters[0].message["message-id"]
