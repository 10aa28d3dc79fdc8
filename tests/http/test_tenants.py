"""Two tenants on one server, each limited to its directories, ask at random: neither ever sees a byte of the other's."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import Auth, Database
from tests import postgres
from tests.http.conftest import Running, serving
from tests.http.wire import Asked, Got, Wire
from tests.rig import meddle

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(170)]

CALLS = 10_000
CONNECTIONS = 4
BOOTSTRAP = "b" * 40
FIRST_ID = 7_000_000_000_000
"""No other number in an answer is near it: neither times nor counts."""
_IDS = re.compile(r"(?<!\d)7\d{12}(?!\d)")
_STATUSES = ("waiting", "scheduled", "blocked", "running", "parked", "completed", "failed", "cancelled")


class Tenant:
    """Whose every word is marked: `mark~name~number`."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name = name
        self.chance = chance
        self.key = ""
        self.key_ids = ["none"]
        self.other: Tenant = self
        self.paths = [f"/t/{name}/{self.word()}" for _ in range(6)]
        self.paths.append(f"{self.paths[0]}/{self.word()}")
        self.tasks: list[int] = []
        self.attempts = [1]
        self.leases: list[tuple[int, str]] = []
        self.statuses: dict[int, int] = {}

    def word(self) -> str:
        """Something to be known by."""
        return f"mark~{self.name}~{self.chance.randrange(10**9)}"

    def leaked(self, asked: Asked, got: Got) -> set[str]:
        """What of this tenant's is in an answer to another, who had not said it itself."""
        found = {word for word in re.findall(rf"mark~{self.name}~\d+", got.text) if word not in asked.text}
        mine = set(self.tasks)
        return found | {number for number in _IDS.findall(got.text) if int(number) in mine and number not in asked.text}

    def worker(self) -> str:
        """Some names of workers both have, as of keys and polls."""
        return self.word() if self.chance.random() < 0.7 else f"worker-{self.chance.randrange(3)}"

    # What it asks about: mostly its own, often the other's, now and then nothing that there is.

    def either(self, of: Callable[["Tenant"], list[Any]], nothing: Any) -> Any:
        owner = self.chance.choices((self, self.other, None), (50, 45, 5))[0]
        known = of(owner) if owner else []
        return self.chance.choice(known[-200:]) if known else nothing

    def path(self) -> str:
        return str(self.either(lambda tenant: [*tenant.paths, f"/t/{tenant.name}", "/t", "/"], "/elsewhere"))

    def task(self) -> int:
        return int(self.either(lambda tenant: tenant.tasks, 12))

    def lease(self) -> tuple[int, str]:
        found: tuple[int, str] = self.either(lambda tenant: tenant.leases, (12, "12.1.00"))
        return found

    def new(self) -> dict[str, Any]:
        """A task, with everything that it can say of itself."""
        chance = self.chance
        more: dict[str, Any] = {}
        if chance.random() < 0.3:
            more["depends_on"] = sorted({self.task() for _ in range(chance.randint(1, 2))})
        if chance.random() < 0.2:
            more["key"] = f"key-{chance.randrange(40)}"
        if chance.random() < 0.1:
            more["requires_approval"] = True
        if chance.random() < 0.1:
            more["delay_seconds"] = 1000
        return {
            "work_directory": self.path(), "prompt": self.word(), "title": self.word(), "tags": [self.word()],
            "description": self.word(), "metadata": {"of": self.word()}, "environment": {"WORD": self.word()},
            "spec": {"model": self.word()}, "exclusive": chance.random() < 0.2,
            "priority": chance.choice(("low", "normal", "high", "urgent")), **more,
        }  # fmt: skip

    def asking(self, **more: Any) -> dict[str, Any]:
        wanted = {"work_path": [self.path() for _ in range(self.chance.randint(1, 2))], "worker_id": self.worker(), "wait": 0}
        wanted |= {"recursive": self.chance.random() < 0.5, "lease_seconds": 600, "account": self.word()}
        if self.chance.random() < 0.2:
            wanted["poll_id"] = f"poll-{self.chance.randrange(9)}"
        return {**wanted, **more}

    def filtered(self) -> dict[str, Any]:
        chance = self.chance
        found: dict[str, Any] = {}
        if chance.random() < 0.5:
            found |= {"work_path": self.path(), "recursive": chance.random() < 0.7}
        if chance.random() < 0.4:
            found["status"] = chance.sample(_STATUSES, 2)
        if chance.random() < 0.2:
            found["q"] = f"mark~{chance.choice((self, self.other)).name}"
        return found

    def next(self) -> Asked:
        """The next call, of any kind there is."""
        return self.chance.choices(*_CALLS)[0](self)

    def learn(self, got: Got) -> None:
        """Remember what can be asked about later."""
        self.statuses[got.status] = self.statuses.get(got.status, 0) + 1
        data = got.data
        if got.status >= 300 or not isinstance(data, dict):
            return
        tasks = data.get("tasks", [data]) if "tasks" in data or "prompt" in data else []
        for task in tasks:
            if task["id"] not in self.tasks:
                self.tasks.append(task["id"])
            if lease := task.get("lease"):
                self.leases.append((task["id"], lease))
        for item in data.get("items") or ():
            if isinstance(item, dict) and "outcome" in item and item.get("id"):
                self.attempts.append(item["id"])


