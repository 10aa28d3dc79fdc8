"""Logarithmic buckets: many durations as a few counts, so that percentiles never scan attempts."""

import math
from collections.abc import Iterable
from typing import Final

_GROWTH: Final = 1.1
_LOG: Final = math.log(_GROWTH)


def bucket(duration_ms: int) -> int:
    """The bucket of a duration in ms: 0 below 1 ms, then one for each tenth more, so 270 of them reach 5 years."""
    return 0 if duration_ms < 1 else 1 + math.floor(math.log(duration_ms) / _LOG)


def midpoint(number: int) -> float:
    """A duration in ms that is within 5 % of everything in the bucket."""
    return 0.0 if number < 1 else _GROWTH ** (number - 0.5)


def rank_of(share: float, total: int) -> int:
    """Which of `total` sorted values, counted from 1, a share (0 to 1) of them does not exceed."""
    return max(1, math.ceil(share * total))


def percentiles(counts: Iterable[tuple[int, int]], *shares: float) -> list[float | None]:
    """For each share (0 to 1) the duration in ms that so many of the counted ones do not exceed; None when there are none.

    `counts`: (bucket, how many), each bucket once.
    """
    ordered = sorted(counts)
    total = sum(n for _, n in ordered)
    found: list[float | None] = []
    for share in shares:
        rank = rank_of(share, total)
        seen = 0
        value = None
        for number, n in ordered:
            seen += n
            if seen >= rank:
                value = round(midpoint(number), 1)
                break
        found.append(value)
    return found
