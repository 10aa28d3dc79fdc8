"""The clock by which a worker and its guardians agree on a time."""

import time
from collections.abc import Callable


def boot_clock() -> Callable[[], float]:
    """Seconds of a clock that goes on while the machine is suspended, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if clock is None else lambda: time.clock_gettime(clock)
