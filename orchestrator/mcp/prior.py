"""What earlier attempts of a task left for the next one, in brief."""

from typing import Final

import msgspec

from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.contract.attempts import Attempt, ListAttempts
from worker_client.contract.enums import AttemptOutcome
from worker_client.contract.tasks import ClaimedTask
from worker_client.errors import OrchestratorError

_LOOKED_AT: Final = 3
_LONGEST: Final = 2_000
_ENDED: Final[list[AttemptOutcome]] = [outcome for outcome in AttemptOutcome if outcome is not AttemptOutcome.RUNNING]


async def prior(client: AsyncClient, claimed: ClaimedTask) -> str | None:
    """A few lines: how the last attempts ended, what a check said, the answer to a question; None for a first attempt."""
    lines = []
    if claimed.lease_no > 1:
        try:
            query = ListAttempts(task_id=claimed.id, outcome=_ENDED, limit=_LOOKED_AT)
            page = await client.send(endpoints.list_attempts(query))
            lines = [line for attempt in reversed(page.items) for line in told(attempt)]
        except OrchestratorError:
            # A claim is worth more than its story, which a key for work alone may not read anyway.
            lines = [f"an earlier attempt failed: {brief(claimed.error.message)}"] if claimed.error else []
    if claimed.answer is not None:
        lines += [f"asked: {brief(claimed.question or '?')}", f"answer: {brief(claimed.answer)}"]
    return "\n".join(lines) or None


def told(attempt: Attempt) -> list[str]:
    """One attempt, in a line or a few."""
    why = attempt.error.message if attempt.error and attempt.error.message else attempt.reason
    lines = [f"attempt {attempt.attempt} {attempt.outcome}{f': {brief(why)}' if why else ''}"]
    if verify := attempt.evidence.get("verify"):
        text = verify if isinstance(verify, str) else msgspec.json.encode(verify).decode()
        lines.append(f"its check said: {brief(text)}")
    return lines


def brief(text: str, most: int = _LONGEST) -> str:
    """Text of which, when it is long, the beginning and the end are left."""
    if len(text) <= most:
        return text
    return f"{text[: most // 4]}\n[{len(text) - most} characters left out]\n{text[-(most - most // 4) :]}"
