"""What the server tells a worker besides tasks: to park, to drain; and what a runner tells it: that it can't work."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.peer import Reply
from tests.unit.worker_client.stage import HandClock, on_stage, script
from worker_client import asking
from worker_client.contract.reports import Usage
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Done, Failed, Outcome, Parked, Released


async def told_to_park(tmp_path: Path, work: Any, *, reason: str = "budget of the day: $5") -> tuple[str, dict[str, Any]]:
    async with on_stage(tmp_path, lambda worker: worker.handler("agent")(work)) as stage:
        stage.queue.add(7, tmp_path, kind="agent")
        await stage.queue.until(lambda: stage.queue.text(7))
        stage.queue.park(7, reason)
        return await stage.end_of(7)


def test_a_used_up_budget_ends_the_work_softly_and_keeps_the_session(tmp_path: Path) -> None:
    seen: list[str | None] = []

    async def work(context: RunContext) -> None:
        context.set_session("s-1", "claude")
        context.used(Usage(cost_usd=4.0))
        context.used(Usage(cost_usd=5.5))
        context.log("begun")
        try:
            await asyncio.sleep(100)
        finally:
            seen.append(context.stopping)

    assert asyncio.run(told_to_park(tmp_path, work)) == (
        "park",
        {
            "lease": "7.1.ab",
            "reason": "budget",
            "message": "budget of the day: $5",
            "session_id": "s-1",
            "agent": "claude",
            "usage": {"cost_usd": 5.5},
        },
    )
    assert seen == ["parked"]


@pytest.mark.parametrize(
    ("outcome", "verb"),
    [(Done("finished"), "complete"), (Parked(question="Which?"), "park"), (Released("no"), "release"), (None, "complete")],
)
def test_what_ended_by_itself_meanwhile_is_reported_as_it_is(tmp_path: Path, outcome: Outcome | None, verb: str) -> None:
    async def work(context: RunContext) -> Outcome | None:
        context.log("begun")
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return outcome
        return None

    ended, body = asyncio.run(told_to_park(tmp_path, work))
    assert ended == verb
    assert body.get("reason", "question") != "budget"


def test_a_stopped_attempt_leaves_its_evidence_and_usage(tmp_path: Path) -> None:
    async def work(context: RunContext) -> Failed:
        context.log("begun")
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(100)
        return Failed(message="SIGTERM", evidence={"outcome": "killed"}, usage=Usage(input_tokens=7))

    ended, body = asyncio.run(told_to_park(tmp_path, work))
    assert (ended, body["reason"], body["evidence"], body["usage"]) == (
        "park",
        "budget",
        {"outcome": "killed"},
        {"input_tokens": 7},
    )

    async def timeout() -> tuple[str, dict[str, Any]]:
        async with on_stage(tmp_path, lambda worker: worker.handler("agent")(work)) as stage:
            stage.queue.add(7, tmp_path, kind="agent", timeout_seconds=1)
            return await stage.end_of(7)

    ended, body = asyncio.run(timeout())
    assert (ended, body["error"]["type"], body["evidence"]) == ("fail", "Timeout", {"outcome": "killed"})


def test_a_task_whose_budget_is_used_up_before_it_begins(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.park(7, "nothing left today")
            stage.queue.add(7, tmp_path, **script("touch ran"))
            verb, body = await stage.end_of(7)
            assert (verb, body["reason"], body["message"]) == ("park", "budget", "nothing left today")
            assert not (tmp_path / "ran").exists()

    asyncio.run(scenario())


@pytest.mark.parametrize("held", [True, False], ids=["in a heartbeat", "in the answer to a claim"])
def test_the_server_drains_a_worker(tmp_path: Path, held: bool) -> None:
    """Said again and again, it still lets the task end."""

    async def scenario() -> None:
        clock = HandClock()
        async with on_stage(tmp_path, clock=clock, lease_seconds=600, drain_seconds=60, concurrency=1 if held else 2) as stage:
            stage.queue.add(7, tmp_path, **script("echo begun; while [ ! -e go ]; do sleep 0.02; done"))
            await stage.queue.until(lambda: stage.queue.text(7))
            stage.queue.drains = True
            beats = len(stage.queue.beats[7])
            async with asyncio.timeout(30):
                while len(stage.queue.beats[7]) <= beats:
                    await asyncio.sleep(0.05)
                    clock.advance(1)
            polls = len(stage.queue.polls)
            (tmp_path / "go").touch()
            assert (await stage.end_of(7))[0] == "complete"
            await stage.serving
            assert len(stage.queue.polls) == polls

    asyncio.run(scenario())


def test_who_can_not_work_gives_back_and_asks_for_nothing_more(tmp_path: Path) -> None:
    async def work(context: RunContext) -> Released:
        return Released("claude is not logged in: run `claude login`", stop=True)

    async def scenario() -> None:
        async with on_stage(tmp_path, lambda worker: worker.handler("agent")(work), concurrency=3) as stage:
            stage.queue.add(7, tmp_path, kind="agent")
            verb, body = await stage.end_of(7)
            assert (verb, body["reason"]) == ("release", "claude is not logged in: run `claude login`")
            stage.queue.add(8, tmp_path, kind="agent")
            await stage.serving
            assert stage.worker.unable == "claude is not logged in: run `claude login`"
            assert list(stage.queue.beats) == [7]

    asyncio.run(scenario())


def test_what_a_question_says_of_who_asks(tmp_path: Path) -> None:
    async def scenario() -> None:
        options: dict[str, Any] = {"agent": "claude", "account": "claude:me@here", "exclusive": True}
        async with on_stage(tmp_path, **options) as stage:
            await stage.queue.until(lambda: stage.queue.polls)
            assert options.items() <= stage.queue.polls[0].items()
        async with on_stage(tmp_path) as stage:
            await stage.queue.until(lambda: stage.queue.polls)
            assert not options.keys() & stage.queue.polls[0].keys()

    asyncio.run(scenario())


def test_a_server_that_holds_no_question_is_not_asked_in_a_circle(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.answer_claim = lambda _: Reply(data={"tasks": []})
            await stage.queue.until(lambda: stage.queue.polls)
            await asyncio.sleep(0.5)
            assert len(stage.queue.polls) == 1
            stage.queue.answer_claim = None
            stage.queue.add(7, tmp_path, **script("true"))
            assert (await stage.end_of(7))[0] == "complete"

    asyncio.run(scenario())


def test_a_poll_that_died_with_the_connection_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a suspension no answer comes, and no timer has counted the time."""
    monkeypatch.setattr(asking, "LOOK_SECONDS", 0.1)

    async def scenario() -> None:
        clock = HandClock()
        async with on_stage(tmp_path, clock=clock, poll_seconds=30) as stage:
            await stage.queue.until(lambda: stage.queue.polls)
            clock.advance(7200)
            while len(stage.queue.polls) < 2:
                await asyncio.sleep(0.05)
                clock.advance(1)
            stage.queue.add(7, tmp_path, **script("true"))
            assert (await stage.end_of(7))[0] == "complete"
            assert len({poll["poll_id"] for poll in stage.queue.polls[:2]}) == 1
            assert len(stage.queue.polls) <= 4, "it asks in no hot loop"

    asyncio.run(scenario())


def test_a_server_that_no_longer_gives_tasks_is_told_in_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path, poll_seconds=0.1) as stage:
            stage.queue.add(7, tmp_path, **script("true"))
            await stage.end_of(7)
            stage.queue.answer_claim = lambda _: Reply(401, error=("UNAUTHORIZED", "there are keys now", {}))
            async with asyncio.timeout(10):
                while "refuses" not in caplog.text:  # noqa: ASYNC110  it's said in a thread of the worker's
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())
    (said,) = (record for record in caplog.records if "refuses" in record.getMessage())
    assert said.getMessage() == "the server refuses to give tasks: there are keys now"
    assert said.exc_info is None, "it says itself what to do"
