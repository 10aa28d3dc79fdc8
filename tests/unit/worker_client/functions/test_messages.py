"""Email, SMS and Webhook: to where the settings say, and nowhere else."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import certificate
from tests.unit.worker_client.functions.calling import Functions
from tests.unit.worker_client.web import reply, website
from worker_client.runners.http import HttpRunner
from worker_client.runners.outcomes import Done, Failed

HERE = ("127.0.0.0/8",)


class Post:
    """A server for mail; `taken`: sender, recipients and bytes of each."""

    def __init__(self) -> None:
        self.port = 0
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.refuses: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender, recipients = "", list[str]()
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            said = b"250 ok\r\n"
            verb, _, rest = line.partition(":")
            if verb.upper() == "MAIL FROM":
                sender, recipients = rest.split(">")[0].strip("< "), []
            elif verb.upper() == "RCPT TO":
                one = rest.split(">")[0].strip("< ")
                refused = one in self.refuses
                said = b"550 nobody\r\n" if refused else said
                recipients += [] if refused else [one]
            elif verb.upper() == "DATA":
                writer.write(b"354 go on\r\n")
                self.taken.append((sender, recipients, await reader.readuntil(b"\r\n.\r\n")))
            elif verb.upper() == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            writer.write(said)
        writer.close()


@asynccontextmanager
async def posting() -> AsyncIterator[Post]:
    post = Post()
    server = await asyncio.start_server(post.serve, "127.0.0.1", 0)
    post.port = server.sockets[0].getsockname()[1]
    async with server:
        yield post


def mailing(tmp_path: Path, post: Post, **more: Any) -> Functions:
    settings = {"server": "127.0.0.1", "port": post.port, "tls": "none", "sender": "Jobs <jobs@example.com>", **more}
    return Functions(tmp_path, email=settings)


def test_a_mail_arrives(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with posting() as post:
            outcome = await mailing(tmp_path, post).run("Email", "user@example.com; b@example.com", "测试", "邮件内容\n.\nend")
            assert isinstance(outcome, Done), outcome
            ((sender, recipients, content),) = post.taken
            assert (sender, recipients) == ("jobs@example.com", ["user@example.com", "b@example.com"])
            mail = message_from_bytes(content, policy=policy.default)
            assert (mail["Subject"], mail["From"]) == ("测试", "Jobs <jobs@example.com>")
            assert mail["Message-ID"] == outcome.result["message_id"]
            assert mail["Message-ID"].endswith(".task-7-1@example.com>")
            assert mail.get_content() == "邮件内容\r\n..\r\nend\r\n.\r\n"  # as it is on the line

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("user@example.com\r\nBcc: other@example.com", "x"),
        ("user@example.com\nX: y", "x"),
        ("user@example.com", "x\r\nBcc: other@example.com"),
        ("user@example.com", "x\nX: y"),
        ("user@example.com,other@example.com", "x"),
        ("user@example.com>\r\nDATA", "x"),
        ("", "x"),
        ("user", "x"),
        (" ; ", "x"),
        (";".join(["user@example.com"] * 51), "x"),
    ],
)
def test_headers_can_not_be_slipped_in(tmp_path: Path, to: str, subject: str) -> None:
    async def scenario() -> None:
        async with posting() as post:
            outcome = await mailing(tmp_path, post).run("Email", to, subject, "text")
            assert isinstance(outcome, Failed)
            assert (outcome.type, outcome.retryable) == ("InvalidArgument", False)
            assert post.taken == []

    asyncio.run(scenario())


def test_what_the_server_and_the_settings_refuse(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with posting() as post:
            post.refuses = {"no@example.com"}
            limited = mailing(tmp_path, post, to=["*@example.com"])
            outcomes = [
                await limited.run("Email", "a@example.org", "s", "t"),
                await limited.run("Email", "no@example.com", "s", "t"),
                await limited.run("Email", "no@example.com;a@example.com", "s", "t"),
                await mailing(tmp_path, post, tls="starttls").run("Email", "a@example.com", "s", "t"),
                await mailing(tmp_path, post, user="u", password="p").run("Email", "a@example.com", "s", "t"),
            ]
            types = [(one.type, one.retryable) for one in outcomes if isinstance(one, Failed)]
            assert types == [("NotAllowed", False), ("EmailError", True), ("EmailError", False), *[("EmailError", False)] * 2]
            assert [recipients for _, recipients, _ in post.taken] == [["a@example.com"]]

    asyncio.run(scenario())
    nowhere = Functions(tmp_path, email={"server": "127.0.0.1", "port": 1, "sender": "a@example.com"})
    assert nowhere.failed("Email", "a@example.com", "s", "t").retryable
    assert "[functions.email]" in Functions(tmp_path).failed("Email", "a@example.com", "s", "t").message


@asynccontextmanager
async def secure(*answers: bytes) -> AsyncIterator[tuple[Any, HttpRunner, ssl.SSLContext]]:
    serving, trusting = certificate("localhost")
    left = list(answers or [reply()])
    async with website(lambda _: left.pop(0), tls=serving) as web:
        yield web, HttpRunner(allowed=HERE, context=trusting), trusting


def test_a_short_message_goes_to_the_gateway(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with secure() as (web, http, _):
            gateway = {
                "url": f"https://localhost:{web.port}/send",
                "headers": {"Authorization": "Bearer x"},
                "body": {"mobile": "{to}", "content": "[{text}]", "from": "me"},
            }
            outcome = await Functions(tmp_path, http=http, sms=gateway).run("SMS", "13800138000", "测试{to}")
            assert isinstance(outcome, Done), outcome
            (got,) = web.got
            assert (got.method, got.headers["authorization"]) == ("POST", "Bearer x")
            assert got.body.decode() == '{"mobile":"13800138000","content":"[测试{to}]","from":"me"}'

    asyncio.run(scenario())
    gateway = {"url": "https://gateway.example.com/"}
    assert Functions(tmp_path, sms=gateway).failed("SMS", "me", "x").type == "InvalidArgument"
    assert "[functions.sms]" in Functions(tmp_path).failed("SMS", "13800138000", "x").message


def test_a_webhook_is_called(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with secure(reply(), reply(), reply(status=302, location="https://example.org/")) as (web, http, _):
            functions = Functions(tmp_path, http=http, webhook={"hosts": ["localhost"]})
            for data, kind in (('{"data":"value"}', "application/json"), ("plain", "text/plain; charset=utf-8")):
                outcome = await functions.run("Webhook", f"https://localhost:{web.port}/x", data)
                assert isinstance(outcome, Done), outcome
                assert (web.got[-1].body.decode(), web.got[-1].headers["content-type"]) == (data, kind)
            outcome = await functions.run("Webhook", f"https://localhost:{web.port}/x", "")
            assert isinstance(outcome, Failed)
            assert outcome.type == "Redirect"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "hosts", "kind"),
    [
        ("https://127.0.0.1:1/", ["*"], "AddressRefused"),
        ("https://localhost:1/", ["*"], "AddressRefused"),
        ("https://[::1]:1/", ["*"], "AddressRefused"),
        ("https://169.254.169.254/latest", ["*"], "AddressRefused"),
        ("https://2130706433/", ["*"], "AddressRefused"),
        ("https://example.org/", ["*.example.org"], "NotAllowed"),
        ("https://hooks.example.org.evil.example/", ["hooks.example.org"], "NotAllowed"),
        ("https://hooks.example.org@evil.example/", ["hooks.example.org"], "NotAllowed"),
        ("http://hooks.example.org/", ["hooks.example.org"], "InvalidArgument"),
        ("file:///etc/passwd", ["*"], "InvalidArgument"),
        ("https://", ["*"], "InvalidArgument"),
    ],
)
def test_a_webhook_goes_nowhere_else(tmp_path: Path, url: str, hosts: list[str], kind: str) -> None:
    assert Functions(tmp_path, webhook={"hosts": hosts}).failed("Webhook", url, "{}").type == kind
    assert "[functions.webhook]" in Functions(tmp_path).failed("Webhook", url, "{}").message
