"""That what pages are looked at with is what it is said to be."""

from pathlib import Path

from tests.browser.director import DAYS
from tests.browser.people import CHECKOUTS
from tests.browser.scene import Scene
from tests.browser.sites import Site
from worker_client.contract.enums import ParkReason, Status


def test_thirty_agents_work_on_forty_checkouts(scene: Scene) -> None:
    found = scene.client.statistics()
    assert found.by_status["running"] == 30
    assert found.by_status["waiting"] > 30
    assert found.by_status["completed"] > 1000
    assert all(found.by_status[status] for status in ("blocked", "scheduled", "parked", "failed"))
    assert {one.work_directory for one in found.by_directory} == {path for _, path in CHECKOUTS}
    assert len({usage.day for usage in scene.client.usage(limit=1000).items}) >= DAYS - 1
    assert len(scene.client.workers(limit=100).items) >= 30


def test_each_has_its_name(scene: Scene) -> None:
    client = scene.client
    stands = {name: client.get(task) for name, task in scene.tasks.items()}
    for name, status in (
        ("running", Status.RUNNING), ("failed", Status.FAILED), ("blocked", Status.BLOCKED), ("done", Status.COMPLETED),
        ("waiting", Status.WAITING), ("paused", Status.WAITING), ("question", Status.PARKED), ("approval", Status.PARKED),
    ):  # fmt: skip
        assert stands[name].status == status, name
    reasons = {name: task.parked.reason for name, task in stands.items() if task.parked}
    assert reasons["question"] == reasons["question_zh"] == ParkReason.QUESTION
    assert (reasons["approval"], reasons["quota"]) == (ParkReason.APPROVAL, ParkReason.QUOTA)
    assert stands["failed"].attempt == 3
    assert {which: client.get_run(run).status for which, run in scene.runs.items()} == {
        "running": "running", "failed": "failed", "nightly": "completed", "review": "completed",
    }  # fmt: skip
    assert {fire.kind for name in scene.schedules for fire in client.fires(scene.schedules[name]).items} == {"due", "manual"}


def test_a_stage_is_a_copy(scene: Scene, stage: Scene) -> None:
    stage.client.answer(stage.tasks["question"], answer="addresses")
    assert stage.client.get(stage.tasks["question"]).status == Status.WAITING
    assert scene.client.get(scene.tasks["question"]).status == Status.PARKED
    assert len(stage.client.commands().items) == len(scene.client.commands().items) > 0


def test_a_server_is_the_same_after_a_kill(site: Site, tmp_path: Path) -> None:
    url, task = site.url, site.client.create(prompt="Stay", work_directory="/a").id
    site.stop(9)
    site.start()
    assert site.url == url
    assert site.client.get(task).prompt == "Stay"


def test_a_crowd_is_large(crowd: Site) -> None:
    assert crowd.client.statistics().total >= 100_000
