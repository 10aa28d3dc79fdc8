"""Time-outs that fit the work."""

import math
from collections.abc import Iterable
from typing import Final

from orchestrator.domain.advice.facts import Try

_STEPS: Final = (60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
_DAY: Final = 86_400


def longest_of(done: Iterable[Try]) -> float:
    """How many seconds the longest attempt took."""
    return max((one.took_ms for one in done), default=0) / 1000


def roomy(timeout_seconds: float) -> int:
    """A time-out of at least twice as long, as people write it."""
    return _round(2 * timeout_seconds)


def tighter(longest_seconds: float) -> int:
    """A time-out with five times the room that the work needs."""
    return _round(5 * longest_seconds)


def _round(seconds: float) -> int:
    fitting = next((step for step in _STEPS if step >= seconds), None)
    return fitting or math.ceil(seconds / _DAY) * _DAY
