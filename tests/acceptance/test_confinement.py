"""A worker works below the directories that it was given, and nowhere else, whatever a task names and whatever lies there."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.programs import PATIENCE_SECONDS, Server, serving, working

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="symlinks")
TOUCH = "touch ran; pwd -P"


class Api:
    """What a test does over HTTP."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.client = httpx.Client(base_url=f"{server.url}/api/v1", timeout=30)

    def add(self, directory: Path | str, command: str = TOUCH) -> int:
        body = {"work_directory": str(directory), "kind": "script", "spec": {"command": command}}
        return int(self.client.post("/tasks", json=body).raise_for_status().json()["data"]["id"])

    def task(self, task_id: int) -> dict[str, Any]:
        data: dict[str, Any] = self.client.get(f"/tasks/{task_id}").raise_for_status().json()["data"]
        return data

    def completed(self, *task_ids: int) -> bool:
        return all(self.task(task_id)["status"] == "completed" for task_id in task_ids)

    def given_back_for(self, task_id: int, reason: str) -> bool:
        return reason in (self.task(task_id)["reason"] or "")

    def given_back(self) -> int:
        """How many releases the server has answered; a worker with one place asks once for each."""
        text = httpx.get(f"{self.url}/metrics").text
        return sum(int(float(count)) for count in re.findall(r"^\S*_count\{.*/release\".*\} (\S+)$", text, re.MULTILINE))


def until(condition: Callable[[], object]) -> float:
    """Wait for something; for how long."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + PATIENCE_SECONDS, "nothing happened"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    api = Api(server)
    yield api
    api.client.close()


def test_nothing_runs_beside_what_was_given(server: Server, api: Api, tmp_path: Path) -> None:
    mine, outside = tmp_path / "a", tmp_path / "b"
    for directory in (mine / "deep", outside / "deep"):
        directory.mkdir(parents=True)
    (mine / "link").symlink_to(outside)
    (mine / "up").symlink_to("../b/deep")
    (mine / "inside").symlink_to("deep")
    besides = [api.add(f"{mine}/../b"), api.add(f"{mine}/deep/../../b/deep"), api.add(f"{mine}/x/../../b")]
    refused = {
        api.add(mine / "link"): f"leads to {outside} on this machine",
        api.add(mine / "link/deep"): f"leads to {outside}/deep on this machine",
        api.add(mine / "up"): f"leads to {outside}/deep on this machine",
        api.add(mine / "inside"): f"leads to {mine}/deep on this machine; create the task for that name",
        api.add(mine / "missing"): "is no directory on this machine",
    }
    with working(server, mine):
        for task_id, reason in refused.items():
            until(partial(api.given_back_for, task_id, reason))
        good = [api.add(mine), api.add(mine / "deep"), api.add(f"{mine}/x/..//deep/")]
        until(lambda: api.completed(*good))
    assert {api.task(task_id)["status"] for task_id in besides} == {"waiting"}
    assert {api.task(task_id)["work_directory"] for task_id in besides} == {str(outside), str(outside / "deep")}
    assert not list(outside.rglob("ran"))
    assert (mine / "ran").exists()
    assert (mine / "deep/ran").exists()


def test_a_link_that_is_put_there_after_it_was_checked(server: Server, api: Api, tmp_path: Path) -> None:
    """Somebody swaps a directory and a link to another all the time: some runs are given back, none begins outside."""
    mine, outside = tmp_path / "mine", tmp_path / "outside"
    (mine / "place").mkdir(parents=True)
    outside.mkdir()
    swap = "while :; do mv -T place away; ln -s ../outside place; rm place; mv -T away place; done"
    with working(server, mine), subprocess.Popen(["/bin/sh", "-c", swap], cwd=mine, stderr=subprocess.DEVNULL) as swapping:
        try:
            tasks = [api.add(mine / "place", "touch ran") for _ in range(10)]
            until(lambda: all(api.task(task_id)["reason"] or api.completed(task_id) for task_id in tasks))
        finally:
            swapping.kill()
    assert list(outside.iterdir()) == []


def test_tasks_that_can_not_be_done_hold_up_no_others(server: Server, api: Api, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "link").symlink_to("..")
    for _ in range(20):
        api.add(mine / "link")
    good = [api.add(mine, "true") for _ in range(5)]
    with working(server, mine):
        before, began = api.given_back(), time.monotonic()
        waited = until(lambda: api.completed(*good))
        # A minute's worth of quiet would make the test slow: what counts is that it gets quieter.
        time.sleep(max(0.0, began + 15 - time.monotonic()))
        asked = api.given_back() - before
    assert waited < 15
    # Each bad one once, then once more for half a minute.
    assert 20 < asked < 20 * 3
