"""Streams in which things aren't what they should be, or that speak of what they aren't about."""

import json
import random
from typing import Any, Final

import msgspec
import pytest

from tests.unit.worker_client.agent.streams import ASSIGNMENT, STREAMS, recorded
from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.processes import Ended
from worker_client.runners.agent.known import KNOWN
from worker_client.runners.agent.protocol import Class
from worker_client.runners.agent.settings import AgentSettings

KILLED: Final = Ended(None, "SIGKILL", 0.0, 0)
ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    [],
    {},
    [[]],
    {"a": [{}]},
    0,
    -1,
    float("inf"),
    float("nan"),
    2**70,
    "",
    "\0",
    "\ud83d",
    {"\ud83d": "\0"},
)


def bent(value: Any, chance: random.Random) -> Any:
    """The same with something else in a few places."""
    if chance.random() < 0.12:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {name: bent(inner, chance) for name, inner in value.items()}
    return [bent(inner, chance) for inner in value] if isinstance(value, list) else value


WORKING: Final = {
    "claude": {"type": "assistant", "message": {"id": "m", "model": "opus", "content": []}},
    "codex": {"type": "item.completed", "item": {"type": "agent_message", "text": "I go on."}},
    "opencode": {"type": "step_start"},
    "gemini": {"type": "tool_use", "tool_name": "ls", "parameters": {}},
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("words", ["429 Too Many Requests: rate limit", "Please run /login: 401 Unauthorized, invalid api key"])
def test_what_it_complained_of_before_it_went_on_is_not_why_it_was_killed(name: str, words: str) -> None:
    reader = KNOWN[name].reader(ASSIGNMENT, AgentSettings())
    reader.line(words, LogStream.STDERR)
    refused = reader.verdict(KILLED).outcome
    reader.line(json.dumps(WORKING[name]), LogStream.STDOUT)
    assert reader.verdict(KILLED).outcome is Class.KILLED
    assert name == "claude" or refused in {Class.QUOTA, Class.AUTH}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize(
    "words", ["The usage limit is in quota.py: 429 Too Many Requests.", "Please run /login. Invalid API key."]
)
def test_what_the_model_says_is_not_said_of_the_account(name: str, words: str) -> None:
    said = {
        "claude": {"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": words}]}},
        "codex": {"type": "item.completed", "item": {"type": "agent_message", "text": words}},
        "opencode": {"type": "text", "part": {"text": words}},
        "gemini": {"type": "message", "role": "assistant", "content": words},
    }
    for ended, outcome in ((KILLED, Class.KILLED), (Ended(0, None, 0.0, 0), Class.NO_EVIDENCE)):
        reader = KNOWN[name].reader(ASSIGNMENT, AgentSettings())
        reader.line(json.dumps(said[name]), LogStream.STDOUT)
        assert reader.verdict(ended).outcome is outcome


@pytest.mark.parametrize("name", KNOWN)
def test_whatever_a_stream_says(name: str) -> None:
    chance = random.Random(7)
    for case in sorted((STREAMS / name).glob("*.jsonl")) * 80:
        reader = KNOWN[name].reader(ASSIGNMENT, AgentSettings())
        lines, ended = recorded(name, case.stem)
        for stream, line in lines:
            odd = json.dumps(bent(json.loads(line), chance)) if line.startswith("{") else line
            msgspec.json.encode(reader.line(odd, stream))
            msgspec.json.encode(reader.report)
            msgspec.convert(msgspec.to_builtins(reader.report.usage), Usage)
        msgspec.json.encode(reader.verdict(ended))
