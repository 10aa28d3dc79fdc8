"""What a worker that is handed tasks which it must not do keeps from spinning, and other tasks from waiting."""

import math
from typing import Final

from worker_client.clock import Clock

FIRST_PAUSE: Final = 0.1
MOST_PAUSE: Final = 30.0
HOLD_SECONDS: Final = 30.0
"""For how long to give back what had to be given back before: nobody else took it meanwhile."""
_SOON: Final = 0.5
_REMEMBERED: Final = 1000


class Refusals:
    """Counts what one worker refuses; pauses get longer only when a server hands the same task out as soon as it is asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[int, tuple[float, float]] = {}
        self._pause = 0.0

    def note(self, task_id: int) -> float:
        """A task is refused; for how many seconds to give it back."""
        now = self._clock.now()
        expected, pause = self._last.pop(task_id, (-math.inf, 0.0))
        pause = min(2 * pause, MOST_PAUSE) if now < expected + _SOON else FIRST_PAUSE
        self._last[task_id] = now + pause, pause
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
        self._pause = max(self._pause, pause)
        return 0.0 if expected < 0 else HOLD_SECONDS

    def pause(self) -> float:
        """Seconds to wait before the next question, for what was refused since the last one."""
        pause, self._pause = self._pause, 0.0
        return pause
