"""Celery on Redis: acknowledged late, so that a job is not lost with its worker; else its defaults, and no result is kept."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery
from redis import Redis

from benchmarks.peers.together import Work, arguments, processes, share, tell

URL = "CELERY_BENCH_URL"
PROMPT = "Make the tests pass."
PAUSE_S = 0.002
PATIENCE_S = 60
QUEUE, WARM = "celery", "warm"
ROOT = Path(__file__).parents[2]

app = Celery("bench", broker=os.environ.get(URL, ""))
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="nothing")
def nothing(prompt: str) -> None:
    """The job."""


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit("Celery did not finish its jobs")
        time.sleep(PAUSE_S)


def main() -> None:
    url, count, at_once = arguments()
    redis = Redis.from_url(url)
    redis.flushdb()
    app.conf.broker_url = url

    def enqueuer() -> Work:
        def enqueue(number: int) -> int:
            mine = share(count, at_once, number)
            for _ in range(mine):
                nothing.delay(PROMPT)
            return mine

        return enqueue

    command = [sys.executable, "-m", "celery", "-A", "benchmarks.peers.celery_jobs", "worker", "--concurrency", str(at_once)]
    worker = subprocess.Popen(
        [*command, "--queues", WARM, "--loglevel", "ERROR", "--without-gossip", "--without-mingle"],
        cwd=ROOT,
        env=os.environ | {URL: url, "C_FORCE_ROOT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # Its processes need some seconds to start: they do a few jobs of another queue before.
        for _ in range(4 * at_once):
            nothing.apply_async((PROMPT,), queue=WARM)
        _until(lambda: not redis.llen(WARM) and not redis.hlen("unacked"))
        create = processes(at_once, enqueuer, count)
        app.control.add_consumer(QUEUE)
        # It may wait on the other queue alone for up to a second more, which does not count: it is ready when it takes the first.
        _until(lambda: redis.llen(QUEUE) < count)
        begun = time.monotonic()
        _until(lambda: not redis.llen(QUEUE) and not redis.hlen("unacked"))
        finished = time.monotonic()
    finally:
        worker.terminate()
        worker.wait()
    tell(create, finished - begun)


if __name__ == "__main__":
    main()
