"""nginx in front of two servers, one of which is lost: the other one gets what the first cannot have begun, and nothing else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from orchestrator.http.leaving import admit_no_more
from orchestrator.settings import Server as Listening
from tests.http.conftest import serving
from tests.proxies import proxied

pytestmark = [pytest.mark.anyio, pytest.mark.system]
TASK: Final = {"work_directory": "/lost", "prompt": "Do it once"}
ENOUGH: Final = 3
"""Requests of which at least one is given to each of two servers first."""


@asynccontextmanager
async def beside(lost: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server, nginx in front of it and of one that is lost, and somebody who asks."""
    async with serving(tmp_path / "tasks.db", server=Listening(port=0, trusted_proxies=("127.0.0.1",))) as server:
        key = (await server.post("/auth/keys", {"name": "me", "scopes": ["admin"]}))["key"]
        with proxied("nginx", tmp_path, lost, server.address.removeprefix("http://")) as proxy:
            headers = {"authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(
                base_url=f"{proxy.url}/api/v1", headers=headers, verify=proxy.trusts, timeout=60
            ) as client:
                yield client


async def test_who_cannot_be_connected_to_takes_nobody_with_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        admit_no_more(hole)
        async with beside(f"127.0.0.1:{hole.getsockname()[1]}", tmp_path) as client:
            for _ in range(ENOUGH):
                assert (await client.post("/tasks", json=TASK)).status_code == 201


async def test_what_may_have_been_done_is_not_done_again(tmp_path: Path) -> None:
    begun: list[bytes] = []

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.append(await reader.readuntil(b"\r\n"))
        writer.close()

    dying = await asyncio.start_server(dies, "127.0.0.1", 0)
    async with dying, beside(f"127.0.0.1:{dying.sockets[0].getsockname()[1]}", tmp_path) as client:
        told = [(await client.post("/tasks", json=TASK)).status_code for _ in range(ENOUGH)]
        assert begun
        assert told.count(502) == len(begun)
        total = (await client.get("/tasks")).json()["data"]["total"]
        assert total == told.count(201) == ENOUGH - len([one for one in begun if one.startswith(b"POST")])
