"""What rules are told: of what they want, of all of it, once, in order, and of nothing from before or elsewhere."""

import itertools
import json
from typing import Any

import msgspec
import pytest

from orchestrator.domain import notification_operations as notify
from orchestrator.domain import operations as ops
from orchestrator.domain.announcing import NAME, WAITING
from orchestrator.domain.notification_outcomes import Again, Announced, Ruled, Taken
from orchestrator.domain.notification_records import Definition, Notification, NotificationRule
from orchestrator.domain.outcomes import Done
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, SYSTEM, Principal, path_scope
from orchestrator.loops.pruner import DAY_MS
from tests.rig import MINUTE, Rig, new_task
from tests.searching import index
from worker_client.contract.enums import Priority
from worker_client.contract.notifications import EmailTarget, ListNotifications, WebhookTarget
from worker_client.errors import Conflict, Forbidden, NotFound, ValidationFailed

HOOK = WebhookTarget(url="https://example.org/hook")
LIMITED = Principal("limited", ALL_SCOPES, paths=path_scope(["/a/**"]))
names = itertools.count(1)


def rule(rig: Rig, by: Principal = SYSTEM, *, enabled: bool = True, **wanted: Any) -> int:
    """A new rule."""
    definition = msgspec.json.encode(Definition(**{"webhook": HOOK, **wanted})).decode()
    made = rig.do(notify.AddRule(name=f"rule {next(names)}", enabled=enabled, definition=definition), by)
    assert isinstance(made, Ruled)
    return made.rule.id


def announce(rig: Rig, limit: int = 1_000) -> Announced:
    outcome = rig.do(notify.Announce(limit=limit), SYSTEM)
    assert isinstance(outcome, Announced)
    return outcome


def told(rig: Rig, rule_id: int) -> list[tuple[str, int]]:
    """What a rule was told of: the types of events and the tasks."""
    return [(kind, task_id) for kind, task_id in rig.fetch(
        "SELECT type, task_id FROM notifications WHERE rule_id = ? ORDER BY id", (rule_id,)
    )]  # fmt: skip


def take(rig: Rig, *rules: int, holder: str = "one", room: int = 100) -> list[Notification]:
    taken = rig.do(notify.TakeNotifications(holder=holder, hold_ms=30_000, room=dict.fromkeys(rules, room)), SYSTEM)
    assert isinstance(taken, Taken)
    return [row for row, _ in taken.rows]


def settle(rig: Rig, row: Notification, *, delivered: bool = True, holder: str = "one", **facts: Any) -> int:
    op = notify.SettleNotification(notification_id=row.id, holder=holder, delivered=delivered, **facts)
    outcome = rig.do(op, SYSTEM)
    assert isinstance(outcome, Done)
    return outcome.count


def row_of(rig: Rig, notification_id: int) -> Notification:
    found = rig._runner.run(rig.store.reads.notification(notification_id))
    assert found is not None
    return found


def fail(rig: Rig, path: str = "/a", *, retryable: bool = False, **facts: Any) -> int:
    grant = rig.running(path, **facts)
    error = json.dumps({"type": "Broken", "message": "it broke"})
    rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error=error, message="it broke", retryable=retryable))
    return grant.task_id


def test_a_rule_hears_of_what_it_wants_and_of_nothing_from_before_it(rig: Rig) -> None:
    fail(rig)
    failures = rule(rig, events=("task.failed",))
    every = rule(rig, events=("task.*",))
    task_id = fail(rig)
    announce(rig)
    assert told(rig, failures) == [("task.failed", task_id)]
    assert told(rig, every) == [("task.created", task_id), ("task.claimed", task_id), ("task.failed", task_id)]
    assert announce(rig).read == 0


FILTERS: Any = (
    ({"work_path": ("/a/b",)}, {"/a/b", "/a/b/c"}),
    ({"work_path": ("/a/b",), "recursive": False}, {"/a/b"}),
    ({"work_path": ("/a/b/c", "/z")}, {"/a/b/c", "/z"}),
    ({"tags": ("red",)}, {"/a/b"}),
    ({"tags": ("red", "blue")}, set()),
    ({"priority": (Priority.URGENT,)}, {"/z"}),
    ({"status": ("completed",)}, set()),
)
"""What a rule says, and where it hears of failures."""


def paths_told(rig: Rig, rule_id: int) -> set[str]:
    rows = rig.fetch("SELECT payload FROM notifications WHERE rule_id = ?", (rule_id,))
    return {json.loads(payload)["path"] for (payload,) in rows}


