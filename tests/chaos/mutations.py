"""Guards of the server, each to be taken out in the process that calls `apply`: the checker must see that it is gone."""

import itertools
import re
import time
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, cast

from msgspec.structs import replace

from orchestrator.domain import decide, ending, leasing
from orchestrator.domain import operations as ops
from orchestrator.domain.moves import lost, visible
from orchestrator.domain.outcomes import Decision, Done, Saved
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World
from orchestrator.http import claims, delivery
from orchestrator.store import saving_leases
from orchestrator.store.postgres import session
from orchestrator.store.postgres.sets import SetStatement, set_statement
from orchestrator.store.postgres.transaction import FEED, PostgresTransaction
from orchestrator.store.sqlite.store import SQLiteStore
from worker_client.contract.enums import Status


def apply(name: str) -> None:
    """Take a guard out."""
    MUTATIONS[name]()


def _put(owner: object, **others: object) -> None:
    """Have others in the place of what a module or a class has."""
    for name, other in others.items():
        setattr(owner, name, other)


def _ruled(op: type[ops.Operation], rule: Callable[..., Decision]) -> None:
    _put(decide, RULES=MappingProxyType({**decide.RULES, op: rule}))


def _lease() -> None:
    """Whoever names a running task may write to it."""

    def leased(task_id: int, _lease: str, verb: Any, by: Any, world: World) -> Any:
        head = visible(task_id, by, world)
        if head.status is not Status.RUNNING:
            raise lost(head, verb, same=False)
        return head

    for module in (leasing, ending):
        _put(module, leased=leased)


def _exclusivity() -> None:
    """Leases do not look at each other, nor does the database at them."""
    _put(World, lease_conflict=lambda *_, **__: False, owned=lambda *_, **__: False)
    _put(saving_leases.Leases, save=lambda *_: None)


def _disconnect() -> None:
    """Nobody watches whether an asker hangs up."""

    async def unless_gone(_request: Any, waiting: Any) -> Any:
        return await waiting

    _put(claims, unless_gone=unless_gone)
    _put(delivery, _gone=lambda *_: False)


def _version() -> None:
    """A row is written whatever became of it since it was read, which claims do a little before they write."""
    expect_claims = PostgresTransaction.expect_claims

    def slow(self: PostgresTransaction, needs: Any) -> None:
        expect_claims(self, needs)
        time.sleep(0.2)

    _put(PostgresTransaction, expect_claims=slow)

    def careless(query: str, types: Any) -> SetStatement:
        found = set_statement(query, types)
        return found._replace(text=re.sub(r" AND version = r\.p\d+", "", found.text))

    _put(session, set_statement=careless)


def _feed() -> None:
    """Events get their ids in one order, and are committed in another."""
    lock = PostgresTransaction._lock

    def careless(self: PostgresTransaction, number: int, name: str) -> None:
        if number != FEED:
            lock(self, number, name)

    finish = PostgresTransaction.finish

    def slow(self: PostgresTransaction) -> Any:
        events = finish(self)
        self._session.fetch("SELECT pg_sleep(random() * 0.03)")
        return events

    _put(PostgresTransaction, finish=slow)
    _put(PostgresTransaction, _lock=careless)


def _shift() -> None:
    """A time in which nobody could write is not given back."""
    _ruled(ops.Shift, lambda *_: Decision(Done()))


def _rank() -> None:
    """Last come, first served."""
    _put(Rules, rank=lambda _self, ready_at, _priority: -ready_at)


def _attempts() -> None:
    """Giving back costs an attempt."""
    rule = decide.RULES[ops.Release]

    def costly(*given: Any) -> Decision:
        decision = rule(*given)
        decision.changes = [
            Saved(replace(change.head, attempt=change.head.attempt + 1)) if isinstance(change, Saved) else change
            for change in decision.changes
        ]
        return decision

    _ruled(ops.Release, costly)


class _Forgetful:
    """A connection that takes back every tenth transaction that it says it has committed."""

    _numbers = itertools.count(1)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *params: Any) -> Any:
        lost = statement == "COMMIT" and next(self._numbers) % 10 == 0
        return self._connection.execute("ROLLBACK" if lost else statement, *params)


def _commit() -> None:
    """Some of what is acknowledged is not on disk."""
    commit = SQLiteStore._commit
    _put(SQLiteStore, _commit=lambda self, connection, *rest: commit(self, cast("Any", _Forgetful(connection)), *rest))


MUTATIONS: Final[dict[str, Callable[[], None]]] = {
    "lease": _lease,
    "exclusivity": _exclusivity,
    "disconnect": _disconnect,
    "version": _version,
    "feed": _feed,
    "shift": _shift,
    "rank": _rank,
    "attempts": _attempts,
    "commit": _commit,
}
