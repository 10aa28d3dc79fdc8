"""The systems that do the same work: where each keeps its jobs, how durably, and with which settings; and ours."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

PYTHON: Final = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
SQLITE, POSTGRES = "SQLite", "PostgreSQL"


class System(Struct, frozen=True):
    """`place`: what its program is told, `needs`: a program that it needs.

    `equal`: whether an acknowledged job is as safe as with ours; `own`: it is ours;
    `faster`: the reason, where it is.
    """

    name: str
    program: str
    package: str
    place: str
    beside: str
    equal: bool
    durability: str
    settings: str
    needs: str = ""
    faster: str = ""
    own: bool = False

    @property
    def python(self) -> str:
        """Of the environment that has its packages."""
        return sys.executable if self.own else str(PYTHON)

    def version(self, known: dict[str, str]) -> str:
        """Of its package, and of the program that it needs."""
        if self.own:
            return "this"
        return ", ".join(f"{name} {known.get(name, 'is not there')}" for name in (self.package, self.needs) if name)

    def missing(self, versions: dict[str, str]) -> str:
        """How to get what is not there."""
        if self.needs and shutil.which(self.needs) is None:
            return f"apt-get install {self.needs}"
        return "" if self.own or versions.get(self.package) else f"make .venv-peers/.installed: {self.package}"


SYSTEMS: Final = (
    System(
        "our Python client",
        "sdk_jobs",
        "task-orchestrator",
        "{ours}",
        SQLITE,
        equal=True,
        durability="as ours on SQLite, which it talks to.",
        settings="`AsyncClient`, so many coroutines in one process: what checks, retries and httpx cost.",
        own=True,
    ),
    System(
        "huey",
        "huey_jobs",
        "huey",
        "{directory}/huey.db",
        SQLITE,
        equal=False,
        durability="enqueue and take are synced. A taken job is deleted: it is lost with its worker, and that it is finished is "
        "written nowhere.",
        settings="`SqliteHuey(fsync=True)`, WAL; enqueued by threads, and its consumer with threads, its default. Two synced "
        "transactions a job, where ours and most others have three.",
        faster="taking a job deletes it, so that nothing is written when it ends; and there is no server to ask.",
    ),
    System(
        "honker, FULL",
        "honker_jobs",
        "honker",
        "full:{directory}/honker.db",
        SQLITE,
        equal=True,
        durability="each of enqueue, claim and ack is synced.",
        settings="Its SQLite extension, WAL, `synchronous=FULL` instead of the NORMAL that its `open` sets; claims of one job. "
        "Threads share one connection that writes, as within its `open`: a connection for each of 16 processes was slower.",
    ),
    System(
        "honker, NORMAL",
        "honker_jobs",
        "honker",
        "normal:{directory}/honker-normal.db",
        SQLITE,
        equal=False,
        durability="what was answered last is lost in a power cut: nothing is synced but checkpoints.",
        settings="The same with `synchronous=NORMAL`, as its `open` has it.",
        faster="it never waits for the disk.",
    ),
    System(
        "RQ",
        "rq_jobs",
        "rq",
        "Worker:{redis}/0",
        SQLITE,
        equal=True,
        durability="each command is synced (`appendfsync always`); a job whose worker dies is found again.",
        settings="Processes enqueue and work. `Worker`, its default, which forks for each job; results stay 500 s, its default.",
        needs="redis-server",
    ),
    System(
        "RQ, SimpleWorker",
        "rq_jobs",
        "rq",
        "SimpleWorker:{redis}/0",
        SQLITE,
        equal=True,
        durability="as above.",
        settings="The same without a fork for each job.",
        needs="redis-server",
    ),
    System(
        "Celery",
        "celery_jobs",
        "celery",
        "{redis}/1",
        SQLITE,
        equal=True,
        durability="each command is synced (`appendfsync always`); `acks_late`: a job whose worker dies is found again.",
        settings="Processes enqueue; one worker with so many prefork processes, its default. No result is kept, no gossip, "
        "no mingle; takes are prefetched, four for each process, its default.",
        needs="redis-server",
    ),
    System(
        "beanstalkd",
        "beanstalkd_jobs",
        "greenstalk",
        "{beanstalkd}",
        SQLITE,
        equal=True,
        durability="put and delete are synced. That a job is taken is in memory only: after a restart it is ready again.",
        settings="`-b directory -f 0`; one connection for each process. Two synced writes a job, where ours has three.",
        faster="it keeps its jobs in memory, in C, and writes neither who has a job nor what came of it; nothing of a job "
        "that has ended can be looked up.",
        needs="beanstalkd",
    ),
    System(
        "procrastinate",
        "procrastinate_jobs",
        "procrastinate",
        "{procrastinate}",
        POSTGRES,
        equal=True,
        durability="each of defer, fetch and finish is a synced commit.",
        settings="Its async app on psycopg's pool with room for all at once, on uvloop; so many workers of one job at a time, "
        "which is faster than one worker with so many. Finished jobs stay, LISTEN is on, its defaults.",
    ),
    System(
        "pgqueuer",
        "pgqueuer_jobs",
        "pgqueuer",
        "{pgqueuer}",
        POSTGRES,
        equal=True,
        durability="each of enqueue, dequeue and log is a synced commit; its tables are logged ones.",
        settings="asyncpg, the faster of its drivers, on uvloop; a connection for each worker, batches of one; two jobs at a "
        "time in each, less it does not do.",
    ),
)

_VERSIONS: Final = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.append(str(Path(sys.prefix) / "honker"))
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def versions() -> dict[str, str]:
    """Of all packages of the peers that are there."""
    if not PYTHON.exists():
        return {}
    command = [str(PYTHON), "-c", _VERSIONS, *{system.package for system in SYSTEMS if not system.own}]
    found: dict[str, str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def shown_name(name: str) -> str:
    """Ours is named after the store."""
    return f"Task Orchestrator, {name}" if name in (SQLITE, POSTGRES) else name


def settings(known: dict[str, str]) -> list[list[str]]:
    """A row for each: name, version, durability, settings."""
    ours = [
        [
            shown_name(SQLITE),
            "this",
            "each of create, claim and complete is synced, with an event and in the end an attempt; at once they share a sync.",
            "One server process, its defaults: WAL, `synchronous=FULL`; over HTTP, a connection for each worker.",
        ],
        [
            shown_name(POSTGRES),
            f"this, PostgreSQL {known[POSTGRES]}",
            "the same: each is in a synced commit, which concurrent ones share.",
            "One server process, its defaults; on the same PostgreSQL as the others, `fsync` and `synchronous_commit` on.",
        ],
    ]
    theirs = [[system.name, system.version(known), system.durability, system.settings] for system in SYSTEMS]
    return ours + theirs
