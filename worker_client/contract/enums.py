"""The closed vocabularies of the wire."""

from enum import StrEnum


class Status(StrEnum):
    """Where a task stands; the lifecycle between them is `orchestrator/domain/lifecycle.py`."""

    WAITING = "waiting"
    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    RUNNING = "running"
    PARKED = "parked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether a task stays here until somebody retries it."""
        return self in FINAL


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Priority(StrEnum):
    """A head start in time over other tasks of the same directory."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Directive(StrEnum):
    """What a heartbeat tells the worker to do; `park`: a budget is used up, end the work softly, keep its session and park."""

    CONTINUE = "continue"
    CANCEL = "cancel"
    PARK = "park"


class ParkReason(StrEnum):
    """What a parked task waits for; `releases` is set by the server after 20 unused releases."""

    QUOTA = "quota"
    BUDGET = "budget"
    QUESTION = "question"
    APPROVAL = "approval"
    RELEASES = "releases"


class LeaseEnd(StrEnum):
    """Why a lease is no longer the current one (`details.reason` of LEASE_LOST)."""

    EXPIRED = "expired"
    RECLAIMED = "reclaimed"
    RELEASED = "released"
    CANCELLED = "cancelled"
    ALREADY_APPLIED = "already_applied"


class AttemptOutcome(StrEnum):
    """How an attempt ended; `released` and `parked` cost none of the task's attempts."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    RELEASED = "released"
    PARKED = "parked"
    CANCELLED = "cancelled"


class LogStream(StrEnum):
    """Where a line of output came from; `system` is the worker itself."""

    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"


class Scope(StrEnum):
    """What a key may do: look, put work in and change it, work on it, or all of that and administer the server."""

    READ = "read"
    SUBMIT = "submit"
    WORK = "work"
    ADMIN = "admin"


class AddressList(StrEnum):
    """A list of addresses: when `allow` has any, all others are refused; `deny` goes before it."""

    ALLOW = "allow"
    DENY = "deny"


class Overlap(StrEnum):
    """What a schedule does at a due time while the work of an earlier one has not ended."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    ONE_AT_A_TIME = "one_at_a_time"
    CANCEL_PREVIOUS = "cancel_previous"


class Missed(StrEnum):
    """What a schedule does about due times that passed while nobody could fire: nothing, the last one, or all."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class ScheduleState(StrEnum):
    """Whether a schedule has times to come: `paused` by somebody or by failures, `finished` by its end or its number of runs."""

    ACTIVE = "active"
    PAUSED = "paused"
    FINISHED = "finished"


class FireKind(StrEnum):
    """Why a schedule fired: a due time, a person, a backfill."""

    DUE = "due"
    MANUAL = "manual"
    BACKFILL = "backfill"


class FireOutcome(StrEnum):
    """What became of a due time: work was created, it waits for the work before it, it was left out, or its work was refused."""

    FIRED = "fired"
    QUEUED = "queued"
    SKIPPED = "skipped"
    FAILED = "failed"


class RunStatus(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """Where a step of a run stands; `skipped`: its condition was false."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class RunIf(StrEnum):
    """What a step asks of those that it depends on."""

    SUCCESS = "success"
    FAILURE = "failure"
    ALWAYS = "always"


class DeliveryOutcome(StrEnum):
    """What became of a delivery: a run was begun, or would have been; it was known, not wanted, refused, or could not be used.

    `fetching`: a run begins as soon as what the delivery omits is known.
    """

    FIRED = "fired"
    DRY_RUN = "dry_run"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    REFUSED = "refused"
    FAILED = "failed"
    FETCHING = "fetching"


class NotificationStatus(StrEnum):
    """What became of something that a rule was told; `dead`: given up after too many tries."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
