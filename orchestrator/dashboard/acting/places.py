"""What is done to directories, workers and accounts."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from orchestrator.dashboard.acting.act import Act, calling
from orchestrator.dashboard.form import Form
from worker_client import endpoints
from worker_client.contract.accounts import SetAccount
from worker_client.contract.directories import SetDirectory
from worker_client.contract.workers import DrainWorker
from worker_client.endpoints import Call


def _paused(form: Form, *, paused: bool) -> Call[Any]:
    reason = form.text("reason") if paused else None
    body = SetDirectory(work_directory=form.needed("path"), host=form.text("host") or "", paused=paused, reason=reason)
    return endpoints.set_directory(body)


def _limited(form: Form) -> Call[Any]:
    """All limits as the form has them; an empty field takes one away."""
    tokens, running, attempts = form.whole("daily_tokens"), form.whole("max_running"), form.whole("daily_attempts")
    return endpoints.set_directory(
        SetDirectory(
            work_directory=form.needed("path"),
            host=form.text("host") or "",
            max_running=running,
            daily_tokens=tokens,
            daily_cost_usd=form.amount("daily_cost_usd"),
            daily_attempts=attempts,
            paused=UNSET,
        )
    )


def _drained(form: Form) -> Call[Any]:
    return endpoints.drain_worker(form.needed("worker"), DrainWorker(reason=form.text("reason")))


def _used(form: Form) -> Call[Any]:
    return endpoints.set_account(form.needed("account"), SetAccount(held_until=None))


ACTIONS: Final[Mapping[str, Act]] = {
    "pause": calling("pause", lambda form: _paused(form, paused=True)),
    "resume": calling("resume", lambda form: _paused(form, paused=False)),
    "limit": calling("limit", _limited),
    "drain": calling("drain", _drained),
    "undrain": calling("undrain", lambda form: endpoints.undrain_worker(form.needed("worker"))),
    "use_account": calling("use_account", _used),
}
