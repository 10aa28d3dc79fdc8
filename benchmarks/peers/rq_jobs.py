"""RQ: enqueued by as many processes as then work; `worker:` in front of the address names its class of worker."""

import rq
from redis import Redis
from rq.registry import FinishedJobRegistry
from rq.worker import SimpleWorker, Worker

from benchmarks.peers.together import Work, arguments, processes, share, tell

WORKERS: dict[str, type[Worker]] = {"Worker": Worker, "SimpleWorker": SimpleWorker}
PROMPT = "Make the tests pass."


def nothing(prompt: str) -> None:
    """The job."""


def main() -> None:
    where, count, at_once = arguments()
    kind, _, url = where.partition(":")
    Redis.from_url(url).flushdb()

    def enqueuer() -> Work:
        queue = rq.Queue("nothing", connection=Redis.from_url(url))

        def enqueue(number: int) -> int:
            mine = share(count, at_once, number)
            for _ in range(mine):
                queue.enqueue("benchmarks.peers.rq_jobs.nothing", PROMPT)
            return mine

        return enqueue

    def worker() -> Work:
        connection = Redis.from_url(url)
        queue = rq.Queue("nothing", connection=connection)
        one = WORKERS[kind]([queue], connection=connection)

        def work(_: int) -> int:
            one.work(burst=True, logging_level="WARNING")
            return 0

        return work

    seconds = processes(at_once, enqueuer, count), processes(at_once, worker, 0)
    done = FinishedJobRegistry("nothing", connection=Redis.from_url(url)).count
    if done != count:
        raise SystemExit(f"RQ finished {done} of {count} jobs")
    tell(*seconds)


if __name__ == "__main__":
    main()
