"""Workers that die."""

from collections.abc import Iterator
from typing import Final

from orchestrator.domain.advice.facts import LEASE_EXPIRED, Try, WholeFacts, brief
from orchestrator.domain.advice.telling import advice, examples
from worker_client.contract.advice import Advice

_LOST: Final = 3
_SHARE: Final = 0.1


def leases_lost(facts: WholeFacts) -> Iterator[Advice]:
    """Where a tenth of the attempts of the last day, and at least three, ended because nobody renewed the lease."""
    places: dict[str, list[Try]] = {}
    for one in facts.recent:
        where = f"machine {one.host}" if one.host else f"worker {brief(one.worker_id)}"
        places.setdefault(where, []).append(one)
    for where, tries in places.items():
        lost = [one for one in tries if one.type == LEASE_EXPIRED]
        if len(lost) >= _LOST and len(lost) >= _SHARE * len(tries):
            yield advice("leases_lost", examples(lost), about=lost[0], where=where, lost=len(lost), attempts=len(tries))
