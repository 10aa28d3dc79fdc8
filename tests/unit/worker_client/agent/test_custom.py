"""Agents that the settings describe."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.worker_client.agent import standin
from tests.unit.worker_client.agent.acting import INIT, Step, result, theatre
from tests.unit.worker_client.agent.streams import ASSIGNMENT
from worker_client.contract.enums import LogStream
from worker_client.errors import ConfigurationError
from worker_client.processes import Ended
from worker_client.runners.agent.custom import PRESETS, Custom
from worker_client.runners.agent.protocol import Class
from worker_client.runners.agent.settings import AgentSettings

RESUMED = msgspec.structs.replace(ASSIGNMENT, session_id="s-1", model="large")
FRESH = ASSIGNMENT.fresh_session_id


def test_templates() -> None:
    mine = Custom("mine", AgentSettings(command=["mine", "-d", "{directory}", "--model={model}", "{prompt} {other} {}"]))
    launch = mine.launch(ASSIGNMENT, AgentSettings(args=["-v"]))
    assert (launch.argv, launch.stdin) == (["mine", "-d", "/srv/project", "Fix it. {other} {}", "-v"], None)
    assert mine.launch(RESUMED, AgentSettings()).argv[3] == "--model=large"
    assert not mine.resumes
    piped = Custom("mine", AgentSettings(command=["mine"], resume_command=["mine", "{session_id}"], program="/srv/mine"))
    assert piped.launch(ASSIGNMENT, AgentSettings()).stdin == ASSIGNMENT.prompt_file
    assert piped.launch(RESUMED, AgentSettings()).argv == ["/srv/mine", "s-1"]
    assert (piped.program, piped.resumes) == ("/srv/mine", True)


def test_a_prompt_that_looks_like_a_template_is_none() -> None:
    assignment = msgspec.structs.replace(ASSIGNMENT, prompt="Use {model} and {directory}.")
    assert Custom("mine", AgentSettings(command=["mine", "{prompt}"])).launch(assignment, AgentSettings()).argv == [
        "mine",
        "Use {model} and {directory}.",
    ]


@pytest.mark.parametrize(
    ("preset", "fresh", "resumed"),
    [
        (
            "cursor",
            ["cursor-agent", "-p", "--force", "--output-format", "stream-json"],
            ["cursor-agent", "-p", "--force", "--output-format", "stream-json", "--resume=s-1", "--model=large"],
        ),
        (
            "aider",
            ["aider", "--message-file=/run/prompt.md", "--yes-always", "--no-stream", "--no-pretty"],
            ["aider", "--message-file=/run/prompt.md", "--yes-always", "--no-stream", "--no-pretty", "--model=large"],
        ),
        (
            "goose",
            ["goose", "run", "--instructions=/run/prompt.md", f"--name={FRESH}", "--output-format=json"],
            ["goose", "run", "--resume", "--name=s-1", "--instructions=/run/prompt.md", "--output-format=json"],
        ),
    ],
)
def test_presets(preset: str, fresh: list[str], resumed: list[str]) -> None:
    agent = Custom(preset, AgentSettings(preset=preset))
    assert agent.launch(ASSIGNMENT, AgentSettings()).argv == fresh
    assert agent.launch(RESUMED, AgentSettings()).argv == resumed
    assert agent.inherit == tuple(PRESETS[preset].inherit)


def test_settings_go_over_their_preset() -> None:
    agent = Custom("goose2", AgentSettings(preset="goose", program="/srv/goose", environment={"A": "1"}, inherit=["B"]))
    launch = agent.launch(ASSIGNMENT, AgentSettings())
    assert (launch.argv[0], launch.environment) == ("/srv/goose", {"GOOSE_MODE": "auto", "A": "1"})
    assert agent.inherit[-1] == "B"
    with pytest.raises(ConfigurationError, match=r"agents\.mine has neither a `command` nor a `preset`"):
        Custom("mine", AgentSettings())


AIDER = "Tokens: 2.4k sent, 1.1k received. Cost: $0.02 message, $0.02 session."


@pytest.mark.parametrize(
    ("preset", "lines", "code", "outcome"),
    [
        ("aider", ["Applied edit to a.py", AIDER], 0, Class.DONE),
        ("aider", ["Applied edit to a.py"], 0, Class.NO_EVIDENCE),
        ("aider", ["litellm.AuthenticationError: OpenAIException - Incorrect API key provided"], 0, Class.AUTH),
        ("aider", ["litellm.RateLimitError: RateLimitError: quota", "Retrying in 0.2 seconds..."], 0, Class.QUOTA),
        ("aider", ["litellm.RateLimitError: quota", "Retrying in 0.2 seconds...", "Applied edit", AIDER], 0, Class.DONE),
        ("aider", ["I handle litellm.RateLimitError now.", AIDER], 0, Class.DONE),
        ("aider", [AIDER], 1, Class.FAILED),
        ("goose", ['{"messages": [],', '"metadata": {"status": "completed"}}'], 0, Class.DONE),
        ("goose", ['{"messages": []}'], 0, Class.NO_EVIDENCE),
        ("goose", ["error: Authentication error: 401"], 1, Class.AUTH),
        ("plain", ["It is done."], 0, Class.DONE),
        ("plain", [], 0, Class.NO_EVIDENCE),
        ("plain", ["It is done."], 143, Class.KILLED),
        ("plain", ["Oh no."], 2, Class.FAILED),
        ("cursor", ["Error: not logged in; run cursor-agent login"], 1, Class.AUTH),
        ("cursor", ["You've hit your usage limit"], 1, Class.QUOTA),
        ("cursor", ["Something else"], 1, Class.NO_EVIDENCE),
    ],
)
def test_what_text_says(preset: str, lines: list[str], code: int, outcome: Class) -> None:
    settings = AgentSettings(command=["plain"]) if preset == "plain" else AgentSettings(preset=preset)
    reader = Custom(preset, settings).reader(ASSIGNMENT, AgentSettings())
    for line in lines:
        assert reader.line(line, LogStream.STDOUT if preset != "cursor" else LogStream.STDERR) == [line]
    verdict = reader.verdict(Ended(code, None, 0.0, 0))
    assert verdict.outcome is outcome
    assert outcome is Class.DONE or verdict.message or not lines


def described(folder: Path, **more: Any) -> AgentSettings:
    return AgentSettings(command=[sys.executable, standin.__file__, str(folder / "played"), "{model}"], **more)


@pytest.mark.parametrize(
    ("steps", "more", "verb"),
    [
        ([("say", "Half of it."), ("say", "READY")], {"done": "^READY$"}, "complete"),
        ([("say", "Half of it.")], {"done": "^READY$"}, "fail"),
        ([("complain", "limit reached")], {"quota": "limit reached"}, "park"),
        ([("complain", "log in first"), ("exit", 1)], {"auth": "log in"}, "release"),
        ([INIT, result("Streamed.")], {"output": "stream-json"}, "complete"),
    ],
)
def test_from_claim_to_report(tmp_path: Path, steps: list[Step], more: dict[str, Any], verb: str) -> None:
    async def scenario() -> None:
        settings = described(tmp_path, **more)
        environ = {"PATH": os.environ["PATH"]}
        async with theatre(tmp_path, Custom("mine", settings), settings=settings, environ=environ, account="team") as stage:
            stage.play(steps)
            told, body = await stage.run()
            assert told == verb
            assert body["evidence"]["agent"] == "mine"
            assert stage.calls[0]["stdin"].startswith("Fix the test.")
            if verb == "park":
                assert (body["reason"], body["account"]) == ("quota", "team")

    asyncio.run(scenario())


def test_a_session_that_can_not_be_gone_on_with_begins_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = described(tmp_path)
        async with theatre(tmp_path, Custom("mine", settings), settings=settings) as stage:
            stage.play([("say", "Done.")])
            assert (await stage.run(session_id="s-1", agent="mine", attempt=2))[0] == "complete"
            assert "in a session that no longer exists" in stage.calls[0]["stdin"]

    asyncio.run(scenario())


def test_a_prompt_that_no_argument_holds(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = AgentSettings(command=[sys.executable, "-c", "pass", "{prompt}"])
        async with theatre(tmp_path, Custom("mine", settings), settings=settings) as stage:
            verb, body = await stage.run(prompt="x" * 200_000)
            assert (verb, body["error"]["type"], body["retryable"]) == ("fail", "InvalidSpec", False)
            assert "mine takes its prompt as an argument of its command line" in body["error"]["message"]

    asyncio.run(scenario())
