"""What the rules are told from outside: settings that decide."""

from msgspec import Struct

from orchestrator.domain.command import Commands
from orchestrator.domain.paths import overlap
from orchestrator.domain.task import Millis

HOUR = 3_600_000
MINUTE = 60_000


class Reservation(Struct, frozen=True):
    """A path kept free for an exclusive asker that has waited long; younger askers leave it alone."""

    path: str
    host: str
    since: Millis
    worker_id: str

    def bars(self, *, path: str, host: str, since: Millis, worker_id: str) -> bool:
        """Whether it keeps this asker from a lease on the path."""
        # Of two that began at the same moment one must go first, or they would keep each other out for ever.
        if (since, worker_id) <= (self.since, self.worker_id):
            return False
        return overlap(path, self.path) and (not host or not self.host or host == self.host)


class Defaults(Struct, frozen=True, kw_only=True):
    """What a task is that does not say otherwise, how long its prompt may be, and the commands that may stand for it."""

    work_directory: str = "/default"
    max_attempts: int = 4
    timeout_seconds: float = 3600
    max_prompt_bytes: int = 1024 * 1024
    commands: Commands = {}


class Rules(Struct, frozen=True, kw_only=True):
    """Times in ms; `head_start` by priority low, normal, high, urgent.

    `secrets`: the names of those that there are; `timezone`: of schedules that name none.
    `public_url`: where people reach the server (empty: nobody says); `notify_*`: how often a notification is tried, and how long
    after the first try.
    """

    head_start: tuple[int, int, int, int] = (-HOUR, 0, HOUR, 24 * HOUR)
    backoff: str = "{}"
    max_running: int = 0
    cancel_grace: int = 60_000
    expiry_grace: int = 5_000
    quota_hold: int = 15 * MINUTE
    quota_least: int = MINUTE
    free_releases: int = 1
    max_releases: int = 20
    release_delay: int = 1_000
    release_delay_cap: int = 5 * MINUTE
    releases_hold: int = HOUR
    patience: int = 30_000
    reservations: tuple[Reservation, ...] = ()
    secrets: frozenset[str] = frozenset()
    defaults: Defaults = Defaults()
    timezone: str = "UTC"
    public_url: str = ""
    notify_tries: int = 12
    notify_retry_ms: int = 5_000

    def rank(self, ready_at: Millis, priority: int) -> int:
        """The place within a directory, ascending: when it became ready, less the head start of its priority."""
        return ready_at - self.head_start[priority]
