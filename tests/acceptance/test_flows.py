"""A large workflow on a real server that is killed again and again: every step runs, and once."""

import contextlib
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.programs import ADDRESS, PATIENCE_SECONDS, end, started
from tests.flow_shapes import CHAIN, DIAMONDS, FANNED, large
from tests.flows import HERE
from tests.postgres import free_port

CLAIM = {"work_path": [HERE], "worker_id": "w", "limit": 100, "wait": 0}


class Mortal:
    """A server on a port of its own, killed and started again in a thread whenever enough was done."""

    def __init__(self, folder: Path, kills: list[int]) -> None:
        self._folder = folder
        self._line = ["serve", "--port", str(free_port()), "--database", f"sqlite:///{folder / 'tasks.db'}"]
        self._kills = kills
        self._chance = random.Random(7)
        self.done = threading.Semaphore(0)
        self.over = False
        self.killed = 0
        self.url = ""

    @contextlib.contextmanager
    def living(self) -> Iterator[None]:
        with contextlib.ExitStack() as lives, (self._folder / "server.log").open("a") as log:
            process = self._start(lives, log)
            killing = threading.Thread(target=self._kill, args=(process, lives, log))
            killing.start()
            try:
                yield
            finally:
                self.over = True
                self.done.release(1_000_000)
                killing.join()

    def _start(self, lives: contextlib.ExitStack, log: Any) -> Any:
        process = lives.enter_context(started(*self._line, cwd=self._folder, stderr=log))
        assert process.stdout is not None
        found = ADDRESS.search(process.stdout.readline())
        assert found, (self._folder / "server.log").read_text()
        self.url = found[0]
        return process

    def _kill(self, process: Any, lives: contextlib.ExitStack, log: Any) -> None:
        counted = 0
        for at in self._kills:
            while counted < at:
                self.done.acquire()
                counted += 1
            if self.over:
                return
            # Somewhere within what follows from it.
            time.sleep(self._chance.random() * 0.03)
            end(process, signal.SIGKILL)
            self.killed += 1
            process = self._start(lives, log)


def call(server: Mortal, http: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    """`data` of an answer, however often it has to be asked for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = http.request(method, f"{server.url}/api/v1{path}", json=body)
            if answer.status_code != 503:
                assert answer.is_success, answer.text
                return answer.json()["data"]
        assert time.monotonic() < deadline, "the server did not come back"
        time.sleep(0.01)


def work(server: Mortal, http: httpx.Client, run_id: int, fanned: int) -> Any:
    """Do all there is to do until the run is over; the run."""
    deadline = time.monotonic() + 150
    while True:
        assert time.monotonic() < deadline
        claimed = call(server, http, "POST", "/tasks/claim", {**CLAIM, "poll_id": uuid4().hex})["tasks"]
        if not claimed:
            run = call(server, http, "GET", f"/runs/{run_id}")
            if run["status"] != "running":
                return run
            time.sleep(0.005)
            continue
        items = [
            {
                "id": task["id"],
                "lease": task["lease"],
                "result": list(range(fanned)) if task["step_id"] == "list" else task["step_id"],
            }
            for task in claimed
        ]
        call(server, http, "POST", "/tasks/complete", {"items": items})
        server.done.release(len(items))


def runs_to_its_end(folder: Path, chain: int, diamonds: int, fanned: int, kills: int) -> None:
    steps = large(chain, diamonds)
    total = len(steps) + fanned - 1
    server = Mortal(folder, [total * (place + 1) // (kills + 1) for place in range(kills)])
    with server.living(), httpx.Client(timeout=30) as http:
        workflow = call(server, http, "POST", "/workflows", {"name": "large", "steps": steps})
        begun = call(server, http, "POST", f"/workflows/{workflow['id']}/execute", {})
        run = work(server, http, begun["id"], fanned)
        assert (run["status"], server.killed) == ("completed", kills)
        assert {step["status"] for step in run["steps"].values()} == {"completed"}
        assert Counter(len(step["task_ids"]) for step in run["steps"].values()) == {1: len(steps) - 1, fanned: 1}
        assert run["steps"]["each"]["result"] == ["each"] * fanned
        tasks: list[Any] = []
        query: str | None = ""
        while query is not None:
            page = call(server, http, "GET", f"/tasks?run_id={run['id']}&limit=1000{query}")
            tasks += page["items"]
            query = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert sorted(task["id"] for task in tasks) == sorted(one for step in run["steps"].values() for one in step["task_ids"])
        assert len(tasks) == total
        # A claim whose answer was lost is asked for again; nothing ran twice.
        assert {(task["status"], task["lease_no"]) for task in tasks} == {("completed", 1)}


def test_a_workflow_runs_to_its_end_though_its_server_is_killed(tmp_path: Path) -> None:
    runs_to_its_end(tmp_path, chain=10, diamonds=2, fanned=60, kills=2)


@pytest.mark.system
@pytest.mark.timeout(400)
def test_a_workflow_of_a_thousand_steps_runs_to_its_end_though_its_server_is_killed_ten_times(tmp_path: Path) -> None:
    runs_to_its_end(tmp_path, chain=CHAIN, diamonds=DIAMONDS, fanned=FANNED, kills=10)