def _report(tenant: Tenant) -> dict[str, Any]:
    words = {"input_tokens": 3, "model": tenant.word()}
    return {"usage": words}


def _heartbeat(tenant: Tenant) -> Asked:
    task, lease = tenant.lease()
    said = {"lease": lease, "progress": {"message": tenant.word()}, "checkpoint": tenant.word(), "session_id": tenant.word()}
    return Asked("POST", f"/tasks/{task}/heartbeat", body=said | _report(tenant))


def _end(tenant: Tenant) -> Asked:
    task, lease = tenant.lease()
    verb, said = tenant.chance.choice(
        (
            ("complete", {"result": {"of": tenant.word()}}),
            ("complete", {"result": tenant.word()}),
            ("fail", {"error": {"type": "oops", "message": tenant.word()}, "retryable": tenant.chance.random() < 0.5}),
            ("release", {"reason": tenant.word()}),
            ("park", {"reason": "question", "question": tenant.word(), "options": [tenant.word()]}),
            ("park", {"reason": "quota", "account": tenant.word()}),
        )
    )
    return Asked("POST", f"/tasks/{task}/{verb}", body={"lease": lease, **said})


def _many(tenant: Tenant) -> Asked:
    verb = tenant.chance.choice(("heartbeat", "complete", "fail"))
    more: dict[str, Any] = {"error": {"type": "oops", "message": tenant.word()}} if verb == "fail" else {}
    items = [{"id": task, "lease": lease, **more} for task, lease in (tenant.lease() for _ in range(3))]
    return Asked("POST", f"/tasks/{verb}", body={"items": items})


def _log(tenant: Tenant) -> Asked:
    task, lease = tenant.lease()
    return Asked("POST", f"/tasks/{task}/logs", body={"lease": lease, "lines": [{"text": tenant.word()}]})


def _change(tenant: Tenant) -> Asked:
    verb = tenant.chance.choice(("cancel", "retry", "execute", "approve", "reject"))
    body = {"reason": tenant.word()} if verb in {"cancel", "reject"} else None
    return Asked("POST", f"/tasks/{tenant.task()}/{verb}", body=body)


def _bulk(tenant: Tenant) -> Asked:
    return Asked(
        "POST", f"/tasks/{tenant.chance.choice(('retry', 'cancel'))}", body={"work_path": [tenant.path()], "recursive": True}
    )


def _about(tenant: Tenant) -> Asked:
    rest = tenant.chance.choice(("", "", "/why", "/why", "/status", "/attempts", "/logs"))
    return Asked("GET", f"/tasks/{tenant.task()}{rest}")


_LISTS = ("/tasks", "/tasks", "/directories", "/workers", "/execution-logs", "/auth/keys", "/audit", "/statistics")
_WHOLE = frozenset({"/statistics"})


def _list(tenant: Tenant) -> Asked:
    chance, path = tenant.chance, tenant.chance.choice(_LISTS)
    query: dict[str, Any] = {} if path in _WHOLE else {"limit": chance.choice((1, 5, 20))}
    if path == "/tasks":
        query |= tenant.filtered()
    elif path in {"/directories", "/execution-logs"} and chance.random() < 0.5:
        query["work_path"] = tenant.path()
    return Asked("GET", path, query)


def _attempt(tenant: Tenant) -> Asked:
    return Asked("GET", f"/execution-logs/{tenant.either(lambda one: one.attempts, 1)}")


def _update(tenant: Tenant) -> Asked:
    body: dict[str, Any] = {"title": tenant.word()}
    if tenant.chance.random() < 0.3:
        body["work_directory"] = tenant.path()
    return Asked("PUT", f"/tasks/{tenant.task()}", body=body)


def _pause(tenant: Tenant) -> Asked:
    return Asked("PUT", "/directories", body={"work_directory": tenant.path(), "paused": False, "max_running": 1000})


def _administer(tenant: Tenant) -> Asked:
    chance = tenant.chance
    new = {"name": tenant.word(), "scopes": [chance.choice(("read", "admin"))], "paths": [f"{tenant.path()}/**"]}
    return chance.choice((
        Asked("POST", "/auth/keys", body=new),
        Asked("PUT", f"/auth/keys/{chance.choice(chance.choice((tenant, tenant.other)).key_ids)}", body={"name": tenant.word()}),
        Asked("GET", "/ip-control/status"),
        Asked("POST", "/system/reload"),
    ))  # fmt: skip


