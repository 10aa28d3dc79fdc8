"""What the server would refuse, found out before anything is changed: it is asked, or its own rules are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from orchestrator.cli.applying.declared import Declared
from worker_client.errors import ValidationFailed

if TYPE_CHECKING:
    from worker_client.client import Client

SOME_PROMPT = "a prompt"


def checked(client: "Client", wanted: Sequence[Declared]) -> str:
    """Check all that is declared; the zone that the server takes for schedules that name none. Raises OrchestratorError."""
    for one in wanted:
        try:
            if one.kind == "workflow":
                _check_workflow(one.body)
            elif one.kind == "schedule":
                _check_schedule(client, one.body)
        except ValidationFailed as error:
            raise ValidationFailed(f"{one.place}: {error.message}") from None
    return client.system_info().scheduler.timezone if any(one.kind == "schedule" for one in wanted) else "UTC"


def _check_schedule(client: "Client", body: Any) -> None:
    from orchestrator.domain.drafting import new_task
    from orchestrator.domain.rules import Defaults
    from orchestrator.domain.schedule_work import required, sent

    for at, task in required(sent(body)).bodies(Defaults().work_directory):
        # What a command comes to is known where the commands are.
        whole = structs.replace(task, command=None, arguments=None, prompt=SOME_PROMPT) if task.command else task
        new_task(whole, Defaults(), at)
    client.preview(
        cron=body.cron,
        timezone=body.timezone,
        name=body.name,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        jitter_seconds=body.jitter_seconds,
        count=1,
    )


def _check_workflow(body: Any) -> None:
    from orchestrator.domain.principal import LOCAL
    from orchestrator.domain.rules import Defaults
    from orchestrator.domain.workflows import Definition, check

    check(Definition(steps=body.steps, input=body.input), LOCAL, Defaults())
    for place, one in enumerate(body.triggers):
        _check_trigger(one, f"triggers[{place}]")


def _check_trigger(one: Any, at: str) -> None:
    from orchestrator.domain.explain import invalid
    from orchestrator.domain.principal import LOCAL
    from orchestrator.triggers import TYPES

    trigger = TYPES.get(str(one.get("type")))
    if trigger is None:
        raise ValidationFailed(f"`{at}.type` is {one.get('type')!r}: expected one of {', '.join(TYPES)}")
    try:
        settings = msgspec.convert(one, trigger.settings)
    except msgspec.ValidationError as error:
        raise invalid(error, trigger.settings, one, within=at) from None
    trigger.check(settings, LOCAL, at)
