"""Recorded streams in which things aren't what they should be: nothing raises, and all that comes of them can be sent."""

import json
import random
from typing import Any, Final

import msgspec
import pytest

from tests.unit.worker_client.agent.streams import ASSIGNMENT, STREAMS, recorded
from worker_client.contract.reports import Usage
from worker_client.runners.agent.known import KNOWN
from worker_client.runners.agent.settings import AgentSettings

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
