"""What is around tasks: statistics, workers, directories, accounts, the feed, and how the server is."""

from worker_client.contract import accounts, advice, attempts, directories, events, health, statistics, usage, workers
from worker_client.contract.envelope import Page
from worker_client.endpoints.call import API, Call, Repeat, named, post, read


def get_statistics() -> Call[statistics.Statistics]:
    """Counts, throughput and durations."""
    return read(f"{API}/statistics", statistics.Statistics)


def list_advice(query: advice.ListAdvice | None = None) -> Call[Page[advice.Advice]]:
    """A page of what to change about the whole, the heaviest first."""
    return read(f"{API}/advice", Page[advice.Advice], query)


def task_advice(task_id: int) -> Call[advice.TaskAdvice]:
    """Why a task failed, and what to do."""
    return read(f"{API}/tasks/{task_id}/advice", advice.TaskAdvice)


def statistics_now() -> Call[statistics.StatisticsNow]:
    """The few numbers that tell how it stands: cheap enough to ask often."""
    return read(f"{API}/statistics/now", statistics.StatisticsNow)


def read_series(query: statistics.ReadSeries) -> Call[statistics.Series]:
    """What happened minute by minute, and how long attempts ran hour by hour."""
    return read(f"{API}/statistics/series", statistics.Series, query)


def list_usage(query: usage.ListUsage) -> Call[Page[usage.UsageRow]]:
    """A page of what was used, by day or what `by` names."""
    return read(f"{API}/usage", Page[usage.UsageRow], query)


def list_attempts(query: attempts.ListAttempts) -> Call[Page[attempts.Attempt]]:
    """A page of attempts across tasks, newest first."""
    return read(f"{API}/execution-logs", Page[attempts.Attempt], query)


def get_attempt(attempt_id: int) -> Call[attempts.Attempt]:
    """An attempt that has ended."""
    return read(f"{API}/execution-logs/{attempt_id}", attempts.Attempt)


def attempt_stats() -> Call[attempts.AttemptStats]:
    """Attempts by outcome, and how long they took."""
    return read(f"{API}/execution-logs/stats", attempts.AttemptStats)


def list_workers(query: workers.ListWorkers | None = None) -> Call[Page[workers.Worker]]:
    """A page of those who asked within the last minutes, or hold a lease."""
    return read(f"{API}/workers", Page[workers.Worker], query)


def list_directories(query: directories.ListDirectories) -> Call[Page[directories.Directory]]:
    """A page of directories, by path."""
    return read(f"{API}/directories", Page[directories.Directory], query)


def list_waiting(query: directories.ListWaiting) -> Call[Page[directories.WaitingDirectory]]:
    """A page of directories in which tasks wait, and why they do where nothing moves."""
    return read(f"{API}/directories/waiting", Page[directories.WaitingDirectory], query)


def set_directory(body: directories.SetDirectory) -> Call[directories.Directory]:
    """Pause, resume or limit a directory and everything below it."""
    path, returns = f"{API}/directories", directories.Directory
    return Call(method="PUT", path=path, returns=returns, body=body, repeat=Repeat.SAFE)


def drain_worker(worker_id: str, body: workers.DrainWorker) -> Call[workers.DrainedWorker]:
    """Have a worker end what it does and ask for nothing more."""
    return post(_drain(worker_id), workers.DrainedWorker, body, Repeat.SAFE)


def undrain_worker(worker_id: str) -> Call[None]:
    """Let a worker ask again that was told to drain."""
    return Call(method="DELETE", path=_drain(worker_id), returns=None, repeat=Repeat.SAFE)


def list_accounts(query: accounts.ListAccounts) -> Call[Page[accounts.Account]]:
    """A page of the accounts that wait for their quota, by name."""
    return read(f"{API}/accounts", Page[accounts.Account], query)


def set_account(account: str, body: accounts.SetAccount) -> Call[accounts.Account]:
    """Have an account wait until a time, or with None let it be used again."""
    path = f"{API}/accounts/{named(account)}"
    return Call(method="PUT", path=path, returns=accounts.Account, body=body, repeat=Repeat.SAFE)


def _drain(worker_id: str) -> str:
    return f"{API}/workers/{named(worker_id)}/drain"


def get_health() -> Call[health.Health]:
    """How the server is."""
    return read("/health", health.Health, bare=True)


def probe(name: str) -> Call[health.Probe]:
    """`live` or `ready`."""
    return read(f"/health/{named(name)}", health.Probe, bare=True)


def read_events(query: events.ReadEvents) -> Call[events.Event]:
    """The feed, as server-sent events."""
    return read(f"{API}/events", events.Event, query)