_EVERY: dict[Callable[[Tenant], Asked], int] = {
    lambda tenant: Asked("POST", "/tasks", body=tenant.new()): 22,
    lambda tenant: Asked("POST", "/tasks/batch", body={"tasks": [tenant.new() for _ in range(2)]}): 3,
    lambda tenant: Asked("GET", "/tasks/next", tenant.asking()): 14,
    lambda tenant: Asked("POST", "/tasks/claim", body=tenant.asking(limit=2)): 4,
    _heartbeat: 6,
    _end: 10,
    _many: 3,
    _log: 4,
    _change: 6,
    lambda tenant: Asked("POST", f"/tasks/{tenant.task()}/answer", body={"answer": tenant.word()}): 2,
    _bulk: 1,
    _about: 12,
    _list: 9,
    _attempt: 3,
    _update: 4,
    lambda tenant: Asked("DELETE", f"/tasks/{tenant.task()}"): 1,
    lambda tenant: Asked(
        "PUT", "/directories", body={"work_directory": tenant.path(), "paused": False, "reason": tenant.word()}
    ): 1,
    _administer: 1,
}
_CALLS = (list(_EVERY), list(_EVERY.values()))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.system)])
async def server(request: pytest.FixtureRequest, anyio_backend: object, tmp_path: Path) -> AsyncIterator[Running]:
    """A server that only those with keys may ask, and as often as they like."""
    sections: dict[str, Any] = {"auth": Auth(mode="required", bootstrap_key=BOOTSTRAP)}
    if request.param == "postgres":
        sections["database"] = Database(url=postgres.database(tmp_path))
    async with serving(tmp_path / "tasks.db", **sections) as running:
        store = running.app.state.store
        if request.param == "sqlite":
            await meddle(store, f"INSERT INTO sqlite_sequence (name, seq) VALUES ('tasks', {FIRST_ID})")  # noqa: S608 - a number of ours
        else:
            await meddle(store, f"ALTER TABLE tasks ALTER COLUMN id RESTART WITH {FIRST_ID}")
        yield running


async def tenants_of(root: Wire) -> tuple[Tenant, Tenant]:
    """Two of them, with keys that may do everything in their own directories."""
    chance = random.Random(4)
    alpha, beta = Tenant("alpha", chance), Tenant("beta", chance)
    alpha.other, beta.other = beta, alpha
    for tenant in (alpha, beta):
        body = {"name": tenant.word(), "scopes": ["admin"], "paths": [f"/t/{tenant.name}/**"], "rate": "100000000/m"}
        made = (await root.ask(Asked("POST", "/auth/keys", body=body))).data
        tenant.key = made["key"]
        tenant.key_ids.append(made["id"])
    return alpha, beta


async def wander(tenant: Tenant, wire: Wire, calls: Iterator[int]) -> None:
    """Ask for this and that, and look whether the other shows."""
    for _ in calls:
        asked = tenant.next()
        got = await wire.ask(asked)
        assert got.status < 500, (asked, got)
        leaked = tenant.other.leaked(asked, got)
        assert not leaked, f"{tenant.name} asked {asked} and saw {leaked} in {got.text}"
        tenant.learn(got)


async def test_neither_sees_a_byte_of_the_other(server: Running) -> None:
    async with AsyncExitStack() as stack:

        async def wire(key: str) -> Wire:
            return stack.enter_context(closing(await Wire.open(server.address, key)))

        root = await wire(BOOTSTRAP)
        tenants = await tenants_of(root)
        heard: dict[str, list[str]] = {tenant.name: [] for tenant in tenants}
        for tenant in tenants:
            following = asyncio.create_task((await wire(tenant.key)).follow("/events?live=true", heard[tenant.name]))
            stack.callback(following.cancel)
        calls = {tenant.name: iter(range(CALLS)) for tenant in tenants}
        wanderers = [wander(one, await wire(one.key), calls[one.name]) for one in tenants for _ in range(CONNECTIONS)]
        await asyncio.gather(*wanderers)

        for tenant in tenants:
            told = Got(200, "".join(heard[tenant.name]))
            assert f"mark~{tenant.name}~" in told.text
            assert {"task.progress", "task.output"} <= set(re.findall(r"task\.\w+", told.text))
            assert not tenant.other.leaked(Asked("GET", "/events"), told)
            assert all(tenant.statuses.get(status, 0) > CALLS / 100 for status in (200, 201, 403, 404)), tenant.statuses
        # Numbers are the tenant's own, too. And whoever may see everything does, so that all this says something.
        whole = await root.ask(Asked("GET", "/tasks", {"limit": 1000}))
        totals = []
        for tenant in tenants:
            own = await wire(tenant.key)
            totals.append(sum((await own.ask(Asked("GET", "/statistics"))).data["by_status"].values()))
            assert totals[-1] == (await own.ask(Asked("GET", "/tasks"))).data["total"] > 0
            assert tenant.leaked(Asked("GET", "/tasks"), whole)
        assert sum((await root.ask(Asked("GET", "/statistics"))).data["by_status"].values()) == sum(totals)
