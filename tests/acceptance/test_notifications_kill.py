"""Servers are killed between sending and writing down that it arrived: everybody hears of everything, in order."""

import asyncio
import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import postgres
from tests.acceptance.programs import ADDRESS, Server, end, started
from tests.receiver import OK, Call, Receiver, answer, receiving
from tests.rig import STORES

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(400)]

SETTINGS = {"APP_NOTIFY_ALLOW_PRIVATE": "127.0.0.0/8", "APP_NOTIFY_RETRY_SECONDS": "0.1", "APP_NOTIFY_TIMEOUT": "1"}
KILLS = 4
SECRET = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw=="


@contextlib.contextmanager
def serving(folder: Path, kind: str, name: str) -> Iterator[Server]:
    """A server process on the one database of a folder."""
    url = f"sqlite:///{folder / 'tasks.db'}" if kind == "sqlite" else postgres.database(folder)
    line = ["serve", "--port", "0", "--database", url]
    variables = {**SETTINGS, "APP_SECRETS_KEY": "k" * 32}
    with (folder / f"{name}.log").open("a") as log, started(*line, cwd=folder, stderr=log, variables=variables) as process:
        assert process.stdout is not None
        found = ADDRESS.search(process.stdout.readline())
        assert found, (folder / f"{name}.log").read_text()
        yield Server(process, found[0], folder)


def ask(server: Server, method: str, path: str, body: Any = None) -> Any:
    return httpx.request(method, f"{server.url}/api/v1{path}", json=body, timeout=30).raise_for_status().json()["data"]


def events(receiver: Receiver) -> dict[int, list[tuple[str, str]]]:
    """What was taken of each task, by rule, in the order of the first times."""
    found: dict[int, dict[str, tuple[str, str]]] = {}
    for call in receiver.taken:
        kind, task_id = call.event
        found.setdefault(task_id or 0, {}).setdefault(call.id, (call.body["data"]["rule"]["name"], kind))
    return {task_id: list(told.values()) for task_id, told in found.items()}


async def work(server: Server, path: str, tasks: list[int]) -> None:
    """A task, created, claimed and completed; nothing of it counts when the server dies meanwhile."""
    task = await asyncio.to_thread(ask, server, "POST", "/tasks", {"work_directory": path, "prompt": "Do it", "key": path})
    tasks.append(task["id"])
    claim = await asyncio.to_thread(ask, server, "POST", "/tasks/claim", {"work_path": [path], "worker_id": "w", "wait": 0})
    for one in claim["tasks"]:
        await asyncio.to_thread(ask, server, "POST", f"/tasks/{one['id']}/complete", {"lease": one["lease"]})


@pytest.mark.parametrize("kind", STORES)
async def test_everybody_hears_of_everything(tmp_path: Path, kind: str) -> None:
    chance = random.Random(6)
    seen = asyncio.Event()
    before: list[int] = []
    tasks: list[int] = []

    async def badly(_call: Call) -> bytes | None:
        seen.set()
        if chance.random() < 0.3:
            return chance.choice([answer(503), None, OK[:10]])
        await asyncio.sleep(chance.random() * 0.02)
        return OK

    async with receiving() as receiver:
        receiver.behave = badly
        with contextlib.ExitStack() as left:
            # On PostgreSQL another server lives on.
            other = left.enter_context(serving(tmp_path, kind, "other")) if kind == "postgres" else None
            with serving(tmp_path, kind, "first") as server:
                await work(server, "/before", before)
                await rules(server, receiver)
            for round_ in range(KILLS):
                with serving(tmp_path, kind, "killed") as server:
                    for number in range(6):
                        await work(server, f"/a/{round_}/{number}", tasks)
                    # While calls are under way.
                    seen.clear()
                    await seen.wait()
                    await asyncio.sleep(chance.random() * 0.1)
                    server.process.kill()
                    await asyncio.to_thread(server.process.wait)
            after = other or left.enter_context(serving(tmp_path, kind, "after"))
            await work(after, "/after", tasks)
            await receiver.until(lambda: complete(receiver, len(tasks)), patience=240)
            undelivered = await asyncio.to_thread(ask, after, "GET", "/notifications/deliveries?status=dead")
    assert undelivered["total"] == 0
    each = [("all", "task.created"), ("all", "task.claimed"), ("all", "task.completed")]
    for told in events(receiver).values():
        assert [one for one in told if one[0] == "all"] == each
        assert [one for one in told if one[0] != "all"] == [("ends", "task.completed")]
    assert set(events(receiver)) == set(tasks)
    assert not set(before) & set(events(receiver))


async def rules(server: Server, receiver: Receiver) -> None:
    """One that hears of everything, one of the ends."""
    for name, pattern in (("all", "task.*"), ("ends", "task.completed")):
        body = {"name": name, "events": [pattern], "webhook": {"url": receiver.url, "secret": SECRET}}
        await asyncio.to_thread(ask, server, "POST", "/notifications/rules", body)


def complete(receiver: Receiver, tasks: int) -> bool:
    """Whether all was taken that there is of so many tasks."""
    found = events(receiver)
    return len(found) == tasks and all(len(told) == 4 for told in found.values())


def test_nothing_waits_for_a_receiver_that_hangs_when_the_server_ends(tmp_path: Path) -> None:
    async def stopped() -> int:
        async with receiving() as receiver:
            never = asyncio.Event()

            async def hang(_call: Call) -> None:
                await never.wait()

            receiver.behave = hang
            with serving(tmp_path, "sqlite", "one") as server:
                body = {"name": "r", "events": ["task.*"], "webhook": {"url": receiver.url}}
                await asyncio.to_thread(ask, server, "POST", "/notifications/rules", body)
                await asyncio.to_thread(ask, server, "POST", "/tasks", {"work_directory": "/a", "prompt": "Do it"})
                await receiver.until(lambda: receiver.calls)
                code = await asyncio.to_thread(end, server.process)
            never.set()
            receiver.behave = lambda _call: OK
            with serving(tmp_path, "sqlite", "two"):
                await receiver.until(lambda: receiver.taken)
            assert receiver.taken[0].id == receiver.calls[0].id
            return code

    assert asyncio.run(stopped()) == 0
