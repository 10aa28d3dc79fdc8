"""Real command lines of agents, driven by the real worker: what comes of each way in which a run can end."""

import time
from datetime import datetime
from typing import Any, Final

import pytest

from tests.agents.stage import Stage
from tests.agents.turns import CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, Limited, Refused, Say, Shell, Silent, Stalled, Turn

pytestmark = pytest.mark.agents

AGENTS: Final = ("claude", "codex", "opencode", "gemini")
QUESTION: Final = 'I need to know.\n```ask\n{"question": "Which database?", "options": ["postgres", "sqlite"]}\n```'
STALL_SECONDS: Final = {"opencode": "45"}
"""Longer than it takes to begin: on a busy machine opencode needs a while, and says nothing meanwhile."""
each = pytest.mark.parametrize("agent", AGENTS)


def used(agent: str, turns: int) -> dict[str, int]:
    """Tokens of so many turns; Anthropic counts cached ones beside the input."""
    fresh = INPUT_TOKENS if agent == "claude" else INPUT_TOKENS - CACHED_TOKENS
    return {"input_tokens": turns * fresh, "output_tokens": turns * OUTPUT_TOKENS, "cached_tokens": turns * CACHED_TOKENS}


def tokens(usage: dict[str, Any]) -> dict[str, int]:
    return {name: usage.get(name, 0) for name in ("input_tokens", "output_tokens", "cached_tokens")}


@each
def test_done(stage: Stage, agent: str) -> None:
    stage.model.play(Say("The test is fixed."))
    task_id = stage.add("Fix the flaky test.")
    assert stage.work(agent) == 0
    task = stage.task(task_id)
    assert (task["status"], task["attempt"]) == ("completed", 1), stage.log()
    assert task["result"]["text"] == "The test is fixed."
    assert task["session_id"] == task["result"]["session_id"] != ""
    assert tokens(task["usage"]) == used(agent, 1)
    assert "Fix the flaky test." in str(stage.model.asked[0])
    (attempt,) = stage.attempts(task_id)
    assert (attempt["agent"], attempt["evidence"]["outcome"], attempt["evidence"]["exit_code"]) == (agent, "done", 0)
    assert attempt["evidence"]["version"]


@each
def test_a_tool_is_used_in_the_directory(stage: Stage, agent: str) -> None:
    stage.model.play(Shell("echo made > made.txt"), Say("I made it."))
    task_id = stage.add("Make a file.")
    assert stage.work(agent) == 0
    task = stage.task(task_id)
    assert task["status"] == "completed", stage.log()
    assert (stage.directory / "made.txt").read_text() == "made\n"
    assert tokens(task["usage"]) == used(agent, 2)


@each
def test_a_limit_parks_until_it_ends_and_costs_no_attempt(stage: Stage, agent: str) -> None:
    resets_at = int(time.time()) + 3600
    stage.home.subscribe()
    stage.model.play(Limited(resets_at))
    first, second = stage.add("One."), stage.add("Two.")
    assert stage.work(agent) == 0
    task = stage.task(first)
    assert (task["status"], task["attempt"]) == ("parked", 0), stage.log()
    assert task["parked"]["reason"] == "quota"
    until = datetime.fromisoformat(task["parked"]["until"]).timestamp()
    assert abs(until - resets_at) < 90
    assert task["session_id"]
    # The account's other task waits with it: nobody was asked about it.
    assert (stage.task(second)["status"], stage.attempts(second)) == ("waiting", [])


@each
def test_a_refused_key_stops_the_worker_and_costs_no_attempt(stage: Stage, agent: str) -> None:
    stage.model.play(Refused())
    task_id = stage.add("One.")
    assert stage.work(agent) == 3
    task = stage.task(task_id)
    assert (task["status"], task["attempt"]) == ("waiting", 0), stage.log()
    assert agent in stage.log()


@each
@pytest.mark.parametrize("turn", [Silent(), Stalled("I begin")], ids=["hangs", "stalls"])
def test_one_that_is_silent_is_ended(stage: Stage, agent: str, turn: Turn) -> None:
    stage.model.play(turn)
    task_id = stage.add("One.")
    assert stage.work(agent, "--stall-seconds", STALL_SECONDS.get(agent, "15")) == 0
    task = stage.task(task_id)
    assert (task["status"], task["error"]["type"]) == ("failed", "Stalled"), stage.log()
    (attempt,) = stage.attempts(task_id)
    assert attempt["evidence"]["outcome"] == "stalled"
    assert stage.model.asked != []


@each
def test_an_answer_goes_into_the_session_that_asked(stage: Stage, agent: str) -> None:
    stage.model.play(Say(QUESTION))
    task_id = stage.add("Choose a database.")
    assert stage.work(agent) == 0
    task = stage.task(task_id)
    assert (task["status"], task["attempt"]) == ("parked", 0), stage.log()
    assert task["parked"]["question"] == "Which database?"
    stage.ask("POST", f"/tasks/{task_id}/answer", {"answer": "postgres, please"})
    stage.model.play(Say("Postgres it is."))
    assert stage.work(agent) == 0
    after = stage.task(task_id)
    assert (after["status"], after["result"]["text"]) == ("completed", "Postgres it is."), stage.log()
    assert after["session_id"] == task["session_id"]
    carried = str(stage.model.asked[-1])
    assert "Choose a database." in carried
    assert "Which database?" in carried
    assert "postgres, please" in carried
    assert [tokens(attempt["usage"]) for attempt in stage.attempts(task_id)] == [used(agent, 1)] * 2
    assert tokens(after["usage"]) == used(agent, 2)