def test_all_that_a_rule_says_has_to_fit(rig: Rig) -> None:
    made = [(rule(rig, events=("task.failed",), **wanted), heard) for wanted, heard in FILTERS]
    for path, facts in (("/a/b", {"tags": ("red", "green")}), ("/a/b/c", {}), ("/a", {}), ("/z", {"priority": 3})):
        fail(rig, path, **facts)
    announce(rig)
    assert [paths_told(rig, rule_id) for rule_id, _ in made] == [heard for _, heard in made]


def test_attempts_that_failed_are_told_from_the_wanted_one_on(rig: Rig) -> None:
    made = rule(rig, failed_times=2)
    rig.add(max_attempts=3)
    for attempt in range(1, 4):
        grant = rig.take()
        rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error='{"type": "E", "message": "no"}'))
        announce(rig)
        assert len(told(rig, made)) == max(0, attempt - 1)
        rig.pass_(10 * MINUTE)


def test_a_rule_of_a_limited_key_hears_of_its_directories_alone(rig: Rig) -> None:
    limited = rule(rig, LIMITED, events=("*",))
    fail(rig, "/b")
    here = rig.running("/a/c")
    rig.do(ops.SetDirectory(path="/b", paused=True))
    rig.do(ops.SetDirectory(path="/a/c", paused=True))
    rule(rig, events=("task.*",))
    announce(rig)
    assert paths_told(rig, limited) == {"/a/c"}
    assert ("task.created", here.task_id) in told(rig, limited)
    with pytest.raises(Forbidden):
        rule(rig, LIMITED, events=("*",), work_path=("/b",))
    with pytest.raises(NotFound):
        rig.do(notify.DeleteRule(rule_id=rule(rig, events=("*",))), LIMITED)


def test_of_a_task_that_has_moved_away_a_limited_key_is_told_what_happened_where_it_sees(rig: Rig) -> None:
    limited, every = rule(rig, LIMITED, events=("task.created",), include_prompt=True), rule(rig, events=("task.created",))
    task_id = rig.add("/a")
    rig.do(ops.Update(task_id=task_id, path="/b", title="theirs"))
    announce(rig)
    rows = rig.fetch("SELECT rule_id, payload FROM notifications")
    payloads = {rule_id: json.loads(payload) for rule_id, payload in rows}
    assert (payloads[limited]["path"], payloads[limited]["task"]) == ("/a", None)
    assert payloads[every]["task"]["title"] == "theirs"


def test_rules_that_could_tell_nothing_are_refused(rig: Rig) -> None:
    before = rig.dump()
    wrong: list[dict[str, Any]] = [
        {},
        {"events": ("*",), "webhook": None},
        {"events": ("*",), "email": EmailTarget(to=["a@b"])},
        {"events": ("task.completed",), "failed_times": 2},
    ]
    for wanted in wrong:
        with pytest.raises(ValidationFailed):
            rule(rig, **wanted)
    assert rig.dump() == before


def test_what_was_not_read_is_read_later_in_steps_and_by_one_alone(rig: Rig) -> None:
    made = rule(rig, events=("task.created",))
    ids = [rig.add() for _ in range(25)]
    outcomes = rig.outcomes(notify.Announce(limit=10), notify.Announce(limit=10), by=SYSTEM)
    assert [one.made for one in outcomes if isinstance(one, Announced)] == [9, 10]
    while announce(rig, limit=3).more:
        pass
    assert [task_id for _, task_id in told(rig, made)] == ids


def test_without_a_rule_nothing_is_read_and_a_new_one_begins_at_once(rig: Rig) -> None:
    rig.add()
    assert (announce(rig), rig.fetch("SELECT * FROM consumers WHERE name = ?", (NAME,))) == (Announced(0, 0, more=False), [])
    off = rule(rig, enabled=False, events=("task.created",))
    rig.add()
    assert announce(rig).read == 0
    row = rig._runner.run(rig.store.reads.notification_rule(off, EVERYWHERE))
    assert row is not None
    rig.do(notify.ChangeRule(rule_id=off, base=row.version, enabled=True, definition=row.definition), SYSTEM)
    third = rig.add()
    announce(rig)
    assert told(rig, off) == [("task.created", third)]


def test_messages_of_one_task_go_one_after_the_other_and_those_of_others_beside_them(rig: Rig) -> None:
    made = rule(rig, events=("task.*",))
    first, second = fail(rig, "/a"), fail(rig, "/b")
    announce(rig)
    rows = take(rig, made)
    assert [(row.type, row.task_id) for row in rows] == [("task.created", first), ("task.created", second)]
    assert take(rig, made, holder="two") == []
    settle(rig, rows[0])
    (following,) = take(rig, made)
    assert (following.type, following.task_id) == ("task.claimed", first)
    third = rig.add("/a")
    rig.do(ops.Retry(task_id=first))
    announce(rig)
    assert [row.task_id for row in take(rig, made)] == [third]
    settle(rig, following)
    assert [row.type for row in take(rig, made)] == ["task.failed"]


