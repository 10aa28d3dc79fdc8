"""What clients asked and were told, what the feed told, and what was done to the servers: in the order in which it happened."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
from msgspec import Struct

_encode = msgspec.json.Encoder(enc_hook=str).encode
_MOST_BYTES: Final = 64_000_000


class Call(Struct, kw_only=True):
    """One request. Times are monotonic seconds of this machine; `touches`: ids of the tasks that it names.

    `outcome`: ok, refused (it had no effect, or was applied before), unsent (it never left), unknown (it may have had an effect).
    """

    number: int
    op: str
    who: str
    sent: float
    args: dict[str, Any] = {}
    touches: tuple[int, ...] = ()
    lease: str | None = None
    ended: float | None = None
    outcome: str = "open"
    status: int = 0
    data: Any = None

    @property
    def task_id(self) -> int:
        return self.touches[0]

    @property
    def reason(self) -> str | None:
        """Why a lease was refused."""
        details = (self.data or {}).get("details") if self.outcome == "refused" else None
        return (details or {}).get("reason")

    @property
    def applied(self) -> bool:
        """Whether it is acknowledged: now, or by the answer to its repetition."""
        return self.outcome == "ok" or self.reason == "already_applied"


class Sent(Struct, frozen=True, tag=True, tag_field="entry"):
    """A request leaves."""

    call: Call


class Ended(Struct, frozen=True, tag=True, tag_field="entry"):
    """Its answer is here, or will never be."""

    call: Call


class Told(Struct, frozen=True, tag=True, tag_field="entry"):
    """A reader of the feed was told of an event; `at`: when it was, `since`: the server's time of the event in ms."""

    at: float
    reader: str
    id: int
    type: str
    task_id: int
    path: str
    status: str | None
    data: dict[str, Any]
    since: int


class Trouble(Struct, frozen=True, tag=True, tag_field="entry"):
    """A fault begins or is over."""

    at: float
    name: str
    over: bool = False


Entry = Sent | Ended | Told | Trouble


class Violation(Struct, frozen=True):
    """A promise that was broken, in words, with what shows it."""

    kind: str
    words: str
    shown: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return "\n    ".join([f"{self.kind}: {self.words}", *(_encode(one).decode()[:600] for one in self.shown)])


class Log:
    """The last entries in a file of lines of JSON; what is older than some 64 MB is let go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO = path.open("w")
        self._bytes = 0

    def add(self, entry: Entry) -> None:
        line = _encode(entry).decode()
        if self._bytes > _MOST_BYTES:
            self._file.close()
            self._path.replace(self._path.with_suffix(".older"))
            self._file, self._bytes = self._path.open("w"), 0
        self._file.write(line + "\n")
        self._bytes += len(line)

    def close(self) -> None:
        self._file.close()


class History:
    """Numbers calls, stamps them, counts them, and passes everything on to whoever hears it."""

    def __init__(self, *hear: Callable[[Entry], None]) -> None:
        self._hear = list(hear)
        self._listen: list[Callable[[Told], None]] = []
        self._calls = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self.told = 0

    def listen(self, listen: Callable[[Told], None]) -> None:
        """Have somebody told of events, too."""
        self._listen.append(listen)

    def _pass_on(self, entry: Entry) -> None:
        for hear in self._hear:
            hear(entry)

    def sent(self, op: str, who: str, **facts: Any) -> Call:
        self._calls += 1
        call = Call(number=self._calls, op=op, who=who, sent=time.monotonic(), **facts)
        self._pass_on(Sent(call))
        return call

    def ended(self, call: Call, outcome: str, status: int = 0, data: Any = None) -> Call:
        call.ended, call.outcome, call.status, call.data = time.monotonic(), outcome, status, data
        self.counts[call.op, str(status) if status else outcome] += 1
        self._pass_on(Ended(call))
        return call

    def event(self, told: Told) -> None:
        self.told += 1
        self._pass_on(told)
        for listen in self._listen:
            listen(told)

    def fault(self, name: str) -> None:
        self.faults[name] += 1
        self._pass_on(Trouble(time.monotonic(), name))

    def mended(self, name: str) -> None:
        self._pass_on(Trouble(time.monotonic(), name, over=True))
