"""Reads a mailbox in a thread of its own.

Each mail is delivered, then marked as read, then passed; after every break it is gone on with what was not passed, and the server
knows again what was delivered before. So nothing is lost, and nothing is taken twice.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from itertools import groupby
from typing import Final, TypeVar

import structlog

from orchestrator.mail.account import Account, FolderError, MailError
from orchestrator.mail.connection import Connection, Folder, Head
from orchestrator.mail.letter import Bounds, Letter
from orchestrator.mail.office import Delivery, LeftError, Office, Watch
from orchestrator.mail.positions import Position, day
from orchestrator.mail.reading import envelope
from orchestrator.mail.waker import Waker

log = structlog.get_logger()
T = TypeVar("T")
D = TypeVar("D")

LONGEST_S: Final = 25 * 60.0
"""Servers may hang up on those who say nothing for half an hour."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
TRIES: Final = 5
"""After so many breaks at the same point the mail goes on without it, so that those behind it do not wait for ever."""
KNOWN_DAYS: Final = 28
"""Keys of deliveries are kept a little longer."""
_KEEP_EVERY: Final = 20


class Mailbox:
    """`today` by the wall clock; `first_pause` in seconds, after a first failure; later ones are longer."""

    def __init__(
        self, account: Account, office: Office, bounds: Bounds, today: Callable[[], date], first_pause: float = FIRST_PAUSE_S
    ) -> None:
        self._account = account
        self._office = office
        self._bounds = bounds
        self._today = today
        self._first_pause = first_pause
        self._waker = Waker()
        self._connection: Connection | None = None
        self._opened: set[str] = set()
        self._ended = False
        self._failures = 0
        self._positions: dict[Watch, Position] = {}
        self._unkept: dict[Watch, Position] = {}
        self._delivered: set[str] = set()
        self._tries: Counter[tuple[str, str]] = Counter()

    def wake(self) -> None:
        """Look at the mailbox now: other triggers may wait for it."""
        self._waker.ring()

    def end(self) -> None:
        """Stop reading, from another thread."""
        self._ended = True
        self._waker.ring()
        if (connection := self._connection) is not None:
            connection.hang_up()

    def run(self) -> None:
        """Read until it is ended; whatever goes wrong is told, and tried again."""
        try:
            while not self._ended:
                try:
                    self._serve()
                except MailError as error:
                    self._rest_after(str(error))
                except OSError as error:
                    self._rest_after(f"attachments cannot be saved: {error.strerror or type(error).__name__}")
                except LeftError:
                    raise
                except Exception as error:  # noqa: BLE001 - its text may be of a mail, which belongs in no log
                    log.error("reading the mailbox failed and goes on", error=type(error).__name__, at=_place())  # noqa: TRY400 - as above
                    self._rest_after("reading failed, see the log")
        except LeftError:
            pass
        finally:
            self._waker.close()

    def _serve(self) -> None:
        connection = self._connection = Connection(self._account)
        self._opened = set()
        try:
            while not self._ended:
                self._waker.hush()
                watches = sorted(self._office.watches(), key=lambda watch: watch.folder)
                self._positions = {watch: self._positions[watch] for watch in watches if watch in self._positions}
                folders = [(name, list(group)) for name, group in groupby(watches, key=lambda watch: watch.folder)]
                opened = [self._looked(connection, name, group) for name, group in folders]
                self._failures = 0
                self._wait(connection, idle=opened[-1:] == [True])
        finally:
            self._connection = None
            connection.close()

    def _wait(self, connection: Connection, *, idle: bool) -> None:
        """Until there is something new: a server tells that of the open folder only, and some not of what came just before."""
        seconds = min(LONGEST_S, self._account.interval)
        if idle and connection.idles:
            connection.idle(seconds, self._waker.heard)
        else:
            self._waker.wait(seconds)

    def _rest_after(self, failing: str) -> None:
        if self._ended:
            return
        # The database may be what fails.
        with suppress(MailError):
            self._office.tell(self._office.watches(), failing)
        pause = min(LONGEST_PAUSE_S, self._first_pause * 2**self._failures)
        self._failures = min(self._failures + 1, 30)
        self._waker.hush()
        self._waker.wait(pause)

    def _looked(self, connection: Connection, name: str, watches: Sequence[Watch]) -> bool:
        """Whether the folder could be read, and was."""
        try:
            self._look(connection, connection.open(name), watches)
        except FolderError as error:
            if name in self._opened:
                # One that was there a moment ago may have been made anew, which only a new connection sees.
                raise MailError(str(error)) from None
            self._office.tell(watches, str(error))
            return False
        self._opened.add(name)
        self._office.tell(watches, None)
        return True

    def _look(self, connection: Connection, folder: Folder, watches: Sequence[Watch]) -> None:
        for watch in watches:
            self._positions[watch] = self._position(connection, folder, watch)
        try:
            # To the end: of what is told while mails are fetched nobody is told again.
            while uids := self._waiting(connection, watches):
                for number, uid in enumerate(uids, 1):
                    if self._ended:
                        raise LeftError
                    self._take(connection, folder, watches, uid)
                    if number % _KEEP_EVERY == 0:
                        self._keep()
        finally:
            self._keep()

    def _keep(self) -> None:
        if self._unkept:
            self._office.keep(self._unkept)
            self._unkept = {}

    def _waiting(self, connection: Connection, watches: Sequence[Watch]) -> list[int]:
        positions = [self._positions[watch] for watch in watches]
        before = {uid for position in positions for uid in position.backlog}
        return sorted(before | set(connection.after(min(position.last for position in positions))))

    def _position(self, connection: Connection, folder: Folder, watch: Watch) -> Position:
        """Where a trigger goes on; at its first look, and when the folder was numbered anew, with what may be for it."""
        before = self._positions.get(watch) or self._office.position(watch)
        if before is not None and (before.folder, before.validity) == (folder.name, folder.validity):
            return before
        again = before is not None and before.folder == folder.name
        since = before.since if before is not None and again else self._today()
        found: set[int] = set()
        if watch.look_back_days:
            first = max(since, self._today() - timedelta(days=KNOWN_DAYS)) if again else since
            found |= set(connection.since(day(first, before=watch.look_back_days), unread=True))
        if again:
            # Of what is older nobody knows any more whether it was taken.
            after = max(since + timedelta(days=1), self._today() - timedelta(days=KNOWN_DAYS))
            found |= set(connection.since(day(after), unread=False))
        backlog = tuple(sorted(uid for uid in found if uid <= folder.last))
        position = Position(folder=folder.name, validity=folder.validity, last=folder.last, since=since, backlog=backlog)
        self._office.keep({watch: position})
        return position

    def _take(self, connection: Connection, folder: Folder, watches: Sequence[Watch], uid: int) -> None:
        wanting = [watch for watch in watches if self._positions[watch].wants(uid)]
        head = self._tried(
            f"{folder.name}/{folder.validity}/{uid}", "head", lambda: connection.head(uid), Head(uid, b"", 0, seen=True)
        )
        if head is not None and wanting:
            self._deliver(connection, folder, wanting, head)
        for watch in wanting:
            self._positions[watch] = self._unkept[watch] = self._positions[watch].taken(uid)

    def _deliver(self, connection: Connection, folder: Folder, watches: Sequence[Watch], head: Head) -> None:
        letter = Letter(folder, head.uid, envelope(head.header))
        if letter.key not in self._delivered:
            new = [watch for watch in watches if not self._known(watch, letter, head.uid)]
            if not self._delivered_now(connection, letter, new, head):
                return
            self._delivered.add(letter.key)
        if folder.writable and not head.seen:
            marked = self._tried(letter.key, "mark", lambda: connection.mark(head.uid), default=False)
            if not marked:
                log.warning("a mail that was taken cannot be marked as read", folder=folder.name, uid=head.uid)
        self._delivered.discard(letter.key)

    def _known(self, watch: Watch, letter: Letter, uid: int) -> bool:
        """Whether it was taken under another number; of a mail that came since the folder was opened there is no doubt."""
        return uid in self._positions[watch].backlog and self._office.known(watch, letter.envelope.digest, letter.key)

    def _delivered_now(self, connection: Connection, letter: Letter, watches: Sequence[Watch], head: Head) -> bool:
        """Whether some trigger has taken it, so that it is to be marked."""
        refusals = {watch: watch.refuses(letter.envelope) for watch in watches}
        accepted = any(refusal is None for refusal in refusals.values())
        found = self._input(connection, letter, head) if accepted else {}
        if found is None or not watches:
            return False
        taken = self._office.deliver(
            [
                Delivery(watch, letter.key, refusal, found if refusal is None else {}, letter.facts)
                for watch, refusal in refusals.items()
            ]
        )
        if accepted and not any(taken):
            letter.discard(self._bounds)
        return any(taken)

    def _input(self, connection: Connection, letter: Letter, head: Head) -> dict[str, object] | None:
        """What templates see; None when the mail is gone."""
        most = self._bounds.message
        if head.size > most:
            return letter.input(None, self._bounds, f"the mail has {head.size} bytes, more than email.max_message_bytes = {most}")
        raw = self._tried(letter.key, "body", lambda: connection.body(head.uid, most + 1), b"")
        if raw == b"":
            return letter.input(None, self._bounds, "the mail server did not give the inside of the mail")
        if raw is not None and len(raw) > most:
            return letter.input(None, self._bounds, f"the mail is larger than email.max_message_bytes = {most}")
        return None if raw is None else letter.input(raw, self._bounds)

    def _tried(self, key: str, what: str, ask: Callable[[], T], default: D) -> T | D:
        """What the server answers, or `default` when asking has broken the connection too often."""
        if self._tries[key, what] >= TRIES:
            return default
        self._tries[key, what] += 1
        answer = ask()
        del self._tries[key, what]
        return answer


def _place() -> str:
    """Where the present error was raised."""
    trace = sys.exc_info()[2]
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
