"""The guards of a database that servers share guard: without one of them, two interleaved transactions go wrong."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import psycopg
import pytest

from orchestrator.store import saving, statements
from orchestrator.store.filling import Dialect, fill
from orchestrator.store.postgres.store import DIALECT, CommitFailedError
from orchestrator.store.sql import queries
from tests.properties.pairs import PAIRS
from tests.properties.replicas import Replicas, interleaved, serial, store_of


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    """Two stores on one database, of which a test takes the guards."""
    replicas = Replicas(tmp_path)
    yield replicas
    replicas.close()


def rewrite(replicas: Replicas, name: str, change: Callable[[str], str]) -> None:
    """Say a query otherwise."""
    for rig in replicas.rigs:
        sql = store_of(rig)._sql
        said = change(sql[name])
        assert said != sql[name]
        sql[name] = said


def without_claim_lock(replicas: Replicas, _: pytest.MonkeyPatch) -> None:
    rewrite(replicas, "claim_lock", lambda _: "SELECT ?::bigint")


def without_feed_lock(replicas: Replicas, _: pytest.MonkeyPatch) -> None:
    rewrite(replicas, "feed_lock", lambda _: "SELECT ?::bigint")


def without_row_locks(replicas: Replicas, _: pytest.MonkeyPatch) -> None:
    unlocked = fill(queries("common", "runs", "postgres"), Dialect(among=DIALECT.among, lock="", skip=DIALECT.skip))
    rewrite(replicas, "heads", lambda _: unlocked["heads"])


def without_key_locks(replicas: Replicas, _: pytest.MonkeyPatch) -> None:
    rewrite(replicas, "credential", lambda query: query.replace("FOR NO KEY UPDATE", ""))


def without_unique_names(replicas: Replicas, _: pytest.MonkeyPatch) -> None:
    replicas.looker.execute("DROP INDEX api_keys_name")


def without_parents_locks(replicas: Replicas, _: pytest.MonkeyPatch) -> None:
    rewrite(replicas, "parents_kept", lambda query: query.replace("FOR SHARE OF t", ""))


def without_nowait(replicas: Replicas, _: pytest.MonkeyPatch) -> None:
    rewrite(replicas, "seize", lambda query: query.replace("NOWAIT", ""))


def without_exclusion(replicas: Replicas, _: pytest.MonkeyPatch) -> None:
    rows = replicas.looker.execute("SELECT conname FROM pg_constraint WHERE conrelid = 'leases'::regclass AND contype = 'x'")
    ((name,),) = rows.fetchall()
    replicas.looker.execute(f"ALTER TABLE leases DROP CONSTRAINT {name}".encode())


def without_version_guard(_: Replicas, patch: pytest.MonkeyPatch) -> None:
    guarded = statements.update_tasks
    patch.setattr(saving, "update_tasks", lambda columns: guarded(columns).replace("AND version = ?", "AND version + ? > 0"))


Take = Callable[[Replicas, pytest.MonkeyPatch], None]
RED: Mapping[str, tuple[tuple[Take, ...], str, str]] = MappingProxyType(
    {
        "claim lock, limits": ((without_claim_lock,), "claimed_under_a_limit", "claimed"),
        "claim lock, polls": ((without_claim_lock,), "same_poll", "claimed"),
        "claim lock and exclusion": ((without_claim_lock, without_exclusion), "exclusive_above_shared", "overlap"),
        "claim lock and version": ((without_claim_lock, without_version_guard), "one_request_two_workers", "task_counts"),
        "version": ((without_version_guard,), "claimed_and_cancelled", "tasks_check"),
        "version, moved": ((without_version_guard,), "claimed_and_moved", "task_counts"),
        "row locks": ((without_row_locks,), "parents_complete", "blocked by nobody"),
        "row locks, edges": ((without_row_locks,), "child_created_parent_completes", "created"),
        "parents' locks": ((without_parents_locks,), "child_created_parent_completes", ""),
        "parents' locks, failing": ((without_parents_locks,), "child_created_parent_fails", "waits for ever"),
        "keys' locks, sessions": ((without_key_locks,), "key_revoked_and_session_opened", "neither"),
        "keys' locks, changes": ((without_key_locks,), "key_changed_twice", "neither"),
        "names of keys": ((without_unique_names,), "keys_of_one_name", "neither"),
        "feed lock": ((without_feed_lock,), "created_apart", "missed an event"),
    }
)


def gone_wrong(replicas: Replicas, pair: str, take: tuple[Take, ...], patch: pytest.MonkeyPatch) -> list[str]:
    """What is seen of a pair without guards, in both orders."""
    expected = serial(replicas, PAIRS[pair])
    for one in take:
        one(replicas, patch)
    seen = []
    for swapped in (False, True):
        try:
            found = interleaved(replicas, PAIRS[pair], swapped=swapped)
        except (AssertionError, CommitFailedError, psycopg.Error) as error:
            seen.append(str(error))
        else:
            seen += [f"{one[0]} is neither of both orders" for one in found if one not in expected]
    return seen


@pytest.mark.parametrize("guard", RED)
def test_without_a_guard_it_goes_wrong(replicas: Replicas, monkeypatch: pytest.MonkeyPatch, guard: str) -> None:
    take, pair, words = RED[guard]
    seen = gone_wrong(replicas, pair, take, monkeypatch)
    assert any(words in one for one in seen), seen


@pytest.mark.parametrize("pair", ["exclusive_above_shared", "exclusive_meets_exclusive", "one_task_two_workers"])
@pytest.mark.parametrize("take", [without_claim_lock, without_exclusion], ids=["lock", "constraint"])
def test_no_lease_overlaps_with_either_of_two_guards(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch, take: Take, pair: str
) -> None:
    assert gone_wrong(replicas, pair, (take,), monkeypatch) == []


def test_who_claims_waits_for_nobody_who_waits_for_claims(replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gone_wrong(replicas, "claimed_and_executed", (), monkeypatch) == []
    assert replicas.deadlocks() == 0
    assert gone_wrong(replicas, "claimed_and_executed", (without_nowait,), monkeypatch) == []
    # Each session adds to the statistics in its own time.
    deadline = time.monotonic() + 20
    while not replicas.deadlocks():
        assert time.monotonic() < deadline
        time.sleep(0.05)
