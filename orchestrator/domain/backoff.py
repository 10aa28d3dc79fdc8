"""How long a task waits before its next attempt."""

import msgspec

from worker_client.contract.tasks import Backoff

_decoder = msgspec.json.Decoder(Backoff)


def parse(text: str) -> Backoff:
    """The Backoff that a JSON text holds."""
    return _decoder.decode(text)


def delay_ms(backoff: Backoff, attempt: int, chance: float) -> int:
    """Milliseconds after the attempt numbered `attempt` (from 1) failed; `chance` in [0, 1) spreads them by the jitter."""
    # Past 2**64 every sensible cap is reached; the bound keeps the power finite.
    exponent = min(attempt - 1, 64)
    seconds = min(backoff.base_seconds * backoff.factor**exponent, backoff.cap_seconds)
    return max(0, round(seconds * (1 + backoff.jitter * (2 * chance - 1)) * 1000))
