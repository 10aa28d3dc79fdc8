"""What to change about the whole: each rule on facts that must and that must not make it speak."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.domain.advice.catalogue import OF_ALL
from orchestrator.domain.advice.directories import most_at_once
from orchestrator.domain.advice.facts import Question, Spending, Try, Waiting, WholeFacts
from orchestrator.domain.advice.spreading import with_minute
from orchestrator.domain.advice.trend import more
from orchestrator.domain.advice.whole import of_all
from orchestrator.domain.advice.words import duration
from orchestrator.domain.principal import path_scope
from orchestrator.domain.records import Schedule
from worker_client.contract.advice import Advice
from worker_client.contract.enums import AttemptOutcome

NOW = 1_800_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


def ran(task_id: int, *, failed: bool = False, took: float = 10, ago: int = HOUR, **facts: Any) -> Try:
    outcome = AttemptOutcome.FAILED if failed else AttemptOutcome.COMPLETED
    ended = NOW - ago
    whole = {"path": "/a", "attempt": 1, "outcome": outcome, "worker_id": "w", "ended_at": ended, **facts}
    return Try(task_id=task_id, started_at=whole["ended_at"] - round(took * 1000), **whole)


def some(count: int, first: int = 1, **facts: Any) -> list[Try]:
    return [ran(number, **facts) for number in range(first, first + count)]


def schedule(number: int, **facts: Any) -> Schedule:
    known: dict[str, Any] = {
        "cron": "0 2 * * *", "work": f'{{"task":{{"work_directory":"/s/{number}"}}}}', "enabled": True, "paused_reason": None,
        "jitter_ms": 0, "pause_after_failures": None, "failures": 0, "runs": 10, "due_at": NOW + DAY, "fire_at": NOW + DAY,
        "last_fire_at": NOW - DAY, "updated_at": NOW - DAY, "timezone": "UTC",
    }  # fmt: skip
    return Schedule(
        id=number, version=1, scope="**", name=f"s{number}", paths=None, secrets=None, owner="x", description=None,
        starts_at=None, ends_at=None, max_runs=None, overlap="allow", missed="once", missed_window_ms=0, last_due_at=None,
        workflow_id=None, place=None, managed_by=None, created_at=0, **{**known, **facts},
    )  # fmt: skip


def found(**facts: Any) -> dict[str, Advice]:
    return {one.code: one for one in of_all(WholeFacts(now=NOW, wall=NOW, **facts))}


def test_nothing_is_said_of_nothing_or_of_what_goes_well() -> None:
    assert found() == {}
    well = some(500, waited_ms=1000, cost_usd=1.0, schedule_id=3, agent="claude")
    assert found(recent=well, before=well, schedules=[schedule(number, due_at=NOW + number * HOUR) for number in range(50)]) == {}


def test_schedules_that_are_due_together_and_how_to_spread_them() -> None:
    together = [schedule(number) for number in range(10)]
    told = found(schedules=together)["schedules_collide"]
    assert (told.facts["count"], told.facts["at"]) == (10, "2027-01-16T08:00Z")
    assert (len(told.evidence), len(told.facts["changes"])) == (10, 9)
    change = told.facts["changes"][0]
    assert (change["cron"], change["proposed_cron"], change["instead"]) == ("0 2 * * *", "H 2 * * *", "`H 2 * * *`")
    minutes = {one["next_fires"][0][14:16] for one in told.facts["changes"]}
    assert len(minutes) >= 5, "the preview shows that they are spread"
    assert "s1: `H 2 * * *`" in told.suggestion
    assert "schedules_collide" not in found(schedules=together[:9])
    assert found(schedules=[replace(one, jitter_ms=60_000) for one in together]) == {}
    assert found(schedules=[replace(one, fire_at=None, due_at=None) for one in together]) == {}


def test_schedules_of_one_directory_come_one_after_the_other() -> None:
    work = '{"tasks":[{"work_directory":"/s"},{"work_directory":"/t"},{"prompt":"p"}],"task":null}'
    there = [schedule(number, work=work) for number in range(3)]
    told = [one for one in of_all(WholeFacts(now=NOW, wall=NOW, schedules=there)) if one.code == "schedules_collide_there"]
    assert {one.work_directory for one in told} == {"/s", "/t"}
    assert [change["proposed_cron"] for change in told[0].facts["changes"]] == ["20 2 * * *", "40 2 * * *"]
    assert "schedules_collide_there" not in found(schedules=there[:2])
    every = [schedule(number, work=work, cron="@every 1h") for number in range(3)]
    (change, _) = found(schedules=every)["schedules_collide_there"].facts["changes"]
    assert (change["proposed_cron"], change["proposed_jitter_seconds"]) == (None, 600)
    unknown = [schedule(number, work=work, timezone="Atlantis/Capital") for number in range(3)]
    assert found(schedules=unknown)["schedules_collide_there"].facts["changes"][0]["next_fires"] == []


@pytest.mark.parametrize(
    ("cron", "minute", "expected"),
    [
        ("5 * * * *", "20", "25 * * * *"), ("50 1 * * *", "20", "10 1 * * *"), ("@daily", "H", "H 0 * * *"),
        ("30 5 2 * * *", "H", "30 H 2 * * *"),
        ("0 5 2 * * * 2030", "20", "0 25 2 * * * 2030"), ("*/5 * * * *", "H", None), ("0,30 * * * *", "H", None),
        ("@every 5m", "H", None),
    ],
)  # fmt: skip
def test_an_expression_with_another_minute(cron: str, minute: str, expected: str | None) -> None:
    assert with_minute(cron, minute) == expected


def test_schedules_that_fail_or_are_paused() -> None:
    told = found(schedules=[schedule(1, failures=4, runs=4), schedule(2, failures=3, runs=9, due_at=NOW + HOUR)])
    assert told["schedule_never_succeeded"].schedule_id == 1
    assert told["schedule_failing"].facts == {"name": "s2", "runs": 9, "failures": 3}
    assert told["schedule_failing"].work_directory == "/s/2"
    assert found(schedules=[schedule(1, failures=2, runs=2)]) == {}
    many = [schedule(number, failures=9, due_at=NOW + number * HOUR) for number in range(200)]
    assert [one.schedule_id for one in of_all(WholeFacts(now=NOW, schedules=many, within=path_scope(["/s/150"])))] == [150]
    paused = schedule(1, enabled=False, failures=5, pause_after_failures=5, paused_reason="it failed 5 times")
    assert "it failed 5 times" in found(schedules=[paused])["schedule_paused"].evidence[0].text
    stopped = schedule(2, enabled=False, updated_at=NOW - 8 * DAY)
    assert list(found(schedules=[stopped])) == ["schedule_stopped"]
    assert found(schedules=[replace(stopped, updated_at=NOW - DAY)]) == {}


def test_work_that_waits_longer_than_it_runs() -> None:
    waits = some(20, waited_ms=300_000)
    told = found(recent=waits)["waits_for_workers"]
    assert told.message == "Work in /a waits 5 min for a worker and then runs 10 s (medians of 20)."
    assert found(recent=waits[:19]) == {}
    assert found(recent=some(20, waited_ms=50_000)) == {}
    assert found(recent=some(20, waited_ms=300_000, took=200)) == {}
    assert found(recent=some(20, waited_ms=300_000, attempt=2)) == {}
    assert "waits_for_exclusive" in found(recent=some(20, waited_ms=300_000, exclusive=True))
    assert "waits_for_workers" in found(recent=waits, limited={"/a": 30, "/b": 1})
    assert found(recent=waits, limited={"/": 20, "/a": 30})["waits_for_limit"].facts["max_running"] == 20


def test_how_many_ran_side_by_side() -> None:
    assert most_at_once([ran(1, ago=0), ran(2, ago=5_000), ran(3, ago=10_000), ran(4, ago=60_000)]) == 2


def test_directories_that_nobody_asks_for() -> None:
    lonely = Waiting(path="/a", host="h", waiting=7, task_id=3, kind="agent", since=NOW - HOUR, asked=False)
    told = found(waiting=[lonely])["nobody_asks"]
    assert (told.message, told.task_id, told.host) == (
        "7 waiting in /a, the first for 1 h, and no worker asks for agent tasks there.", 3, "h",
    )  # fmt: skip
    assert found(waiting=[replace(lonely, asked=True)]) == {}
    assert found(waiting=[replace(lonely, since=NOW - 500_000)]) == {}


def test_questions_that_nobody_answers() -> None:
    question = Question(task_id=4, path="/a", host="", hold="question", since=NOW - 5 * HOUR, question="Which\x1b[31m one?")
    told = found(questions=[question, replace(question, task_id=5, since=NOW - HOUR)])["unanswered"]
    assert (told.task_id, told.evidence[0].text) == (4, "question: Which one?")
    assert found(questions=[replace(question, since=NOW - 3 * HOUR)]) == {}
    assert "approval" in found(questions=[replace(question, hold="approval", question="")])["unanswered"].evidence[0].text


def test_work_that_fails_at_first() -> None:
    first = some(10, failed=True)
    later = some(10, attempt=2)
    assert list(found(recent=[*later, *first])) == ["fails_first"]
    assert list(found(recent=[*later[:5], *first[:5], *some(10, first=20)])) == ["flaky"]
    assert found(recent=[*later[:2], *first[:2], *some(20, first=20)]) == {}
    assert list(found(recent=[*first[:5], *some(5, attempt=2, failed=True)])) == ["never_succeeds"]
    assert found(recent=first[:4]) == {}
    assert found(recent=some(10, outcome=AttemptOutcome.RELEASED)) == {}
    told = found(recent=some(5, failed=True, workflow_id="w", step_id="build"))["never_succeeds"]
    assert told.message.startswith("step build in /a")
    # Others of the directory are other work.
    assert found(recent=[ran(number, failed=True, title=f"t{number}") for number in range(10)]) == {}


def test_time_outs_beside_what_the_work_takes() -> None:
    over = some(2, failed=True, type="Timeout", took=3600)
    assert found(recent=over, before=some(5, first=10, took=3000))["timeout_too_short"].facts["suggested_seconds"] == 7200
    assert found(recent=over, before=some(5, first=10, took=60))["hangs"].facts["suggested_seconds"] == 300
    assert found(recent=over, before=some(5, first=10, took=1800)) == {}
    assert found(recent=over[:1], before=some(5, first=10, took=3000)) == {}
    assert found(recent=over, before=some(4, first=10, took=3000)) == {}
    long = some(20, timeout_ms=DAY)
    assert found(recent=long)["timeout_too_long"].facts["suggested_seconds"] == 60
    assert found(recent=long[:19]) == {}
    assert found(recent=some(20, timeout_ms=HOUR)) == {}
    assert found(recent=some(20, timeout_ms=DAY, took=3600)) == {}


def test_what_fails_more_than_before() -> None:
    mixed = [ran(number, failed=number % 2 == 0, title=str(number), schedule_id=9, agent="codex") for number in range(20)]
    before = [ran(100 + number, failed=number % 20 == 0, ago=3 * DAY, schedule_id=9, agent="codex") for number in range(100)]
    told = [one for one in of_all(WholeFacts(now=NOW, recent=mixed, before=before)) if one.code == "failing_more"]
    assert {one.facts["what"] for one in told} == {"directory /a", "schedule 9", "agent codex"}
    assert (told[0].facts["failed"], told[0].facts["tasks"], told[0].facts["failed_before"]) == (10, 20, 5)
    # The attempts of one task that fails again and again are one failure.
    again = [ran(1, failed=True, attempt=number) for number in range(20, 0, -1)]
    assert "failing_more" not in found(recent=[*again, *some(10, first=50)], before=before)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ((10, 20, 5, 100), True), ((5, 9, 0, 100), False), ((4, 10, 0, 100), False), ((5, 10, 0, 19), False), ((9, 10, 85,
        100), False),
        ((20, 20, 100, 100), False), ((12, 100, 5, 100), False), ((30, 100, 22, 100), False), ((200, 1000, 100, 1000),
        True), ((0, 50, 0, 50), False),
    ],
)  # fmt: skip
def test_small_numbers_raise_no_alarm(numbers: tuple[int, int, int, int], says: bool) -> None:
    assert more(*numbers) is says


def test_chance_alone_hardly_ever_raises_an_alarm() -> None:
    chance = Random(3)
    alarms = sum(
        more(sum(chance.random() < 0.2 for _ in range(50)), 50, sum(chance.random() < 0.2 for _ in range(200)), 200)
        for _ in range(1000)
    )
    assert alarms <= 3


def test_workers_that_lose_their_leases() -> None:
    lost = some(3, failed=True, type="LeaseExpired", outcome=AttemptOutcome.EXPIRED, host="box")
    told = found(recent=[*lost, *some(20, first=10, host="box", title="x")])["leases_lost"]
    assert told.message == "machine box lost 3 of its 23 leases."
    assert "leases_lost" not in found(recent=[*lost, *some(40, first=10, host="box", title="x")])
    assert "leases_lost" not in found(recent=lost[:2])
    assert "leases_lost" not in found(recent=[replace(one, type="Timeout") for one in lost])
    assert "worker w lost" in found(recent=[replace(one, host="") for one in lost])["leases_lost"].message


def test_what_costs_far_more_than_usual() -> None:
    usual = some(10, first=10, cost_usd=0.5)
    told = found(recent=[ran(1, cost_usd=9.0), *usual])["cost_outlier"]
    assert (told.message, told.task_id) == ("Task 1 cost $9.00; others like it cost $0.50 (median of 11).", 1)
    assert found(recent=[ran(1, cost_usd=2.0), *usual]) == {}
    assert found(recent=[ran(1, cost_usd=9.0), *usual[:8]]) == {}
    assert found(recent=[ran(1, cost_usd=0.9), *some(10, first=10, cost_usd=0.01)]) == {}
    assert found(recent=usual, before=[ran(1, cost_usd=9.0, ago=3 * DAY)]) == {}
    assert found(spending=[Spending("/a", 30.0, 4.0, 5)])["cost_rising"].work_directory == "/a"
    assert found(spending=[Spending("/a", 11.0, 4.0, 5), Spending("/b", 4.0, 0.1, 5), Spending("/c", 30.0, 4.0, 2)]) == {}


def test_the_heaviest_comes_first_and_no_code_fills_the_list() -> None:
    lonely = [Waiting(path=f"/{n}", host="", waiting=1, task_id=n, kind="agent", since=0, asked=False) for n in range(30)]
    facts = WholeFacts(now=NOW, waiting=lonely, spending=[Spending("/1", 30.0, 4.0, 5)])
    told = of_all(facts)
    assert [one.code for one in told] == ["nobody_asks"] * 10 + ["cost_rising"]
    assert [one.code for one in of_all(replace(facts, within=path_scope(["/1"])))] == ["nobody_asks", "cost_rising"]
    assert [one.code for one in of_all(facts, {"cost_rising"})] == ["cost_rising"]
    nowhere = replace(facts, within=path_scope(["/nowhere"]), schedules=[schedule(n) for n in range(10)])
    assert of_all(nowhere) == []


def test_durations_in_words() -> None:
    words = [duration(seconds) for seconds in (0.25, 9, 59, 60, 3_600, 7_500, 90_000, 86_400)]
    assert words == ["0.25 s", "9 s", "59 s", "1 min", "1 h", "2 h 5 min", "1 d 1 h", "1 d"]


def test_every_code_of_the_whole_is_tried_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [code for code in OF_ALL if f'"{code}"' not in text] == []
