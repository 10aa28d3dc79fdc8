"""What events about no task say, to whom, and in which words."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.cli.feed import line
from orchestrator.domain.principal import EVERYWHERE, OPEN, PathScope, Principal, path_scope
from orchestrator.http.events import encoded, topics
from orchestrator.store.protocol import FeedEvent
from worker_client.contract.enums import Scope, Status
from worker_client.contract.events import Event, ReadEvents

KEY = FeedEvent(1, 0, "key.created", 0, "", "", None, '{"name":"ci"}', "admin", "192.0.2.1")
PAUSED = FeedEvent(2, 0, "directory.changed", 0, "/a", "", None, '{"paused":true}', "admin", "192.0.2.1")


def test_an_event_about_no_task_names_none_and_nobody_who_did_it() -> None:
    shown = json.loads(encoded("e", KEY))
    assert shown["task_id"] is None
    assert shown.keys() == set(Event.__struct_fields__)
    assert not {"admin", "192.0.2.1"} & {str(value) for value in shown.values()}


@pytest.mark.parametrize(
    ("visible", "administers", "sees"),
    [
        (EVERYWHERE, True, {"key.created", "directory.changed"}),
        (EVERYWHERE, False, {"directory.changed"}),
        (path_scope(["/a/**"]), False, {"directory.changed"}),
        (path_scope(["/b/**"]), False, set()),
        (PathScope(()), False, set()),
    ],
)
def test_what_is_about_the_server_is_for_who_administers_it(visible: PathScope, sees: set[str], *, administers: bool) -> None:
    by = Principal(id="k", scopes=frozenset({Scope.ADMIN} if administers else {Scope.READ}), paths=visible)
    heard = topics(ReadEvents(), by)
    assert {event.type for event in (KEY, PAUSED) if heard.cover(event)} == sees


def test_a_filter_for_directories_leaves_the_server_out() -> None:
    heard = topics(ReadEvents(work_path=["/"]), OPEN)
    assert [event.type for event in (KEY, PAUSED) if heard.cover(event)] == ["directory.changed"]


@pytest.mark.parametrize(
    ("kind", "path", "data", "words"),
    [
        ("key.created", "", {"name": "ci"}, "key.created  ci"),
        ("address.added", "", {"network": "::1/128"}, "address.added  ::1/128"),
        ("settings.reloaded", "", {}, "settings.reloaded"),
        ("directory.changed", "/a", {"paused": True}, "directory.changed  /a: paused"),
        ("directory.changed", "/a", {"paused": False, "max_running": 2}, "directory.changed  /a: open, no more than 2 run"),
        (
            "directory.changed",
            "/a",
            {"paused": False, "daily_cost_usd": 10.0, "daily_tokens": 5000, "daily_attempts": None},
            "directory.changed  /a: open, $10.00, 5,000 tokens a day",
        ),
        ("directory.budget_reached", "/a", {"message": "$3 of $2"}, "directory.budget reached  /a: used up for today: $3 of $2"),
        ("directory.budget_renewed", "/a", {}, "directory.budget renewed  /a: a new day"),
    ],
)
def test_a_line_about_no_task(kind: str, path: str, data: dict[str, Any], words: str) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    event = Event(id="e-1", type=kind, at=at, task_id=None, work_directory=path, host="", status=None, data=data)
    assert line(event).plain.endswith(f"       {words}")


def test_a_line_about_a_budget() -> None:
    at, data = datetime(2026, 1, 1, tzinfo=UTC), {"message": "used $3 of $2"}
    kind, status = "task.budget_reached", Status.RUNNING
    event = Event(id="e-1", type=kind, at=at, task_id=7, work_directory="/a", host="", status=status, data=data)
    assert line(event).plain.endswith("budget reached  used $3 of $2")


def test_a_line_about_a_parent_that_cannot_be_seen() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    event = Event(id="e-1", type="task.unblocked", at=at, task_id=7, work_directory="/a", host="", status="waiting", data={})  # type: ignore[arg-type]
    assert line(event).plain.endswith("a task that you cannot see is done; now waiting")
