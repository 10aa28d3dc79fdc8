"""Leases as rows of their own, for a database that others write to, too."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.domain.paths import span
from orchestrator.domain.task import Head
from orchestrator.store.session import Session
from worker_client.contract.enums import Status


class Leases:
    """Leases that begin and end, where the database itself is to see that none touches another."""

    def __init__(self) -> None:
        self._begun: list[Sequence[Any]] = []
        self._claimed: list[int] = []
        self._ended: list[Sequence[Any]] = []

    def moved(self, before: Head, after: Head) -> None:
        """A task is now like this."""
        if before.lease_mode and not after.lease_mode:
            self._ended.append((before.id,))
        elif after.lease_mode and not before.lease_mode:
            self._begun.append((after.id, after.lease_host or "", *span(after.path), after.lease_mode))
        if after.status is Status.RUNNING and before.status is not Status.RUNNING:
            self._claimed.append(after.id)

    def save(self, session: Session, sql: Mapping[str, str]) -> None:
        """Write them, where there is a table of them."""
        if "add_lease" not in sql:
            return
        if self._claimed:
            session.ask(sql["seize"], session.listed(self._claimed))
        session.many(sql["remove_lease"], self._ended)
        session.many(sql["add_lease"], self._begun, exactly=True)
