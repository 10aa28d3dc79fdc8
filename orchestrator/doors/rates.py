"""How much each may ask for: a bucket per caller, that empties steadily.

Not the library `limits`: it takes nine microseconds for what takes one here, goes by the clock on the wall, and grows with every
address that asks.
"""

from collections.abc import Callable
from functools import lru_cache
from math import ceil
from typing import Final

from msgspec import Struct

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST: Final = 50_000


class Allowance(Struct, frozen=True, gc=False):
    """Whether a request may pass, how many more may at once, and in how many seconds all may again, or (`retry_s`) the next."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    retry_s: float = 0.0

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What tells the caller."""
        return (
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % ceil(self.reset_s)),
        )


class Rates:
    """Counts requests by who asks; `clock` tells nanoseconds, and never goes back.

    For each it is kept only when the bucket will be empty, and of no more than the 100,000 who asked last.
    """

    def __init__(self, clock: Callable[[], int], most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._empty_at: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def take(self, who: str, rate: str) -> Allowance:
        """Count one request, unless it is one too many; `rate` such as `600/m`: so many at once, and so many in every minute."""
        limit, each = _parsed(rate)
        now = self._clock()
        empty_at = self._empty_at.get(who) or self._before.get(who, 0)
        filled = max(empty_at, now) + each - now
        over = filled - limit * each
        if over > 0:
            return Allowance(allowed=False, limit=limit, remaining=0, reset_s=(filled - each) / 1e9, retry_s=over / 1e9)
        if len(self._empty_at) >= self._most:
            self._before, self._empty_at = self._empty_at, {}
        self._empty_at[who] = now + filled
        return Allowance(allowed=True, limit=limit, remaining=limit - -(-filled // each), reset_s=filled / 1e9)


@lru_cache(1000)
def _parsed(rate: str) -> tuple[int, int]:
    """How many, and the nanoseconds that each takes."""
    count, _, unit = rate.partition("/")
    return int(count), max(1, _SECONDS[unit] * 1_000_000_000 // int(count))
