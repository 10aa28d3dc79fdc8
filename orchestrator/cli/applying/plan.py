"""What is to be done so that all is as declared, in its order, and doing it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, structs

from orchestrator.cli.applying.comparing import Field, differing, fields, plain
from orchestrator.cli.applying.declared import KINDS, Declared
from orchestrator.cli.applying.present import LABEL, Present
from worker_client.contract.commands import CreateCommand, UpdateCommand
from worker_client.contract.notifications import CreateNotificationRule, UpdateNotificationRule
from worker_client.contract.schedules import CreateSchedule, UpdateSchedule, WorkflowCall
from worker_client.contract.workflows import CreateWorkflow, UpdateWorkflow
from worker_client.endpoints import (
    create_command,
    create_notification_rule,
    create_schedule,
    create_workflow,
    update_command,
    update_notification_rule,
    update_schedule,
    update_workflow,
)
from worker_client.errors import Conflict, ValidationFailed

if TYPE_CHECKING:
    from worker_client.client import Client

There = Mapping[tuple[str, str], Present]
Ids = dict[str, str]
"""Of workflows, by name; those that are made are added as they are."""


class Change(Struct, frozen=True, kw_only=True):
    """One thing to do: create, change, delete, deploy or undeploy."""

    action: str
    kind: str
    name: str
    fields: list[Field] = []
    place: str = ""


class Step(Struct, frozen=True, kw_only=True):
    """A change, and how it is made."""

    change: Change
    do: Callable[["Client", Ids], None]


def planned(wanted: Sequence[Declared], there: There, *, label: str | None, prune: bool, zone: str) -> list[Step]:
    """The steps to what is wanted. Raises ValidationFailed and Conflict; `zone`: that of schedules that name none."""
    ids = {one.name: one.id for one in there.values() if one.kind == "workflow"}
    coming = {one.name for one in wanted if one.kind == "workflow"}
    steps: list[Step] = []
    order = list(KINDS)
    for one in sorted(wanted, key=lambda each: order.index(each.kind)):
        if one.uses is not None and one.uses not in ids and one.uses not in coming:
            raise ValidationFailed(f"{one.place}: no workflow {one.uses!r} is declared in these files or known to the server")
        before = there.get((one.kind, one.name))
        if before is not None and before.label not in {None, label}:
            raise Conflict(
                f"{one.place}: the {one.kind} {one.name!r} is kept by the files with the label {before.label!r}: "
                f"apply these with --label {before.label}, or give it another name"
            )
        steps += _steps(structs.replace(one, body=_complete(one, zone)), before, ids, label)
    if prune:
        kept = {(one.kind, one.name) for one in wanted}
        gone = [one for key, one in there.items() if key not in kept and one.label == label]
        steps += [_deleting(one) for one in sorted(gone, key=lambda each: -order.index(each.kind))]
    return steps


def _complete(one: Declared, zone: str) -> Any:
    if isinstance(one.body, CreateSchedule) and one.body.timezone is None:
        return structs.replace(one.body, timezone=zone)
    return one.body


def _steps(one: Declared, before: Present | None, ids: Ids, label: str | None) -> Iterator[Step]:
    after = plain(one.kind, _resolved(one, ids))
    version = None if before is None else before.version
    if before is None:
        change = Change(action="create", kind=one.kind, name=one.name, place=one.place)
        yield Step(change=change, do=lambda client, known: _create(client, known, one, label))
        version = 1
    else:
        was = _plain_or_nothing(before)
        if changed := differing(one, was, after):
            told = [field for name, value in changed.items() for field in fields(was.get(name), value, name)]
            change = Change(action="change", kind=one.kind, name=one.name, fields=told, place=one.place)
            known_before = before
            yield Step(change=change, do=lambda client, known: _update(client, known, one, known_before, set(changed)))
            version = (version or 0) + 1
    yield from _deploying(one, before, version)


def _plain_or_nothing(before: Present) -> dict[str, Any]:
    """What there is; what was made in a way that files don't have differs in all."""
    try:
        return plain(before.kind, before.body)
    except msgspec.ValidationError:
        return {}


def _resolved(one: Declared, ids: Ids) -> Any:
    """The body with the id of the workflow that it names."""
    if one.uses is None or one.uses not in ids:
        return one.body
    call = WorkflowCall(id=ids[one.uses], input=one.body.workflow.input)
    return structs.replace(one.body, workflow=call)


def _deploying(one: Declared, before: Present | None, version: int | None) -> Iterator[Step]:
    deployed = None if before is None else before.deployed
    if one.deploy is None or deployed == (version if one.deploy else None):
        return
    told = [Field(field="deployed_version", before=deployed, after=version if one.deploy else None)]
    action = "deploy" if one.deploy else "undeploy"
    change = Change(action=action, kind=one.kind, name=one.name, fields=told, place=one.place)
    if one.deploy:
        yield Step(change=change, do=lambda client, ids: _done(client.deploy_workflow(ids[one.name])))
    else:
        yield Step(change=change, do=lambda client, ids: _done(client.undeploy_workflow(ids[one.name])))


def _create(client: "Client", ids: Ids, one: Declared, label: str | None) -> None:
    body = _resolved(one, ids)
    if isinstance(body, CreateCommand):
        if label is not None:
            body = structs.replace(body, settings={**body.settings, LABEL: label})
        client.send(create_command(body))
    elif isinstance(body, CreateWorkflow):
        made = client.send(create_workflow(structs.replace(body, managed_by=label)))
        ids[made.name] = made.id
    elif isinstance(body, CreateNotificationRule):
        client.send(create_notification_rule(structs.replace(body, managed_by=label)))
    else:
        client.send(create_schedule(structs.replace(body, managed_by=label)))


def _update(client: "Client", ids: Ids, one: Declared, before: Present, names: set[str]) -> None:
    body = _resolved(one, ids)
    given = {name: getattr(body, name) for name in names}
    if isinstance(body, CreateCommand):
        if "settings" in given and before.label is not None:
            given["settings"] = {**given["settings"], LABEL: before.label}
        client.send(update_command(before.id, UpdateCommand(**given)))
    elif isinstance(body, CreateWorkflow):
        client.send(update_workflow(before.id, UpdateWorkflow(version=before.version, **given)))
    elif isinstance(body, CreateNotificationRule):
        # Of the targets, too, one takes the place of another.
        given = {name: value for name, value in given.items() if value is not None or name not in _TARGETS}
        client.send(update_notification_rule(before.id, UpdateNotificationRule(version=before.version, **given)))
    else:
        # Of what it creates one takes the place of another: None is no body of its own.
        given = {name: value for name, value in given.items() if value is not None or name not in _WORK}
        client.send(update_schedule(before.id, UpdateSchedule(version=before.version, **given)))


_WORK = frozenset({"task", "tasks", "workflow", "command"})
_TARGETS = frozenset({"webhook", "email", "slack"})


def _deleting(one: Present) -> Step:
    def delete(client: "Client", _: Ids) -> None:
        if one.kind == "schedule":
            client.delete_schedule(one.id)
        elif one.kind == "command":
            client.delete_command(one.id)
        elif one.kind == "notification":
            client.delete_notification_rule(one.id)
        else:
            if one.deployed is not None:
                client.undeploy_workflow(one.id)
            client.delete_workflow(one.id)

    return Step(change=Change(action="delete", kind=one.kind, name=one.name), do=delete)


def _done(_: object) -> None:
    return None
