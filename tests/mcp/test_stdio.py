"""`orchestrator mcp`: MCP over standard input and output, as an IDE starts it, in both eras of the protocol."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from tests.acceptance.programs import Server, command, environment, serving
from tests.mcp.speaking import Agent
from tests.postgres import free_port

pytestmark = pytest.mark.anyio

PATIENCE_S: Final = 60
IDLE: Final = """
import sys
from orchestrator.app import compose
from orchestrator.settings import Settings

compose(Settings())
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"mcp", "mcp_types", "httpx", "pydantic"}))
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("mcp")) as running:
        yield running


@asynccontextmanager
async def speaking(mode: str, cwd: Path, *arguments: str, **variables: str) -> AsyncIterator[Agent]:
    """An agent that starts the command by itself."""
    line = command("mcp", *arguments)
    parameters = StdioServerParameters(command=line[0], args=line[1:], env=environment(**variables), cwd=cwd)
    async with Client(parameters, mode=mode) as client:
        yield Agent(client)


async def asking(server: Server, worker_id: str) -> None:
    """Until somebody asks for work."""
    async with httpx2.AsyncClient(base_url=server.url) as http:
        while worker_id not in (await http.get("/api/v1/workers")).text:
            pass


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_a_whole_life(server: Server, tmp_path: Path, mode: str, version: str) -> None:
    async with speaking(mode, tmp_path, **server.variables) as agent:
        assert agent.client.protocol_version == version
        assert len(await agent.tools()) == 12
        # What an agent calls its directory may be relative, and lead through a symlink.
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        added = await agent("task_add", work_path="link", prompt="Do it")
        then = await agent("task_add", work_path=str(tmp_path / "link"), prompt="Then", depends_on=[added["id"]])
        assert server.json("show", str(added["id"]))["work_directory"] == str(tmp_path / "real")
        task = (await agent("task_next", work_path="real", worker_id="ide"))["task"]
        assert task["id"] == added["id"]
        assert (await agent("task_heartbeat", lease=task["lease"]))["directive"] == "continue"
        assert (await agent("task_ask", lease=task["lease"], question="Well?"))["parked"]
        server.json("answer", str(added["id"]), "go on")
        again = (await agent("task_next", work_path="real", worker_id="ide"))["task"]
        assert "go on" in again["prior"]
        ended = await agent("task_finish", lease=again["lease"], outcome="done", summary="did it")
        assert ended["unblocked"] == [then["id"]]
        assert (await agent("task_get", id=added["id"]))["status"] == "completed"
        assert (await agent("task_list", work_path="real"))["total"] == 2
        read: Any = (await agent.client.read_resource(f"orchestrator://tasks/{added['id']}")).contents[0]
        assert json.loads(read.text)["status"] == "completed"


async def test_who_is_killed_while_waiting_loses_no_task(server: Server, tmp_path: Path) -> None:
    # By hand, for there is no client left to end its process.
    call = {"name": "task_next", "arguments": {"work_path": str(tmp_path), "worker_id": "killed", "wait_s": 50}}
    first = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    said = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": first},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command("mcp"), stdin=pipe, stdout=pipe, cwd=tmp_path, env=environment(**server.variables)
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(json.dumps(one).encode() + b"\n" for one in said))
    async with asyncio.timeout(PATIENCE_S):
        assert json.loads(await process.stdout.readline())["id"] == 1
        await asking(server, "killed")
        process.kill()
        await process.wait()
        added = await asyncio.to_thread(server.json, "add", "Do it", "--dir", str(tmp_path))
        async with speaking("auto", tmp_path, **server.variables) as agent:
            assert (await agent("task_next", work_path=".", worker_id="next"))["task"]["id"] == added["id"]


@contextmanager
def ended(folder: Path) -> Iterator[Callable[[], list[Any]]]:
    """What servers that were started left to be found by; they end with the test."""

    def told() -> list[Any]:
        return [json.loads(left.read_bytes()) for left in folder.rglob("*.serving")]

    try:
        yield told
    finally:
        processes = [psutil.Process(one["pid"]) for one in told()]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        # They are nobody's children any more, or those of a process that has ended.
        psutil.wait_procs(processes, timeout=PATIENCE_S)


