"""One function per endpoint, sans I/O: each returns the `Call` that a client sends."""

from enum import Enum, auto
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct, structs

from worker_client.contract import (
    accounts,
    addresses,
    attempts,
    audit,
    directories,
    events,
    health,
    keys,
    outcomes,
    reports,
    statistics,
    system,
    tasks,
    usage,
    workers,
)
from worker_client.contract import logs as output
from worker_client.contract.enums import AddressList
from worker_client.contract.envelope import Page
from worker_client.contract.request import Request

T = TypeVar("T")
API = "/api/v1"
_LISTS = {AddressList.ALLOW: "whitelist", AddressList.DENY: "blacklist"}


class Repeat(Enum):
    """What makes it harmless to send a call again when its answer was lost."""

    NEVER = auto()
    SAFE = auto()
    """Reads, and writes that only say how things shall be."""
    KEY = auto()
    """Creates: the same `key` creates once."""
    POLL = auto()
    """Claims: the same `poll_id` returns the same claim."""
    REPORT = auto()
    """Ends of a lease: the second one is refused as `already_applied`."""


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """One request: what to send, what comes back as T, and when it may be sent again.

    `hold`: seconds that the server may keep the answer back. `bare`: the answer has no envelope. `applied`: what to send for
    the answer when the server says that the write had already been applied.
    """

    method: str
    path: str
    returns: Any
    params: Request | None = None
    body: Request | None = None
    repeat: Repeat = Repeat.NEVER
    hold: float = 0
    bare: bool = False
    applied: "Call[T] | None" = None

    def repeatable(self, unique: str) -> "Call[T]":
        """The call with `unique` as its key or poll_id where the caller gave none, so that a repetition changes nothing."""
        if isinstance(self.body, tasks.CreateTask) and self.body.key is None:
            return structs.replace(self, body=structs.replace(self.body, key=unique))
        if isinstance(self.body, tasks.CreateTasks):
            keyed = [
                task if task.key else structs.replace(task, key=f"{unique}-{place}") for place, task in enumerate(self.body.tasks)
            ]
            return structs.replace(self, body=tasks.CreateTasks(tasks=keyed))
        for side in ("params", "body"):
            claim = getattr(self, side)
            if isinstance(claim, tasks.ClaimNext) and claim.poll_id is None:
                return structs.replace(self, **{side: structs.replace(claim, poll_id=unique)})
        return self


def _read(path: str, returns: Any, params: Request | None = None, *, hold: float = 0, bare: bool = False) -> Call[Any]:
    return Call(method="GET", path=path, returns=returns, params=params, repeat=Repeat.SAFE, hold=hold, bare=bare)


def _post(path: str, returns: Any, body: Request | None = None, repeat: Repeat = Repeat.NEVER, *, hold: float = 0) -> Call[Any]:
    return Call(method="POST", path=path, returns=returns, body=body, repeat=repeat, hold=hold)


def _task(task_id: int, rest: str = "") -> str:
    return f"{API}/tasks/{task_id}{rest}"


def _ending(task_id: int, verb: str, body: Request) -> Call[tasks.Task]:
    path, applied = _task(task_id, f"/{verb}"), get_task(task_id)
    return Call(method="POST", path=path, returns=tasks.Task, body=body, repeat=Repeat.REPORT, applied=applied)


def create_task(body: tasks.CreateTask) -> Call[tasks.CreatedTask]:
    """Create a task."""
    return _post(f"{API}/tasks", tasks.CreatedTask, body, Repeat.KEY)


def create_tasks(body: tasks.CreateTasks) -> Call[tasks.CreatedTasks]:
    """Create up to 1000 tasks, all or none."""
    return _post(f"{API}/tasks/batch", tasks.CreatedTasks, body, Repeat.KEY)


def claim_next(query: tasks.ClaimNext) -> Call[tasks.ClaimedTask | None]:
    """Claim the next task; None when there was none within `wait`."""
    path, returns = f"{API}/tasks/next", tasks.ClaimedTask | None
    return Call(method="GET", path=path, returns=returns, params=query, repeat=Repeat.POLL, hold=query.wait)


