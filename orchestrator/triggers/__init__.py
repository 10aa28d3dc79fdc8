"""The types of triggers: what starts the runs of workflows. A new one is a class in a file of its own, and a line here."""

from collections.abc import Sequence
from typing import Any, Final

from orchestrator.domain.principal import Principal
from orchestrator.doors.sealing import Sealing
from orchestrator.triggers.base import Trigger
from orchestrator.triggers.cron import Cron
from orchestrator.triggers.email import Email
from orchestrator.triggers.github.trigger import GitHub
from orchestrator.triggers.manual import Manual
from orchestrator.triggers.webhook import Webhook
from worker_client.contract.fields import JsonObject
from worker_client.errors import ValidationFailed

TYPES: Final[dict[str, Trigger[Any]]] = {}
"""All there are, by the name that workflows give."""


def register(trigger: Trigger[Any]) -> None:
    """Have workflows use a type."""
    TYPES[trigger.name] = trigger


def checked(sent: Sequence[JsonObject], by: Principal, sealing: Sealing, before: Sequence[JsonObject] = ()) -> list[JsonObject]:
    """The triggers of a workflow as they are stored; `before`: as those of its last version are.

    A secret that is sent as `***` stays what it was in the trigger at the same place, or else in the only other one of its type.
    Raises ValidationFailed, Forbidden.
    """
    kept = []
    for place, one in enumerate(sent):
        field = f"triggers[{place}]"
        trigger = _named(one, field)
        kept.append(trigger.checked(one, by, sealing, field, _before(trigger.name, place, before)))
    return kept


def shown(kept: Sequence[JsonObject]) -> list[JsonObject]:
    """The triggers of a workflow as they may be seen."""
    return [TYPES[one["type"]].shown(one) if one["type"] in TYPES else {"type": one["type"]} for one in kept]


def _named(sent: JsonObject, field: str) -> Trigger[Any]:
    if "type" not in sent:
        raise ValidationFailed(f"`{field}.type` is missing: send one of {', '.join(TYPES)}", field=f"{field}.type")
    found = TYPES.get(sent["type"]) if isinstance(sent["type"], str) else None
    if found is None:
        told = f"`{field}.type` is {str(sent['type'])[:100]!r}: expected one of {', '.join(TYPES)}"
        raise ValidationFailed(told, field=f"{field}.type")
    return found


def _before(type: str, place: int, before: Sequence[JsonObject]) -> JsonObject | None:
    if place < len(before) and before[place]["type"] == type:
        return before[place]
    same = [one for one in before if one["type"] == type]
    return same[0] if len(same) == 1 else None


register(Email())
register(Manual())
register(Cron())
register(Webhook())
register(GitHub())
