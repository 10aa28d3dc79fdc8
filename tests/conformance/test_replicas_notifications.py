"""Servers on one database tell rules of the same at the same instant: nothing twice, nothing left behind, each task in order."""

import random
from collections.abc import Iterator

import msgspec
import pytest

from orchestrator.domain import notification_operations as notify
from orchestrator.domain import operations as ops
from orchestrator.domain.notification_outcomes import Taken
from orchestrator.domain.notification_records import Definition, Notification, StoredWebhook
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.principal import SYSTEM
from tests.properties.replicas import Replicas
from tests.rig import MINUTE, Rig, enqueue, new_task

pytestmark = pytest.mark.timeout(170)
ROUNDS = 12


@pytest.fixture
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    replicas = Replicas(tmp_path_factory.mktemp("replicas"))
    yield replicas
    replicas.close()


class Senders:
    """Two servers that announce, take and settle at the same time; what they sent and ended, in order."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.chance = random.Random(5)
        self.held: list[list[Notification]] = [[], []]
        self.sent: dict[tuple[int, str], list[int]] = {}
        self.ended: dict[tuple[int, str], list[int]] = {}

    def batch(self, number: int, work: list[ops.Operation]) -> list[ops.Submission]:
        batch: list[ops.Operation] = [notify.Announce(limit=self.chance.choice([2, 1_000])), *work]
        for row in self.held[number]:
            good = self.chance.random() < 0.7
            batch.append(notify.SettleNotification(notification_id=row.id, holder=str(number), delivered=good))
            if good:
                self.ended.setdefault((row.rule_id, row.lane), []).append(row.id)
        self.chance.shuffle(batch)
        batch.append(notify.TakeNotifications(holder=str(number), hold_ms=MINUTE, room={1: 3, 2: 3}))
        return [ops.Submission(op, SYSTEM) for op in batch]

    def together(self, *work: list[ops.Operation]) -> None:
        commits = self.replicas.together(*(self.batch(number, each) for number, each in enumerate(work)))
        self.held = [taken(commit.decisions) for commit in commits]
        rows = [row for each in self.held for row in each]
        assert len({(row.rule_id, row.lane) for row in rows}) == len(rows)
        for row in rows:
            known = self.sent.setdefault((row.rule_id, row.lane), [])
            known += [row.id] if row.id not in known else []
        if self.chance.random() < 0.3:
            self.replicas.rigs[0].time.pass_(20_000)


def taken(decisions: list[Decision]) -> list[Notification]:
    return [row for one in decisions if isinstance(one.outcome, Taken) for row, _ in one.outcome.rows]


def pending(rig: Rig) -> int:
    ((count,),) = rig.fetch("SELECT count(*) FROM notifications WHERE status = 'pending'")
    return int(count)


def test_two_servers_tell_each_rule_of_everything_once_and_in_order(replicas: Replicas) -> None:
    rig, _ = replicas.rigs
    for name in ("one", "two"):
        wanted = Definition(events=("task.*",), webhook=StoredWebhook(url="https://example.org"), tries=3)
        rig.do(notify.AddRule(name=name, enabled=True, definition=msgspec.json.encode(wanted).decode()), SYSTEM)
    tasks = [rig.add(f"/{number}") for number in range(3)]
    senders = Senders(replicas)
    for round_ in range(ROUNDS):
        updates = [ops.Update(task_id=senders.chance.choice(tasks), title=f"{round_} {number}") for number in range(2)]
        senders.together(*([update, enqueue(new_task(f"/new/{round_}"))] for update in updates))
    for _ in range(10 * ROUNDS):
        if not any(senders.held) and not pending(rig):
            break
        senders.together([], [])
    assert pending(rig) == 0
    events = {event for (event,) in rig.fetch("SELECT id FROM events WHERE type LIKE 'task.%'")}
    for rule in (1, 2):
        assert {event for (event,) in rig.fetch("SELECT event_id FROM notifications WHERE rule_id = ?", [rule])} == events
    assert len(senders.sent) == 2 * (len(tasks) + 2 * ROUNDS)
    assert [lane for lane, ids in (*senders.sent.items(), *senders.ended.items()) if ids != sorted(ids)] == []
