"""What a guardian is told before it starts the program: one line of JSON."""

import json
import os
from typing import NamedTuple


class Orders(NamedTuple):
    """`report`, `directory`, `source`, `lock`: descriptors that the guardian was given; the program reads `source`.

    `until`: when all has to be gone, by the boot clock. `record`: the file of the lock, removed when all is gone. `memory`: bytes
    that the program and what it started may have together. `cpu`: how many cores they may keep busy on average.
    """

    environment: dict[str, str]
    report: int
    directory: int
    source: int
    until: float | None = None
    lock: int | None = None
    record: str | None = None
    memory: int | None = None
    cpu: float | None = None

    def line(self) -> bytes:
        """As they are sent."""
        return json.dumps(self._asdict()).encode() + b"\n"


def received(control: int) -> tuple[Orders, bytes] | None:
    """The orders, and what was sent after them; None when the sender has gone before."""
    got = b""
    while b"\n" not in got:
        chunk = os.read(control, 65_536)
        if not chunk:
            return None
        got += chunk
    line, _, rest = got.partition(b"\n")
    return Orders(**json.loads(line)), rest
