"""`make bench-postgres`: what the PostgreSQL store can do, each figure beside its yardstick of the same run."""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from benchmarks.postgres import backlog, bloat, scale, snapshot, wake
from benchmarks.postgres.cluster import Cluster, cluster
from benchmarks.report import Report


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres")
    parser.add_argument("--server", help="an address of a PostgreSQL server to use; one of our own otherwise")
    parser.add_argument("--directory", type=Path, help="where our own server keeps its data: a real disk")
    parser.add_argument("--json", type=Path, help="write all figures to this file, too")
    parser.add_argument("--small", action="store_true", help="a quick run, for whether it works")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("scale", help="three replicas against one, same clients over HTTP, and what limits them")
    one.add_argument("--replicas", type=int, default=3)
    one.add_argument("--clients", type=int, default=48)
    one.add_argument("--directories", type=int, default=1)
    one.add_argument("--count", type=int, default=3_000)
    one.add_argument("--rounds", type=int, default=6)
    one = commands.add_parser("backlog", help="claims where millions wait and are done beside an empty database")
    one.add_argument("--waiting", type=int, default=1_000_000)
    one.add_argument("--finished", type=int, default=5_000_000)
    one.add_argument("--directories", type=int, default=1_000)
    one.add_argument("--rounds", type=int, default=8)
    one = commands.add_parser("snapshot", help="speed while another session holds an old snapshot")
    one.add_argument("--tasks", type=int, default=500_000)
    one.add_argument("--directories", type=int, default=1_000)
    one.add_argument("--in-one", type=int, default=100_000, help="as many tasks in one directory; 0: none")
    one.add_argument("--sample", type=int, default=100, help="lives that are measured at each checkpoint")
    one = commands.add_parser("bloat", help="what millions of tasks leave in tables and indexes under an old snapshot")
    one.add_argument("--tasks", type=int, default=2_000_000)
    one.add_argument("--directories", type=int, default=1_000)
    one.add_argument("--at-once", type=int, default=250, help="as many tasks in a transaction")
    one.add_argument("--pinned", type=float, default=1.0, help="the part of them through which the snapshot is held: 0.5, 1")
    one.add_argument("--sample", type=int, default=200, help="claims that are measured each time")
    one = commands.add_parser("wake", help="how soon a task reaches a poll on another replica, with the doorbell and without")
    one.add_argument("--count", type=int, default=200)
    one.add_argument("--unheard", type=int, default=200, help="as many tasks while no doorbell is heard")
    return parser.parse_args()


def _measured(server: Cluster, report: Report, options: argparse.Namespace) -> None:
    small = options.small
    if options.command == "scale":
        count, rounds = (300, 1) if small else (options.count, options.rounds)
        scale.measure(server, report, scale.Load(count, rounds, options.clients, options.directories, options.replicas))
    elif options.command == "backlog":
        sizes = (2_000, 10_000, 100, 2) if small else (options.waiting, options.finished, options.directories, options.rounds)
        backlog.measure(server, report, backlog.Sizes(*sizes))
    elif options.command == "snapshot":
        tasks, sample, in_one = (2_000, 10, 500) if small else (options.tasks, options.sample, options.in_one)
        churns = [snapshot.Churn(f"{options.directories:,} directories", tasks, options.directories, 250, 4, sample)]
        if in_one:
            churns.append(snapshot.Churn("one directory", in_one, 1, 16, 4, sample))
        snapshot.measure(server, report, churns)
    elif options.command == "bloat":
        tasks, sample = (4_000, 10) if small else (options.tasks, options.sample)
        churn = snapshot.Churn("bloat", tasks, options.directories, options.at_once, 1, sample)
        bloat.measure(server, report, churn, options.pinned)
    elif options.command == "wake":
        counts = (10, 5) if small else (options.count, options.unheard)
        wake.measure(server, report, count=counts[0], unheard=counts[1])


def main() -> int:
    options = _parsed()
    report = Report(loud=True)
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with cluster(options.server, options.directory) as server:
        described = server.describe()
        report.keep(command=options.command, server=described)
        report.say(f"PostgreSQL {described['server_version']}, one fdatasync takes {described['fdatasync_ms']:.2f} ms")
        try:
            _measured(server, report, options)
        except KeyboardInterrupt:
            report.keep(interrupted=True)
    report.keep(seconds=time.monotonic() - started)
    if options.json is not None:
        options.json.write_text(json.dumps(report.found, indent=1))
    return 130 if report.found.get("interrupted") else 0


if __name__ == "__main__":
    sys.exit(main())
