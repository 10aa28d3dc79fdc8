"""Who gets what: directories and their leases, hosts, limits, order, and polls that ask again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed
from orchestrator.domain.principal import OPEN, PathScope, Pattern, Principal
from orchestrator.domain.rules import Reservation, Rules
from orchestrator.domain.source import Place, Stream
from orchestrator.domain.task import Head
from orchestrator.store.transaction import Transaction
from tests.rig import HOUR, Rig, claim, enqueue, interest, new_task
from worker_client.contract.enums import Status
from worker_client.errors import Conflict, Forbidden

NESTED = [("/a/b", True), ("/a", True), ("/a/b/c", True), ("/", True), ("/a/bb", False), ("/a/c", False), ("/b", False)]


@pytest.mark.parametrize(("path", "touches"), NESTED)
@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "in-one-batch"])
@pytest.mark.parametrize("held", ["task", "claim"])
@pytest.mark.parametrize("wanted", ["shared", "task", "claim"])
def test_an_exclusive_lease_owns_its_directory_and_what_is_below_and_above(
    rig: Rig, path: str, touches: bool, together: bool, held: str, wanted: str
) -> None:
    rig.add("/a/b", exclusive=held == "task")
    rig.add(path, exclusive=wanted == "task", kind="other")
    first = claim(interest("/a/b", kinds=["agent"], exclusive=held == "claim"))
    second = claim(interest(path, kinds=["other"], exclusive=wanted == "claim"), worker="w2")
    outcomes = rig.outcomes(first, second) if together else [rig.do(first), rig.do(second)]
    assert [len(outcome.grants) for outcome in outcomes if isinstance(outcome, Claimed)] == [1, 0 if touches else 1]
    if touches:
        assert isinstance(outcomes[1], Claimed)
        assert outcomes[1].held_at == path


@pytest.mark.parametrize(("path", "touches"), NESTED)
@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "in-one-batch"])
def test_a_shared_lease_keeps_only_exclusive_ones_out(rig: Rig, path: str, touches: bool, together: bool) -> None:
    rig.add("/a/b")
    rig.add(path, kind="other")
    rig.add(path, kind="exclusive", exclusive=True)
    asked = [
        claim(interest("/a/b", kinds=["agent"])),
        claim(interest(path, kinds=["exclusive"]), worker="w2"),
        claim(interest(path, kinds=["other"]), worker="w3"),
    ]
    outcomes = rig.outcomes(*asked) if together else [rig.do(one) for one in asked]
    got = [len(outcome.grants) for outcome in outcomes if isinstance(outcome, Claimed)]
    assert got == [1, 0, 1] if touches else [1, 1, 0]


@pytest.mark.parametrize(
    ("one", "other", "touches"), [("h1", "h1", True), ("h1", "h2", False), ("h1", "", True), ("", "h1", True), ("", "", True)]
)
@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "in-one-batch"])
def test_the_same_path_on_two_hosts_is_two_directories(rig: Rig, one: str, other: str, touches: bool, together: bool) -> None:
    rig.add("/a", exclusive=True)
    rig.add("/a/b", exclusive=True)
    asked = [claim(interest("/a", host=one)), claim(interest("/a/b", host=other), worker="w2")]
    outcomes = rig.outcomes(*asked) if together else [rig.do(op) for op in asked]
    assert [len(outcome.grants) for outcome in outcomes if isinstance(outcome, Claimed)] == [1, 0 if touches else 1]


def test_one_claim_of_many_does_not_overlap_itself(rig: Rig) -> None:
    for path in ("/a", "/a/b", "/a/b/c", "/b", "/b"):
        rig.add(path, exclusive=True)
    grants = rig.claim("/", recursive=True, limit=10)
    assert [rig.head(grant.task_id).path for grant in grants] == ["/a", "/b"]


def test_the_end_of_a_lease_frees_the_directory_in_the_same_batch(rig: Rig) -> None:
    first = rig.running("/a", exclusive=True)
    rig.add("/a/b")
    done, claimed = rig.outcomes(ops.Complete(task_id=first.task_id, lease=first.lease), claim(interest("/a/b"), worker="w2"))
    assert not isinstance(done, Exception)
    assert isinstance(claimed, Claimed)
    assert len(claimed.grants) == 1


@pytest.mark.parametrize("kind", ["http", "function"])
def test_kinds_without_a_directory_lease_none(rig: Rig, kind: str) -> None:
    rig.running("/a", exclusive=True)
    rig.add("/a", kind=kind, exclusive=True)
    rig.add("/a", kind=kind)
    assert len(rig.claim("/a", limit=5)) == 2


def test_a_worker_gets_tasks_of_its_host_and_of_none(rig: Rig) -> None:
    any_host, mine, other = rig.add("/a"), rig.add("/a", host="h1"), rig.add("/a", host="h2")
    assert [grant.task_id for grant in rig.claim("/a", host="h1", limit=5)] == [any_host, mine]
    assert rig.claim("/a", limit=5) == []
    assert [grant.task_id for grant in rig.claim("/a", host="h2", limit=5)] == [other]


def test_kinds_are_any_of_and_tags_all_of(rig: Rig) -> None:
    rig.add("/a", kind="x")
    both = rig.add("/a", tags=("gpu", "big"))
    rig.add("/a", tags=("gpu",))
    assert rig.claim("/a", kinds=["agent"], tags=["gpu", "big"], limit=5)[0].task_id == both
    assert len(rig.claim("/a", kinds=["x", "agent"], limit=5)) == 2


def test_only_recursive_claims_see_what_is_below(rig: Rig) -> None:
    rig.add("/a/b")
    rig.add("/ab")
    assert rig.claim("/a") == []
    assert len(rig.claim("/a", recursive=True, limit=5)) == 1
    assert len(rig.claim("/", recursive=True, limit=5)) == 1


def test_several_paths_are_one_queue(rig: Rig) -> None:
    ids = [rig.add(path) for path in ("/c", "/a", "/b", "/a")]
    assert [grant.task_id for grant in rig.claim("/a", "/b", "/c", limit=5)] == ids


# Who may


def test_a_key_claims_and_creates_only_in_its_paths(rig: Rig) -> None:
    key = Principal("k", OPEN.scopes, PathScope((Pattern("/a", below=True), Pattern("/b", below=False))))
    with pytest.raises(Forbidden):
        rig.claim("/c", by=key)
    with pytest.raises(Forbidden):
        rig.claim("/", recursive=True, by=key)
    with pytest.raises(Forbidden):
        rig.claim("/b", recursive=True, by=key)
    with pytest.raises(Forbidden):
        rig.add("/b/c", by=key)
    with pytest.raises(Forbidden):
        rig.do(ops.SetDirectory(path="/b", paused=True), key)
    assert rig.add("/a/x", by=key)
    assert rig.add("/b", by=key)
    assert rig.claim("/a", recursive=True, by=key)
    assert rig.claim("/b", by=key)
    with pytest.raises(Forbidden):
        rig.do(ops.Update(task_id=rig.add("/a", by=key), path="/c"), key)


# Order


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3 * HOUR), st.sampled_from(["agent", "x"])), max_size=12))
def test_order_is_head_starts_then_age(tmp_path_factory: pytest.TempPathFactory, tasks: list[tuple[int, int, str]]) -> None:
    rig = Rig(tmp_path_factory.mktemp("rig"))
    try:
        for priority, later, kind in tasks:
            rig.time.pass_(later)
            rig.add("/a", priority=priority, kind=kind)
        heads = rig.heads()
        order = [grant.task_id for grant in rig.claim("/a", limit=20)]
        assert order == sorted(heads, key=lambda task_id: (heads[task_id].rank, task_id))
        # A task is overtaken only by tasks that became ready less than the head-start difference after it.
        starts = rig.rules.head_start
        for at, early in enumerate(order):
            for late in order[at + 1 :]:
                difference = starts[heads[early].priority] - starts[heads[late].priority]
                assert heads[early].ready_at - heads[late].ready_at <= difference
    finally:
        rig.close()


def test_a_page_of_tasks_does_not_end_the_search(rig: Rig) -> None:
    rig.do(enqueue(*(new_task("/a", tags=("no",)) for _ in range(700))))
    wanted = rig.add("/a", tags=("yes",))
    assert rig.take("/a", tags=["yes"]).task_id == wanted


def test_many_claims_of_one_batch_get_different_tasks(rig: Rig) -> None:
    rig.do(enqueue(*(new_task("/a") for _ in range(100))))
    outcomes = rig.outcomes(*(claim(worker=f"w{n}", limit=3) for n in range(50)))
    ids = [grant.task_id for outcome in outcomes if isinstance(outcome, Claimed) for grant in outcome.grants]
    assert ids == list(range(1, 101))


def test_execute_goes_to_the_head(rig: Rig) -> None:
    urgent, low, normal = rig.add(priority=3), rig.add(priority=0), rig.add(kind="x")
    rig.do(ops.Execute(task_id=low))
    rig.do(ops.Execute(task_id=normal))
    assert [grant.task_id for grant in rig.claim(limit=3)] == [normal, low, urgent]


def test_executed_together_go_to_the_head_in_the_order_asked(rig: Rig) -> None:
    first, second, third = (rig.add() for _ in range(3))
    rig.outcomes(ops.Execute(task_id=second), ops.Execute(task_id=third))
    assert [grant.task_id for grant in rig.claim(limit=3)] == [third, second, first]


def test_execute_makes_due(rig: Rig) -> None:
    scheduled, waiting = rig.add(delay_ms=HOUR), rig.add()
    rig.do(ops.Execute(task_id=scheduled))
    assert rig.status(scheduled) is Status.WAITING
    assert [grant.task_id for grant in rig.claim(limit=2)] == [scheduled, waiting]


def test_an_exclusive_task_that_waits_long_is_not_starved(rig: Rig) -> None:
    first = rig.running("/a", lease_ms=HOUR)
    exclusive = rig.add("/a", exclusive=True)
    behind = rig.add("/a/b")
    rig.add("/a/b")
    assert rig.take("/a", recursive=True, worker="w2", lease_ms=HOUR).task_id == behind
    rig.time.pass_(30_000)
    elsewhere = rig.add("/c")
    assert [grant.task_id for grant in rig.claim("/", recursive=True, limit=5, worker="w3")] == [elsewhere]
    rig.do(ops.Complete(task_id=first.task_id, lease=first.lease))
    assert rig.claim("/a", recursive=True, worker="w3") == []
    rig.do(ops.Complete(task_id=behind, lease=f"{behind}.1.{rig.head(behind).nonce}"))
    assert [grant.task_id for grant in rig.claim("/a", recursive=True, limit=5, worker="w3")] == [exclusive]


def test_a_reservation_keeps_younger_askers_out(rig: Rig) -> None:
    rig.add("/a")
    rig.rules = Rules(reservations=(Reservation("/a", "", rig.time.at, "w1"),))
    rig.time.pass_(1)
    assert rig.claim("/a", worker="w2", since=rig.time.at) == []
    assert rig.claim("/a", worker="w2", since=rig.time.at - 2)


# Limits


def test_a_paused_directory_gives_nothing_and_what_is_below_neither(rig: Rig) -> None:
    for path in ("/a", "/a/b", "/c"):
        rig.add(path)
    rig.do(ops.SetDirectory(path="/a", paused=True, reason="night"))
    assert [rig.head(grant.task_id).path for grant in rig.claim("/", recursive=True, limit=5)] == ["/c"]
    rig.do(ops.SetDirectory(path="/a", paused=False))
    assert len(rig.claim("/", recursive=True, limit=5)) == 2


def test_a_pause_of_one_host_leaves_others_alone(rig: Rig) -> None:
    rig.add("/a")
    rig.do(ops.SetDirectory(path="/a", host="h1", paused=True))
    assert rig.claim("/a", host="h1") == []
    assert len(rig.claim("/a", host="h2")) == 1


@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "in-one-batch"])
def test_no_more_run_in_a_directory_than_its_limit(rig: Rig, together: bool) -> None:
    rig.do(ops.SetDirectory(path="/a", max_running=2))
    for path in ("/a", "/a/b", "/a/b/c", "/b"):
        rig.add(path)
    asked = [claim(interest("/", recursive=True), worker=f"w{n}") for n in range(4)]
    outcomes = rig.outcomes(*asked) if together else [rig.do(op) for op in asked]
    paths = [rig.head(one.task_id).path for outcome in outcomes if isinstance(outcome, Claimed) for one in outcome.grants]
    assert paths == ["/a", "/a/b", "/b"]
    grant = rig.heads()[1]
    rig.do(ops.Complete(task_id=1, lease=f"1.1.{grant.nonce}"))
    assert len(rig.claim("/", recursive=True, limit=5)) == 1
    rig.do(ops.SetDirectory(path="/a", max_running=None))


def test_no_more_run_at_all_than_the_server_takes(rig: Rig) -> None:
    rig.rules = Rules(max_running=2)
    for path in ("/a", "/b", "/c"):
        rig.add(path)
    outcomes = rig.outcomes(*(claim(interest("/", recursive=True), worker=f"w{n}") for n in range(3)))
    assert [(len(outcome.grants), outcome.full) for outcome in outcomes if isinstance(outcome, Claimed)] == [
        (1, False), (1, False), (0, True),
    ]  # fmt: skip


# The same poll again


def test_the_same_poll_gets_the_same_claim(rig: Rig) -> None:
    rig.add()
    rig.add()
    poll = claim(poll_id="p1")
    first = rig.do(poll)
    second = rig.do(poll)
    assert isinstance(first, Claimed)
    assert isinstance(second, Claimed)
    assert first.grants[0].lease == second.grants[0].lease
    assert [first.grants[0].delivery_no, second.grants[0].delivery_no] == [1, 2]
    assert len(rig.fetch("SELECT * FROM events WHERE type = 'task.claimed'")) == 1
    third, fourth = rig.outcomes(poll, poll)
    assert isinstance(third, Claimed)
    assert isinstance(fourth, Claimed)
    assert [third.grants[0].delivery_no, fourth.grants[0].delivery_no] == [3, 4]


def test_the_same_poll_twice_in_one_batch_claims_once(rig: Rig) -> None:
    rig.add()
    rig.add()
    first, second = rig.outcomes(claim(poll_id="p1"), claim(poll_id="p1"))
    assert isinstance(first, Claimed)
    assert isinstance(second, Claimed)
    assert first.grants[0].lease == second.grants[0].lease


@pytest.mark.parametrize(
    "other",
    [claim(interest("/b"), poll_id="p1"), claim(lease_ms=9_999, poll_id="p1"), claim(limit=2, poll_id="p1"),
     claim(interest(exclusive=True), poll_id="p1"), claim(confirm_ms=5, poll_id="p1")],
    ids=["path", "lease", "limit", "exclusive", "confirm"],
)  # fmt: skip
def test_the_same_poll_with_other_parameters_is_refused(rig: Rig, other: ops.Claim) -> None:
    rig.add()
    rig.add()
    rig.do(claim(poll_id="p1"))
    before = rig.dump()
    with pytest.raises(Conflict, match="poll_id"):
        rig.do(other)
    assert rig.dump() == before


def test_a_poll_is_of_its_worker_and_credential(rig: Rig) -> None:
    ids = [rig.add() for _ in range(3)]
    assert rig.take(poll_id="p1", worker="w1").task_id == ids[0]
    assert rig.take(poll_id="p1", worker="w2").task_id == ids[1]
    assert rig.take(poll_id="p1", worker="w1", by=Principal("other", OPEN.scopes)).task_id == ids[2]


def test_the_same_poll_after_the_lease_is_a_new_question(rig: Rig) -> None:
    ids = [rig.add(), rig.add()]
    first = rig.take(poll_id="p1")
    rig.do(ops.Complete(task_id=first.task_id, lease=first.lease))
    second = rig.take(poll_id="p1")
    assert [first.task_id, second.task_id] == ids


def test_a_late_hang_up_of_an_older_delivery_releases_nothing(rig: Rig) -> None:
    rig.add()
    first = rig.take(poll_id="p1")
    second = rig.take(poll_id="p1")
    rig.do(ops.Undeliver(task_id=first.task_id, lease=first.lease, delivery_no=first.delivery_no))
    assert rig.status(first.task_id) is Status.RUNNING
    rig.do(ops.Undeliver(task_id=first.task_id, lease=first.lease, delivery_no=second.delivery_no))
    assert rig.status(first.task_id) is Status.WAITING


def test_what_a_task_keeps_of_the_poll_that_got_it_is_short(rig: Rig) -> None:
    rig.add()
    rig.claim("/a", *(f"/{number:04}{'x' * 1000}" for number in range(99)), poll_id="🎲" * 255, worker="🎲" * 255)
    head = rig.head(1)
    assert max(map(len, (head.poll_key or "", head.poll_hash or ""))) == 64


def test_a_claim_below_many_directories_looks_into_few_of_them(embedded: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded.do(enqueue(*(new_task(f"/a/{n}", priority=n % 4) for n in range(200) for _ in range(2))))
    opened: list[Stream] = []
    stream = Transaction.stream

    def seen(self: Transaction, one: Stream, after: Place | None, limit: int) -> tuple[list[Head], bool]:
        opened.append(one)
        return stream(self, one, after, limit)

    monkeypatch.setattr(Transaction, "stream", seen)
    assert len(embedded.claim("/a", recursive=True, limit=3)) == 3
    assert len(set(opened)) <= 3
    taken = [embedded.take("/a", recursive=True).task_id for _ in range(100)]
    heads = embedded.heads()
    assert taken == sorted(taken, key=lambda task_id: (heads[task_id].rank, task_id))
