"""One replica over HTTP beside procrastinate and pgqueuer, on the same server: jobs one by one, at 16 workers."""

import json
import subprocess
from pathlib import Path
from statistics import median

from benchmarks import servers
from benchmarks.postgres.cluster import Cluster, run
from benchmarks.postgres.lifecycle import Phases, lifecycle
from benchmarks.report import Report, ratio

PROGRAMS = Path(__file__).parents[1] / "peers"
OURS = "orchestrator, over HTTP"


def measure(cluster: Cluster, report: Report, python: Path, *, count: int, workers: int, rounds: int, every: bool) -> None:
    """All in turn, round by round; a round before the first is not counted."""
    peers = {
        "procrastinate": ("procrastinate_jobs.py", workers),
        "pgqueuer": ("pgqueuer_jobs.py", workers),
    }
    if every:
        # One worker with room for so many jobs, instead of so many workers with room for one.
        peers |= {"procrastinate, one worker": ("procrastinate_jobs.py", 1), "pgqueuer, one worker": ("pgqueuer_jobs.py", 1)}
    urls = {name: cluster.database(f"bench_{n}") for n, name in enumerate(peers)}
    measured: dict[str, list[Phases]] = {}
    with servers.replica(cluster.directory, cluster.database("bench_ours")) as (address, _):
        for at in range(rounds + 1):
            found = {OURS: run(lifecycle([address], count, workers))}
            for name, (program, processes) in peers.items():
                found[name] = _peer(python, program, urls[name], count, workers, processes)
            for name, phases in found.items() if at else ():
                measured.setdefault(name, []).append(phases)
    rates = {name: {what: [one.rates()[what] for one in each] for what in each[0].rates()} for name, each in measured.items()}
    report.table(
        f"{workers} workers, {count:,} tasks one by one, medians of {rounds} rounds",
        ["system", *(f"{what}/s" for what in rates[OURS]), *(f"ours / this, {what}" for what in rates[OURS])],
        [[name, *map(median, of.values()), *(ratio(rates[OURS][what], of[what]) for what in of)] for name, of in rates.items()],
    )
    report.keep(rounds=rates)


def _peer(python: Path, program: str, url: str, count: int, at_once: int, workers: int) -> Phases:
    command = [str(python), str(PROGRAMS / program), url, str(count), str(at_once), str(workers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = json.loads(done.stdout)
    return Phases(count, seconds["create"], seconds["work"])
