"""Budgets: how much a task may use, or all work below a directory on one day; and how that is said.

Tokens are input and output as the agent reports them, what came from its cache not counted on top. Costs are millionths of a
dollar here, so that sums are exact.
"""

from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain.task import DirectorySetting, Millis
from worker_client.contract.reports import MOST, Usage
from worker_client.contract.specs import DIRECTORYLESS

DAY: Final = 86_400_000
_MICROS: Final = 1_000_000
_UNMETERED: Final = DIRECTORYLESS | {"script"}
"""Kinds that use neither tokens nor money: a day's budget of those does not hold them up."""


class Budget(Struct, frozen=True, omit_defaults=True):
    """The JSON in `tasks.budget`: what the task was given, what approvals granted on top, what attempts that ended have used."""

    tokens: int | None = None
    micros: int | None = None
    more_tokens: int = 0
    more_micros: int = 0
    used_tokens: int = 0
    used_micros: int = 0

    @property
    def limits(self) -> tuple[int | None, int | None]:
        """How many tokens and micros it allows in all."""
        return (
            None if self.tokens is None else self.tokens + self.more_tokens,
            None if self.micros is None else self.micros + self.more_micros,
        )

    @property
    def text(self) -> str:
        """As JSON."""
        return _encoder.encode(self).decode()


class Spent(Struct, frozen=True):
    """What was used below a directory on one day; `attempts`: those that ended, none that was given back."""

    tokens: int = 0
    micros: int = 0
    attempts: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.tokens + other.tokens, self.micros + other.micros, self.attempts + other.attempts)


_encoder = msgspec.json.Encoder()
decoded = msgspec.json.Decoder(Budget).decode
"""The budget that the text of a column is."""


def micros(usd: float) -> int:
    """A cost as it is counted."""
    return round(usd * _MICROS)


def usd(cost: int) -> float:
    """A cost as it is told."""
    return cost / _MICROS


def tokens(usage: Usage) -> int:
    """The tokens that count against a budget."""
    return usage.input_tokens + usage.output_tokens


def budget_of(text: str | None) -> Budget | None:
    """The budget that a column holds."""
    return None if text is None else decoded(text)


def given(allowed: tuple[int | None, int | None] | None, before: str | None, used: Usage | None) -> str | None:
    """The column of a task that is given so many tokens and micros; what was granted on top of the same stays.

    `used`: by its attempts that have ended, where it had no budget before.
    """
    if allowed is None or allowed == (None, None):
        return None
    known = budget_of(before)
    if known is None:
        used = used or Usage()
        return _using(Budget(*allowed), tokens(used), micros(used.cost_usd))
    if (known.tokens, known.micros) == allowed:
        return before
    return _using(Budget(*allowed), known.used_tokens, known.used_micros)


def _using(budget: Budget, used_tokens: int, used_micros: int) -> str:
    return replace(budget, used_tokens=min(MOST, used_tokens), used_micros=min(MOST, used_micros)).text


def charged(text: str | None, used: Usage) -> str | None:
    """The column after an attempt that used so much."""
    budget = budget_of(text)
    if budget is None:
        return None
    return _using(budget, budget.used_tokens + tokens(used), budget.used_micros + micros(used.cost_usd))


def granted(text: str | None) -> str | None:
    """The column after an approval: of what is used up there is as much again, on top of what was used."""
    budget = budget_of(text)
    if budget is None:
        return None
    most_tokens, most_micros = budget.limits
    if budget.tokens is not None and most_tokens is not None and budget.used_tokens >= most_tokens:
        budget = replace(budget, more_tokens=budget.used_tokens)
    if budget.micros is not None and most_micros is not None and budget.used_micros >= most_micros:
        budget = replace(budget, more_micros=budget.used_micros)
    return budget.text


def used_up(text: str | None, now: Usage | None = None) -> str | None:
    """How a task's budget is used up, in words, by attempts that ended and the running one; None when something is left."""
    budget = budget_of(text)
    if budget is None:
        return None
    now = now or Usage()
    found = _reached(budget.limits, budget.used_tokens + tokens(now), budget.used_micros + micros(now.cost_usd))
    return None if found is None else f"used {found}"


def own(words: str) -> str:
    """What the worker of a task is told whose own budget is used up."""
    return f"the task's budget is used up: {words}"


def _reached(limits: tuple[int | None, int | None], used_tokens: int, used_micros: int) -> str | None:
    most_tokens, most_micros = limits
    if most_micros is not None and used_micros >= most_micros:
        return f"{_dollars(used_micros)} of {_dollars(most_micros)}"
    if most_tokens is not None and used_tokens >= most_tokens:
        return f"{used_tokens:,} of {most_tokens:,} tokens"
    return None


def _dollars(cost: int) -> str:
    """Two digits behind the point; more for less than a dollar, where they are needed."""
    if cost >= _MICROS or cost % (_MICROS // 100) == 0:
        return f"${cost / _MICROS:,.2f}"
    return f"${cost / _MICROS:.6f}".rstrip("0")


def day_of(now: Millis) -> int:
    """The day in UTC, counted from 1970."""
    return now // DAY


def tomorrow(now: Millis) -> Millis:
    """The next midnight in UTC."""
    return (day_of(now) + 1) * DAY


def told(words: str, now: Millis) -> str:
    """What the feed says when a day's budget is used up, as JSON."""
    return _encoder.encode({"message": words, "due_at": tomorrow(now)}).decode()


def allowed(setting: DirectorySetting) -> tuple[int | None, int | None, int | None]:
    """The tokens, micros and attempts of a day that were set for a directory."""
    return setting.daily_tokens, setting.daily_micros, setting.daily_attempts


def daily(setting: DirectorySetting) -> bool:
    """Whether a day's budget was set for a directory."""
    return allowed(setting) != (None, None, None)


def metered(kind: str) -> bool:
    """Whether tasks of a kind may use tokens and money."""
    return kind not in _UNMETERED


def day_used_up(setting: DirectorySetting, spent: Spent) -> str | None:
    """How a directory's tokens or money for today are used up, in words; None when something is left."""
    return _reached((setting.daily_tokens, setting.daily_micros), spent.tokens, spent.micros)


def attempts_used_up(setting: DirectorySetting, attempts: int) -> str | None:
    """How a directory's attempts for today are used up, in words; those that run count, too."""
    most = setting.daily_attempts
    return None if most is None or attempts < most else f"{attempts:,} of {most:,} attempts"
