"""Attacks over real sockets, on a server in a process of its own: meanwhile it answers others, and stays small."""

import asyncio
import gzip
import json
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, cast

import psutil
import pytest

from tests.acceptance.programs import started
from tests.http.raw import Raw, request

pytestmark = pytest.mark.anyio

MOST_RSS: Final = 200_000_000
GENEROUS_S: Final = 1.0
"""A hundredth of a second or so is what it takes; this only tells an answer from none."""
CONNECTIONS: Final = 10_000
GIGABYTE: Final = 10**9
POST: Final = ("content-type: application/json",)
CREATE: Final = request(
    "POST", "/api/v1/tasks", *POST, body=json.dumps({"work_directory": "/bystander", "prompt": "Do it"}).encode()
)


class Victim:
    """A server process, and what it takes to be served meanwhile."""

    def __init__(self, address: str, pid: int) -> None:
        self.address = address
        self._process = psutil.Process(pid)
        self.told = ""

    @property
    def rss(self) -> int:
        found: int = self._process.memory_info().rss
        return found

    async def during(self, attack: Awaitable[object], least: int = 30) -> None:
        """Create tasks, one after the other, as long as an attack goes on and `least` of them."""
        attacking = asyncio.ensure_future(attack)
        seconds: list[float] = []
        largest = 0
        async with Raw.open(self.address) as raw:
            while len(seconds) < least or not attacking.done():
                began = time.perf_counter()
                await raw.send(CREATE)
                assert (await raw.answer())[0] == 201
                seconds.append(time.perf_counter() - began)
                largest = max(largest, self.rss)
                await asyncio.sleep(0.01)
        await attacking
        self.told = (
            f"median {1000 * statistics.median(seconds):.1f} ms, longest {1000 * max(seconds):.0f} ms, {largest / 1e6:.0f} MB"
        )
        assert statistics.median(seconds) < GENEROUS_S, self.told
        assert largest < MOST_RSS, self.told


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def connections() -> Iterator[int]:
    """As many as a process may have here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The server needs as many, and 500 for itself.
    yield min(CONNECTIONS, hard - 1000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def victim(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Victim]:
    """A server with its defaults, except for the variables that a test's parameter names."""
    line = ["serve", "--port", "0", "--database", f"sqlite:///{tmp_path / 'tasks.db'}"]
    variables: dict[str, str] = getattr(request, "param", {})
    with (
        (tmp_path / "server.log").open("w") as log,
        started(*line, cwd=tmp_path, stderr=log, variables=variables) as process,
    ):
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        yield Victim(address, process.pid)


class Idler(asyncio.Protocol):
    """Sends a little, and then nothing for ever."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.heard = b""
        self.transport: asyncio.Transport
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._says)

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended = True


async def idlers(victim: Victim, count: int, says: Callable[[int], bytes]) -> list[Idler]:
    """Many at once, from twenty addresses, as one has not enough ports."""
    loop = asyncio.get_running_loop()
    host, port = victim.address.removeprefix("http://").split(":")
    found: list[Idler] = []
    for first in range(0, count, 200):
        opening = (
            loop.create_connection(partial(Idler, says(number)), host, int(port), local_addr=(f"127.0.0.{2 + number % 20}", 0))
            for number in range(first, min(first + 200, count))
        )
        found += [protocol for _, protocol in await asyncio.gather(*opening)]
    return found


@pytest.mark.parametrize(
    "victim", [{"APP_LIMITS_HEADER_SECONDS": "2", "APP_LIMITS_BODY_SECONDS": "4"}], indirect=True, ids=["impatient"]
)
async def test_half_requests(victim: Victim) -> None:
    halves = [
        CREATE[:20],
        request("POST", "/api/v1/tasks", *POST, "content-length: 1000") + b"{",
        b"G",
        request("POST", "/api/v1/tasks", "transfer-encoding: chunked") + b"5\r\n{",
    ]

    async def attack() -> None:
        found = await idlers(victim, 500, lambda n: halves[n % len(halves)])
        # It helps nobody to send a little now and then.
        while not all(one.ended for one in found):
            for one in found:
                if not one.ended and b"HTTP" not in one.heard:
                    one.transport.write(b" ")
            await asyncio.sleep(0.2)
        assert {one.heard[:12] for one in found} <= {b"HTTP/1.1 408", b"HTTP/1.1 400"}

    await victim.during(attack())


async def test_ten_thousand_connections(victim: Victim, connections: int) -> None:
    live = request("GET", "/health/live")
    halves = [b"", live[:20], live, request("POST", "/api/v1/tasks", *POST, "content-length: 1000") + b"{"]
    found: list[Idler] = []

    async def attack() -> None:
        found.extend(await idlers(victim, connections, lambda n: halves[n % len(halves)]))

    await victim.during(attack())
    await victim.during(asyncio.sleep(3))
    for one in found:
        one.transport.abort()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_gigabyte(victim: Victim, *, chunked: bool) -> None:
    block = b" " * 2**18

    async def attack() -> None:
        how = "transfer-encoding: chunked" if chunked else f"content-length: {GIGABYTE}"
        part = b"%x\r\n%b\r\n" % (len(block), block) if chunked else block
        async with Raw.open(victim.address) as raw:
            await raw.send(request("POST", "/api/v1/tasks", *POST, how))
            with pytest.raises(ConnectionError):
                await raw.send(*[part] * (GIGABYTE // len(block)))

    await victim.during(asyncio.gather(*(attack() for _ in range(10))))


async def test_what_swells_when_it_is_read(victim: Victim) -> None:
    most = 16 * 1024 * 1024
    bomb = gzip.compress(b"[" * 100_000_000)
    bodies = [
        ((*POST, "content-encoding: gzip"), bomb, 400),
        (POST, b"[" * 400_000, 400),
        (POST, b'{"a":' * 400_000, 400),
        (POST, b"[" * (most - 1), 413),
        (POST, b'{"work_directory":"/a","prompt":"x","metadata":' + b"[" * 400_000 + b"]" * 400_000 + b"}", 400),
        (POST, b'{"work_directory":"/a","prompt":"x","metadata":{"a":[' + b"{}," * 5_000_000 + b"{}]}}", 413),
        (POST, b'{"work_directory":"/a","prompt":"x","metadata":{"a":[' + b'"ab",' * 3_000_000 + b"0]}}", 413),
    ]

    async def attack(headers: tuple[str, ...], body: bytes, status: int) -> None:
        async with Raw.open(victim.address) as raw:
            await raw.send(request("POST", "/api/v1/tasks", *headers, body=body))
            assert (await raw.refusal())[0] == status

    async def all_of_them() -> None:
        for _ in range(3):
            for body in bodies:
                await attack(*body)

    await victim.during(all_of_them())
