"""Advice from what real tasks leave behind, on every store."""

import json
from typing import Any

import msgspec
import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain import schedule_operations as schedules
from orchestrator.domain.advice.facts import Try
from orchestrator.domain.outcomes import Grant
from orchestrator.domain.principal import EVERYWHERE, PathScope, path_scope
from orchestrator.http.advising import of_all, of_task
from orchestrator.store.reads import advice as module
from orchestrator.store.reads.advice import beginning
from orchestrator.store.reads.conditions import ALWAYS, Condition
from tests.cron_rig import body
from tests.reading import read
from tests.rig import HOUR, MINUTE, Rig, interest
from tests.serving import Server
from worker_client.contract.advice import Advice, ListAdvice
from worker_client.contract.enums import LogStream

pytestmark = pytest.mark.anyio
DAY = 24 * HOUR
FAILED = {"type": "ExitCode", "message": "the command ended with exit code 127", "details": {"exit_code": 127}}


async def running(server: Server, path: str = "/a", lease_ms: int = MINUTE, **facts: Any) -> Grant:
    await server.add(path, kind="script", **facts)
    return await server.take(path, worker="w1", lease_ms=lease_ms)


async def lost(server: Server, path: str = "/a", **facts: Any) -> int:
    """A task whose worker has died; no longer after than a server may be busy."""
    grant = await running(server, path, lease_ms=2_000, max_attempts=1, **facts)
    server.time.pass_(3_000)
    await server.do(ops.Expire())
    return grant.task_id


async def log(server: Server, grant: Grant, *lines: str) -> None:
    said = tuple(ops.LogLine(text, LogStream.STDERR, None) for text in lines)
    await server.do(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=said))


async def fail(server: Server, grant: Grant, error: dict[str, Any] | None = None) -> None:
    await server.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error=json.dumps(error or FAILED), retryable=True))


async def complete(server: Server, grant: Grant, took: int = 1000, **facts: Any) -> None:
    server.time.pass_(took)
    await server.do(ops.Complete(task_id=grant.task_id, lease=grant.lease, **facts))


async def about(server: Server, task_id: int, visible: PathScope = EVERYWHERE) -> dict[str, Advice]:
    found = await of_task(server.queue, (await server.view(task_id)).head, visible)
    return {one.code: one for one in found.items}


async def whole(server: Server, visible: PathScope = EVERYWHERE, **query: Any) -> dict[str, Advice]:
    found = await of_all(server.queue, ListAdvice(**query), visible, server.store.wall())
    return {one.code: one for one in found}


async def test_why_a_task_failed_with_the_lines_that_say_so(server: Server) -> None:
    grant = await running(server, max_attempts=2)
    await log(server, grant, "No space left on device")
    await fail(server, grant)
    server.time.pass_(HOUR)
    await server.do(ops.Promote())
    again = await server.take("/a", worker="w2", lease_ms=60_000)
    await log(server, again, "$ pnpm test", "sh: 1: \x1b[31mpnpm\x1b[0m: not found")
    await fail(server, again)
    told = await about(server, grant.task_id)
    assert set(told) == {"command_not_found", "same_error"}
    missing = told["command_not_found"]
    assert (missing.message, missing.task_id, missing.work_directory) == ("The command pnpm was not found.", grant.task_id, "/a")
    assert [(one.line, one.text) for one in missing.evidence] == [(3, "sh: 1: pnpm: not found")]
    assert [one.attempt for one in told["same_error"].evidence] == [2, 1]


async def test_an_agent_that_is_not_let_in_gives_its_task_back(server: Server) -> None:
    grant = await running(server)
    reason = "claude isn't allowed to work: please log in"
    await server.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
    await server.do(ops.Release(task_id=grant.task_id, lease=grant.lease, reason=reason))
    told = await about(server, grant.task_id)
    assert {code: one.evidence[0].text for code, one in told.items()} == {"agent_auth": reason}


async def test_others_of_the_directory_say_more(server: Server) -> None:
    for _ in range(5):
        await complete(server, await running(server), 50 * MINUTE)
    slow = await running(server, max_attempts=1, timeout_ms=HOUR)
    await fail(server, slow, {"type": "Timeout", "message": "stopped: it was still running"})
    told = await about(server, slow.task_id)
    assert set(told) == {"timeout_short", "only_this"}
    assert told["timeout_short"].facts["longest_seconds"] == 3000
    elsewhere = await running(server, "/b", max_attempts=1, timeout_ms=HOUR)
    await fail(server, elsewhere, {"type": "Timeout"})
    assert set(await about(server, elsewhere.task_id)) == {"timed_out"}
    for _ in range(2):
        await fail(server, await running(server, "/b", max_attempts=1), {"type": "Timeout"})
    assert (await about(server, elsewhere.task_id))["others_fail"].facts["tasks"] == 2


async def test_a_lease_that_ran_out_names_its_worker(server: Server) -> None:
    assert (await about(server, await lost(server)))["lease_lost"].facts == {"times": 1, "workers": ["w1"]}


