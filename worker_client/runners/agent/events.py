"""Reading the output of command lines that print one JSON object a line."""

import json
from typing import Any

import msgspec

from worker_client.contract.enums import LogStream
from worker_client.output import Tail, storable
from worker_client.runners.agent.protocol import Report

SHOWN = 500
"""Characters of the call of a tool, or its result, that go into the log."""


class EventReader:
    """Hands every JSON object on standard output to `event`; what is none goes into the log as it is.

    `said`: the last of what was printed that was no event, for command lines that complain in prose.
    """

    def __init__(self) -> None:
        self.report = Report()
        self.said = Tail()

    def line(self, text: str, stream: LogStream) -> list[str]:
        """Take a line."""
        event = parsed(text) if stream is LogStream.STDOUT else None
        if event is not None:
            return self.event(event)
        if text.strip():
            self.said.add(text)
        return [text]

    def goes_on(self) -> None:
        """It works: what it complained of until now did not end it."""
        self.said = Tail()

    def event(self, event: dict[str, Any]) -> list[str]:
        """Take an event; what a person is to read of it."""
        raise NotImplementedError


def parsed(text: str) -> dict[str, Any] | None:
    """The JSON object of a line, or None when it is none, or broken."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # It refuses half of a surrogate pair, which JavaScript prints where it has cut a text.
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def text_of(value: Any) -> str:
    """What stands at a place where a text is expected, without what a database refuses."""
    return storable(value) if isinstance(value, str) else ""


def object_of(value: Any) -> dict[str, Any]:
    """What stands at a place where an object is expected."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """What stands at a place where a list is expected."""
    return value if isinstance(value, list) else []


def count_of(value: Any) -> int:
    """What stands at a place where a count is expected."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 2**53 else 0


def amount_of(value: Any) -> float:
    """What stands at a place where an amount is expected."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e9 else 0.0


def shown(text: str, limit: int = SHOWN) -> str:
    """A text on one line, shortened to be read."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 4]} ..."
