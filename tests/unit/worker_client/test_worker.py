"""The life of a worker, against a peer that plays the server, with real programs and a clock of the test's own."""

import asyncio
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.peer import Reply, lost
from tests.unit.worker_client.stage import HandClock, on_stage, script
from worker_client.errors import ConfigurationError, Forbidden, ServerUnreachable
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Done, Failed, Outcome, Parked
from worker_client.runners.script import ScriptRunner
from worker_client.worker import Worker


def test_a_cancel_is_obeyed_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("echo begun; sleep 100"))
            await stage.queue.until(lambda: "begun" in stage.queue.text(7))
            stage.queue.cancel(7)
            assert (await stage.end_of(7)) == ("release", {"lease": "7.1.ab", "reason": "cancelled on request"})

    asyncio.run(scenario())


def test_a_lost_lease_stops_the_work_and_reports_nothing(tmp_path: Path) -> None:
    stopped = asyncio.Event()

    async def work(context: RunContext) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            assert context.grace == 0
            stopped.set()

    async def scenario() -> None:
        async with on_stage(tmp_path, lambda worker: worker.handler("sleep")(work)) as stage:
            stage.queue.add(7, tmp_path, kind="sleep")
            await stage.queue.until(lambda: len(stage.queue.beats.get(7, [])) == 2)
            stage.queue.refuses[7] = lost("reclaimed")
            await asyncio.wait_for(stopped.wait(), 5)
            stage.queue.add(8, tmp_path, **script("true"))
            assert (await stage.end_of(8))[0] == "complete"
            assert 7 not in stage.queue.ends

    asyncio.run(scenario())


def test_after_a_suspension_the_work_ends_before_anything_else(tmp_path: Path) -> None:
    """The lease ran out while nobody counted: the program is gone though the server can't be asked."""
    clock = HandClock()

    async def scenario() -> None:
        async with on_stage(tmp_path, clock=clock, lease_seconds=60) as stage:
            stage.queue.add(7, tmp_path, **script("echo $$ > pid; echo begun; trap '' TERM; while :; do sleep 1; done"))
            await stage.queue.until(lambda: "begun" in stage.queue.text(7))
            pid = int((tmp_path / "pid").read_text())
            stage.queue.silent = True
            clock.advance(49)
            await asyncio.sleep(0)
            os.kill(pid, 0)
            clock.advance(3600)
            with suppress(ProcessLookupError):
                async with asyncio.timeout(10):
                    while True:
                        os.kill(pid, 0)
                        await asyncio.sleep(0.01)
            assert 7 not in stage.queue.ends

    asyncio.run(scenario())


def test_heartbeats_that_get_through_keep_the_work_alive(tmp_path: Path) -> None:
    """The lease lasts far shorter than the work."""

    async def scenario() -> None:
        async with on_stage(tmp_path, lease_seconds=1.2) as stage:
            stage.queue.add(7, tmp_path, **script("sleep 2; echo done"))
            assert (await stage.end_of(7))[0] == "complete"
            waits = [beat.get("wait", 0) for beat in stage.queue.beats[7]]
            assert waits[0] == 0, "the first one confirms the claim, before the work begins"
            assert waits[1] == pytest.approx(0.4)
            assert len(waits) >= 4

    asyncio.run(scenario())


def test_a_task_that_takes_too_long(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("sleep 100"), timeout_seconds=1)
            verb, body = await stage.end_of(7)
            assert (verb, body["error"]["type"]) == ("fail", "Timeout")

    asyncio.run(scenario())


def test_draining_lets_work_end_then_gives_back(tmp_path: Path) -> None:
    clock = HandClock()

    async def scenario() -> None:
        async with on_stage(tmp_path, clock=clock, concurrency=2, drain_seconds=30, lease_seconds=600) as stage:
            stage.queue.add(1, tmp_path, **script("echo begun; while [ ! -e go ]; do sleep 0.05; done"))
            stage.queue.add(2, tmp_path, **script("echo begun; sleep 100"))
            await stage.queue.until(lambda: stage.queue.text(1) and stage.queue.text(2))
            stage.worker.drain()
            (tmp_path / "go").touch()
            assert (await stage.end_of(1))[0] == "complete"
            assert 2 not in stage.queue.ends
            clock.advance(31)
            assert (await stage.end_of(2)) == ("release", {"lease": "2.1.ab", "reason": "the worker is shutting down"})
            await stage.serving

    asyncio.run(scenario())


def test_told_a_second_time_it_gives_back_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("trap '' TERM; echo begun; while :; do sleep 1; done"))
            await stage.queue.until(lambda: stage.queue.text(7))
            stage.worker.drain()
            stage.worker.drain()
            assert (await stage.end_of(7))[0] == "release"

    asyncio.run(scenario())


