"""Tasks of kind http, sent to real servers on this machine."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import certificate
from tests.unit.worker_client.checkout import context_of, lines_of
from tests.unit.worker_client.stage import on_stage
from tests.unit.worker_client.web import Got, http_proxy, reply, socks_proxy, website
from worker_client.runners.http import HttpRunner
from worker_client.runners.http.answer import KEPT_BYTES
from worker_client.runners.outcomes import Done, Failed

HERE = ("127.0.0.0/8", "::1")


async def send(url: str, *, runner: HttpRunner | None = None, timeout_seconds: float = 20, **spec: Any) -> Done | Failed:
    context = context_of(7, "/", kind="http", spec={"url": url, **spec}, timeout_seconds=timeout_seconds)
    outcome = await (runner or HttpRunner(allowed=HERE)).run(context)
    assert isinstance(outcome, Done | Failed)
    return outcome


async def done(url: str, **spec: Any) -> dict[str, Any]:
    outcome = await send(url, **spec)
    assert isinstance(outcome, Done), outcome
    result: dict[str, Any] = outcome.result
    return result


def test_a_text_alone_may_count() -> None:
    async def scenario() -> None:
        async with website(lambda _: reply(b"it is broken as expected", status=500)) as web:
            assert (await done(web.url, expect_text="expected", expect_status="any"))["status"] == 500

    asyncio.run(scenario())


async def failed(url: str, **spec: Any) -> Failed:
    outcome = await send(url, **spec)
    assert isinstance(outcome, Failed)
    return outcome


def test_a_request_from_claim_to_report(tmp_path: Path) -> None:
    answer = reply(b'{"ok": [1]}', content_type="application/json; charset=utf-8")

    async def scenario() -> None:
        async with website(lambda _: answer) as web, on_stage(tmp_path, runners=[HttpRunner(allowed=HERE)]) as stage:
            spec = {
                "url": f"{web.url}/path?token=secret",
                "method": "put",
                "body": {"a": 1},
                "headers": {"X-Key": "secret"},
                "cookies": {"one": "1", "two": "2"},
                "expect_status": [200, 204],
                "expect_text": '"ok"',
            }
            stage.queue.add(7, tmp_path, kind="http", spec=spec)
            verb, body = await stage.end_of(7)
            assert verb == "complete"
            assert body["result"].keys() == {"status", "headers", "body", "ms", "cut"}
            assert (body["result"]["status"], body["result"]["body"]) == (200, {"ok": [1]})
            assert body["result"]["headers"]["content-length"] == "11"
            assert "secret" not in stage.queue.text(7)
            assert "PUT 127.0.0.1" in stage.queue.text(7)
        (got,) = web.got
        assert (got.method, got.target, got.body) == ("PUT", "/path?token=secret", b'{"a":1}')
        assert got.headers["x-key"] == "secret"
        assert got.headers["cookie"] == "one=1; two=2"
        assert got.headers["content-type"] == "application/json"
        assert got.headers["host"] == f"127.0.0.1:{web.port}"

    asyncio.run(scenario())


def test_bodies_and_cookies_as_text() -> None:
    async def scenario() -> None:
        async with website(lambda _: reply("grüße\0".encode("latin-1"), content_type="text/plain; charset=latin-1")) as web:
            result = await done(web.url, method="POST", body="a=1", cookies="one=1; two=2", headers={"Content-Type": "form"})
            assert result["body"] == "grüße\ufffd"
            await done(web.url, headers={"Cookie": "three=3"}, cookies="one=1")
        assert (web.got[0].body, web.got[0].headers["content-type"]) == (b"a=1", "form")
        assert [got.headers["cookie"] for got in web.got] == ["one=1; two=2", "three=3; one=1"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "spec", "kind", "retry_after"),
    [
        (reply(status=404), {}, "HttpStatus", None),
        (reply(status=200), {"expect_status": 201}, "HttpStatus", None),
        (reply(status=503, retry_after="120"), {}, "HttpStatus", 120),
        (reply(status=429, retry_after="1e30"), {}, "HttpStatus", 86_400),
        (reply(status=429, retry_after="soon"), {}, "HttpStatus", None),
        (reply(status=500, retry_after="120"), {}, "HttpStatus", None),
        (reply(b"nothing"), {"expect_text": "something"}, "TextMissing", None),
        (reply(b"nothing", status=404), {"expect_text": "something", "expect_status": "any"}, "TextMissing", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", {}, "Connect", None),
        (b"SSH-2.0\r\n\r\n", {}, "Connect", None),
        (reply(status=302, location="ftp://example.org/"), {}, "Redirect", None),
    ],
)
def test_answers_that_are_failures(answer: bytes, spec: dict[str, Any], kind: str, retry_after: float | None) -> None:
    async def scenario() -> None:
        async with website(lambda _: answer) as web:
            outcome = await failed(web.url, **spec)
            assert (outcome.type, outcome.retryable, outcome.retry_after) == (kind, True, retry_after)
            if kind in {"HttpStatus", "TextMissing"}:
                assert outcome.details["status"] == int(answer.split()[1])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"url": "example.org"}, "http"),
        ({"url": "http://"}, "the request can't be sent"),
        ({"url": "http://127.0.0.1:port/"}, "the request can't be sent"),
        ({"url": "http://127.0.0.1/", "headers": {"a": "b\r\nc: d"}}, "the request can't be sent"),
        ({"url": "http://127.0.0.1/", "headers": {"a": "ü"}}, "the request can't be sent"),
        ({"url": "http://127.0.0.1/", "proxy": "ftp://127.0.0.1"}, "`proxy`"),
        ({"url": "http://127.0.0.1/", "proxy": "127.0.0.1:80"}, "`proxy`"),
        ({}, "url"),
    ],
)
def test_specs_that_cannot_be_sent(spec: dict[str, Any], words: str) -> None:
    async def scenario() -> None:
        async with website() as web:
            given = {**spec, **({"url": spec["url"].replace(".1/", f".1:{web.port}/")} if "url" in spec else {})}
            outcome = await HttpRunner(allowed=HERE).run(context_of(7, "/", spec=given))
            assert isinstance(outcome, Failed)
            assert (outcome.type, outcome.retryable) == ("InvalidSpec", False)
            assert words in outcome.message

    asyncio.run(scenario())


def test_nobody_answers() -> None:
    async def scenario() -> None:
        async with website() as web:
            pass
        assert (await failed(web.url)).type == "Connect"
        assert "can't be resolved" in (await failed("http://no-such-host.invalid/")).message
        async with website(lambda _: None) as web:
            assert (await failed(web.url, timeout_seconds=0.2)).type == "Timeout"

    asyncio.run(scenario())


@pytest.mark.parametrize("packed", [False, True])
def test_a_large_answer_is_cut(packed: bool) -> None:
    plain = b"x" * (50 * KEPT_BYTES)
    answer = reply(gzip.compress(plain), content_encoding="gzip") if packed else reply(plain)

    async def scenario() -> None:
        async with website(lambda _: answer) as web:
            result = await done(web.url)
            assert result["cut"]
            assert len(result["body"]) == KEPT_BYTES
            assert web.got[0].headers["accept-encoding"] == "identity"
            web.answer = lambda _: reply(gzip.compress(b"small"), content_encoding="gzip")
            result = await done(web.url)
            assert (result["body"], result["cut"]) == ("small", False)

    asyncio.run(scenario())


def test_redirects_keep_what_is_secret_to_where_it_was_meant_for() -> None:
    async def scenario() -> None:
        async with website() as other, website() as web:

            def answer(got: Got) -> bytes:
                if got.target == "/elsewhere":
                    return reply(status=302, location=other.url.replace("127.0.0.1", "127.0.0.2"))
                return reply(status=302, location="/elsewhere", set_cookie="session=s; Path=/")

            web.answer = answer
            other.answer = lambda _: reply(b"there")
            headers = {"Authorization": "Bearer secret", "X-Api-Key": "secret", "Cookie": "c=secret", "X-Other": "o"}
            outcome = await failed(web.url, method="POST", body="b", headers=headers, cookies="d=secret")
            assert outcome.type == "Connect", "nothing listens at 127.0.0.2"
            web.answer = lambda got: answer(got).replace(b"127.0.0.2", b"127.0.0.1")
            assert (await done(web.url, method="POST", body="b", headers=headers, cookies="d=secret"))["body"] == "there"
        first, second = web.got[-2:]
        assert first.headers["x-api-key"] == second.headers["x-api-key"] == "secret"
        assert (first.method, second.method) == ("POST", "GET")
        assert second.headers["cookie"] == "session=s; c=secret; d=secret"
        assert not {"authorization", "x-api-key", "x-other"} & other.got[-1].headers.keys()
        assert other.got[-1].headers["cookie"] == "session=s", "it is the same host, to cookies"

    asyncio.run(scenario())


def test_redirects_end() -> None:
    async def scenario() -> None:
        async with website(lambda _: reply(status=307, location="/again")) as web:
            outcome = await failed(web.url)
            assert (outcome.type, len(web.got)) == ("Redirect", 11)
            assert (await done(web.url, expect_status=307))["headers"]["location"] == "/again"

    asyncio.run(scenario())


def test_the_name_is_what_the_certificate_is_for() -> None:
    server, client = certificate("localhost")

    async def scenario() -> None:
        async with website(tls=server) as web:
            trusting = HttpRunner(allowed=HERE, context=client)
            assert (await done(f"https://localhost:{web.port}/", runner=trusting))["body"] == "ok"
            assert web.server_names == ["localhost"]
            assert web.got[0].headers["host"] == f"localhost:{web.port}"
            assert "CERTIFICATE_VERIFY_FAILED" in (await failed(f"https://127.0.0.1:{web.port}/", runner=trusting)).message
            assert "CERTIFICATE_VERIFY_FAILED" in (await failed(f"https://localhost:{web.port}/")).message
            async with http_proxy(web) as through:
                url = f"https://localhost:{web.port}/"
                assert (await done(url, runner=trusting, proxy=through.url))["body"] == "ok"
                assert through.names == [f"localhost:{web.port}"]
            async with socks_proxy(web) as through:
                proxy = through.url.replace("http", "socks5")
                assert (await done(url, runner=trusting, proxy=proxy))["body"] == "ok"
                assert through.names[0] in {"127.0.0.1", "localhost"}
        assert web.server_names[-1] == "localhost"

    asyncio.run(scenario())


def test_proxies() -> None:
    async def scenario() -> None:
        everywhere = HttpRunner(allowed=["all"])
        async with website() as web, socks_proxy(web, user="me") as socks, http_proxy(web) as plain:
            address = f"socks5://me:secret@127.0.0.1:{socks.port}"
            assert (await done("http://shop.invalid/", proxy=address, runner=everywhere))["body"] == "ok"
            assert socks.names == ["shop.invalid"], "where all is allowed, the proxy resolves"
            assert web.got[-1].headers["host"] == "shop.invalid"
            await done(web.url, proxy=address.replace("socks5", "socks"))
            assert socks.names[-1] == "127.0.0.1"
            wrong = await failed(web.url, proxy=f"socks5://you:secret@127.0.0.1:{socks.port}")
            assert wrong.type == "Connect"
            assert "secret" not in wrong.message
            assert (await done("http://shop.invalid/", proxy=plain.url, runner=everywhere))["body"] == "ok"
            assert plain.names == ["http://shop.invalid/"]

    asyncio.run(scenario())


def test_what_is_logged_names_no_secrets() -> None:
    async def scenario() -> None:
        async with website() as web:
            context = context_of(7, "/", spec={"url": f"http://user:secret@127.0.0.1:{web.port}/secret?secret#secret"})
            outcome = await HttpRunner(allowed=HERE).run(context)
            assert isinstance(outcome, Done)
            assert lines_of(context)[0] == "GET 127.0.0.1"
            assert "secret" not in str([*lines_of(context), outcome])
            assert web.got[0].headers["authorization"].startswith("Basic ")

    asyncio.run(scenario())


def test_a_request_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with website(lambda _: None) as web, on_stage(tmp_path, runners=[HttpRunner(allowed=HERE)]) as stage:
            stage.queue.add(7, tmp_path, kind="http", spec={"url": web.url}, timeout_seconds=1)
            verb, body = await stage.end_of(7)
            assert (verb, body["error"]["type"]) == ("fail", "Timeout")

    asyncio.run(scenario())