def claim_many(body: tasks.ClaimMany) -> Call[tasks.ClaimedTasks]:
    """Claim up to `limit` tasks."""
    return _post(f"{API}/tasks/claim", tasks.ClaimedTasks, body, Repeat.POLL, hold=body.wait)


def heartbeat(task_id: int, body: reports.Heartbeat) -> Call[tasks.HeartbeatAnswer]:
    """Extend a lease; with `wait`, held until there is a directive."""
    return _post(_task(task_id, "/heartbeat"), tasks.HeartbeatAnswer, body, Repeat.SAFE, hold=body.wait)


def complete(task_id: int, body: reports.Complete) -> Call[tasks.Task]:
    """End a task well."""
    return _ending(task_id, "complete", body)


def fail(task_id: int, body: reports.Fail) -> Call[tasks.Task]:
    """End an attempt badly."""
    return _ending(task_id, "fail", body)


def release(task_id: int, body: reports.Release) -> Call[tasks.Task]:
    """Give a task back unfinished; costs no attempt."""
    return _ending(task_id, "release", body)


def park(task_id: int, body: reports.Park) -> Call[tasks.Task]:
    """Give a task back until something outside happens; costs no attempt."""
    return _ending(task_id, "park", body)


def answer(task_id: int, body: tasks.Answer) -> Call[tasks.Task]:
    """Answer the question that a task is parked for."""
    return _post(_task(task_id, "/answer"), tasks.Task, body)


def approve(task_id: int) -> Call[tasks.Task]:
    """Let a task run that requires approval."""
    return _post(_task(task_id, "/approve"), tasks.Task)


def reject(task_id: int, body: tasks.Reason) -> Call[tasks.Task]:
    """Cancel a task instead of approving it."""
    return _post(_task(task_id, "/reject"), tasks.Task, body)


def cancel(task_id: int, body: tasks.Reason) -> Call[tasks.Task]:
    """End a task that doesn't run; tell the worker of one that does to stop."""
    return _post(_task(task_id, "/cancel"), tasks.Task, body)


def retry(task_id: int) -> Call[tasks.Task]:
    """Begin a final task again, with all its attempts."""
    return _post(_task(task_id, "/retry"), tasks.Task)


def execute(task_id: int) -> Call[tasks.Task]:
    """Make a scheduled task due now; put a waiting one first."""
    return _post(_task(task_id, "/execute"), tasks.Task, None, Repeat.SAFE)


def heartbeat_many(body: reports.Heartbeats) -> Call[outcomes.HeartbeatOutcomes]:
    """Up to 1000 heartbeats, with one outcome each."""
    return _post(f"{API}/tasks/heartbeat", outcomes.HeartbeatOutcomes, body, Repeat.SAFE)


def complete_many(body: reports.Completions) -> Call[outcomes.TaskOutcomes]:
    """Up to 1000 completions, with one outcome each; `already_applied` in one says that an earlier sending did it."""
    return _post(f"{API}/tasks/complete", outcomes.TaskOutcomes, body, Repeat.SAFE)


def fail_many(body: reports.Failures) -> Call[outcomes.TaskOutcomes]:
    """Up to 1000 failures, with one outcome each; `already_applied` in one says that an earlier sending did it."""
    return _post(f"{API}/tasks/fail", outcomes.TaskOutcomes, body, Repeat.SAFE)


def retry_many(query: tasks.TaskFilter) -> Call[tasks.Counted]:
    """Begin all final tasks that match again."""
    return Call(method="POST", path=f"{API}/tasks/retry", returns=tasks.Counted, params=query)


def cancel_many(query: tasks.TaskFilter) -> Call[tasks.Counted]:
    """Cancel all tasks that match."""
    return Call(method="POST", path=f"{API}/tasks/cancel", returns=tasks.Counted, params=query)


def get_task(task_id: int) -> Call[tasks.Task]:
    """A task."""
    return _read(_task(task_id), tasks.Task)