def test_handlers(tmp_path: Path) -> None:
    def register(worker: Worker) -> None:
        @worker.handler("sync")
        def sync(context: RunContext) -> dict[str, Any]:
            context.log("from a thread\nsecond line")
            context.progress(50, "half")
            context.set_session("s-1")
            context.checkpoint({"at": 1})
            return {"thread": threading.current_thread() is not threading.main_thread()}

        @worker.handler("async")
        async def coroutine(context: RunContext) -> Failed:
            return Failed(type="Nope", message=context.task.prompt or "", retryable=False)

        @worker.handler("raises")
        def raises(context: RunContext) -> None:
            raise KeyError("missing")

        @worker.handler("parks")
        async def parks(context: RunContext) -> Parked:
            return Parked(question="Which one?", options=["a", "b"])

        @worker.handler("odd")
        async def odd(context: RunContext) -> object:
            return object()

    async def scenario() -> None:
        async with on_stage(tmp_path, register, concurrency=5) as stage:
            for number, kind in enumerate(("sync", "async", "raises", "parks", "odd"), 1):
                stage.queue.add(number, tmp_path, kind=kind, prompt="because")
            assert await stage.end_of(1) == ("complete", {"lease": "1.1.ab", "result": {"thread": True}})
            assert stage.queue.text(1) == "from a thread\nsecond line\n"
            told: dict[str, Any] = {}
            for beat in stage.queue.beats[1]:
                told.update(beat)
            assert told["progress"] == {"percent": 50, "message": "half"}
            assert (told["session_id"], told["checkpoint"]) == ("s-1", {"at": 1})
            verb, body = await stage.end_of(2)
            assert (verb, body["error"], body["retryable"]) == ("fail", {"type": "Nope", "message": "because"}, False)
            assert (await stage.end_of(3))[1]["error"] == {"type": "KeyError", "message": "'missing'"}
            assert (await stage.end_of(4)) == ("park", {"lease": "4.1.ab", "question": "Which one?", "options": ["a", "b"]})
            verb, body = await stage.end_of(5)
            assert (verb, body["error"]["type"]) == ("fail", "ReportRefused")

    asyncio.run(scenario())


def test_a_thread_is_waited_for_when_its_task_is_cancelled(tmp_path: Path) -> None:
    def work(context: RunContext) -> str:
        context.log("begun")
        return "stopped" if context.cancelled.wait(10) else "never told"

    async def scenario() -> None:
        async with on_stage(tmp_path, lambda worker: worker.handler("thread")(work)) as stage:
            stage.queue.add(7, tmp_path, kind="thread")
            await stage.queue.until(lambda: stage.queue.text(7))
            stage.queue.cancel(7)
            assert await stage.end_of(7) == ("complete", {"lease": "7.1.ab", "result": "stopped"})

    asyncio.run(scenario())


