"""More in hand than can be done: new work is refused unread, who holds a lease is served, and connections go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestrator.http.connections import sweep
from orchestrator.settings import Limits
from orchestrator.settings import Server as Listening
from tests.http.conftest import Running, serving, until
from tests.http.raw import Raw, request

pytestmark = pytest.mark.anyio

BACKLOG = 3
TASK = json.dumps({"work_directory": "/busy", "prompt": "Do it"}).encode()
CREATE = request("POST", "/api/v1/tasks", body=TASK)
NEW = {
    "create": CREATE,
    "create many": request("POST", "/api/v1/tasks/batch", body=b'{"tasks":[' + TASK + b"]}"),
    "next": request("GET", "/api/v1/tasks/next?work_path=/busy&worker_id=w&wait=0"),
    "claim": request("POST", "/api/v1/tasks/claim", body=b'{"work_path":["/busy"],"worker_id":"w","wait":0}'),
}


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    path = tmp_path_factory.mktemp("shedding") / "tasks.db"
    async with serving(path, limits=Limits(backlog=BACKLOG)) as running:
        yield running


class Busy:
    """Requests in hand that are not whole, as many as there may be."""

    def __init__(self, server: Running, stack: AsyncExitStack) -> None:
        self._server = server
        self._stack = stack
        self._others = 0

    async def begin(self) -> None:
        self._others = len(self._server.server.server_state.tasks)
        for _ in range(BACKLOG):
            raw = await self._stack.enter_async_context(Raw.open(self._server.address))
            await raw.send(b"POST /api/v1/tasks/1/complete HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        await until(lambda: len(self._server.server.server_state.tasks) == self._others + BACKLOG)

    async def end(self) -> None:
        await self._stack.aclose()
        await until(lambda: len(self._server.server.server_state.tasks) == self._others)


@pytest.fixture
async def busy(server: Running) -> AsyncIterator[Busy]:
    async with AsyncExitStack() as stack:
        yield Busy(server, stack)
    await until(lambda: not server.server.server_state.tasks)


def refused(answer: tuple[int, dict[str, str], bytes]) -> None:
    status, headers, body = answer
    assert (status, headers["retry-after"]) == (503, "1")
    assert json.loads(body)["error"]["code"] == "OVERLOADED"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("asked", NEW.values(), ids=NEW)
async def test_new_work_is_refused_and_the_connection_goes_on(server: Running, busy: Busy, asked: bytes) -> None:
    shed = server.app.state.metrics.operations_shed
    async with Raw.open(server.address) as raw:
        await busy.begin()
        await raw.send(asked)
        refused(await raw.answer())
        assert server.app.state.metrics.operations_shed == shed + 1
        await busy.end()
        await raw.send(asked)
        status, _, _ = await raw.answer()
        assert status in {200, 201}


async def test_who_holds_a_lease_is_served(server: Running, busy: Busy, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    await busy.begin()
    lease = {"lease": task["lease"]}
    assert (await server.post(f"/tasks/{task['id']}/heartbeat", lease))["directive"] == "continue"
    await server.post(f"/tasks/{task['id']}/logs", {**lease, "lines": [{"text": "still here"}]})
    assert (await server.post(f"/tasks/{task['id']}/complete", lease))["status"] == "completed"
    assert (await server.get(f"/tasks/{task['id']}"))["status"] == "completed"


async def test_polls_that_are_parked_are_no_work_in_hand(server: Running, directory: str) -> None:
    polls: list[asyncio.Task[Any]] = []
    for number in range(3 * BACKLOG):
        polls.append(asyncio.create_task(server.claim(directory, wait=30, worker_id=f"w{number}")))
        await until(lambda: server.queue.parked == len(polls))
    for _ in polls:
        await server.task(directory)
    assert all(await asyncio.gather(*polls))


async def test_a_parked_poll_survives(server: Running, busy: Busy, directory: str) -> None:
    poll = asyncio.create_task(server.claim(directory, wait=30))
    await until(lambda: server.queue.parked)
    await busy.begin()
    error = await server.refused("POST", "/tasks", 503, json={"work_directory": directory, "prompt": "Do it"})
    assert error["code"] == "OVERLOADED"
    await busy.end()
    task = await server.task(directory)
    assert (await poll)["id"] == task["id"]


async def test_a_body_that_is_refused_is_not_kept(server: Running, busy: Busy) -> None:
    await busy.begin()
    async with Raw.open(server.address) as raw:
        half = b"x" * 2**20
        await raw.send(request("POST", "/api/v1/tasks", f"content-length: {2 * len(half)}"), half)
        await until(lambda: any(one._body == len(half) for one in server.server.server_state.connections))  # type: ignore[union-attr]
        (kept,) = [one for one in server.server.server_state.connections if one._body == len(half)]  # type: ignore[union-attr]
        cycle: Any = kept.cycle  # type: ignore[union-attr]
        assert not cycle.body
        await raw.send(half)
        refused(await raw.answer())
        await raw.send(request("GET", "/health/live"))
        assert (await raw.answer())[0] == 200


async def test_who_is_answered_and_sends_on_is_no_work_in_hand(server: Running) -> None:
    async with Raw.open(server.address) as raw:
        # Else a thousand of them would make a server that is busy take itself for idle.
        await raw.send(request("POST", "/api/v1/nothing", "content-length: 2"), b"x")
        assert (await raw.answer())[0] == 404
        now = asyncio.get_running_loop().time()
        assert sweep(server.server.server_state.connections, now + 2, server.app.state.settings.limits) == 0


async def test_requests_in_line_are_answered_in_their_order(server: Running, busy: Busy) -> None:
    await busy.begin()
    async with Raw.open(server.address) as raw:
        # What comes behind one that is being answered was read before anybody could know.
        await raw.send(CREATE + CREATE + request("GET", "/health/live") + CREATE)
        assert [(await raw.answer())[0] for _ in range(4)] == [503, 503, 200, 201]


async def test_one_that_asks_whether_to_go_on_is_told(server: Running, busy: Busy) -> None:
    await busy.begin()
    async with Raw.open(server.address) as raw:
        await raw.send(request("POST", "/api/v1/tasks", "expect: 100-continue", f"content-length: {len(TASK)}"))
        assert (await raw.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await raw.send(TASK)
        assert (await raw.answer())[0] == 201


async def test_a_connection_that_is_to_end_ends(server: Running, busy: Busy) -> None:
    await busy.begin()
    async with Raw.open(server.address) as raw:
        await raw.send(request("POST", "/api/v1/tasks", "connection: close", body=TASK))
        status, headers, _ = await raw.answer()
        assert (status, headers["connection"]) == (503, "close")
        assert not await raw.rest()


async def test_clients_that_dawdle_are_no_work_in_hand(server: Running, busy: Busy, directory: str) -> None:
    await busy.begin()
    await server.refused("POST", "/tasks", 503, json={"work_directory": directory, "prompt": "Do it"})
    now = asyncio.get_running_loop().time()
    assert sweep(server.server.server_state.connections, now + 2, server.app.state.settings.limits) == BACKLOG
    server.server._sheds.look(slow=BACKLOG)
    await server.task(directory)
    server.server._sheds.look(slow=0)


async def test_it_keeps_to_the_prefix_of_a_proxy(tmp_path: Path) -> None:
    listening = Listening(port=0, root_path="/queue")
    async with serving(tmp_path / "tasks.db", limits=Limits(backlog=1), server=listening) as server, AsyncExitStack() as stack:
        await Busy(server, stack).begin()
        raw = await stack.enter_async_context(Raw.open(server.address))
        await raw.send(CREATE)
        refused(await raw.answer())
