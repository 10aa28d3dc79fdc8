"""What a mailbox asks of the server, kept in memory as the server keeps it: a key is taken once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from msgspec import Struct

from orchestrator.mail.account import Account
from orchestrator.mail.letter import Bounds
from orchestrator.mail.mailbox import Mailbox
from orchestrator.mail.office import Delivery, Watch
from orchestrator.mail.positions import Position
from orchestrator.mail.reading import Envelope


class Waits(Struct, frozen=True):
    """A trigger that waits for mail."""

    name: str = "a"
    folder: str = "INBOX"
    look_back_days: int = 1
    subject: str = ""

    def refuses(self, envelope: Envelope) -> str | None:
        return None if self.subject in envelope.subject else "another subject"


class Desk:
    """The server's side; `fired`: subjects by trigger, with the times that each was taken."""

    def __init__(self, *watches: Watch) -> None:
        self.waiting: Sequence[Watch] = watches or (Waits(),)
        self.positions: dict[Watch, Position] = {}
        self.keys: dict[tuple[Watch, str], str | None] = {}
        self.inputs: list[Mapping[str, Any]] = []
        self.facts: list[Mapping[str, Any]] = []
        self.failing: list[str | None] = []
        self.told: dict[Watch, str | None] = {}
        self.fails: list[Exception] = []
        self.calls: Counter[str] = Counter()
        self._news = threading.Condition()

    def until(self, condition: Callable[[], object], within: float = 20) -> None:
        with self._news:
            assert self._news.wait_for(condition, within), (self.keys, self.positions, self.failing[-3:])

    @property
    def fired(self) -> list[str]:
        return sorted(str(found["subject"]) for found in self.inputs)

    def watches(self) -> Sequence[Watch]:
        return self.waiting

    def position(self, watch: Watch) -> Position | None:
        return self.positions.get(watch)

    def known(self, watch: Watch, digest: str, key: str) -> bool:
        return any(by == watch and other.startswith(f"{digest}/") and other != key for by, other in self.keys)

    def deliver(self, deliveries: Sequence[Delivery]) -> list[bool]:
        with self._news:
            if self.fails:
                raise self.fails.pop()
            taken = []
            for one in deliveries:
                new = (one.watch, one.key) not in self.keys
                if new:
                    self.keys[one.watch, one.key] = one.filtered
                    self.facts.append(one.facts)
                if new and one.filtered is None:
                    self.inputs.append(one.input)
                self.calls["new" if new else "again"] += 1
                taken.append(self.keys[one.watch, one.key] is None)
            self._news.notify_all()
            return taken

    def keep(self, positions: Mapping[Watch, Position]) -> None:
        with self._news:
            self.positions |= positions
            self._news.notify_all()

    def tell(self, watches: Sequence[Watch], failing: str | None) -> None:
        with self._news:
            self.failing.append(failing)
            self.told |= dict.fromkeys(watches, failing)
            self._news.notify_all()


class Reader:
    """A mailbox that is read in a thread until the end of a `with`."""

    def __init__(self, account: Account, desk: Desk, bounds: Bounds | None = None) -> None:
        bounds = bounds or Bounds(directory=None)
        self.mailbox = Mailbox(account, desk, bounds, lambda: datetime.now(UTC).date(), first_pause=0.002)
        self._thread = threading.Thread(target=self.mailbox.run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mailbox.end()
        self._thread.join(20)
        assert not self._thread.is_alive()


def eventually(condition: Callable[[], object]) -> None:
    """For what the mail server does of itself, which tells nobody."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)
