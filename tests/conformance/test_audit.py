"""Who changed what: filters, pages, and what those see who see some directories alone."""

from datetime import UTC, datetime

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, OPEN, PathScope, Principal, path_scope
from orchestrator.store.reads import Listing, doors
from tests.conformance.test_doors import issue, principal
from tests.reading import read
from tests.rig import HOUR, Rig, enqueue, new_task
from worker_client.contract.audit import AuditEntry, ListAudit
from worker_client.errors import ValidationFailed

TENANT = path_scope(["/a/**"])


def audit(rig: Rig, visible: PathScope = EVERYWHERE, **query: object) -> Listing[AuditEntry]:
    return read(rig, rig.store.reads.audit(ListAudit(**query), visible))  # type: ignore[arg-type]


def ids(found: Listing[AuditEntry]) -> list[int]:
    return [entry.id for entry in found.items]


@pytest.fixture
def busy(rig: Rig) -> Rig:
    """A key is made, and does something in two directories; then time passes."""
    rig.commit(ops.Submission(issue("k1", "ci", paths=("/a/**",)), OPEN, None, "::1"))
    by = Principal("k1", ALL_SCOPES, TENANT)
    rig.commit(ops.Submission(enqueue(new_task("/a/x")), by, None, "192.0.2.7"))
    rig.do(enqueue(new_task("/b")), principal("k2"))
    rig.do(ops.SetDirectory(path="/b", paused=True), principal("k2"))
    rig.time.pass_(10 * HOUR)
    rig.do(ops.Cancel(task_id=1, reason="enough"), principal("k1"))
    return rig


def test_the_newest_change_comes_first_with_all_that_is_known(busy: Rig) -> None:
    found = audit(busy)
    assert ids(found) == [5, 4, 3, 2, 1]
    assert (found.total, found.total_exact, found.next_cursor) == (5, True, None)
    last, paused, *_, made = found.items
    assert (last.type, last.actor, last.actor_name, last.task_id) == ("task.cancelled", "k1", "ci", 1)
    assert last.data == {"reason": "enough"}
    assert last.at == datetime.fromtimestamp(busy.time.at / 1000, UTC)
    assert (paused.type, paused.actor_name, paused.task_id, paused.work_directory) == ("directory.changed", None, None, "/b")
    assert (made.type, made.actor, made.origin, made.task_id, made.work_directory) == ("key.created", "", "::1", None, "")
    assert found.items[3].origin == "192.0.2.7"


def test_every_filter(busy: Rig) -> None:
    noon = datetime.fromtimestamp((busy.time.at - HOUR) / 1000, UTC)
    assert ids(audit(busy, actor=["k1"])) == [5, 2]
    assert ids(audit(busy, actor=["k1", ""])) == [5, 2, 1]
    assert ids(audit(busy, type=["task.created"])) == [3, 2]
    assert ids(audit(busy, task_id=[1])) == [5, 2]
    assert ids(audit(busy, work_path=["/a"])) == [5, 2]
    assert ids(audit(busy, work_path=["/a"], recursive=False)) == []
    assert ids(audit(busy, work_path=["/a/x", "/b"], recursive=False)) == [5, 4, 3, 2]
    assert ids(audit(busy, created_after=noon)) == [5]
    assert ids(audit(busy, created_before=noon)) == [4, 3, 2, 1]
    assert ids(audit(busy, actor=["k2"], type=["task.created"])) == [3]


def test_pages_follow_each_other(busy: Rig) -> None:
    first = audit(busy, limit=2)
    assert (ids(first), first.total_exact) == ([5, 4], False)
    second = audit(busy, limit=2, cursor=first.next_cursor)
    third = audit(busy, limit=2, cursor=second.next_cursor)
    assert (ids(second), ids(third), third.next_cursor) == ([3, 2], [1], None)
    assert ids(audit(busy, limit=2, offset=3)) == [2, 1]
    assert audit(busy, limit=5).next_cursor is None
    for bad in ({"cursor": "nonsense"}, {"cursor": first.next_cursor, "offset": 1}):
        with pytest.raises(ValidationFailed):
            audit(busy, **bad)


def test_a_page_ends_where_it_has_looked_far_enough(busy: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "_WINDOW", 2)
    first = audit(busy, type=["key.created"])
    assert (ids(first), first.total_exact) == ([], False)
    second = audit(busy, type=["key.created"], cursor=first.next_cursor)
    third = audit(busy, type=["key.created"], cursor=second.next_cursor)
    assert (ids(second), ids(third), third.next_cursor) == ([], [1], None)
    # Nothing that is so much older can have come later.
    noon = datetime.fromtimestamp((busy.time.at - HOUR) / 1000, UTC)
    assert audit(busy, created_after=noon, type=["task.cancelled"]).next_cursor is None


def test_who_sees_some_directories_sees_what_was_done_there(busy: Rig) -> None:
    busy.do(ops.Retry(task_id=1), principal("k2"))
    busy.do(issue("k2", "of all"))
    found = audit(busy, TENANT)
    assert ids(found) == [6, 5, 2]
    # Whoever did it, the name of a key that reaches further is not told.
    assert [(entry.actor, entry.actor_name) for entry in found.items] == [("k2", None), ("k1", "ci"), ("k1", "ci")]
    assert audit(busy).items[1].actor_name == "of all"
    assert ids(audit(busy, TENANT, work_path=["/b"])) == []
    assert ids(audit(busy, PathScope(()))) == []
