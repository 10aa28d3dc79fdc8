"""What a scripted model does when it is asked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Say:
    """Text, and the end of the turn."""

    text: str


@dataclass(frozen=True)
class Shell:
    """A call of the agent's tool for commands."""

    command: str


@dataclass(frozen=True)
class Use:
    """A call of another tool, of `server` if that is named; `{lease}` in it is the last lease that the conversation tells of."""

    tool: str
    arguments: dict[str, str]
    server: str = ""


@dataclass(frozen=True)
class Limited:
    """No more until a moment (seconds since 1970); with `subscription` in the words of a plan, else in those of a key."""

    resets_at: int
    subscription: bool = True


@dataclass(frozen=True)
class Refused:
    """The key is not accepted."""


@dataclass(frozen=True)
class Silent:
    """No answer at all, ever."""


@dataclass(frozen=True)
class Stalled:
    """Some text, then nothing more, ever."""

    text: str


Turn = Say | Shell | Use | Limited | Refused | Silent | Stalled
INPUT_TOKENS = 100
OUTPUT_TOKENS = 20
CACHED_TOKENS = 30
"""What every answered turn costs; cached tokens are part of the input where the API counts so, and beside it where not."""
