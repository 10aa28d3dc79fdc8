"""The waiting room and the memory of askers, without a store."""

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed, Freed, Grant, Ready, Resumed
from orchestrator.domain.principal import OPEN
from orchestrator.queue.asking import Asking
from orchestrator.queue.waiting import Poll, WaitingRoom
from tests.rig import claim, interest

NOTHING = Claimed([])
HELD = Claimed([], held_at="/a", leased_at="/a")
NO_QUOTA = Claimed([], quota=True)


class Room:
    """A waiting room that notes who is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.polls: dict[str, Poll] = {}
        self.room = WaitingRoom(self._ask)

    def _ask(self, poll: Poll) -> None:
        op = poll.submission.op
        assert isinstance(op, ops.Claim)
        self.asked.append(op.worker_id)

    def park(self, worker: str, wanted: ops.Interest, outcome: Claimed = NOTHING, since: int | None = None) -> None:
        since = len(self.polls) + 1 if since is None else since
        op = claim(wanted, worker, since=since, account=f"account of {worker[0]}")
        self.polls[worker] = self.room.park(ops.Submission(op, OPEN), outcome)

    def come_back(self, worker: str, outcome: Claimed = NOTHING, taken: tuple[int, ...] = ()) -> None:
        if outcome.grants:
            self.room.leave(self.polls[worker])
        self.room.returned(self.polls[worker], outcome, set(taken))

    def said(self) -> list[str]:
        asked, self.asked[:] = list(self.asked), []
        return asked


def ready(path: str = "/a", kind: str = "agent", tags: tuple[str, ...] = (), host: str = "", task_id: int = 1) -> Ready:
    return Ready(task_id, path, host, kind, tags)


def got(task_id: int) -> Claimed:
    return Claimed([Grant(task_id, f"{task_id}.1.a", 1)])


def test_only_a_claim_is_parked() -> None:
    with pytest.raises(TypeError):
        WaitingRoom(lambda _: None).park(ops.Submission(ops.Tick(), OPEN), NOTHING)


def test_the_oldest_of_those_who_match_is_asked() -> None:
    room = Room()
    room.park("elsewhere", interest("/b"))
    room.park("kind", interest("/a", kinds=["script"]))
    room.park("tag", interest("/a", tags=["gpu"]))
    room.park("above", interest("/"))
    room.park("recursive", interest("/", recursive=True))
    room.park("exact", interest("/a"))
    room.room.wake(ready())
    assert room.said() == ["recursive"]
    room.room.wake(ready(kind="script"))
    assert room.said() == ["kind"]
    room.room.wake(ready(tags=("gpu", "x"), host="h1"))
    assert room.said() == []


def test_a_baton_goes_from_interest_to_interest_until_the_task_is_taken() -> None:
    room = Room()
    for worker, wanted in (
        ("one", interest("/a")),
        ("same", interest("/a")),
        ("two", interest("/a", "/b")),
        ("three", interest("/", recursive=True)),
    ):
        room.park(worker, wanted)
    room.room.wake(ready())
    assert room.said() == ["one"]
    room.come_back("one")
    assert room.said() == ["two"]
    room.come_back("two")
    assert room.said() == ["three"]
    room.come_back("three", got(1), taken=(1,))
    assert room.said() == []
    assert room.room.size == 3


def test_who_got_another_task_hands_on_within_its_own_interest() -> None:
    room = Room()
    room.park("one", interest("/a"))
    room.park("same", interest("/a"))
    room.room.wake(ready(task_id=1))
    room.come_back("one", got(7), taken=(7,))
    assert room.said() == ["one", "same"]


def test_who_is_asking_already_takes_the_baton_along() -> None:
    room = Room()
    room.park("one", interest("/a"))
    room.park("other", interest("/a", kinds=["agent"]))
    room.room.wake(ready(task_id=1))
    room.room.wake(ready(task_id=2))
    assert room.said() == ["one", "other"]
    room.room.wake(ready(task_id=3))
    assert room.said() == []
    room.come_back("one", got(1), taken=(1, 2))
    room.come_back("other", got(2), taken=(1, 2))
    assert room.room.size == 0


def test_what_is_freed_wakes_only_whom_something_was_kept_from() -> None:
    room = Room()
    room.park("idle", interest("/a"))
    room.park("above", interest("/", recursive=True), HELD)
    room.park("below", interest("/a/b"), HELD)
    room.park("beside", interest("/c"), HELD)
    room.room.wake(Freed("/a"))
    assert room.said() == ["above"]
    room.come_back("above", HELD)
    assert room.said() == ["below"]
    room.come_back("below")
    assert room.said() == []
    room.room.wake(Freed(None))
    assert room.said() == ["above"]


def test_a_grant_does_not_tell_of_what_was_kept_back() -> None:
    """An urgent task came first in the order, so the claim never got to look at the one that is kept back."""
    room = Room()
    room.park("one", interest("/", recursive=True), HELD)
    room.park("two", interest("/", recursive=True), HELD)
    room.room.wake(ready("/b", task_id=1))
    room.come_back("one", got(1), taken=(1,))
    room.said()
    room.room.wake(Freed("/a"))
    assert room.said() == ["two"]


def test_who_leaves_is_not_asked() -> None:
    room = Room()
    room.park("one", interest("/a"))
    room.park("two", interest("/a"))
    room.room.leave(room.polls["one"])
    room.room.leave(room.polls["one"])
    room.room.wake(ready())
    assert room.said() == ["two"]
    room.room.leave(room.polls["two"])
    room.come_back("two")
    assert room.said() == []
    assert (room.room.size, room.room._groups, room.room._at, room.room._paths) == (0, {}, {}, [])


def test_nobody_is_asked_while_the_server_drains() -> None:
    room = Room()
    room.park("one", interest("/a"))
    room.room.closed = True
    room.room.wake(ready())
    assert room.said() == []


def test_a_reservation_begins_with_patience_and_ends_with_who_held_it() -> None:
    room = Room()
    room.park("exclusive", interest("/a", exclusive=True), HELD, since=1_000)
    room.park("young", interest("/a", exclusive=True), HELD, since=5_000)
    room.park("shared", interest("/a/b"), HELD, since=2_000)
    room.park("paused", interest("/a/c", exclusive=True), Claimed([], held_at="/a/c"), since=1)
    assert room.room.reservations(1_000 + 29_999, 30_000) == ()
    (reserved,) = room.room.reservations(1_000 + 30_000, 30_000)
    assert (reserved.path, reserved.since, reserved.worker_id) == ("/a", 1_000, "exclusive")
    room.room.leave(room.polls["exclusive"])
    assert room.said() == []
    room.room.settled()
    assert room.said() == ["paused"]


def test_a_directory_that_is_named_twice_is_left_once() -> None:
    room = Room()
    room.park("one", interest("/a", "/a"))
    room.room.leave(room.polls["one"])
    assert (room.room.size, room.room._at, room.room._paths) == (0, {}, [])


def test_exclusive_askers_remember_when_they_began() -> None:
    asking = Asking()
    patient, shared = claim(interest("/a", exclusive=True)), claim(interest("/a"))
    assert asking.since(shared, 5).since == 5
    assert asking.since(patient, 10).since == 10
    assert asking.since(patient, 60_010).since == 10
    assert asking.since(patient, 120_011).since == 120_011
    asking.got(patient)
    assert asking.since(patient, 120_012).since == 120_012


def test_no_more_askers_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.queue.asking._MOST", 2)
    asking = Asking()
    asks = [claim(interest("/a", exclusive=True), f"w{n}") for n in range(3)]
    for op in asks:
        asking.since(op, 1)
    assert [asking.since(op, 9).since for op in reversed(asks)] == [1, 1, 9]


# Accounts without quota: the first letter of a worker's name tells whose it is


def test_who_has_no_quota_is_not_asked_and_others_stand_in_for_nobody() -> None:
    room = Room()
    room.park("m1", interest("/a"), NO_QUOTA)
    room.park("x1", interest("/a"))
    room.room.wake(ready())
    assert room.said() == ["x1"]
    room.come_back("x1")
    assert room.said() == []
    assert room.room.rests


def test_a_wake_goes_on_to_who_asks_for_the_same_with_another_account() -> None:
    room = Room()
    for worker in ("m1", "m2", "x1"):
        room.park(worker, interest("/a"))
    room.room.wake(ready())
    assert room.said() == ["m1"]
    room.come_back("m1", NO_QUOTA)
    assert room.said() == ["m2"]
    room.come_back("m2", NO_QUOTA)
    assert room.said() == ["x1"]
    room.come_back("x1", got(1), (1,))
    assert room.said() == []
    room.room.wake(ready(task_id=2))
    assert room.said() == []


def test_they_are_asked_one_after_the_other_when_the_quota_is_back() -> None:
    room = Room()
    room.park("m1", interest("/a"), NO_QUOTA)
    room.park("m2", interest("/a"), NO_QUOTA)
    room.park("m3", interest("/b"), NO_QUOTA)
    room.park("o1", interest("/a"), NO_QUOTA)
    room.room.wake(Resumed("**", "account of m"))
    assert room.said() == ["m1"]
    room.come_back("m1", got(1), (1,))
    assert room.said() == ["m2"]
    room.come_back("m2")
    assert room.said() == ["m3"]
    room.come_back("m3")
    assert room.said() == []
    room.room.wake(ready())
    assert room.said() == ["m2"]
    room.room.leave(room.polls["m2"])
    room.room.leave(room.polls["m3"])
    assert room.room.rests
    room.room.leave(room.polls["o1"])
    assert not room.room.rests


def test_an_account_that_has_none_again_rests_on() -> None:
    room = Room()
    room.park("m1", interest("/a"), NO_QUOTA)
    room.room.wake(Resumed("**", "account of m"))
    assert room.said() == ["m1"]
    room.come_back("m1", NO_QUOTA)
    room.room.wake(ready())
    assert room.said() == []
    room.room.wake(Resumed("elsewhere", "account of m"))
    assert room.said() == []


def test_what_one_without_quota_reserved_is_free_for_others() -> None:
    room = Room()
    wanted = interest("/a", exclusive=True)
    room.park("m1", wanted, HELD)
    room.park("x1", interest("/a"), HELD)
    room.room.wake(Freed("/a"))
    assert room.said() == ["m1"]
    room.come_back("m1", NO_QUOTA)
    assert room.said() == ["x1"]
    room.come_back("x1", HELD)
    room.room.settled()
    assert room.said() == ["x1"]
    assert room.room.reservations(10**6, 0) == ()


def test_a_drained_worker_hands_on_what_it_was_woken_for() -> None:
    room = Room()
    room.park("m1", interest("/a"))
    room.park("x1", interest("/a"))
    room.room.wake(ready())
    assert room.said() == ["m1"]
    room.room.leave(room.polls["m1"])
    room.come_back("m1", Claimed([], drain=True))
    assert room.said() == ["x1"]
