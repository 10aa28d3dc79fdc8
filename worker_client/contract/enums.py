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
