"""Each task that an earlier release left comes to its end with this one, by the words that people and workers have for it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.programs import ADDRESS, started, until
from tests.rig import STORES
from tests.upgrading.dumps import connected
from tests.upgrading.history import EXPIRED
from tests.upgrading.loading import load
from tests.upgrading.releases import FOLDER, KEYS, RELEASES, variables
from tests.upgrading.write import Told

pytestmark = pytest.mark.system
FINAL = {"completed", "failed", "cancelled"}
EVERYTHING = {"wait": 0, "work_path": ["/", "C:\\"], "recursive": True, "limit": 100, "worker_id": "new", "lease_seconds": 3600}


@contextmanager
def served(url: str, release: str, folder: Path) -> Iterator[Told]:
    """Today's server on a database of a release, asked with the key of then."""
    settings = {**variables("9"), "APP_DATABASE_URL": url}
    key = json.loads((FOLDER / release / KEYS).read_text())["sqlite" if url.startswith("sqlite") else "postgres"]
    with started("serve", "--port", "0", cwd=folder, variables=settings, stderr=None) as process:
        assert process.stdout is not None
        found = ADDRESS.search(process.stdout.readline())
        assert found is not None
        with httpx.Client(base_url=found[0].rstrip("."), timeout=60) as client:
            yield Told(client, key)


def all_tasks(call: Told) -> dict[int, dict[str, Any]]:
    return {task["id"]: task for task in call("GET", "/tasks", limit=1000)["items"]}


def leases(url: str) -> dict[int, str]:
    """The leases that workers hold since before, as they were told."""
    with connected(url) as connection:
        rows = connection.execute("SELECT id, lease_no, nonce FROM tasks WHERE status = 'running'").fetchall()
    return {task_id: f"{task_id}.{number}.{nonce}" for task_id, number, nonce in rows}


def let_go(call: Told, task: dict[str, Any]) -> None:
    """What a person says to a task that is parked."""
    with_words: dict[str, tuple[str, Any]] = {"question": ("answer", {"answer": "SQLite"}), "quota": ("execute", None)}
    verb, body = with_words.get(task["parked"]["reason"], ("approve", None))
    call("POST", f"/tasks/{task['id']}/{verb}", body)


def finish_all(call: Told) -> None:
    """Do all work that is given, and ask again for what waits for a time or a person, until nothing is left."""

    def step() -> bool:
        open_ones = [task for task in all_tasks(call).values() if task["status"] not in FINAL]
        for task in open_ones:
            if task["status"] == "parked":
                let_go(call, task)
            elif task["status"] == "scheduled":
                call("POST", f"/tasks/{task['id']}/execute")
        for given in call("POST", "/tasks/claim", {**EVERYTHING, "host": "builder"})["tasks"]:
            call("POST", f"/tasks/{given['id']}/complete", {"lease": given["lease"], "result": "after"})
        return not open_ones

    until(step)


@pytest.mark.parametrize(
    ("release", "store"),
    [*((release, "sqlite") for release in RELEASES), (RELEASES[0], "postgres"), (RELEASES[-1], "postgres")],
)
def test_every_task_comes_to_its_end(release: str, store: str, tmp_path: Path) -> None:
    url = load(release, store, tmp_path)
    held = leases(url)
    with served(url, release, tmp_path) as call:
        before = all_tasks(call)
        assert {task["status"] for task in before.values()} == {*FINAL, "waiting", "scheduled", "blocked", "parked", "running"}
        for task_id in held:
            told = call("POST", f"/tasks/{task_id}/heartbeat", {"lease": held[task_id], "progress": {"percent": 99}})
            cancelled = before[task_id]["cancel_requested_at"] is not None
            assert told["directive"] == ("cancel" if cancelled else "continue")
            call("POST", f"/tasks/{task_id}/complete", {"lease": held[task_id], "result": "held"})
        for task_id in sorted(before):
            # Whoever was cancelled with a parent is back with it.
            if before[task_id]["status"] in FINAL and call("GET", f"/tasks/{task_id}")["status"] in FINAL:
                call("POST", f"/tasks/{task_id}/retry")
        call("PUT", "/directories", {"work_directory": "/srv/batch", "paused": False})
        last = next(task_id for task_id, task in before.items() if task["title"] == "Next century")
        assert call("POST", f"/tasks/{last}/cancel", {"reason": "not now"})["status"] == "cancelled"
        finish_all(call)
        after = all_tasks(call)
        assert {after[task_id]["status"] for task_id in before if task_id != last} == {"completed"}
        for task_id, task in before.items():
            same = {
                name: after[task_id][name] for name in ("title", "prompt", "work_directory", "tags", "created_at", "priority")
            }
            assert same == {name: task[name] for name in same}
        died = [task_id for task_id, task in before.items() if task["title"] == EXPIRED]
        assert len(died) == 2
        for task_id in died:
            outcomes = [one["outcome"] for one in call("GET", f"/tasks/{task_id}/attempts")["items"]]
            assert sorted(outcomes) == ["completed", "expired"]
            lines = call("GET", f"/tasks/{task_id}/logs")["lines"]
            assert [line["text"] for line in lines] == [f"{EXPIRED}: line {at} ✓" for at in range(3)]
        assert call("GET", "/statistics")["by_status"]["completed"] == len(after) - 1


@pytest.mark.parametrize("store", STORES)
def test_what_else_there_was_goes_on(store: str, tmp_path: Path) -> None:
    url = load("0.5.0", store, tmp_path)
    with served(url, "0.5.0", tmp_path) as call:
        names = {key["name"]: key for key in call("GET", "/auth/keys")["items"]}
        assert names.keys() >= {"ci", "off", "upgrade"}
        assert (names["off"]["disabled"], names["ci"]["rate"]) == (True, "100/m")
        assert {one["name"]: one["enabled"] for one in call("GET", "/schedules")["items"] if not one["workflow_id"]} == {
            "nightly": True,
            "off": False,
        }
        (workflow,) = call("GET", "/workflows")["items"]
        run = call("POST", f"/public/webhook/workflow/{workflow['id']}", {"what": "again"}, token="a long secret")
        assert run["run_id"] > 4
        assert [task["title"] for task in call("GET", "/tasks", q="told")["items"]] == ["Is told of"]
        assert {rule["name"] for rule in call("GET", "/notifications/rules")["items"]} == {"failures", "all", "off"}
        assert {one["network"] if "network" in one else one["ip"] for one in call("GET", "/ip-control/status")["blacklist"]} == {
            "192.0.2.0/24"
        }
