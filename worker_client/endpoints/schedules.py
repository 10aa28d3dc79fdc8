"""Schedules: when work is created by itself."""

from worker_client.contract import schedules
from worker_client.contract.elsewhere import TimerJob
from worker_client.contract.envelope import Page
from worker_client.endpoints.call import API, Call, Repeat, post, read


def list_schedules(query: schedules.ListSchedules) -> Call[Page[schedules.Schedule]]:
    """A page of schedules, by name."""
    return read(f"{API}/schedules", Page[schedules.Schedule], query)


def create_schedule(body: schedules.CreateSchedule) -> Call[schedules.Schedule]:
    """Create a schedule."""
    return post(f"{API}/schedules", schedules.Schedule, body)


def create_timer_job(body: TimerJob) -> Call[schedules.Schedule]:
    """Create the schedule that a job of TimerJobs is."""
    return post(f"{API}/schedules", schedules.Schedule, body)


def check_schedule(body: schedules.CreateSchedule) -> Call[None]:
    """Find out whether a schedule would be created; nothing is saved."""
    return post(f"{API}/schedules/check", None, body, Repeat.SAFE)


def preview(body: schedules.PreviewSchedule) -> Call[schedules.Preview]:
    """A cron expression in words, and the times to come; nothing is saved."""
    return post(f"{API}/schedules/preview", schedules.Preview, body, Repeat.SAFE)


def get_schedule(schedule_id: int) -> Call[schedules.Schedule]:
    """A schedule."""
    return read(_schedule(schedule_id), schedules.Schedule)


def update_schedule(schedule_id: int, body: schedules.UpdateSchedule) -> Call[schedules.Schedule]:
    """Change a schedule; what is left out stays."""
    repeat = Repeat.SAFE if body.version is None else Repeat.NEVER
    return Call(method="PUT", path=_schedule(schedule_id), returns=schedules.Schedule, body=body, repeat=repeat)


def delete_schedule(schedule_id: int) -> Call[None]:
    """Delete a schedule and its history; what it has created goes on."""
    return Call(method="DELETE", path=_schedule(schedule_id), returns=None)


def start_schedule(schedule_id: int) -> Call[schedules.Schedule]:
    """Let a schedule fire again."""
    return post(_schedule(schedule_id, "/start"), schedules.Schedule, None, Repeat.SAFE)


def stop_schedule(schedule_id: int, query: schedules.StopSchedule | None = None) -> Call[schedules.Schedule]:
    """Pause a schedule; with `cancel`, also cancel what it has created and what has not ended."""
    path, returns = _schedule(schedule_id, "/stop"), schedules.Schedule
    return Call(method="POST", path=path, returns=returns, params=query, repeat=Repeat.SAFE)


def restart_schedule(schedule_id: int) -> Call[schedules.Schedule]:
    """Begin a schedule anew: active, runs and failures counted from nothing; what has not ended is cancelled."""
    return post(_schedule(schedule_id, "/restart"), schedules.Schedule, None, Repeat.SAFE)


def execute_schedule(schedule_id: int) -> Call[schedules.Fire]:
    """Fire a schedule now, whatever its times are."""
    return post(_schedule(schedule_id, "/execute"), schedules.Fire)


def backfill_schedule(schedule_id: int, body: schedules.Backfill) -> Call[schedules.Backfilled]:
    """Fire a schedule for due times of the past that have not fired."""
    return post(_schedule(schedule_id, "/backfill"), schedules.Backfilled, body, Repeat.SAFE)


def preview_schedule(schedule_id: int, query: schedules.PreviewCount | None = None) -> Call[schedules.Preview]:
    """A schedule in words, and its times to come."""
    return read(_schedule(schedule_id, "/preview"), schedules.Preview, query)


def list_fires(schedule_id: int, query: schedules.ListFires | None = None) -> Call[Page[schedules.Fire]]:
    """A page of what became of a schedule's times, newest first."""
    return read(_schedule(schedule_id, "/fires"), Page[schedules.Fire], query)


def _schedule(schedule_id: int, rest: str = "") -> str:
    return f"{API}/schedules/{schedule_id}{rest}"
