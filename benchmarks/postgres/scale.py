"""Several replicas on one database against one on another of the same server, with the same clients; and what limits them."""

from contextlib import ExitStack
from statistics import median

from msgspec import Struct, field, to_builtins

from benchmarks.lifecycle import Phases, lifecycle
from benchmarks.postgres.cluster import Cluster, run
from benchmarks.postgres.watching import ADVISORY, IDLE, KINDS, Seen, part, watched
from benchmarks.report import Report, ratio
from benchmarks.servers import replica


class Load(Struct, frozen=True):
    """`count` tasks a round, by as many clients, in as many directories; so many replicas against one."""

    count: int
    rounds: int
    clients: int
    directories: int
    replicas: int


class _Side(Struct):
    """One of the two that are compared."""

    url: str
    addresses: list[tuple[str, int]]
    pids: list[int]
    phases: list[Phases] = []
    free: list[float] = []
    seen: Seen = field(default_factory=Seen)


def _name(replicas: int) -> str:
    return "1 replica" if replicas == 1 else f"{replicas} replicas"


def measure(cluster: Cluster, report: Report, load: Load) -> float:
    """In turn, each first every other time; a round before the first is not counted. Idle replicas only look once a second."""
    sides: dict[str, _Side] = {}
    with ExitStack() as stack:
        for replicas in (1, load.replicas):
            # A database each: the idle ones would follow every event of the others.
            url = cluster.database(f"bench_scale_{replicas}")
            started = [stack.enter_context(replica(cluster.directory, url)) for _ in range(replicas)]
            sides[_name(replicas)] = _Side(url, [address for address, _ in started], [pid for _, pid in started])
        for at in range(load.rounds + 1):
            for side in list(sides.values())[:: 1 if at % 2 else -1]:
                with watched(cluster, side.url, side.pids) as seen:
                    phases = run(lifecycle(side.addresses, load.count, load.clients, load.directories))
                if at:
                    side.phases.append(phases)
                    side.free.append(seen.free)
                    side.seen.add(seen)
    return _show(report, load, sides)


def _show(report: Report, load: Load, sides: dict[str, _Side]) -> float:
    rates = {
        name: {what: [one.rates()[what] for one in side.phases] for what in side.phases[0].rates()}
        for name, side in sides.items()
    }
    one, several = rates.values()
    ratios = {what: ratio(several[what], one[what]) for what in one}
    report.table(
        f"{load.clients} clients, {load.count:,} tasks one by one in {load.directories:,} directories, {load.rounds} rounds",
        ["tasks a second, medians", *one],
        [*([name, *map(median, of.values())] for name, of in rates.items()), ["ratio, round by round", *ratios.values()]],
    )
    tasks = load.count * load.rounds
    report.table(
        "What limits: CPU a lifecycle, in milliseconds",
        ["", *KINDS, "sum", "cores idle", "transactions a lifecycle"],
        [
            [
                name,
                *(1000 * side.seen.cpu[kind] / tasks for kind in KINDS),
                1000 * sum(side.seen.cpu.values()) / tasks,
                part(median(side.free)),
                side.seen.transactions / tasks,
            ]
            for name, side in sides.items()
        ],
    )
    report.table(
        "What limits: samples in which a writing backend waits for an advisory lock",
        ["", "samples", "writers", "some writer waits", "of all writers", "of those at work"],
        [
            [
                name,
                seen.samples,
                seen.writers,
                part(seen.blocked / max(1, seen.samples)),
                part(seen.waiting()),
                part(_at_work(seen)),
            ]
            for name, seen in ((name, side.seen) for name, side in sides.items())
        ],
    )
    events = sorted({event for side in sides.values() for event in side.seen.waits}, key=lambda event: -_most(sides, event))[:8]
    report.table(
        "What writing backends were seen to wait for",
        ["", *sides],
        [[event, *(part(side.seen.waiting(event)) for side in sides.values())] for event in events],
    )
    report.keep(rates=rates, ratios=ratios, watched={name: to_builtins(side.seen) for name, side in sides.items()})
    return ratios["lifecycle"]


def _at_work(seen: Seen) -> float:
    return seen.waits[ADVISORY] / max(1, seen.waits.total() - seen.waits[IDLE])


def _most(sides: dict[str, _Side], event: str) -> float:
    return max(side.seen.waiting(event) for side in sides.values())