def task_status(task_id: int, query: tasks.WaitFor) -> Call[tasks.TaskState]:
    """A task's status; with `wait`, held until it is final."""
    return _read(_task(task_id, "/status"), tasks.TaskState, query, hold=query.wait)


def why(task_id: int) -> Call[tasks.Why]:
    """Why a task does not run."""
    return _read(_task(task_id, "/why"), tasks.Why)


def list_tasks(query: tasks.ListTasks) -> Call[Page[tasks.Task]]:
    """A page of tasks, newest first."""
    return _read(f"{API}/tasks", Page[tasks.Task], query)


def update_task(task_id: int, body: tasks.UpdateTask) -> Call[tasks.Task]:
    """Change a task that is neither running nor final."""
    repeat = Repeat.SAFE if body.version is None else Repeat.NEVER
    return Call(method="PUT", path=_task(task_id), returns=tasks.Task, body=body, repeat=repeat)


def delete_task(task_id: int) -> Call[None]:
    """Delete a task that isn't running."""
    return Call(method="DELETE", path=_task(task_id), returns=None)


def task_attempts(task_id: int, query: attempts.ListTaskAttempts | None = None) -> Call[Page[attempts.Attempt]]:
    """A page of the attempts of a task, in their order."""
    return _read(_task(task_id, "/attempts"), Page[attempts.Attempt], query)


def read_logs(task_id: int, query: output.ReadLogs) -> Call[output.LogPage]:
    """Lines of a task's output; with `wait`, held until there are new ones."""
    return _read(_task(task_id, "/logs"), output.LogPage, structs.replace(query, format="json"), hold=query.wait)


def read_logs_as_text(task_id: int, query: output.ReadLogs) -> Call[str]:
    """Lines of a task's output, as text."""
    return _read(_task(task_id, "/logs"), str, structs.replace(query, format="text"), hold=query.wait, bare=True)


def append_logs(task_id: int, body: output.AppendLogs) -> Call[output.Appended]:
    """Store lines of output; may be repeated when `first_line` numbers them."""
    repeat = Repeat.NEVER if body.first_line is None else Repeat.SAFE
    return _post(_task(task_id, "/logs"), output.Appended, body, repeat)


def get_statistics() -> Call[statistics.Statistics]:
    """Counts, throughput and durations."""
    return _read(f"{API}/statistics", statistics.Statistics)


def list_usage(query: usage.ListUsage) -> Call[Page[usage.UsageRow]]:
    """A page of what was used, by day or what `by` names."""
    return _read(f"{API}/usage", Page[usage.UsageRow], query)


def list_attempts(query: attempts.ListAttempts) -> Call[Page[attempts.Attempt]]:
    """A page of attempts across tasks, newest first."""
    return _read(f"{API}/execution-logs", Page[attempts.Attempt], query)


def get_attempt(attempt_id: int) -> Call[attempts.Attempt]:
    """An attempt that has ended."""
    return _read(f"{API}/execution-logs/{attempt_id}", attempts.Attempt)


def attempt_stats() -> Call[attempts.AttemptStats]:
    """Attempts by outcome, and how long they took."""
    return _read(f"{API}/execution-logs/stats", attempts.AttemptStats)


def list_workers(query: workers.ListWorkers | None = None) -> Call[Page[workers.Worker]]:
    """A page of those who asked within the last minutes, or hold a lease."""
    return _read(f"{API}/workers", Page[workers.Worker], query)


def list_directories(query: directories.ListDirectories) -> Call[Page[directories.Directory]]:
    """A page of directories, by path."""
    return _read(f"{API}/directories", Page[directories.Directory], query)


def set_directory(body: directories.SetDirectory) -> Call[directories.Directory]:
    """Pause, resume or limit a directory and everything below it."""
    path, returns = f"{API}/directories", directories.Directory
    return Call(method="PUT", path=path, returns=returns, body=body, repeat=Repeat.SAFE)


