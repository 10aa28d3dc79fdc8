"""Who asks for work."""

from msgspec.structs import replace

from orchestrator.domain.operations import Interest
from orchestrator.domain.principal import OPEN, PathScope, Pattern
from orchestrator.queue.presence import UNSEEN_MS, Presence

ASK = Interest(
    paths=("/a",), recursive=False, kinds=(), tags=frozenset(), host="box", exclusive=False, principal=OPEN
)  # fmt: skip


def present(presence: Presence, now: int) -> list[str]:
    return [worker.worker_id for worker in presence.list(now)]


def test_an_asker_is_remembered_for_ten_minutes() -> None:
    presence = Presence()
    presence.seen("one", ASK, "team", 0)
    presence.seen("two", ASK, None, 1)
    assert present(presence, UNSEEN_MS) == ["one", "two"]
    assert present(presence, UNSEEN_MS + 1) == ["two"]
    assert presence.asks_for("/a", "", "agent", (), UNSEEN_MS + 1)
    assert not presence.asks_for("/a", "", "agent", (), UNSEEN_MS + 2)
    assert present(presence, UNSEEN_MS + 2) == []


def test_no_more_are_remembered_than_fit() -> None:
    presence = Presence(most=2)
    for at, name in enumerate(["one", "two", "three", "two"]):
        presence.seen(name, replace(ASK, host=name), None, at)
    assert present(presence, 9) == ["three", "two"]
    assert not presence.asks_for("/a", "one", "agent", ())


def test_held_polls_are_counted() -> None:
    presence = Presence(most=1)
    with presence.asking("one", ASK, None, 0), presence.asking("one", ASK, None, 0):
        assert [worker.polls for worker in presence.list()] == [2]
        presence.seen("two", ASK, None, 1)
    assert [worker.worker_id for worker in presence.list()] == ["two"]
    with presence.asking("two", ASK, None, 2):
        pass
    assert [worker.polls for worker in presence.list()] == [0]


def test_a_worker_may_ask_for_several_things() -> None:
    presence = Presence()
    for at in range(20):
        presence.seen("one", replace(ASK, paths=(f"/{at}",)), None, at)
    (worker,) = presence.list()
    assert worker.interest.paths == ("/19",)
    assert len(worker.asked) == 16
    assert presence.asks_for("/0", "", "agent", ())


def test_a_question_matches_as_a_claim_does() -> None:
    presence = Presence()
    below = PathScope((Pattern("/a", below=True),))
    presence.seen("one", replace(ASK, kinds=("agent",), tags=frozenset({"gpu"}), principal=replace(OPEN, paths=below)), None, 0)
    assert presence.asks_for("/a", "box", "agent", ("gpu", "fast"))
    assert not presence.asks_for("/a", "other", "agent", ("gpu",))
    assert not presence.asks_for("/a", "box", "script", ("gpu",))
    assert not presence.asks_for("/a", "box", "agent", ())
    assert not presence.asks_for("/a/b", "box", "agent", ("gpu",))
    presence.seen("two", replace(ASK, recursive=True, principal=replace(OPEN, paths=below)), None, 0)
    presence.seen("all", replace(ASK, paths=("/",), recursive=True, principal=replace(OPEN, paths=below)), None, 0)
    assert presence.asks_for("/a/b", "", "script", ())
    assert not presence.asks_for("/b", "", "script", ())
