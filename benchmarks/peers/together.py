"""What the peers' programs have in common: so many processes at once, and what is said of them."""

import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable

Work = Callable[[int], int]
"""Does the part of the process that has this number; how many jobs that were."""
Prepare = Callable[[], Work]

_PATIENCE_S = 60


def arguments() -> tuple[str, int, int]:
    """Where it all is, how many jobs, how many at once."""
    where, count, at_once = sys.argv[1:4]
    return where, int(count), int(at_once)


def share(count: int, at_once: int, number: int) -> int:
    """How many of `count` are for this one of them."""
    return count // at_once + (number < count % at_once)


def processes(at_once: int, prepare: Prepare, count: int) -> float:
    """Seconds from when all are prepared until the last has done its part; `count`: jobs that have to be done then."""
    # Forked, as what is imported once need not be imported by sixteen.
    context = multiprocessing.get_context("fork")
    barrier, said = context.Barrier(at_once), context.SimpleQueue()

    def one(number: int) -> None:
        work = prepare()
        barrier.wait(_PATIENCE_S)
        started = time.monotonic()
        done = work(number)
        said.put((started, time.monotonic(), done))

    started = [context.Process(target=one, args=(number,)) for number in range(at_once)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise SystemExit("one of the processes failed")
    times = [said.get() for _ in started]
    if (done := sum(time[2] for time in times)) != count:
        raise SystemExit(f"{done} of {count} jobs were done")
    return max(time[1] for time in times) - min(time[0] for time in times)


def threads(at_once: int, work: Callable[[int], None]) -> float:
    """Seconds until the last of as many threads has done its part."""
    started = [threading.Thread(target=work, args=(number,)) for number in range(at_once)]
    begun = time.monotonic()
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return time.monotonic() - begun


def tell(create: float, work: float) -> None:
    """Seconds of the two phases, for the program that started this one."""
    print(json.dumps({"create": create, "work": work}))