async def lonely(server: Server, path: str) -> None:
    """Work that nobody asks for, leases that are lost, questions, schedules that are due together: all in one directory."""
    for number in range(3):
        await lost(server, path, title=f"t{number}")
    asking = await running(server, path)
    await server.do(ops.Park(task_id=asking.task_id, lease=asking.lease, hold="question"))
    await server.add(path, kind="script", title="waits")
    for name in "xyz":
        work = {"work_directory": path, "prompt": "p"}
        await server.do(schedules.AddSchedule(body=body(name=f"{path}{name}", task=work), fires=False))
    server.time.pass_(5 * HOUR)
    await server.do(ops.Tick())


async def test_what_is_said_of_the_whole_and_to_whom(server: Server) -> None:
    await lonely(server, "/a/secret")
    everything = {"leases_lost", "unanswered", "nobody_asks", "schedules_collide_there"}
    assert set(await whole(server)) == everything
    for path in ("/a/secret", "/a"):
        assert set(await whole(server, work_path=[path], recursive=True)) == everything
    assert await whole(server, work_path=["/a"]) == {}
    assert set(await whole(server, code=["nobody_asks"])) == {"nobody_asks"}
    # A schedule is seen by whose credential made it: this one may everything, a limited one sees none of its.
    assert set(await whole(server, path_scope(["/a/secret"]))) == everything - {"schedules_collide_there"}
    assert await whole(server, path_scope(["/b/**"])) == {}
    assert await whole(server, PathScope(())) == {}


async def test_who_asks_is_known(server: Server) -> None:
    await server.add("/a")
    server.time.pass_(HOUR)
    await server.do(ops.Tick())
    assert set(await whole(server)) == {"nobody_asks"}
    server.queue.presence.seen("w", interest("/a"), None, server.queue.now())
    assert await whole(server) == {}


async def test_work_that_waits_for_a_limit(server: Server) -> None:
    await server.do(ops.SetDirectory(path="/a", max_running=1))
    for _ in range(20):
        await server.add("/a")
    for _ in range(20):
        await complete(server, await server.take("/a", lease_ms=HOUR), 100_000)
    told = (await whole(server))["waits_for_limit"]
    assert (told.facts["max_running"], told.facts["samples"], told.facts["runs_seconds"]) == (1, 20, 100)


async def test_costs_beside_what_is_usual(server: Server) -> None:
    for cost in [0.5] * 10 + [9.0]:
        await complete(server, await running(server), usage=msgspec.json.encode({"cost_usd": cost}).decode())
    told = await whole(server)
    assert told["cost_outlier"].facts["cost_usd"] == 9
    for _ in range(3):
        server.time.pass_(DAY)
        await complete(server, await running(server), usage='{"cost_usd": 1}')
    server.time.pass_(DAY)
    await complete(server, await running(server), usage='{"cost_usd": 90}')
    assert (await whole(server))["cost_rising"].facts == {"path": "/a", "today_usd": 90, "usual_usd": 4.25, "days": 4}


def test_the_title_of_a_task_that_has_moved_away_is_not_told_where_it_was(rig: Rig) -> None:
    rig.add("/a", title="ours", max_attempts=2)
    grant = rig.take("/a")
    rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error=json.dumps(FAILED), retryable=True))
    within = Condition("a.path = ?", ("/a",))

    def titles() -> list[str | None]:
        return [one.title for one in read(rig, rig.store.reads.latest_tries(rig.store.now(), within))[0]]

    assert titles() == ["ours"]
    rig.do(ops.Update(task_id=grant.task_id, path="/b", title="theirs"))
    assert titles() == [None]


def test_samples_are_of_the_last_day_and_the_week_before(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(24):
        grant = rig.running("/a")
        rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
        rig.time.pass_(9 * HOUR)
    rig.tick()

    def sampled() -> tuple[list[Try], list[Try]]:
        return read(rig, rig.store.reads.latest_tries(rig.store.now(), ALWAYS))

    recent, before = sampled()
    ages = [[(rig.store.now() - one.ended_at) // HOUR for one in some] for some in (recent, before)]
    assert ages == [[9, 18], list(range(27, 8 * 24 + 1, 9))]
    assert {one.waited_ms for one in recent} == {0}
    monkeypatch.setattr(module, "_SAMPLE", 1)
    assert [len(some) for some in sampled()] == [1, 1]
    rig.time.pass_(30 * DAY)
    rig.tick()
    assert sampled() == ([], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type":"Timeout","message":"it \\"hung\\"","details":{}}', ("Timeout", 'it "hung"')),
        ('{"type": "E", "message": "cut of', ("E", "cut of")),
        ('{"message":"only"}', ("Error", "only")), ('{"type":"E"}', ("E", "")), ("{}", ("Error", "")),
        (None, ("", "")), ("", ("", "")),
        ('{"type":"E","message":"half an escape \\u00', ("E", "half an escape \\u00")), ("[]", ("", "")),
    ],
)  # fmt: skip
def test_an_error_whose_end_is_cut_off(text: str | None, expected: tuple[str, str]) -> None:
    assert beginning(text) == expected
