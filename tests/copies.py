"""Databases full of everything, and copies of them."""

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.credential import Credential, Entry
from orchestrator.domain.principal import ALL_SCOPES, Principal
from orchestrator.domain.task import Inputs, Outputs
from orchestrator.store.copying.copy import Compared, Copy
from orchestrator.store.copying.opening import opened
from orchestrator.store.copying.tables import KEYS
from tests import postgres
from tests.rig import HOUR, STORES, Rig, Time, enqueue, make_store, meddle, new_task
from worker_client.contract.enums import LogStream

WAYS = list(itertools.product(STORES, STORES))
ways = pytest.mark.parametrize(("kind", "other"), WAYS, ids=[f"{one} to {other}" for one, other in WAYS])


def address(kind: str, directory: Path) -> str:
    """The database that a Rig of a kind has in a directory."""
    return f"sqlite:///{directory / 'queue.db'}" if kind == "sqlite" else postgres.database(directory)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Any]:
    """A connection past everything that keeps others away; statements take no parameters, and commit by themselves."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)) as connection:
            yield connection
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


def run(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements behind everybody's back; the rows of the last one."""
    with connected(url) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def dump(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    wanted = {table: f"SELECT * FROM {table} ORDER BY {', '.join(key)}" for table, key in KEYS.items()}  # noqa: S608 - names are ours
    return {table: run(url, query) for table, query in wanted.items()}


def meta(url: str) -> dict[str, str]:
    """What is kept under single names."""
    return dict(run(url, "SELECT key, value FROM meta"))


def serve(kind: str, directory: Path) -> None:
    """As a server does, for a moment."""

    async def opened_and_closed() -> None:
        store = make_store(kind, directory, Time())
        try:
            await store.open()
        finally:
            await store.close()

    asyncio.run(opened_and_closed())


def copied(source: str, target: str) -> list[Compared]:
    """A copy from beginning to end."""
    with opened(source, target) as ends:
        copy = Copy(*ends)
        copy.begin()
        copy.rows()
        compared = copy.compare()
        assert [table for table in compared if not table.ok] == []
        copy.conclude()
        return compared


def lines(*texts: str) -> tuple[ops.LogLine, ...]:
    return tuple(ops.LogLine(text=text, stream=LogStream.STDOUT, at=None) for text in texts)


def fill(rig: Rig) -> None:
    """A task in every status, in every way to hold a directory, and rows in every table."""
    parent = rig.running("/kept/parent")
    texts = Inputs(prompt="p" * 1_000_000, description="ä €\u2028🦀\\u0000", metadata='{"a": "\\u0000"}')
    rig.add("/kept/child", depends_on=(parent.task_id,), inputs=texts)
    rig.add("/kept/later", delay_ms=HOUR, tags=("b", "a"), title='quo"ted\t\\ \n line')
    rig.add("/kept/dear", budget='{"micros":0}')
    rig.add("/kept/asking", requires_approval=True, key="k", key_hash="h")
    for n in range(5):
        done = rig.running(f"/done/{n}", key=f"key {n}", key_hash="h", tags=("night", "ä"))
        rig.do(ops.AppendLogs(task_id=done.task_id, lease=done.lease, lines=lines(*map(str, range(n * 10)), "", "\\N")))
        rig.do(ops.Heartbeat(task_id=done.task_id, lease=done.lease, outputs=Outputs(progress='"half"')))
        rig.time.pass_(1_000)
        if n % 2:
            rig.do(ops.Complete(task_id=done.task_id, lease=done.lease, result='{"n": 1}', usage='{"cost_usd": 5, "model": "ä"}'))
        else:
            rig.do(ops.Fail(task_id=done.task_id, lease=done.lease, error='{"message": "no"}', retryable=n == 0))
    cancelled = rig.add("/kept/cancelled")
    rig.do(ops.Cancel(task_id=cancelled, reason="why not"))
    asked = rig.running("/kept/asked")
    rig.do(ops.Park(task_id=asked.task_id, lease=asked.lease, hold="question", outputs=Outputs(question="Which?")))
    for host in ("", "one", "two"):
        rig.add("/held/here", exclusive=True, host=host)
    for n, path in enumerate(("/shared", "/shared/a", "/shared/a")):
        rig.add(path, kind=f"s{n}")
    for host in ("one", "two"):
        assert rig.claim("/held/here", host=host, exclusive=True, worker=f"exclusive {host}", lease_ms=60_000)
    for n, path in enumerate(("/shared", "/shared/a", "/shared/a")):
        rig.take(path, kinds=[f"s{n}"], worker=f"shared {n}", lease_ms=60_000)
    rig.do(ops.SetDirectory(path="/paused", paused=True, reason="holidays"))
    rig.do(ops.SetDirectory(path="/held", host="one", max_running=3, daily_tokens=9))
    rig.do(ops.SetDirectory(path="/spent", daily_attempts=1, daily_micros=7))
    for name in ("one", "two"):
        key = Credential(id=name, name=name, digest=name, scopes=("read", "work"), paths=("/kept/**", "/ä"), secrets=("*",))
        rig.do(ops.IssueKey(credential=key))
        rig.do(ops.SetAddress(entry=Entry(list="deny", network="2001:db8::/32", note=name)))
    rig.do(ops.UseKeys(uses=(ops.Use("one", rig.time.at, "::1"),)))
    rig.do(ops.RevokeKey(id="two"))
    rig.rules = replace(rig.rules, secrets=frozenset({"TOKEN"}))
    by = Principal("one", ALL_SCOPES, secrets=None)
    rig.commit(ops.Submission(enqueue(new_task("/secret", secrets="TOKEN")), by, None, "::1"))
    for row in ("accounts VALUES ('**', 'a', NULL, 1, NULL, 2)", "drains VALUES ('w', '**', NULL, 'why', 3)"):
        rig._runner.run(meddle(rig.store, f"INSERT INTO {row}"))
    gone = rig.running("/gone", key="gone", key_hash="h")
    rig.do(ops.Complete(task_id=gone.task_id, lease=gone.lease))
    rig.do(ops.Delete(task_id=gone.task_id))


ROWS = (
    (
        "INSERT INTO schedules (version, scope, name, owner, cron, timezone, work, enabled, jitter_ms, overlap, missed,"
        " missed_window_ms, failures, runs, counted_from, created_at, updated_at)"
        " VALUES (1, '**', 'nightly', '', '0 2 * * *', 'UTC', '{}', 1, 0, 'allow', 'once', 0, 0, 1, 1, 1, 1)"
    ),
    (
        "INSERT INTO fires (version, schedule_id, kind, due_at, decided_at, outcome, times, task_ids)"
        " VALUES (1, 1, 'due', 1, 1, 'fired', 1, '[1]')"
    ),
    (
        "INSERT INTO workflows (id, version, scope, name, owner, latest, created_at, updated_at)"
        " VALUES ('wf_1', 1, '**', 'release', '', 1, 1, 1)"
    ),
    "INSERT INTO workflow_versions (workflow_id, number, definition, owner, created_at) VALUES ('wf_1', 1, '{}', '', 1)",
    (
        "INSERT INTO runs (version, workflow_id, workflow_name, number, status, input, trigger, source, created_at, updated_at)"
        " VALUES (1, 'wf_1', 'release', 1, 'running', '{}', '{}', 'api', 1, 1)"
    ),
    "INSERT INTO run_steps (run_id, step_id, version, status, take, tasks) VALUES (1, 'build', 1, 'running', 1, '[1]')",
    (
        "INSERT INTO deliveries (version, workflow_id, place, type, at, outcome, facts, duration_ms, times, tries)"
        " VALUES (1, 'wf_1', 0, 'webhook', 1, 'filtered', '{}', 3, 1, 0)"
    ),
    "INSERT INTO trigger_states (workflow_id, place, version, type, state, updated_at) VALUES ('wf_1', 0, 1, 'email', '{}', 1)",
    (
        "INSERT INTO notification_rules (version, scope, name, owner, enabled, definition, from_event, begins_at, created_at,"
        """ updated_at) VALUES (1, '**', 'failures', '', 1, '{"events": ["task.failed"]}', 0, 1, 1, 1)"""
    ),
    (
        "INSERT INTO notifications (version, rule_id, key, message_id, lane, type, task_id, at, payload, status, tries,"
        " created_at) VALUES (1, 1, 'event/1', 'msg_1', 'task/1', 'task.failed', 1, 1, '{}', 'pending', 0, 1)"
    ),
    "INSERT INTO consumers (name, version, last_event) VALUES ('advancer', 1, 7)",
)
"""One row in each table that no operation of `fill` writes to."""


def full(kind: str, directory: Path, time: Time | None = None) -> str:
    """The address of a database with everything in it, not served."""
    directory.mkdir(parents=True, exist_ok=True)
    rig = Rig(directory, kind, time=time)
    fill(rig)
    rig.close()
    where = address(kind, directory)
    run(where, *ROWS)
    return where
