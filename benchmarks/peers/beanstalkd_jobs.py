"""beanstalkd, where a job is put, reserved and deleted: one connection for each process, as its protocol has it."""

import greenstalk

from benchmarks.peers.together import Work, arguments, processes, share, tell

BODY = '{"prompt": "Make the tests pass."}'


def main() -> None:
    where, count, at_once = arguments()
    host, _, port = where.partition(":")

    def putter() -> Work:
        client = greenstalk.Client((host, int(port)))

        def put(number: int) -> int:
            mine = share(count, at_once, number)
            for _ in range(mine):
                client.put(BODY)
            return mine

        return put

    def worker() -> Work:
        client = greenstalk.Client((host, int(port)))

        def work(_: int) -> int:
            done = 0
            while True:
                try:
                    job = client.reserve(timeout=0)
                except greenstalk.TimedOutError:
                    return done
                client.delete(job)
                done += 1

        return work

    tell(processes(at_once, putter, count), processes(at_once, worker, count))


main()
