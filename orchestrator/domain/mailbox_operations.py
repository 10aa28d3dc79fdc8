"""What the loop that reads a mailbox asks for; see orchestrator/domain/operations.py."""

from collections.abc import Mapping

from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.task import Millis

Place = tuple[str, int]
"""A trigger: the id of its workflow, and its place there."""


class TendMailbox(Operation, frozen=True, kw_only=True):
    """Read the mailbox alone, `hold_ms` from now on (0: no longer), and write down what email triggers remember.

    `holder`: the server that asks. `states`: JSON by trigger, `failing`: why triggers hear of no mail, None: they do.
    """

    phase = Phase.CHANGE
    holder: str
    hold_ms: Millis
    states: Mapping[Place, str] = {}
    failing: Mapping[Place, str | None] = {}
