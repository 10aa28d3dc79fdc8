"""Notification rules, and what they were told, as people see them."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from orchestrator.cli import output
from worker_client.contract.notifications import NotificationDelivery, NotificationRule

STYLES = {"pending": "cyan", "delivered": "green", "dead": "bold red"}


def rules(listed: list[NotificationRule]) -> Table:
    """Rules, a line each."""
    rows = ((str(one.id), one.name, _state(one), what(one), where(one)) for one in listed)
    return output.table("ID", "NAME", "STATE", "TELLS OF", "TO", rows=rows, right=("ID",))


def line(one: NotificationRule) -> Text:
    """A rule in a line."""
    return Text.assemble(f"rule {one.name} ({one.id}) is ", _state(one), f": it tells of {what(one)}, to {where(one)}")


def facts(one: NotificationRule) -> Table:
    """All that is known of a rule."""
    return output.facts(_fields(one))


def _fields(one: NotificationRule) -> Iterator[tuple[str, Text | str]]:
    yield "id", str(one.id)
    yield "name", one.name
    yield "state", _state(one)
    yield "off because", one.disabled_reason or ""
    yield "tells of", what(one)
    yield "to", where(one)
    yield "with the prompt", "yes" if one.include_prompt else ""
    yield "tries", "" if one.tries is None else str(one.tries)
    yield "created", output.moment(one.created_at)
    yield "kept by", one.managed_by or ""


def what(one: NotificationRule) -> str:
    """What a rule wants, in words."""
    parts = [", ".join(one.events)] if one.events else []
    if one.failed_times is not None:
        parts.append(f"failures from attempt {one.failed_times} on")
    if one.waiting_seconds is not None:
        parts.append(f"waiting for more than {output.duration(one.waiting_seconds)}")
    wanted = " and ".join(parts)
    for label, values in (("status", one.status), ("priority", one.priority), ("tags", one.tags), ("in", one.work_path)):
        if values:
            wanted += f"; {label} {', '.join(map(str, values))}"
    return wanted


def where(one: NotificationRule) -> str:
    """Where a rule tells it."""
    if one.webhook is not None:
        return one.webhook.url
    return ", ".join(one.email.to) if one.email is not None else "Slack"


def _state(one: NotificationRule) -> Text:
    return (
        Text("on", style="green") if one.enabled else Text("off", style="bright_black" if one.disabled_reason is None else "red")
    )


def deliveries(listed: list[NotificationDelivery]) -> Table:
    """What rules were told, a line each."""
    rows = (
        (
            str(one.id),
            output.moment(one.at),
            one.rule,
            one.type,
            "" if one.task_id is None else str(one.task_id),
            Text(str(one.status), style=STYLES[one.status]),
            str(one.tries),
            output.moment(one.next_try_at),
            one.reason or "",
        )
        for one in listed
    )
    headers = ("ID", "AT", "RULE", "EVENT", "TASK", "STATUS", "TRIES", "NEXT", "REASON")
    return output.table(*headers, rows=rows, right=("ID", "TASK", "TRIES"))
