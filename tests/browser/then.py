"""`orchestrator` in another time: its clocks are shifted by as many milliseconds as a file says, which whoever started it writes.

The server takes a jump as the sleep of its machine: leases go on.
"""

import mmap
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Final

VARIABLE: Final = "SHIFT_FILE"
_WIDTH: Final = 8


class Shift:
    """The file: how far another program is from now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.to(0)

    def to(self, milliseconds: int) -> None:
        """Have it be that far from now; less than 0 is the past."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(milliseconds.to_bytes(_WIDTH, "little", signed=True))


def main() -> None:
    """Shift the clocks of the store, and do as the command line does."""
    from orchestrator.cli import main as orchestrator  # noqa: PLC0415 - this process alone needs the server
    from orchestrator.store import clock  # noqa: PLC0415 - this process alone needs the server

    with Path(os.environ[VARIABLE]).open("rb") as file:
        read = mmap.mmap(file.fileno(), _WIDTH, access=mmap.ACCESS_READ)

    def shift() -> int:
        return 1_000_000 * int.from_bytes(read[:_WIDTH], "little", signed=True)

    shifted = SimpleNamespace(
        CLOCK_BOOTTIME=time.CLOCK_BOOTTIME,
        time_ns=lambda: time.time_ns() + shift(),
        clock_gettime_ns=lambda which: time.clock_gettime_ns(which) + shift(),
    )
    vars(clock)["time"] = shifted
    sys.argv[0] = "orchestrator"
    orchestrator()


if __name__ == "__main__":
    main()
