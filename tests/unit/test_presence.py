"""Who asks for work."""

from msgspec.structs import replace

from orchestrator.domain.operations import Interest
from orchestrator.domain.principal import OPEN, PathScope, Pattern
from orchestrator.queue.presence import HELD_MS, REFRESH_MS, UNSEEN_MS, Presence

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


def test_no_more_is_remembered_of_what_is_asked_for_than_fits() -> None:
    presence = Presence(text=20)
    long = replace(ASK, paths=("/" + "x" * 9,))
    for at, name in enumerate(["one", "two", "one", "two"]):
        presence.seen(name, long, None, at)
    presence.seen("one", replace(long, host="other"), None, 4)
    assert present(presence, 9) == ["one"]
    presence.seen("three", ASK, None, 9)
    assert present(presence, 9) == ["three"]
    assert [presence.asks_for(path, host, "agent", ()) for path, host in (("/a", "box"), (*long.paths, "box"))] == [True, False]
    for at in range(10, 14):
        presence.seen("three", replace(long, host=f"{at}"), None, at)
    assert present(presence, 14) == ["three"]
    presence.seen("four", ASK, None, 15)
    assert present(presence, 15) == ["four"]


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


# Several servers


def test_the_others_are_told_what_is_new() -> None:
    presence = Presence()
    presence.seen("one", ASK, None, 0)
    assert [asker.worker_id for asker in presence.news()] == ["one"]
    presence.seen("one", ASK, None, REFRESH_MS - 1)
    assert presence.news() == []
    presence.seen("one", ASK, None, REFRESH_MS + 1_000)
    assert len(presence.news()) == 1
    with presence.asking("one", ASK, None, REFRESH_MS + 2_000):
        assert len(presence.news()) == 1
    assert len(presence.news()) == 1
    presence.seen("one", replace(ASK, host="other"), None, REFRESH_MS + 3_000)
    assert len(presence.news()) == 1
    presence.untold()
    assert len(presence.news()) == 1
    assert present(presence, 2 * UNSEEN_MS) == []
    assert presence.news() == []


def test_who_asks_elsewhere_is_known_here() -> None:
    here, there = Presence(), Presence()
    wide = replace(ASK, paths=("/", "/x"), recursive=True, kinds=("agent",), tags=frozenset({"gpu"}))
    there.seen("one", ASK, "old", 0)
    there.seen("one", wide, "team", 5_000)
    here.heard(there.news(), 6_000)
    (worker,) = here.list(6_000)
    assert (worker.account, worker.interest, worker.seen_at, worker.polling) == ("team", wide, 5_000, False)
    assert worker.asked == {ASK: 0, wide: 5_000}
    assert here.asks_for("/a", "", "script", (), 6_000)
    assert here.asks_for("/d", "", "agent", ("gpu",), 6_000)
    assert not here.asks_for("/d", "", "script", ("gpu",), 6_000)
    assert here.news() == []


def test_the_newest_question_counts_and_a_poll_held_anywhere() -> None:
    here, there, elsewhere = Presence(), Presence(), Presence()
    here.seen("one", replace(ASK, host="first"), None, 0)
    with there.asking("one", replace(ASK, host="second"), None, 2_000):
        elsewhere.seen("one", replace(ASK, host="third"), None, 3_000)
        here.heard([*there.news(), *elsewhere.news()], 4_000)
        (worker,) = here.list(4_000)
        assert (worker.interest.host, worker.polling, worker.polls) == ("third", True, 0)
        with here.asking("one", ASK, None, 5_000):
            (worker,) = here.list(5_000)
            assert (worker.interest.host, worker.polls, worker.elsewhere) == ("box", 1, True)
            assert {interest.host for interest in worker.asked} == {"first", "second", "third", "box"}
    here.heard(there.news(), 6_000)
    assert not here.list(6_000)[0].polling


def test_a_server_that_is_gone_holds_no_polls() -> None:
    here, there = Presence(), Presence()
    with there.asking("one", ASK, None, 0):
        told = there.news()
    here.heard(told, HELD_MS - 1)
    assert here.list(HELD_MS)[0].polling
    here.heard([], HELD_MS)
    assert not here.list(HELD_MS)[0].polling
    here.heard(told, HELD_MS)
    assert not here.list(HELD_MS)[0].polling


def test_who_was_told_of_is_forgotten_in_time() -> None:
    here, there = Presence(), Presence()
    there.seen("one", ASK, None, 0)
    here.seen("here", replace(ASK, host="mine"), None, 60_000)
    here.heard(there.news(), 60_000)
    assert here.asks_for("/a", "box", "agent", (), UNSEEN_MS)
    assert present(here, UNSEEN_MS) == ["here", "one"]
    assert not here.asks_for("/a", "box", "agent", (), UNSEEN_MS + 1)
    assert present(here, UNSEEN_MS + 1) == ["here"]
    here.heard([], UNSEEN_MS + 1)
    assert here._elsewhere == {}