async def test_where_no_server_runs_one_is_started_for_all_who_come_at_once_and_stays(tmp_path: Path) -> None:
    state, port = tmp_path / "state", free_port()
    variables = {"ORCHESTRATOR_STATE_DIR": str(state), "APP_SERVER_PORT": str(port)}
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()

    async def one(folder: Path) -> int:
        async with speaking("auto", folder, **variables) as agent:
            added: dict[str, int] = await agent("task_add", work_path=".", prompt="Do it")
            return added["id"]

    with ended(state) as told:
        assert sorted(await asyncio.gather(*(one(folder) for folder in folders))) == [1, 2, 3]
        (one_server,) = told()
        assert one_server["address"] == f"http://127.0.0.1:{port}"
        async with speaking("legacy", tmp_path, **variables) as agent:
            assert (await agent("task_list"))["total"] == 3
        # Nothing was left where the agents work.
        assert await asyncio.to_thread(lambda: [list(folder.iterdir()) for folder in folders]) == [[], [], []]


async def test_a_database_that_is_named_is_asked_through_its_server(server: Server, tmp_path: Path) -> None:
    async with speaking("auto", tmp_path, "--database", server.database) as agent:
        added = await agent("task_add", work_path="/named", prompt="Do it")
    assert server.json("show", str(added["id"]))["work_directory"] == "/named"


async def test_a_key_gets_the_tools_of_its_scopes(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    with serving(folder) as closed:
        made = json.loads(closed.run("keys", "create", "--name", "me", "--scope", "submit", "--json").stdout)
        variables = {**closed.variables, "ORCHESTRATOR_API_KEY": made["key"]}
        async with speaking("auto", tmp_path, **variables) as agent:
            assert await agent.tools() == ["task_add"]
            added = await agent("task_add", work_path=".", prompt="Do it")
            # By the API such a key may cancel; by MCP only who administers.
            assert (await agent.refused("task_cancel", id=added["id"]))["code"] == "FORBIDDEN"


async def test_a_call_that_is_given_up_gets_nothing(server: Server, tmp_path: Path) -> None:
    async with speaking("auto", tmp_path, **server.variables) as agent:
        waiting = asyncio.create_task(agent("task_next", work_path=".", worker_id="gives-up", wait_s=50))
        await asking(server, "gives-up")
        waiting.cancel()
        await asyncio.wait([waiting])
        added = await agent("task_add", work_path=".", prompt="Do it")
        assert (await agent("task_next", work_path=".", worker_id="next"))["task"]["id"] == added["id"]


async def test_a_server_that_is_away_is_said_by_each_call(tmp_path: Path) -> None:
    async with speaking("auto", tmp_path, "--url", f"http://127.0.0.1:{free_port()}") as agent:
        refused = await agent.refused("task_list")
    assert refused["code"] == "UNREACHABLE"
    assert "orchestrator serve" in refused["message"]


def test_a_server_that_cannot_start_is_said_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "tasks.db").write_text("no database")
    state, port = tmp_path / "state", free_port()
    variables = {"ORCHESTRATOR_STATE_DIR": str(state), "APP_SERVER_PORT": str(port)}
    line = command("mcp", "--database", f"sqlite:///{tmp_path / 'tasks.db'}")
    ran = subprocess.run(
        line, env=environment(**variables), cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ran.returncode == 5
    assert ran.stdout == ""
    assert "tasks.db cannot be used" in ran.stderr
    assert str(state / "server.log") in ran.stderr


def test_who_does_not_speak_mcp_does_not_pay_for_it(tmp_path: Path) -> None:
    found = subprocess.check_output([sys.executable, "-c", IDLE], env=environment(), cwd=tmp_path, text=True, timeout=PATIENCE_S)
    assert found.strip() == ""
