"""`python -m tests.chaos`: faults for as long as is wanted, on both stores."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import Plan, run


def main() -> int:
    """0 when nothing was violated; what shows a violation is kept."""
    parser = argparse.ArgumentParser(description="Servers under faults, and a checker of what was promised.")
    parser.add_argument("--seconds", type=float, default=60, help="how long there are faults, on each store")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--workers", type=int, default=18)
    parser.add_argument("--pace", type=float, default=0.06, help="seconds that a client thinks on average")
    parser.add_argument("--most", type=int, default=150, help="tasks that may be unfinished")
    parser.add_argument("--mutation", default="", help="a guard to take out")
    given = parser.parse_args()
    bad = 0
    for store in ["sqlite", "postgres"] if given.store == "both" else [given.store]:
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{store}-"))
        memory = Path(tempfile.mkdtemp(prefix="chaos-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))  # noqa: S108 - a file system
        plan = Plan(
            store=store, seconds=given.seconds, seed=given.seed, folder=folder, memory=memory, mutation=given.mutation,
            workers=given.workers, pace=given.pace, most=given.most, say=10,
        )  # fmt: skip
        try:
            done = asyncio.run(run(plan))
        finally:
            shutil.rmtree(memory, ignore_errors=True)
        sys.stdout.write("\n".join(done.summary()) + "\n")
        if done.checker.violations:
            bad += 1
            sys.stdout.write(f"the history and the logs of the servers are in {folder}\n")
        else:
            shutil.rmtree(folder)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
