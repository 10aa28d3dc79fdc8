"""A time comes: while its workflow is deployed, such a trigger is a schedule."""

from orchestrator.domain.principal import Principal
from orchestrator.domain.schedule_times import checked
from orchestrator.triggers.base import Settings, Trigger
from worker_client.contract.enums import Missed, Overlap
from worker_client.contract.fields import JsonObject, When
from worker_client.contract.schedules import CronText, Failures, Period, Runs, ZoneName
from worker_client.errors import ValidationFailed


class CronSettings(Settings, kw_only=True):
    """As of a schedule; `input` goes over the defaults of the workflow's."""

    cron: CronText
    timezone: ZoneName | None = None
    jitter_seconds: Period = 0
    starts_at: When | None = None
    ends_at: When | None = None
    max_runs: Runs | None = None
    overlap: Overlap = Overlap.ALLOW
    missed: Missed = Missed.ONCE
    missed_window_seconds: Period = 86_400
    pause_after_failures: Failures | None = None
    input: JsonObject = {}


class Cron(Trigger[CronSettings]):
    """Made a schedule by deploying the workflow, see orchestrator/domain/deploying.py."""

    name = "cron"
    settings = CronSettings

    def check(self, settings: CronSettings, by: Principal, field: str) -> None:  # noqa: ARG002 - that of the base
        """Refuse an expression for which no time will ever come, and a zone that there is not."""
        if settings.dry_run:
            raise ValidationFailed(
                f"`{field}.dry_run` is not for cron: POST /schedules/preview shows the times to come", field=f"{field}.dry_run"
            )
        try:
            checked(settings.cron, settings.timezone or "UTC", field)
        except ValidationFailed as refusal:
            at = f"{field}.{refusal.details['field']}"
            raise ValidationFailed(f"`{at}`: {refusal.message}", field=at) from None
