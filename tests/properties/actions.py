"""Random operations, dense enough that they meet: few directories, live and stale leases, ids that exist and some that don't."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import OPEN, SYSTEM, Principal
from orchestrator.domain.task import Head, Outputs
from tests.properties.invariants import lease_of
from tests.rig import HOUR, claim, enqueue, interest, new_task
from worker_client.contract.enums import LogStream, Status

PATHS = ("/", "/a", "/a", "/a/b", "/a/b/c", "/a/bb", "/d")
HOSTS = ("", "", "", "h1", "h2")
AGENTS = ("", "", "claude", "codex")
ACCOUNTS = (None, None, "a", "b")
WORKERS = ("w1", "w2", "w3")
TAGS = ((), (), (), ("gpu",), ("gpu", "big"))
OTHER = Principal("other", OPEN.scopes)
LINE = ops.LogLine("x", LogStream.STDOUT, None)


class Actions:
    """Makes operations for a queue as it is known: its tasks, and all leases that ever were."""

    def __init__(self, seed: int, now: int, tasks: Mapping[int, Head], leases: Sequence[tuple[int, str]]) -> None:
        self._random = random.Random(seed)
        self._pick = self._random.choice
        self._now = now
        self._tasks = tasks
        self._leases = leases

    def batch(self, size: int) -> list[ops.Submission]:
        """Operations of one transaction."""
        makers = [self._create, self._claim, self._report, self._change, self._update, self._directory, self._hold, self._of_time]
        return [make() for make in self._random.choices(makers, [3, 6, 8, 3, 1, 0.4, 0.7, 1], k=size)]

    def _may(self, chance: float) -> bool:
        return self._random.random() < chance

    def _task(self) -> int:
        return self._pick([*self._tasks, 999]) if self._tasks else 999

    def _create(self) -> ops.Submission:
        pick = self._pick
        return ops.Submission(enqueue(*(
            new_task(
                pick(PATHS), host=pick(HOSTS), kind=pick(("agent", "agent", "script", "http")), tags=pick(TAGS),
                agent=pick(AGENTS), priority=pick((0, 1, 1, 1, 2, 3)), exclusive=self._may(0.3),
                delay_ms=pick((None, None, None, 0, 5_000)),
                max_attempts=pick((1, 2, 3)), timeout_ms=pick((15_000, HOUR, HOUR)), requires_approval=self._may(0.1),
                backoff=pick(('{"base_seconds": 0}', '{"base_seconds": 3}')),
                budget=pick((None, None, None, '{"tokens":7}', '{"tokens":20,"micros":4000}')),
                key=pick((None, None, None, "k1", "k2")), key_hash=pick(("h", "h", "other")),
                depends_on=tuple({self._task() for _ in range(pick((0, 0, 1, 2)))} - ({999} if self._may(0.9) else set())),
            )
            for _ in range(pick((1, 2, 3)))
        )), OPEN)  # fmt: skip

    def _claim(self) -> ops.Submission:
        pick, by = self._pick, self._pick((OPEN, OPEN, OPEN, OTHER))
        wanted = interest(
            *sorted({pick(PATHS), pick(PATHS)}), recursive=self._may(0.6), kinds=pick(((), (), ("agent",), ("script", "http"))),
            tags=pick(TAGS[:4]), host=pick(HOSTS), exclusive=self._may(0.2), by=by, agent=pick(AGENTS),
        )  # fmt: skip
        op = claim(
            wanted, pick(WORKERS), account=pick(ACCOUNTS), limit=pick((1, 1, 3)), lease_ms=pick((1_000, 10_000, 100_000)),
            confirm_ms=pick((None, None, 2_000)), poll_id=pick((None, None, "p")),
        )  # fmt: skip
        return ops.Submission(op, by)

    def _report(self) -> ops.Submission:
        """Mostly with a lease that lives, often with one that did."""
        live = {head.id: lease_of(head) for head in self._tasks.values() if head.status is Status.RUNNING}
        stale = [(task_id, lease) for task_id, lease in self._leases if live.get(task_id, lease) != lease]
        choices: list[Sequence[tuple[int, str]]] = [list(live.items()), stale, self._leases, [(999, "999.1.ff")]]
        chosen = self._random.choices(choices, [7, 2, 2, 0.1])[0] or self._leases or choices[-1]
        task_id, lease = self._pick(chosen)
        by = OPEN
        if (head := self._tasks.get(task_id)) is not None and head.claimed_by == OTHER.id and self._may(0.8):
            by = OTHER
        used = Outputs(usage_now=self._usage(), progress='{"percent": 1}', session_id="s") if self._may(0.5) else None
        asked = Outputs(question='"which?"')
        return ops.Submission(self._pick((
            ops.Heartbeat(task_id=task_id, lease=lease, outputs=used, agent=self._pick(AGENTS)),
            ops.Heartbeat(task_id=task_id, lease=lease),
            ops.AppendLogs(task_id=task_id, lease=lease, lines=(LINE, LINE), first_line=self._pick((None, 1, 2))),
            ops.Complete(task_id=task_id, lease=lease, result="1", usage=self._pick((None, self._usage()))),
            ops.Complete(task_id=task_id, original_prompt="do it"),
            ops.Fail(task_id=task_id, lease=lease, error="{}", usage=self._pick((None, self._usage()))),
            ops.Fail(task_id=task_id, lease=lease, error="{}", retryable=self._may(0.5), retry_after_ms=self._pick((0, 9_000))),
            ops.Release(task_id=task_id, lease=lease, not_before=self._pick((None, None, self._now + 4_000))),
            ops.Park(task_id=task_id, lease=lease, hold=self._pick(("quota", "budget", "approval", "releases"))),
            ops.Park(task_id=task_id, lease=lease, hold="quota", account="a", not_before=self._now + 4_000),
            ops.Park(task_id=task_id, lease=lease, hold="question", outputs=asked),
            ops.Park(task_id=task_id, lease=lease, hold="question", not_before=self._now + 9_000),
            ops.Undeliver(task_id=task_id, lease=lease, delivery_no=self._pick((1, 1, 2))),
        )), by)  # fmt: skip

    def _usage(self) -> str:
        """Not always more than was told before."""
        pick = self._pick
        return json.dumps({
            "input_tokens": pick((0, 3, 8)), "output_tokens": pick((0, 5)), "cost_usd": pick((0, 0.0015, 0.0025)),
            "model": pick((None, "m", "n")),
        })  # fmt: skip

    def _change(self) -> ops.Submission:
        parked = [head.id for head in self._tasks.values() if head.status in {Status.PARKED, Status.BLOCKED}]
        ended = [head.id for head in self._tasks.values() if head.status.final]
        if parked and self._may(0.3):
            task_id = self._pick(parked)
            return ops.Submission(self._pick((
                ops.Answer(task_id=task_id, answer='"x"'), ops.Approve(task_id=task_id), ops.Reject(task_id=task_id),
            )), OPEN)  # fmt: skip
        if ended and self._may(0.4):
            return ops.Submission(ops.Retry(task_id=self._pick(ended)), OPEN)
        task_id = self._task()
        return ops.Submission(self._pick((
            ops.Cancel(task_id=task_id), ops.Cancel(task_id=task_id, reason="no"), ops.Execute(task_id=task_id),
            ops.Retry(task_id=task_id), ops.Delete(task_id=task_id), ops.Answer(task_id=task_id, answer='"x"'),
        )), OPEN)  # fmt: skip

    def _update(self) -> ops.Submission:
        pick = self._pick
        facts: dict[str, Any] = pick((
            {"path": pick(PATHS)}, {"priority": pick((0, 1, 2, 3))}, {"exclusive": self._may(0.5)}, {"host": pick(HOSTS)},
            {"tags": pick(TAGS)}, {"run_at": pick((None, self._now + 4_000))},
            {"inputs": {"prompt": "new"}}, {"version": 2, "title": "t"}, {"budget": pick((None, (5, None), (50, 9_000)))},
        ))  # fmt: skip
        return ops.Submission(ops.Update(task_id=self._task(), **facts), OPEN)

    def _hold(self) -> ops.Submission:
        """Accounts that wait and go on, workers that drain and do no longer."""
        pick = self._pick
        return ops.Submission(pick((
            ops.SetAccount(account=pick("ab"), held_until=self._now + pick((-1, 3_000, HOUR))),
            ops.SetAccount(account=pick("ab")), ops.SetAccount(account="a", limit=1),
            ops.DrainWorker(worker_id=pick(WORKERS)),
            *(ops.DrainWorker(worker_id=worker, undo=True) for worker in WORKERS),
        )), OPEN)  # fmt: skip

    def _directory(self) -> ops.Submission:
        pick = self._pick
        facts: dict[str, Any] = pick(
            ({"paused": True}, {"paused": False}, {"paused": False}, {"max_running": 1}, {"max_running": None})
        )
        if self._may(0.2):
            name, most = pick((("daily_tokens", 30), ("daily_micros", 9_000), ("daily_attempts", 5)))
            facts = {name: pick((None, None, most))}
        return ops.Submission(ops.SetDirectory(path=pick(PATHS), host=pick(HOSTS), **facts), OPEN)

    def _of_time(self) -> ops.Submission:
        return ops.Submission(self._pick((ops.Expire(), ops.Promote(), ops.Expire(limit=1), ops.Promote(limit=1))), SYSTEM)
