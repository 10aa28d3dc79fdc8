"""From a call to the trigger that it is for, and to what is to be submitted."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain.trigger_operations import Deliver
from orchestrator.doors.sealing import SealedError, Sealing
from orchestrator.settings import Settings
from orchestrator.store.reads.triggers import Triggered
from orchestrator.triggers import TYPES
from orchestrator.triggers.base import Settings as TriggerSettings
from orchestrator.triggers.github.event import Event
from orchestrator.triggers.github.trigger import GitHub, GitHubSettings, taken
from orchestrator.triggers.web import Incoming, Taken, WebTrigger
from worker_client.contract.enums import DeliveryOutcome
from worker_client.errors import MethodNotAllowed, OrchestratorError, Unauthorized

_encode = msgspec.json.Encoder().encode
UNKNOWN_FILES = "the files that changed are not known: set github.app_id and github.app_private_key"
REASONS: Mapping[str, str] = {
    "UNAUTHORIZED": "the call did not show that it may",
    "PAYLOAD_TOO_LARGE": "the body was too large",
    "METHOD_NOT_ALLOWED": "the method was another",
    "VALIDATION_ERROR": "the call could not be read",
}
"""Why calls are refused, in few words: each is a row of the history."""


class Target(Struct, frozen=True):
    """A trigger of a deployed workflow that is on."""

    workflow_id: str
    place: int
    trigger: WebTrigger[Any]
    settings: TriggerSettings


def targets(workflow: Triggered) -> Iterator[Target]:
    """The triggers of a workflow that are called over HTTP."""
    if workflow.number is None:
        return
    for place, kept in enumerate(workflow.triggers):
        trigger = TYPES.get(kept["type"])
        if isinstance(trigger, WebTrigger) and kept.get("enabled", True):
            yield Target(workflow.workflow_id, place, trigger, trigger.read(kept))


def claimed(workflow: Triggered, headers: Mapping[str, str]) -> list[Target]:
    """The triggers that a call at the path of their workflow may be for."""
    return [target for target in targets(workflow) if target.trigger.claims(target.settings, headers)]


def called_with(found: list[Target], method: str) -> list[Target]:
    """Those of them that are called with a method. Raises MethodNotAllowed."""
    fitting = [target for target in found if method in target.trigger.methods(target.settings)]
    if not fitting:
        allowed = ", ".join(sorted({one for target in found for one in target.trigger.methods(target.settings)}))
        raise MethodNotAllowed(f"{method} is not possible here: it takes {allowed}", allowed=allowed)
    return fitting


def admitted(found: list[Target], incoming: Incoming, reveal: Callable[[str], str]) -> Target:
    """The first that lets a call in. Raises Unauthorized."""
    refusal: OrchestratorError | None = None
    for target in found:
        try:
            target.trigger.admit(target.settings, incoming, reveal)
        except Unauthorized as refused:
            refusal = refusal or refused
        else:
            return target
    raise refusal or Unauthorized("this call is for no trigger")


def delivery(target: Target, call: Taken, duration_ms: int) -> Deliver:
    """What is to be submitted for a call that was let in."""
    outcome = DeliveryOutcome.DRY_RUN if target.settings.dry_run else DeliveryOutcome.FIRED
    return Deliver(
        workflow_id=target.workflow_id,
        place=target.place,
        type=target.trigger.name,
        key=call.key,
        outcome=outcome if call.filtered is None else DeliveryOutcome.FILTERED,
        reason=call.filtered,
        input="{}" if call.filtered is not None else _encode(call.input).decode(),
        trigger=_encode(call.trigger).decode(),
        facts=_encode(call.facts).decode(),
        duration_ms=duration_ms,
    )


def refused(target: Target | None, type: str, refusal: OrchestratorError, duration_ms: int) -> Deliver:
    """What is to be submitted for a call that was not."""
    return Deliver(
        workflow_id="" if target is None else target.workflow_id,
        place=0 if target is None else target.place,
        type=type if target is None else target.trigger.name,
        outcome=DeliveryOutcome.REFUSED,
        reason=REASONS.get(refusal.code, "the call could not be taken"),
        facts=_encode({"error": refusal.message[:300]}).decode(),
        duration_ms=duration_ms,
    )


def shared(workflows: list[Triggered], event: Event, *, asks: bool, duration_ms: int) -> list[Deliver]:
    """What is to be submitted for an event of GitHub, for each trigger without a secret of its own; `asks`: there is an App."""
    found = []
    for workflow in workflows:
        found += [
            _of_github(target, target.settings, event, asks=asks, duration_ms=duration_ms)
            for target in targets(workflow)
            if isinstance(target.settings, GitHubSettings) and not target.settings.secret
        ]
    return found


def _of_github(target: Target, settings: GitHubSettings, event: Event, *, asks: bool, duration_ms: int) -> Deliver:
    op = delivery(target, taken(settings, event), duration_ms)
    if op.outcome is DeliveryOutcome.FILTERED or event.wants is None:
        return op
    if asks:
        wants = _encode(event.wants).decode()
        paths = tuple(settings.paths)
        return replace(op, outcome=DeliveryOutcome.FETCHING, wants=wants, paths=paths, dry_run=settings.dry_run)
    return replace(op, reason=UNKNOWN_FILES if settings.paths else None)


def problem(kept: Mapping[str, Any], sealing: Sealing, settings: Settings) -> str | None:
    """Why a trigger could not do its work here, if it could not."""
    trigger = TYPES.get(kept["type"])
    if trigger is None:
        return f"there is no type {kept['type']} here"
    try:
        for secret in trigger.secrets(kept):
            sealing.revealed(secret)
    except SealedError as error:
        return error.message
    if isinstance(trigger, GitHub) and not kept.get("secret") and not settings.github.webhook_secret:
        return "set APP_GITHUB_WEBHOOK_SECRET to the secret of the webhook on GitHub, or give the trigger a secret of its own"
    return None
