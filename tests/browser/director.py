"""Who puts the scene on: what happens, and how many minutes before now."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from random import Random
from typing import Any, Final

from tests.browser.people import AGENTS, CHECKOUTS, DOING, ERRORS, OUTPUT, QUESTIONS, WANTED
from tests.browser.sites import Site
from tests.browser.then import Shift
from worker_client.contract.enums import ParkReason, Priority, Status
from worker_client.contract.reports import CompleteItem, Progress, TaskError, Usage
from worker_client.contract.tasks import Backoff, ClaimedTask, CreatedTask, CreateTask

DAYS: Final = 14
DAY_MINUTES: Final = 24 * 60
LEASE_S: Final = 86_400
_TAGS: Final = ("backend", "frontend", "infra", "data", "客户")
_PAST: Final = "history"
"""The kind of the tasks that were done, so that nobody claims others by them."""


class Director:
    """Puts the scene on, from the first day to now."""

    def __init__(self, site: Site, shift: Shift) -> None:
        self.client = site.client
        self.chance = Random(7)
        self.tasks: dict[str, int] = {}
        self.started: dict[str, int] = {}
        self.shift = shift
        self._wanted = cycle(WANTED)
        self._minutes: float = DAYS * DAY_MINUTES
        self._acts: list[tuple[float, Callable[[], object]]] = []

    def at(self, minutes: float) -> None:
        """Go to so many minutes before now; time does not go back."""
        self._minutes = minutes
        self.shift.to(round(-60_000 * minutes))

    def plan(self, minutes: float, act: Callable[[], object]) -> None:
        """Have something done so many minutes before now."""
        self._acts.append((minutes, act))

    def act(self) -> None:
        """Do all that is planned, in the order of its times, and return to now."""
        while self._acts:
            minutes, act = max(self._acts, key=lambda planned: planned[0])
            self._acts.remove((minutes, act))
            self.at(minutes)
            act()
        self.at(0)

    # The days that were

    def past(self) -> None:
        """Two weeks of work that is done, denser in the last day."""
        for day in range(DAYS, 1, -1):
            busy = 0.3 if (day % 7) in {2, 3} else 1.0
            for hour in (20, 16, 12, 8):
                count = round(busy * self.chance.randint(9, 16))
                self.plan((day - 1) * DAY_MINUTES + hour * 60, partial(self._work, count, 140))
        for minutes in range(DAY_MINUTES, 20, -20):
            rush = 1 + 2.5 * (1 - abs(minutes - 500) / DAY_MINUTES)
            self.plan(minutes, partial(self._work, round(rush * self.chance.randint(2, 5)), 14))

    def _work(self, count: int, minutes: float) -> None:
        """Begin so many tasks, each to end within some minutes; a few of them fail."""
        begun = self._minutes
        free = [place for place in range(len(CHECKOUTS)) if not _exclusive(place)]
        places = [(*CHECKOUTS[place], 1 if place % 9 == 4 else 3) for place in self.chance.sample(free, count)]
        wishes = [self._wish(host, path, kind=_PAST, max_attempts=attempts) for host, path, attempts in places]
        created = self.client.create_many(tasks=wishes).tasks
        self.tasks["done"] = created[0].id
        claimed = [task for host in sorted({task.host for task in created}) for task in self._take_many(host, created)]
        for part in range(4):
            self.plan(begun - (part + 1) * minutes / 4, partial(self._end, claimed[part::4]))

    def _end(self, tasks: Sequence[ClaimedTask]) -> None:
        if done := [task for task in tasks if task.max_attempts > 1]:
            items = [CompleteItem(id=one.id, lease=one.lease, result=_result(one), usage=self._usage(one)) for one in done]
            self.client.complete_many(items=items)
        for task in tasks:
            if task.max_attempts == 1:
                self._fails(task, *ERRORS[task.id % len(ERRORS)])

    # What there is now

    def running(self) -> None:
        """Thirty agents at work, each in a checkout of its own."""
        for place in range(30):
            self.plan(96 - 3 * place, partial(self._runs, place))

    def _runs(self, place: int) -> None:
        host, path = CHECKOUTS[place]
        options: dict[str, Any] = {
            "priority": list(Priority)[place % 4],
            "exclusive": _exclusive(place),
            "timeout_seconds": 6 * 3600.0,
        }
        self.client.create(**self._facts(host, path), **options)
        task = self._take(host, path)
        self.tasks.setdefault("running", task.id)
        percent, message = DOING[place % len(DOING)]
        lines = [line for _ in range(1 + place % 3) for line in OUTPUT][: 3 + (7 * place) % 25]
        self.client.append_logs(task.id, lease=task.lease, lines=list(lines))
        self.client.heartbeat(
            task.id,
            lease=task.lease,
            progress=Progress(percent=percent, message=message),
            session_id=f"5e55{place:04x}-0c1a-4f7e-9d2b-{task.id:012x}",
            usage=self._usage(task),
        )

    def waiting(self) -> None:
        """Tasks that nothing or something keeps from running."""
        self.plan(5, self._waits)
        self.plan(4, self._is_held)

    def _waits(self) -> None:
        for place in range(0, 36, 2):
            for _ in range(1 + place % 3):
                task = self.client.create(**self._facts(*CHECKOUTS[place]), exclusive=place % 6 == 0)
                self.tasks.setdefault("waiting", task.id)

    def _is_held(self) -> None:
        client = self.client
        host, path = CHECKOUTS[33]
        self.tasks["paused"] = client.create(**self._facts(host, path)).id
        client.set_directory(work_directory=path, host=host, paused=True, reason="Freeze until the audit is over, ask Mei")
        client.set_directory(work_directory="/home/mei", host="atlas", max_running=16)
        client.set_directory(work_directory="/srv/agents/fraud-rules", host="birch", daily_cost_usd=40.0)
        first = client.create(**self._facts(*CHECKOUTS[35]))
        second = client.create(**self._facts(*CHECKOUTS[36]), depends_on=[first.id])
        self.tasks["blocked"] = client.create(**self._facts(*CHECKOUTS[37]), depends_on=[first.id, second.id]).id
        for hours in (2, 9, 30):
            client.create(**self._facts(*CHECKOUTS[38]), run_at=_in(hours))

    def parked(self) -> None:
        """What needs a person, or time."""
        for place, (question, options) in enumerate(QUESTIONS):
            self.plan(48 - 9 * place, partial(self._asks, place, question, options))
        for title, place in (("Drop the unused columns in production", 3), ("重置测试环境数据库", 20)):
            self.plan(31, partial(self._wants_approval, title, place))
        self.plan(22, self._stands_still)

    def _asks(self, place: int, question: str, options: Sequence[str]) -> None:
        task = self._begun(30 + place)
        self.client.append_logs(task.id, lease=task.lease, lines=list(OUTPUT[:5]))
        self.client.park(
            task.id,
            lease=task.lease,
            reason=ParkReason.QUESTION,
            question=question,
            options=list(options),
            usage=self._usage(task),
        )
        self.tasks[("question", "question_zh")[place] if place < 2 else f"question_{place}"] = task.id

    def _wants_approval(self, title: str, place: int) -> None:
        facts = {**self._facts(*CHECKOUTS[place]), "title": title}
        self.tasks["approval"] = self.client.create(**facts, requires_approval=True).id

    def _stands_still(self) -> None:
        task = self._begun(34)
        lease, usage = task.lease, self._usage(task)
        quota: dict[str, Any] = {"reason": ParkReason.QUOTA, "not_before": _in(2.7), "account": "claude-team"}
        self.client.park(task.id, lease=lease, usage=usage, **quota)
        self.tasks["quota"] = task.id
        task = self._begun(39)
        usage = self._usage(task)
        self.client.park(task.id, lease=task.lease, reason=ParkReason.BUDGET, message="$5.00 of $5.00 are used", usage=usage)

    def failed(self) -> None:
        """One that failed again and again, with what it said."""
        self.plan(41, self._is_stubborn)
        for attempt in range(3):
            self.plan(39 - 6 * attempt, partial(self._tries, attempt))

    def _is_stubborn(self) -> None:
        facts = {**self._facts(*CHECKOUTS[39]), "title": "Make the flaky checkout test deterministic", "kind": "stubborn"}
        self.tasks["failed"] = self.client.create(**facts, max_attempts=3, backoff=Backoff(base_seconds=0, jitter=0)).id

    def _tries(self, attempt: int) -> None:
        task = self._take(*CHECKOUTS[39], kind="stubborn")
        self.client.append_logs(task.id, lease=task.lease, lines=[*OUTPUT, *OUTPUT[: 4 + attempt]])
        self.plan(36 - 6 * attempt, partial(self._fails, task, *ERRORS[attempt]))

    def _fails(self, task: ClaimedTask, kind: str, message: str, *, retryable: bool = True) -> None:
        error = TaskError(type=kind, message=message)
        self.client.fail(task.id, lease=task.lease, error=error, retryable=retryable, usage=self._usage(task))

    def runs(self, workflows: dict[str, str]) -> None:
        """Runs of workflows: some done, one failed, one that goes on."""
        done = (("nightly", 170, 3), ("review", 150, 2), ("failed", 130, 2), ("review", 110, 2))
        for name, minutes, steps in done:
            workflow = workflows["nightly" if name == "failed" else name]
            self.plan(minutes, partial(self._begins, name, workflow))
            for step in range(steps):
                last = step == steps - 1
                self.plan(minutes - 3 * (step + 1), partial(self._steps, name, fails=last and name == "failed"))
        self.plan(30, partial(self._begins, "running", workflows["release"]))
        self.plan(26, partial(self._steps, "running"))
        self.plan(15, partial(self._steps, "running", most=2))

    def _begins(self, name: str, workflow: str) -> None:
        self.started[name] = self.client.execute_workflow(workflow).id

    def _steps(self, name: str, *, fails: bool = False, most: int = 100) -> None:
        """End what of a run can be ended now; the tasks of a step come soon after those of the one before have ended."""
        run = self.started[name]
        for _ in range(200):
            if tasks := self.client.list(run_id=run, status=[Status.WAITING], limit=most).items:
                break
            self.client.get_run(run, wait=0.1)
        for task in [self._take(task.host, task.work_directory) for task in tasks]:
            if fails:
                self._fails(task, *ERRORS[0], retryable=False)
            else:
                self.client.complete(task.id, lease=task.lease, result={"summary": "Done."}, usage=self._usage(task))

    def fires(self, schedules: dict[str, int]) -> None:
        """What came by itself or was asked for, done by those who do such work."""
        for minutes, name in ((80, "report"), (64, "crawl"), (44, "crawl"), (21, "report")):
            self.plan(minutes, partial(self.client.execute_schedule, schedules[name]))
            self.plan(minutes - 4, self._sweep)

    def _sweep(self) -> None:
        for path in ("/srv/agents/reports", "/srv/agents/crawler", "/home/mei/mailer"):
            while task := self.client.claim(**self._asker("", path), kinds=["sweep"], wait=0, lease_seconds=LEASE_S):
                self.client.complete(task.id, lease=task.lease, result=_result(task), usage=self._usage(task))

    def settle(self) -> None:
        """Let the server, back in the present, fire what was due meanwhile."""
        while any(
            schedule.next_fire_at and schedule.next_fire_at < datetime.now(UTC) for schedule in self.client.schedules().items
        ):
            self.client.status(self.tasks["running"], wait=0.2)
        self._sweep()
        self.ask()

    def ask(self) -> None:
        """Have some workers ask, and find nothing."""
        for place in range(0, 36, 3):
            self.client.claim(**self._asker(*CHECKOUTS[place]), kinds=["sweep"], wait=0)

    # Pieces

    def _facts(self, host: str, path: str) -> dict[str, Any]:
        title = next(self._wanted)
        tags = self.chance.sample(_TAGS, self.chance.randint(0, 2))
        return {"work_directory": path, "host": host, "title": title, "prompt": _prompt(title, path), "tags": tags}

    def _wish(self, host: str, path: str, **more: Any) -> CreateTask:
        return CreateTask(**self._facts(host, path), **more)

    def _take(self, host: str, path: str, kind: str = "agent") -> ClaimedTask:
        claimed = self.client.claim(**self._asker(host, path), kinds=[kind], wait=0, lease_seconds=LEASE_S)
        assert claimed is not None, path
        return claimed

    def _take_many(self, host: str, created: Sequence[CreatedTask]) -> Sequence[ClaimedTask]:
        paths = [task.work_directory for task in created if task.host == host]
        facts: dict[str, Any] = {"worker_id": f"{host}-{self.chance.randrange(3000, 4000)}", "host": host, "kinds": [_PAST]}
        claimed = self.client.claim_many(work_path=paths, limit=len(paths), wait=0, lease_seconds=LEASE_S, **facts).tasks
        assert len(claimed) == len(paths)
        return claimed

    def _asker(self, host: str, path: str) -> dict[str, Any]:
        place = next(place for place, (_, known) in enumerate(CHECKOUTS) if known == path)
        host, agent = CHECKOUTS[place][0], AGENTS[place % len(AGENTS)][0]
        worker = f"{host}-{4000 + place}-{agent}"
        return {"work_path": [path], "worker_id": worker, "host": host, "agent": agent, "account": f"{agent}-{place}"}

    def _begun(self, place: int) -> ClaimedTask:
        self.client.create(**self._facts(*CHECKOUTS[place]))
        return self._take(*CHECKOUTS[place])

    def _usage(self, task: ClaimedTask) -> Usage:
        spent = self.chance.lognormvariate(0, 0.8)
        model = AGENTS[task.id % len(AGENTS)][1]
        return Usage(
            input_tokens=round(90_000 * spent),
            output_tokens=round(7_000 * spent),
            cached_tokens=round(61_000 * spent),
            cost_usd=round(0.74 * spent, 4),
            duration_ms=round(600_000 * spent),
            model=model,
        )


def _exclusive(place: int) -> bool:
    """Whether somebody has the checkout for itself in the end."""
    return place % 6 == 5


def _prompt(title: str, path: str) -> str:
    return f"{title}.\n\nWork in {path} only. Run the tests before you finish, and say in one paragraph what you changed and why."


def _in(hours: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)


def _result(task: ClaimedTask) -> dict[str, object]:
    return {"summary": f"{task.title}: done, all tests pass.", "commits": 1 + task.id % 3, "files": 2 + task.id % 11}
