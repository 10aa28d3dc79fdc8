"""What somebody does with a release over HTTP, so that its database has rows of every sort that it knows.

Plain calls, no SDK: the same lines are understood by the server of each release. Every part needs the release that brought it.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

SHOP: Final = "/srv/shop"
LATER: Final = "2100-01-01T00:00:00Z"
EXPIRED: Final = "was never heard of again"


class Call(Protocol):
    """A request below /api/v1, with what is sent as JSON; what it answered."""

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any: ...


def add(call: Call, title: str, directory: str = SHOP, **facts: Any) -> dict[str, Any]:
    """A task of a person."""
    body = {"work_directory": directory, "title": title, "prompt": f"{title}, and say what you did", **facts}
    task: dict[str, Any] = call("POST", "/tasks", body)
    return task


def running(call: Call, title: str, directory: str = SHOP, **facts: Any) -> dict[str, Any]:
    """A task that a worker has begun."""
    names = {"account", "confirm_seconds", "lease_seconds", "poll_id"}
    asked: dict[str, Any] = {"work_path": [directory], "worker_id": "builder-1", "lease_seconds": 3600, "limit": 1}
    asked |= {name: value for name, value in facts.items() if name in names}
    facts = {name: value for name, value in facts.items() if name not in names}
    task = add(call, title, directory, **facts)
    call("POST", f"/tasks/{task['id']}/execute")
    kind = facts.get("kind", "agent")
    (given,) = call("POST", "/tasks/claim", {**asked, "kinds": [kind], "host": facts.get("host", "builder")})["tasks"]
    assert given["id"] == task["id"], f"{given['title']} was given in place of {title}"
    lines = [{"stream": "stdout", "text": f"{title}: line {at} ✓"} for at in range(3)]
    call("POST", f"/tasks/{task['id']}/logs", {"lease": given["lease"], "lines": lines, "first_line": 1})
    found: dict[str, Any] = given
    return found


def report(call: Call, task: dict[str, Any], verb: str, **facts: Any) -> dict[str, Any]:
    """What a worker says of its task."""
    answer: dict[str, Any] = call("POST", f"/tasks/{task['id']}/{verb}", {"lease": task["lease"], **facts})
    return answer


def ended(call: Call) -> None:
    """Tasks that are over, in every way."""
    usage = {
        "input_tokens": 1200,
        "output_tokens": 340,
        "cached_tokens": 50,
        "cost_usd": 0.0417,
        "model": "m-1",
        "duration_ms": 900,
    }
    done = running(call, "Fix the login", tags=["auth", "bug"], priority="high", key="login-1", metadata={"pull": 7})
    progress = {"percent": 40, "message": "half way"}
    call("POST", f"/tasks/{done['id']}/heartbeat", {"lease": done["lease"], "progress": progress, "checkpoint": {"at": 3}})
    report(call, done, "complete", result={"summary": "fixed", "files": ["a.py", "b.py"]}, usage=usage)
    second = running(call, "Try twice", backoff={"base_seconds": 1, "jitter": 0})
    report(call, second, "fail", error={"type": "Broken", "message": "the tests fail"}, usage=usage)
    call("POST", f"/tasks/{second['id']}/execute")
    (again,) = call("POST", "/tasks/claim", {"work_path": [SHOP], "worker_id": "builder-2", "limit": 1})["tasks"]
    report(call, again, "complete", result="the second time", usage=usage)
    script = running(call, "Run the build", kind="script", spec={"command": "make"}, timeout_seconds=60)
    report(call, script, "complete", result={"exit_code": 0})
    report(call, running(call, "Give up", max_attempts=1), "fail", error={"type": "Broken", "message": "no way"})
    report(call, running(call, "Never again"), "fail", error={"type": "Refused", "message": "not allowed"}, retryable=False)
    call("POST", f"/tasks/{add(call, 'Not wanted any more')['id']}/cancel", {"reason": "not wanted"})
    stopped = running(call, "Stopped while it ran")
    call("POST", f"/tasks/{stopped['id']}/cancel", {"reason": "enough"})
    report(call, stopped, "fail", error={"type": "Cancelled", "message": "stopped"})
    parent = running(call, "A parent that fails", max_attempts=1)
    add(call, "A child of it", depends_on=[parent["id"]])
    report(call, parent, "fail", error={"type": "Broken", "message": "no"})
    parent = running(call, "A parent that completes")
    add(call, "A grown child", depends_on=[parent["id"]], run_at=LATER)
    report(call, parent, "complete", result=None)
    call("DELETE", f"/tasks/{add(call, 'Deleted', key='deleted-1')['id']}")


def open_ones(call: Call) -> None:
    """Tasks that wait, for all that one can wait for."""
    for priority in ("low", "normal", "high", "urgent"):
        add(call, f"Waits, {priority}", f"{SHOP}/api", priority=priority, host="builder", tags=["api"])
    add(call, "Für alle: 把它修好 🚀", "/srv/blog", key="blog-1", description="a description", environment={"LANG": "C"})
    add(call, "On Windows", r"C:\work\repo", exclusive=True, resource_limits={"timeout": 60})
    add(call, "By a script", "/srv/blog", kind="script", spec={"command": ["make", "test"], "verify": "true"})
    add(call, "By a request", "/default", kind="http", spec={"url": "https://example.org", "method": "POST"})
    add(call, "By a function", "/default", kind="function", spec={"name": "tidy", "args": [1]})
    call("POST", "/tasks/batch", {"tasks": [{"work_directory": "/srv/batch", "prompt": f"part {at}"} for at in range(3)]})
    add(call, "Next century", run_at=LATER)
    add(call, "In an hour", delay_seconds=3600, priority="low")
    backing = running(call, "Comes back from a failure")
    report(call, backing, "fail", error={"type": "Broken", "message": "try later"}, retry_after_seconds=7200)
    later = add(call, "Waited for", run_at=LATER)
    add(call, "Waits for another", depends_on=[later["id"]])
    held = running(call, "Holds its children", "/srv/held", exclusive=True)
    add(call, "Waits for two", "/srv/held", depends_on=[later["id"], held["id"]], requires_approval=True)


def parked(call: Call) -> None:
    """Tasks that somebody or something has to let go on."""
    options = {"question": "Which database?", "options": ["SQLite", "PostgreSQL"], "session_id": "s-1"}
    report(call, running(call, "Asks something"), "park", reason="question", **options)
    report(call, running(call, "Without quota", account="me@example.org"), "park", reason="quota", not_before=LATER)
    report(call, running(call, "Over its budget"), "park", reason="budget")
    report(call, running(call, "Asks for approval"), "park", reason="approval", question="Push it?")
    add(call, "To be approved first", requires_approval=True)
    report(call, running(call, "Given back"), "release", reason="the machine sleeps", not_before=LATER)
    tossed = add(call, "Nobody can do it", "/srv/tossed")
    for _ in range(2):  # the first time it waits again at once, the second time it is put off
        asked = {"work_path": ["/srv/tossed"], "worker_id": "builder-1", "limit": 1}
        (given,) = call("POST", "/tasks/claim", asked)["tasks"]
        assert given["id"] == tossed["id"]
        report(call, given, "release", reason="cannot")


def leased(call: Call) -> None:
    """Tasks that run, and one whose worker died."""
    beaten = running(call, "Runs, with a word", "/srv/run/one", exclusive=True, host="builder", key="run-1")
    call("POST", f"/tasks/{beaten['id']}/heartbeat", {"lease": beaten["lease"], "progress": {"percent": 5}, "session_id": "s-2"})
    running(call, "Runs beside another", "/srv/run/two", poll_id="poll-1", confirm_seconds=3600)
    running(call, "Runs, too", "/srv/run/two", kind="script", spec={"command": "sleep 1000"})
    told = running(call, "Is asked to stop", "/srv/run/three")
    call("POST", f"/tasks/{told['id']}/cancel", {"reason": "stop"})
    for status in ("scheduled", "failed"):
        most = 1 if status == "failed" else 4
        died = running(call, EXPIRED, f"/srv/died/{status}", lease_seconds=1, max_attempts=most, backoff={"base_seconds": 900})
        while call("GET", f"/tasks/{died['id']}")["status"] != status:
            time.sleep(0.1)
    call("PUT", "/directories", {"work_directory": "/srv/batch", "paused": True, "reason": "a release"})
    call("PUT", "/directories", {"work_directory": "/srv/blog", "max_running": 2})


def doors(call: Call) -> None:
    """Keys of all sorts, lists of addresses, and tasks that ask for a secret."""
    call("POST", "/auth/keys", {"name": "ci", "scopes": ["submit", "read"], "paths": ["/srv/shop/**"], "rate": "100/m"})
    gone = call("POST", "/auth/keys", {"name": "gone", "scopes": ["read"]})
    call("DELETE", f"/auth/keys/{gone['id']}")
    off = call("POST", "/auth/keys", {"name": "off", "scopes": ["work"], "secrets": ["TOKEN"], "expires_at": LATER})
    call("PUT", f"/auth/keys/{off['id']}", {"disabled": True})
    call("POST", "/ip-control/blacklist/add", {"ip": "192.0.2.0/24", "note": "a scanner"})
    call("POST", "/ip-control/whitelist/add", {"ip": "127.0.0.0/8", "note": "us"})
    add(call, "Publish", "/srv/publish", environment={"NPM_TOKEN": "{{ secrets.TOKEN }}"})
    running(call, "Publishes", "/srv/publish/now", environment={"NPM_TOKEN": "{{ secrets.TOKEN }}"})


def agents(call: Call) -> None:
    """Tasks for one agent, with budgets; accounts, drains, evidence."""
    budget = {"agent": "codex", "model": "m-2", "budget": {"tokens": 1000, "cost_usd": 1.5}}
    add(call, "For Codex", "/srv/agents", spec=budget)
    spent = running(call, "Spends its budget", "/srv/agents/spent", spec={"budget": {"tokens": 100}})
    usage = {"input_tokens": 90, "output_tokens": 20, "cost_usd": 0.1, "model": "m-2"}
    report(call, spent, "park", reason="budget", usage=usage, agent="claude", session_id="s-3")
    proof = {"commit": "0123abcd", "files": 3}
    done = running(call, "Leaves evidence", "/srv/agents/done", spec={"agent": "codex"})
    report(call, done, "complete", result="done", usage=usage, evidence=proof)
    call(
        "PUT",
        "/directories",
        {"work_directory": "/srv/agents", "daily_tokens": 10_000, "daily_cost_usd": 5, "daily_attempts": 50},
    )
    call("PUT", "/accounts/tired@example.org", {"held_until": LATER, "reason": "the week is over"})
    call("POST", "/workers/builder-9/drain", {"reason": "a new kernel"})


def budgets_of_old(call: Call) -> None:
    """Tasks that say in their specs for whom they are, which nothing obeyed before there were agents."""
    add(call, "For Codex, some day", "/srv/old", spec={"agent": "codex", "budget": {"tokens": 1000, "cost_usd": 1.5}})
    spent = running(call, "Had used much", "/srv/old/spent", spec={"agent": "claude", "budget": {"tokens": 100}})
    report(call, spent, "complete", result=1, usage={"input_tokens": 90, "output_tokens": 20, "cost_usd": 0.1})


def flows(call: Call) -> None:
    """Schedules with a history, workflows of two versions, runs, deliveries to their triggers."""
    task = {"work_directory": "/srv/nightly", "prompt": "look after {{ input.what }}"}
    work = {"work_directory": "/srv/nightly", "prompt": "tidy up"}
    nightly = call("POST", "/schedules", {"name": "nightly", "cron": "0 3 * * *", "timezone": "Europe/Berlin", "task": work})
    call("POST", f"/schedules/{nightly['id']}/execute")
    off = call("POST", "/schedules", {"name": "off", "cron": "@hourly", "tasks": [work], "overlap": "queue_one", "max_runs": 9})
    call("POST", f"/schedules/{off['id']}/stop")
    steps = [
        {"id": "first", "task": task},
        {"id": "each", "depends_on": ["first"], "for_each": ["a", "b"], "task": {**task, "prompt": "do {{ item }}"}},
    ]
    triggers: list[dict[str, Any]] = [
        {"type": "manual"},
        {"type": "webhook", "auth": {"type": "token", "secret": "a long secret"}},
    ]
    triggers += [{"type": "cron", "cron": "@daily"}]
    body: dict[str, Any] = {"name": "release", "input": {"what": "it"}, "steps": steps, "triggers": triggers}
    workflow = call("POST", "/workflows", body)["id"]
    call("PUT", f"/workflows/{workflow}", {**body, "timeout_seconds": 86_400 * 365})
    call("POST", f"/deployment/workflows/{workflow}/deploy")
    begun = call("POST", f"/workflows/{workflow}/execute", {"input": {"what": "the shop"}})
    (given,) = call("POST", "/tasks/claim", {"work_path": ["/srv/nightly"], "worker_id": "builder-1", "tags": []})["tasks"][:1]
    report(call, given, "complete", result={"ok": True})
    call("POST", f"/triggers/workflows/{workflow}/manual", {"input": {"what": "by hand"}})
    cancelled = call("POST", f"/workflows/{workflow}/execute", {"version": 1})
    call("POST", f"/runs/{cancelled['id']}/cancel")
    call("POST", f"/public/webhook/workflow/{workflow}", {"what": "hook"}, token="a long secret")
    assert call("GET", f"/runs/{begun['id']}")["status"] == "running"


def eyes(call: Call) -> None:
    """Rules of notifications, and what they could and could not send."""
    hook = {"url": "http://127.0.0.1:9/hook", "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}
    call("POST", "/notifications/rules", {"name": "failures", "events": ["task.failed"], "webhook": hook, "tries": 1})
    call("POST", "/notifications/rules", {"name": "all", "events": ["*"], "tags": ["tell"], "webhook": hook, "enabled": True})
    off = {"name": "off", "waiting_seconds": 60, "slack": {"url": "https://hooks.example.org/x"}, "enabled": False}
    call("POST", "/notifications/rules", off)
    told = running(call, "Is told of", "/srv/eyes", tags=["tell", "eyes"], max_attempts=1)
    report(call, told, "fail", error={"type": "Broken", "message": "told"}, usage={"input_tokens": 10, "model": "m-1"})
    while not {"dead", "pending"} <= {one["status"] for one in call("GET", "/notifications/deliveries")["items"]}:
        time.sleep(0.1)


CHAPTERS: Final[tuple[tuple[str, Callable[[Call], None]], ...]] = (
    ("0.1.0", ended),
    ("0.1.0", open_ones),
    ("0.1.0", parked),
    ("0.1.0", budgets_of_old),
    ("0.2.0", doors),
    ("0.3.0", agents),
    ("0.4.0", flows),
    ("0.5.0", eyes),
    ("0.1.0", leased),
)
"""What is done, in this order, by each release from the named one on."""


def tell(call: Call, release: str) -> None:
    """Have a server do all that its release could."""
    for since, chapter in CHAPTERS:
        if since <= release:
            chapter(call)


def shown(answer: bytes) -> Any:
    """The data of an answer."""
    return json.loads(answer or b'{"data": null}')["data"]
