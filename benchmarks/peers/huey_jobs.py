"""huey on SQLite, every commit synced: enqueued by as many threads as then work in its consumer, whose default threads are."""

import logging
import time

from huey import SqliteHuey
from huey.consumer import Consumer

from benchmarks.peers.together import arguments, share, tell, threads

PROMPT = "Make the tests pass."
PAUSE_S = 0.001


def main() -> None:
    file, count, at_once = arguments()
    logging.getLogger("huey").setLevel(logging.ERROR)
    huey = SqliteHuey("bench", filename=file, fsync=True, timeout=30)
    done: list[str] = []

    @huey.task()
    def nothing(prompt: str) -> None:
        done.append(prompt)

    def enqueue(number: int) -> None:
        for _ in range(share(count, at_once, number)):
            nothing(PROMPT)

    create = threads(at_once, enqueue)
    consumer = Consumer(huey, workers=at_once, worker_type="thread", periodic=False, check_worker_health=False)
    begun = time.monotonic()
    consumer.start()
    while len(done) < count:
        time.sleep(PAUSE_S)
    finished = time.monotonic()
    consumer.stop(graceful=True)
    tell(create, finished - begun)


main()
