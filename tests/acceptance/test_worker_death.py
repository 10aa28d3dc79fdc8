"""A worker dies, hangs or is cut off while an agent and its shells are at work.

They are gone before the lease ends, the task runs again, and at no time do two runs work in the directory.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance.programs import ROOT, Server, environment, serving, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is best effort")
LEASE_SECONDS = 6
WITNESS = Path(__file__).with_name("witness.py")
FORWARD = """
import asyncio, sys
async def copy(reader, writer):
    while chunk := await reader.read(65536):
        writer.write(chunk)
    writer.close()
async def connect(reader, writer):
    there = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    await asyncio.gather(copy(reader, there[1]), copy(there[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Scene:
    """A server, a directory, and one task that is being worked on by the first of two workers."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server, self.directory = server, directory
        self.api = httpx.Client(base_url=f"{server.url}/api/v1", timeout=30)
        spec = {"command": [sys.executable, str(WITNESS)]}
        body = {
            "work_directory": str(directory),
            "kind": "script",
            "spec": spec,
            "exclusive": True,
            "max_attempts": 20,
            "backoff": {"base_seconds": 0, "jitter": 0},
        }
        self.task_id = self.api.post("/tasks", json=body).raise_for_status().json()["data"]["id"]

    def task(self) -> dict[str, Any]:
        data: dict[str, Any] = self.api.get(f"/tasks/{self.task_id}").raise_for_status().json()["data"]
        return data

    def seen(self) -> list[tuple[str, float, int]]:
        """Who was there when: the run, the time, the process."""
        path = self.directory / "seen"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(line[0], float(line[1]), int(line[2])) for line in lines if len(line) == 3]

    def at_work(self) -> str:
        """Wait until the program and both of its shells are at work; the run."""
        until(lambda: len({pid for _, _, pid in self.seen()}) == 3)
        return self.seen()[0][0]

    def guardian(self, worker: "subprocess.Popen[bytes]") -> psutil.Process:
        (guardian,) = psutil.Process(worker.pid).children()
        return guardian

    def ends(self) -> float:
        """When the lease ends that the server last granted, as a wall-clock time."""
        return datetime.fromisoformat(self.task()["lease_expires_at"]).timestamp()

    def check(self, first: str) -> float:
        """Wait for the second worker to complete the task; how long before its first sign the last of the first run was."""
        until(lambda: self.task()["status"] == "completed")
        runs: dict[str, list[float]] = {}
        for run, at, _ in self.seen():
            runs.setdefault(run, []).append(at)
        spans = sorted((min(times), max(times)) for times in runs.values())
        assert len(spans) >= 2
        assert all(before[1] < after[0] for before, after in pairwise(spans)), "two were at work at once"
        assert not any(is_alive(pid) for _, _, pid in self.seen())
        return spans[1][0] - max(runs[first])


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def working(scene: Scene, name: str, url: str | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """`orchestrator-worker run` in the directory."""
    line = ["-m", "worker_client.cli", "run", "--dir", str(scene.directory), "--lease-seconds", str(LEASE_SECONDS)]
    variables = {"ORCHESTRATOR_URL": url or scene.server.url, "ORCHESTRATOR_STATE_DIR": str(scene.server.folder / "state")}
    with (scene.server.folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen([sys.executable, *line], env=environment(**variables), stderr=log, cwd=ROOT)
        try:
            yield process
        finally:
            for number in (signal.SIGCONT, signal.SIGKILL):
                process.send_signal(number)
            process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def scene(server: Server, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(server, tmp_path)
    try:
        yield scene
    finally:
        scene.api.close()
        for pid in {pid for _, _, pid in scene.seen()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def gone(scene: Scene, first: str) -> float:
    """Wait until nothing of the first run shows itself any more; when it last did."""
    pids = {pid for run, _, pid in scene.seen() if run == first}
    until(lambda: not any(map(is_alive, pids)))
    return max(at for run, at, _ in scene.seen() if run == first)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_the_tree_is_gone_before_the_lease_ends(scene: Scene, number: signal.Signals) -> None:
    with working(scene, "first") as first:
        run = scene.at_work()
        with working(scene, "second"):
            first.send_signal(number)
            ends = scene.ends()
            assert gone(scene, run) < ends
            assert scene.check(run) > 0
            first.send_signal(signal.SIGCONT)
            scene.check(run)


def test_the_tree_is_gone_before_the_lease_ends_when_the_server_can_not_be_reached(scene: Scene) -> None:
    """Nothing is refused and nothing is answered, as with a cable that was pulled."""
    forward = [sys.executable, "-c", FORWARD, scene.server.url.rpartition(":")[2]]
    with subprocess.Popen(forward, stdout=subprocess.PIPE, text=True) as link:
        assert link.stdout is not None
        port = link.stdout.readline().strip()
        try:
            with working(scene, "first", f"http://127.0.0.1:{port}"):
                run = scene.at_work()
                with working(scene, "second"):
                    link.send_signal(signal.SIGSTOP)
                    ends = scene.ends()
                    assert gone(scene, run) < ends
                    assert scene.check(run) > 0
        finally:
            link.kill()


def test_killed_together_with_its_guardian_the_next_run_ends_what_is_left(scene: Scene) -> None:
    with working(scene, "first") as first:
        run = scene.at_work()
        guardian = scene.guardian(first)
        # The worker would notice, and end all.
        first.send_signal(signal.SIGSTOP)
        guardian.kill()
        first.kill()
        ends = scene.ends()
        until(lambda: any(at > ends for _, at, _ in scene.seen()))
        assert {run} == {run for run, _, _ in scene.seen()}
        with working(scene, "second"):
            assert scene.check(run) > 0


def test_cancelled_it_is_gone_before_the_task_is(scene: Scene) -> None:
    with working(scene, "first"):
        run = scene.at_work()
        scene.api.post(f"/tasks/{scene.task_id}/cancel", json={}).raise_for_status()
        until(lambda: scene.task()["status"] == "cancelled")
        assert not any(is_alive(pid) for _, _, pid in scene.seen())
        assert {run} == {run for run, _, _ in scene.seen()}