def test_what_fails_is_tried_again_later_and_given_up_in_the_end(rig: Rig) -> None:
    made = rule(rig, events=("task.created", "task.claimed"), tries=3)
    rig.running()
    announce(rig)
    pauses = []
    for tried in range(3):
        (row,) = take(rig, made)
        assert row.type == "task.created"
        assert row.tries == tried
        settle(rig, row, delivered=False, reason="it answered 500", answered=500)
        row = row_of(rig, row.id)
        if row.due_at is not None:
            pauses.append(row.due_at - rig.time.at)
            assert take(rig, made) == []
            rig.time.pass_(pauses[-1])
    assert pauses == [5_000, 15_000]
    assert (row.status, row.tries, row.answered, row.reason) == ("dead", 3, 500, "it answered 500")
    (following,) = take(rig, made)
    assert following.type == "task.claimed"


def test_a_receiver_that_asks_for_time_gets_it_and_one_that_is_gone_is_left_alone(rig: Rig) -> None:
    made = rule(rig, events=("task.*",))
    fail(rig)
    announce(rig)
    (row,) = take(rig, made)
    settle(rig, row, delivered=False, answered=429, after_ms=600_000)
    assert (row_of(rig, row.id).due_at or 0) - rig.time.at == 600_000
    rig.time.pass_(600_000)
    (row,) = take(rig, made)
    settle(rig, row, delivered=False, answered=410, gone=True)
    found = rig._runner.run(rig.store.reads.notification_rule(made, EVERYWHERE))
    assert found is not None
    assert not found.enabled
    assert "410" in (found.disabled_reason or "")
    assert take(rig, made) == []
    with pytest.raises(Conflict):
        rig.do(notify.Redeliver(notification_id=row.id), SYSTEM)


def test_who_was_too_slow_says_nothing_about_what_another_sends(rig: Rig) -> None:
    made = rule(rig, events=("task.created",))
    rig.add()
    announce(rig)
    (row,) = take(rig, made)
    rig.time.pass_(30_000)
    (again,) = take(rig, made, holder="two")
    assert again.message_id == row.message_id
    assert settle(rig, row, delivered=False) == 0
    assert settle(rig, again, holder="two") == 1
    assert settle(rig, again, holder="two") == 0


def test_what_one_who_has_gone_was_sending_is_due_at_once(rig: Rig) -> None:
    made = rule(rig, events=("task.created",))
    for path in ("/a", "/b"):
        rig.add(path)
    announce(rig)
    mine, others = take(rig, made, room=1), take(rig, made, holder="two", room=1)
    assert rig.do(notify.GiveBackNotifications(holder="one", others=True), SYSTEM) == Done(1)
    assert [row.id for row in take(rig, made)] == [row.id for row in others]
    assert rig.do(notify.GiveBackNotifications(holder="one"), SYSTEM) == Done(2)
    assert [row.id for row in take(rig, made, holder="two")] == sorted(row.id for row in (*mine, *others))


def test_what_was_given_up_can_be_sent_again_before_what_came_after_it(rig: Rig) -> None:
    made = rule(rig, events=("task.*",), tries=1)
    fail(rig)
    announce(rig)
    dead = []
    for _ in range(2):
        (row,) = take(rig, made)
        settle(rig, row, delivered=False)
        dead.append(row)
    (third,) = take(rig, made)
    again = rig.do(notify.RedeliverDead(rule_id=made), SYSTEM)
    assert again == Again(2)
    with pytest.raises(Conflict):
        rig.do(notify.Redeliver(notification_id=dead[0].id), SYSTEM)
    settle(rig, third)
    for row in dead:
        (sent,) = take(rig, made)
        assert (sent.id, sent.message_id, sent.tries) == (row.id, row.message_id, 0)
        settle(rig, sent)
    assert rig.do(notify.Redeliver(notification_id=dead[1].id), SYSTEM) == Again(1)
    assert [row.id for row in take(rig, made)] == [dead[1].id]


def waiting(rig: Rig, rule_id: int) -> list[notify.Waited]:
    found = rig._runner.run(rig.store.reads.notification_rule(rule_id, EVERYWHERE))
    assert found is not None
    return rig._runner.run(rig.store.reads.waiting_long(found, rig.time.at))