def drain_worker(worker_id: str, body: workers.DrainWorker) -> Call[workers.DrainedWorker]:
    """Have a worker end what it does and ask for nothing more."""
    return _post(_drain(worker_id), workers.DrainedWorker, body, Repeat.SAFE)


def undrain_worker(worker_id: str) -> Call[None]:
    """Let a worker ask again that was told to drain."""
    return Call(method="DELETE", path=_drain(worker_id), returns=None, repeat=Repeat.SAFE)


def list_accounts(query: accounts.ListAccounts) -> Call[Page[accounts.Account]]:
    """A page of the accounts that wait for their quota, by name."""
    return _read(f"{API}/accounts", Page[accounts.Account], query)


def set_account(account: str, body: accounts.SetAccount) -> Call[accounts.Account]:
    """Have an account wait until a time, or with None let it be used again."""
    path = f"{API}/accounts/{quote(account, safe='')}"
    return Call(method="PUT", path=path, returns=accounts.Account, body=body, repeat=Repeat.SAFE)


def get_health() -> Call[health.Health]:
    """How the server is."""
    return _read("/health", health.Health, bare=True)


def probe(name: str) -> Call[health.Probe]:
    """`live` or `ready`."""
    return _read(f"/health/{quote(name, safe='')}", health.Probe, bare=True)


def read_events(query: events.ReadEvents) -> Call[events.Event]:
    """The feed, as server-sent events."""
    return _read(f"{API}/events", events.Event, query)


def create_key(body: keys.CreateKey) -> Call[keys.CreatedKey]:
    """Make a key; what comes back in `key` is shown this once."""
    return _post(f"{API}/auth/keys", keys.CreatedKey, body)


def list_keys(query: keys.ListKeys) -> Call[Page[keys.Key]]:
    """A page of keys, oldest first."""
    return _read(f"{API}/auth/keys", Page[keys.Key], query)


def update_key(key_id: str, body: keys.UpdateKey) -> Call[keys.Key]:
    """Rename, disable, limit or extend a key."""
    return Call(method="PUT", path=_key(key_id), returns=keys.Key, body=body, repeat=Repeat.SAFE)


def revoke_key(key_id: str) -> Call[None]:
    """End a key and its sessions, for good."""
    return Call(method="DELETE", path=_key(key_id), returns=None)


def who_am_i() -> Call[keys.Identity]:
    """As whom the server knows this client, and what it may do."""
    return _read(f"{API}/auth/me", keys.Identity)


def create_token(body: keys.CreateToken) -> Call[keys.Token]:
    """A short-lived token that can do no more than the key of this client."""
    return _post(f"{API}/auth/token", keys.Token, body, Repeat.SAFE)


def list_audit(query: audit.ListAudit) -> Call[Page[audit.AuditEntry]]:
    """A page of the changes, newest first."""
    return _read(f"{API}/audit", Page[audit.AuditEntry], query)


def address_lists() -> Call[addresses.AddressLists]:
    """Which addresses may connect."""
    return _read(f"{API}/ip-control/status", addresses.AddressLists)


def add_address(which: AddressList | str, body: addresses.ChangeAddress) -> Call[addresses.AddressLists]:
    """Put an address or a network on the list `allow` or `deny`."""
    return _post(_list(which, "add"), addresses.AddressLists, body, Repeat.SAFE)


def remove_address(which: AddressList | str, body: addresses.ChangeAddress) -> Call[addresses.AddressLists]:
    """Take an address or a network off the list `allow` or `deny`."""
    return _post(_list(which, "remove"), addresses.AddressLists, body)


def reload() -> Call[system.Reloaded]:
    """Have the server read its settings anew."""
    return _post(f"{API}/system/reload", system.Reloaded, None, Repeat.SAFE)


def _drain(worker_id: str) -> str:
    return f"{API}/workers/{quote(worker_id, safe='')}/drain"


def _key(key_id: str) -> str:
    return f"{API}/auth/keys/{quote(key_id, safe='')}"


def _list(which: AddressList | str, verb: str) -> str:
    return f"{API}/ip-control/{_LISTS[AddressList(which)]}/{verb}"
