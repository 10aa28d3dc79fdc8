"""What comes of operations on schedules."""

from msgspec import Struct

from orchestrator.domain.outcomes import Outcome
from orchestrator.domain.records import Fire
from orchestrator.domain.task import Millis


class Scheduled(Outcome):
    """The schedule is saved; `more`: of what was to be cancelled there is more."""

    schedule_id: int
    more: bool = False


class Executed(Outcome):
    """It has fired."""

    fire: Fire


class Backfilled(Outcome):
    """How many due times there were, and for how many of them work was created."""

    due: int
    fired: int


class Fired(Struct, frozen=True):
    """What became of a due time, or of `times` of them; `late_ms`: after the time that was due, None: there was none."""

    schedule_id: int
    workflow_id: str | None
    outcome: str
    times: int
    run_id: int | None
    late_ms: Millis | None


class Fires(Outcome):
    """What became of due times; `created` tasks in all, of due times `missed`; `more`: there are more due times."""

    fires: list[Fired]
    created: int = 0
    missed: int = 0
    more: bool = False