def test_a_task_that_waits_for_long_is_told_of_once_for_each_time(rig: Rig) -> None:
    before = rig.add("/old")
    rig.time.pass_(2 * MINUTE)
    made = rule(rig, waiting_seconds=60, tags=("red",))
    assert waiting(rig, made) == []
    task_id = rig.add("/a", tags=("red",))
    rig.add("/a", tags=("blue",))
    rig.time.pass_(59_000)
    assert waiting(rig, made) == []
    rig.time.pass_(2_000)
    found = waiting(rig, made)
    assert [one.task_id for one in found] == [task_id]
    for _ in range(2):
        rig.do(notify.AnnounceWaiting(found=tuple(found)), SYSTEM)
        assert told(rig, made) == [(WAITING, task_id)]
    rig.time.pass_(DAY_MS)
    assert waiting(rig, made) == []
    (row,) = take(rig, made)
    settle(rig, row)
    rig.time.pass_(60 * DAY_MS)
    rig.do(ops.Prune(before=0, keys_before=rig.time.at), SYSTEM)
    assert waiting(rig, made) == []
    grant = rig.take("/a", tags=("red",))
    rig.do(ops.Release(task_id=grant.task_id, lease=grant.lease))
    rig.time.pass_(61_000)
    found = waiting(rig, made)
    rig.do(notify.AnnounceWaiting(found=tuple(found)), SYSTEM)
    assert told(rig, made) == [(WAITING, task_id)] * 2
    assert before not in {one.task_id for one in found}


def test_the_feed_is_kept_until_rules_were_told_and_what_they_were_told_for_a_while(rig: Rig) -> None:
    made = rule(rig, events=("task.failed",))
    task_id = fail(rig)
    rig.time.pass_(60 * DAY_MS)

    def prune() -> None:
        index(rig)
        more = True
        while more:
            outcome = rig.do(ops.Prune(before=rig.time.at, keys_before=rig.time.at - 30 * DAY_MS), SYSTEM)
            more = isinstance(outcome, Done) and outcome.more

    prune()
    announce(rig)
    assert told(rig, made) == [("task.failed", task_id)]
    prune()
    assert rig.fetch("SELECT count(*) FROM events WHERE type LIKE 'task.%'")[0][0] == 0
    (row,) = take(rig, made)
    settle(rig, row)
    prune()
    assert len(told(rig, made)) == 1
    rig.time.pass_(31 * DAY_MS)
    prune()
    assert told(rig, made) == []


def test_nobody_hears_of_itself(rig: Rig) -> None:
    one, other = rule(rig, events=("notification.*",)), rule(rig, events=("notification.*",))
    rig.do(notify.DeleteRule(rule_id=rule(rig, events=("task.*",))), SYSTEM)
    announce(rig)
    assert [kind for kind, _ in told(rig, one)] == [
        "notification.rule_created",
        "notification.rule_created",
        "notification.rule_deleted",
    ]
    assert [kind for kind, _ in told(rig, other)] == ["notification.rule_created", "notification.rule_deleted"]


def test_names_are_unique_and_a_change_is_made_on_what_is_there(rig: Rig) -> None:
    made = rule(rig, events=("task.*",))
    found = rig._runner.run(rig.store.reads.notification_rule(made, EVERYWHERE))
    assert isinstance(found, NotificationRule)
    with pytest.raises(Conflict):
        rig.do(notify.AddRule(name=found.name, enabled=True, definition=found.definition), SYSTEM)
    change = notify.ChangeRule(rule_id=made, base=found.version, name="other", definition=found.definition)
    rig.do(change, SYSTEM)
    with pytest.raises(Conflict):
        rig.do(change, SYSTEM)
    rig.do(notify.AddRule(name=found.name, enabled=True, definition=found.definition), LIMITED)


def test_of_a_deleted_rule_nothing_is_left(rig: Rig) -> None:
    made = rule(rig, events=("task.*",))
    fail(rig)
    announce(rig)
    rig.do(notify.DeleteRule(rule_id=made), SYSTEM)
    assert rig.fetch("SELECT * FROM notifications") == []
    page = rig._runner.run(rig.store.reads.notifications(ListNotifications(), None))
    assert (page.items, page.total) == ([], 0)


def test_a_prompt_is_told_only_where_the_rule_asks_for_it(rig: Rig) -> None:
    without, with_it = rule(rig, events=("task.created",)), rule(rig, events=("task.created",), include_prompt=True)
    rig.do(ops.Enqueue(tasks=(new_task("/a", prompt="the secret plan"),)))
    announce(rig)
    ((hidden,),) = rig.fetch("SELECT payload FROM notifications WHERE rule_id = ?", (without,))
    ((shown,),) = rig.fetch("SELECT payload FROM notifications WHERE rule_id = ?", (with_it,))
    assert "the secret plan" not in hidden
    assert json.loads(shown)["task"]["prompt"] == "the secret plan"
