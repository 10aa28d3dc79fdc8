"""What tasks of kind http may connect to."""

import asyncio
import socket
from typing import Any

import pytest

from tests.unit.worker_client.test_http import HERE, done, failed
from tests.unit.worker_client.web import http_proxy, reply, socks_proxy, website
from worker_client.errors import ConfigurationError
from worker_client.runners.http import HttpRunner
from worker_client.runners.http.reach import Reach

NOWHERE = HttpRunner()
HOSTS = [
    *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "017700000001", "0.0.0.0", "0"),  # noqa: S104 - nothing is bound
    *(
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "\uff11\uff12\uff17.0.0.1",
    ),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]"),
    *("169.254.169.254", "[::ffff:169.254.169.254]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "100.100.100.200"),
    *("192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_not_public_is_refused_however_it_is_written(host: str) -> None:
    async def scenario() -> None:
        outcome = await failed(f"http://{host}:9/", runner=NOWHERE)
        # Some notations are no addresses to every system: then there is nothing to connect to.
        unknown = "can't be resolved" in outcome.message or "Invalid" in outcome.message
        assert unknown or (outcome.type, outcome.retryable) == ("AddressRefused", False)

    asyncio.run(scenario())


def test_nothing_reaches_a_server_that_is_refused() -> None:
    async def scenario() -> None:
        async with website() as web:
            outcome = await failed(web.url, runner=NOWHERE)
            assert outcome.message.startswith("127.0.0.1 is 127.0.0.1: no public address")
            assert "--allow-private-addresses" in outcome.message
            assert (await failed(web.url, runner=HttpRunner(allowed=["10.0.0.0/8"]))).type == "AddressRefused"
            assert web.got == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111"]
)
def test_public_addresses(address: str) -> None:
    assert Reach().includes(address)


@pytest.mark.parametrize(
    ("allowed", "address", "within"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "64:ff9b::a01:203", True),
        (["10.0.0.0/8"], "11.1.2.3", True),
        (["10.0.0.0/8"], "192.168.0.1", False),
        (["192.168.1.7"], "192.168.1.7", True),
        (["192.168.1.7"], "192.168.1.8", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["fc00::/7"], "fd00::1", True),
        (["fc00::/7"], "::1", False),
        (["all"], "169.254.169.254", True),
        ([], "no address", False),
    ],
)
def test_what_is_allowed(allowed: list[str], address: str, within: bool) -> None:
    assert Reach(allowed).includes(address) == within


@pytest.mark.parametrize("name", ["10.0.0.1/8", "everything", "10.0.0.0/33", ""])
def test_networks_that_are_none(name: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed addresses are networks such as"):
        Reach([name])


def resolver(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names get one answer after the other, the last one for ever; returns what was asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *arguments: Any, **options: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, port, *arguments, **options)
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at is what is connected to, whatever the name means a moment later."""

    async def scenario() -> None:
        async with website() as web:
            asked = resolver(monkeypatch, ["127.0.0.1"], ["127.0.0.3"])
            runner = HttpRunner(allowed=["127.0.0.1"])
            assert (await done(f"http://shop.example:{web.port}/", runner=runner))["body"] == "ok"
            assert asked == ["shop.example"]
            assert web.got[0].headers["host"] == f"shop.example:{web.port}"
            assert (await failed(f"http://shop.example:{web.port}/", runner=runner)).type == "AddressRefused"

    asyncio.run(scenario())


def test_of_several_addresses_only_those_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with website() as web:
            resolver(monkeypatch, ["127.0.0.9", "127.0.0.2", "127.0.0.1"])
            runner = HttpRunner(allowed=["127.0.0.2", "127.0.0.1"])
            # Nothing listens at the second one: the third is tried.
            assert (await done(f"http://shop.example:{web.port}/", runner=runner))["body"] == "ok"

    asyncio.run(scenario())


def test_every_redirect_is_looked_at() -> None:
    async def scenario() -> None:
        async with website() as web:
            for target in ("http://169.254.169.254/latest/", "http://[::1]:1/", "http://2852039166/", "//127.0.0.2/"):
                web.answer = lambda _, target=target: reply(status=302, location=target)  # type: ignore[misc]
                outcome = await failed(web.url, runner=HttpRunner(allowed=["127.0.0.1"]))
                assert (outcome.type, outcome.retryable) == ("AddressRefused", False)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h", "socks"])
def test_a_proxy_is_looked_at_and_what_is_asked_for_through_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        make = http_proxy if kind == "http" else socks_proxy
        async with website() as web, make(web) as through:
            proxy = f"{kind}://127.0.0.1:{through.port}"
            outcome = await failed("http://8.8.8.8/", runner=NOWHERE, proxy=proxy)
            assert (outcome.type, through.names) == ("AddressRefused", [])
            for target in ("http://169.254.169.254/", "https://169.254.169.254/", "http://2852039166/"):
                outcome = await failed(target, runner=HttpRunner(allowed=HERE), proxy=proxy)
                assert (outcome.type, through.names) == ("AddressRefused", [])
            asked = resolver(monkeypatch, ["8.8.8.8"], ["169.254.169.254"])
            assert (await done("http://shop.example/", runner=HttpRunner(allowed=HERE), proxy=proxy))["body"] == "ok"
            assert through.names == (["http://shop.example/"] if kind == "http" else ["8.8.8.8"])
            assert asked == ["shop.example"]
            assert web.got[-1].headers["host"] == "shop.example"
            unknown = await failed("http://no-such-host.invalid/", runner=HttpRunner(allowed=HERE), proxy=proxy)
            assert "can't be resolved" in unknown.message

    asyncio.run(scenario())


def test_the_workers_own_proxy_settings_are_not_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with website() as web, http_proxy(web) as through:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, through.url)
            await done(web.url)
            assert through.names == []

    asyncio.run(scenario())