def test_what_it_must_not_run_it_gives_back(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for directory in (mine, other):
        directory.mkdir()
    (mine / "link").symlink_to(other)

    async def scenario() -> None:
        clock = HandClock()
        async with on_stage(mine, clock=clock, lease_seconds=600) as stage:
            refused = {1: other, 2: mine / "link", 3: mine / "missing", 4: mine}
            for number, directory in refused.items():
                stage.queue.add(number, directory, **(script("true") if number != 4 else {"kind": "agent"}))
                verb, body = await stage.end_of(number)
                assert (verb, bool(body["reason"])) == ("release", True)
                assert number not in stage.queue.beats, "given back unused"
                polls = len(stage.queue.polls)
                await asyncio.sleep(0.05)
                assert len(stage.queue.polls) == polls, "it does not ask again at once"
                clock.advance(31)

    asyncio.run(scenario())


def test_a_question_without_an_answer_is_asked_again_unchanged(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = HandClock()
        async with on_stage(tmp_path, clock=clock) as stage:
            stage.queue.answer_claim = lambda _: None
            await stage.queue.until(lambda: len(stage.queue.polls) >= 1)
            stage.queue.answer_claim = None
            stage.queue.add(7, tmp_path, **script("true"))
            while len(stage.queue.polls) <= 1:
                clock.advance(5)
                await asyncio.sleep(0.01)
            assert (await stage.end_of(7))[0] == "complete"
            asked = [poll["poll_id"] for poll in stage.queue.polls]
            assert len(set(asked[:2])) == 1

    asyncio.run(scenario())


def test_who_is_to_end_ends_when_no_server_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = HandClock()
        worker = Worker("http://127.0.0.1:1", directories=[tmp_path], runners=[ScriptRunner()], until_idle=True, clock=clock)
        serving = asyncio.create_task(worker.serve())
        while not serving.done():
            clock.advance(30)
            await asyncio.sleep(0.01)
        with pytest.raises(ServerUnreachable, match="is `orchestrator serve` running there"):
            await serving

    asyncio.run(scenario())


def test_until_idle_and_so_many_tasks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path, concurrency=2, until_idle=True) as stage:
            for number in (1, 2, 3):
                stage.queue.add(number, tmp_path, **script("true"))
            await stage.serving
            assert set(stage.queue.ends) == {1, 2, 3}
        async with on_stage(tmp_path, concurrency=2, max_tasks=3) as stage:
            for number in (1, 2, 3, 4):
                stage.queue.add(number, tmp_path, **script("true"))
            await stage.serving
            assert len(stage.queue.ends) == 3

    asyncio.run(scenario())


def test_a_worker_that_can_not_work_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no directory"):
        asyncio.run(Worker(directories=[tmp_path / "missing"], runners=[ScriptRunner()]).serve())
    with pytest.raises(ConfigurationError, match="at least one directory"):
        asyncio.run(Worker(directories=[], runners=[ScriptRunner()]).serve())
    with pytest.raises(ConfigurationError, match="no runner"):
        asyncio.run(Worker(directories=[tmp_path]).serve())
    with pytest.raises(ConfigurationError, match="allowed paths"):
        asyncio.run(Worker(directories=[tmp_path], fence=[tmp_path / ".." / "else"], kinds=["x"], runners=[_Any("x")]).serve())
    with pytest.raises(ConfigurationError, match="at least one task"):
        Worker(directories=[tmp_path], concurrency=0)

    async def forbid() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.answer_claim = lambda _: Reply(403, error=("FORBIDDEN", "not there", {}))
            with pytest.raises(Forbidden):
                await stage.serving

    asyncio.run(forbid())


class _Any:
    needs_directory = False

    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def run(self, context: RunContext) -> Failed:
        return Failed(message=context.directory)


@pytest.mark.parametrize("refused", [False, True], ids=["no JSON", "refused"])
def test_news_that_can_not_be_told_cost_no_lease(tmp_path: Path, refused: bool) -> None:
    go_on = asyncio.Event()

    async def work(context: RunContext) -> str:
        context.checkpoint("too much" if refused else object())
        context.set_session("s-1")
        await go_on.wait()
        return "done"

    async def scenario() -> None:
        async with on_stage(tmp_path, lambda worker: worker.handler("odd")(work), lease_seconds=2) as stage:

            def told(body: dict[str, Any]) -> Reply | None:
                refusal = Reply(413, error=("PAYLOAD_TOO_LARGE", "the checkpoint is too large", {}))
                return refusal if "checkpoint" in body else None

            stage.queue.answer_beat = told
            stage.queue.add(7, tmp_path, kind="odd")
            await stage.queue.until(lambda: any(beat.get("session_id") for beat in stage.queue.beats.get(7, [])))
            kept = len(stage.queue.beats[7])
            await stage.queue.until(lambda: len(stage.queue.beats[7]) > kept)
            go_on.set()
            assert (await stage.end_of(7))[0] == "complete"

    asyncio.run(scenario())


def test_output_that_is_no_text_is_stored_all_the_same(tmp_path: Path) -> None:
    async def work(context: RunContext) -> None:
        context.log("a file called \udcff, or \0")

    async def scenario() -> None:
        async with on_stage(tmp_path, lambda worker: worker.handler("odd")(work)) as stage:
            stage.queue.add(7, tmp_path, kind="odd")
            assert (await stage.end_of(7))[0] == "complete"
            assert stage.queue.text(7) == "a file called ?, or \ufffd\n"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("outcome", "verb", "error"),
    [
        (Parked(question="Which?", evidence={"odd": object()}), "fail", {"type": "ReportRefused"}),
        (Failed(type="Mine", details={"odd": object()}), "fail", {"type": "ReportRefused"}),
        (Failed(type="Mine", message="no file \udcff"), "fail", {"type": "Mine", "message": "no file ?"}),
        (Done(evidence={"denials": ["é" * 500] * 100, "exit_code": 0}), "complete", None),
    ],
)
def test_an_end_that_can_not_be_reported_as_it_is(tmp_path: Path, outcome: Outcome, verb: str, error: dict[str, str]) -> None:
    """It is reported as well as it can be, and not left to the end of the lease."""

    async def work(context: RunContext) -> Outcome:
        return outcome

    async def scenario() -> None:
        async with on_stage(tmp_path, lambda worker: worker.handler("odd")(work)) as stage:
            stage.queue.add(7, tmp_path, kind="odd")
            told, body = await stage.end_of(7)
            assert told == verb
            if error:
                assert body["error"].items() >= error.items()
            else:
                assert body["evidence"] == {"exit_code": 0, "left_out": ["denials"]}

    asyncio.run(scenario())
