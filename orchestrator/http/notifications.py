"""Notifications: rules made and changed, tried, and what became of what they were told."""

import secrets
import time
from typing import Any, Final

from litestar import delete, get, post, put

from orchestrator.domain import notification_operations as ops
from orchestrator.domain.notification_outcomes import Again, Ruled
from orchestrator.domain.notification_records import NotificationRule
from orchestrator.domain.operations import Rehearse
from orchestrator.http import notification_bodies as bodies
from orchestrator.http import notification_views as views
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer, empty
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import listed, part
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, path_id, principal, submit
from orchestrator.http.tasks import NoBody
from orchestrator.queue.commit import Queue
from worker_client.contract import notifications as contract
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.contract.tasks import Counted
from worker_client.errors import NotFound

_CHANGED: Final[dict[str, Any]] = {"errors": (409,)}
_NONE: Final[dict[str, Any]] = {"body": NoBody, "body_optional": True, **_CHANGED}


@get(
    "/notifications/rules",
    opt=described(Page[contract.NotificationRule], query=contract.ListNotificationRules),
    scope=Scope.READ,
)
async def list_notification_rules(request: Asked) -> Answer:
    """List notification rules by name, their secrets as `***`."""
    query = parse(request, contract.ListNotificationRules)
    found = await _queue(request).reads.notification_rules(query, principal(request).paths)
    return answer(part([views.rule(one) for one in found], query))


@post(
    "/notifications/rules",
    opt=described(contract.NotificationRule, body=contract.CreateNotificationRule, status=201, **_CHANGED),
    scope=Scope.ADMIN,
)
async def create_notification_rule(request: Asked) -> Answer:
    """Create a notification rule, which hears of what happens from now on, and of nothing outside of the key's directories."""
    ruled: Ruled = await submit(request, await _new(request))
    request.app.state.announcer.changed()
    return answer(views.rule(ruled.rule), 201)


@post(
    "/notifications/rules/check",
    opt=described(None, body=contract.CreateNotificationRule, status=204, **_CHANGED),
    status_code=200,
    scope=Scope.ADMIN,
)
async def check_notification_rule(request: Asked) -> Answer:
    """Find out whether a notification rule would be created; nothing is saved."""
    await submit(request, Rehearse(op=await _new(request)))
    return empty()


@get("/notifications/rules/{rule_id:str}", opt=described(contract.NotificationRule), scope=Scope.READ)
async def get_notification_rule(request: Asked) -> Answer:
    """Read a notification rule."""
    nothing(request)
    return answer(views.rule(await _seen(request)))


@put(
    "/notifications/rules/{rule_id:str}",
    opt=described(contract.NotificationRule, body=contract.UpdateNotificationRule, **_CHANGED),
    scope=Scope.ADMIN,
)
async def update_notification_rule(request: Asked) -> Answer:
    """Change a notification rule; what is left out stays, and so does a secret that is sent as `***`.

    One that is turned on again hears of what happens from then on, and what it was told before and did not get is sent.
    """
    body = await read(request, contract.UpdateNotificationRule)
    before = await _seen(request)
    definition = bodies.changed(body, before.wanted, principal(request), request.app.state.sealing)
    op = ops.ChangeRule(
        rule_id=before.id,
        base=before.version,
        version=body.version,
        name=body.name,
        enabled=body.enabled,
        definition=definition,
    )
    ruled: Ruled = await submit(request, op)
    _stir(request)
    return answer(views.rule(ruled.rule))


@delete("/notifications/rules/{rule_id:str}", opt=described(None, status=204), status_code=200, scope=Scope.ADMIN)
async def delete_notification_rule(request: Asked) -> Answer:
    """Delete a notification rule, with all that it was told, also what is not sent yet."""
    nothing(request)
    await submit(request, ops.DeleteRule(rule_id=path_id(request, "rule_id")))
    request.app.state.announcer.changed()
    return empty()


@post(
    "/notifications/rules/{rule_id:str}/test",
    opt=described(contract.NotificationTest, body=NoBody, body_optional=True),
    scope=Scope.ADMIN,
)
async def test_notification_rule(request: Asked) -> Answer:
    """Send a message that says that it is a test, once and now, also of a rule that is off; tells what the receiver said."""
    rule = await _seen(request)
    await read(request, NoBody, optional=True)
    began = time.perf_counter()
    sent = await request.app.state.notifier.test(rule, secrets.token_hex(8))
    return answer(views.tested(sent, time.perf_counter() - began))


@post("/notifications/rules/{rule_id:str}/redeliver", opt=described(Counted, **_NONE), scope=Scope.ADMIN)
async def redeliver_dead_notifications(request: Asked) -> Answer:
    """Send again, with all tries, what was given up of a rule; says how much that is."""
    rule = await _seen(request)
    await read(request, NoBody, optional=True)
    count, more = 0, True
    while more:
        again: Again = await submit(request, ops.RedeliverDead(rule_id=rule.id))
        count, more = count + again.count, again.more
    request.app.state.notifier.wake()
    return answer(Counted(count=count))


@get(
    "/notifications/deliveries",
    opt=described(Page[contract.NotificationDelivery], query=contract.ListNotifications),
    scope=Scope.READ,
)
async def list_notifications(request: Asked) -> Answer:
    """List what rules were told, newest first, and what became of it."""
    query = parse(request, contract.ListNotifications)
    queue, visible = _queue(request), principal(request).paths
    rules = {rule.id: rule for rule in await queue.reads.notification_rules(contract.ListNotificationRules(), visible)}
    found = await queue.reads.notifications(query, None if visible.patterns is None else list(rules))
    shown = [views.delivery(one, rules.get(one.rule_id)) for one in found.items]
    return answer(listed(found, query, shown))


@post(
    "/notifications/deliveries/{notification_id:str}/redeliver",
    opt=described(contract.NotificationDelivery, **_NONE),
    scope=Scope.ADMIN,
)
async def redeliver_notification(request: Asked) -> Answer:
    """Send something again that was delivered or given up, with the same `webhook-id` and with all tries."""
    notification_id = path_id(request, "notification_id")
    await read(request, NoBody, optional=True)
    await submit(request, ops.Redeliver(notification_id=notification_id))
    request.app.state.notifier.wake()
    reads = _queue(request).reads
    found = await reads.notification(notification_id)
    if found is None:
        raise NotFound(f"there is no notification {notification_id}", notification_id=notification_id)
    return answer(views.delivery(found, await reads.notification_rule(found.rule_id, principal(request).paths)))


async def _new(request: Asked) -> ops.AddRule:
    """The rule that a body asks for. Raises ValidationFailed, Forbidden."""
    body = await read(request, contract.CreateNotificationRule)
    definition = bodies.definition(body, principal(request), request.app.state.sealing)
    return ops.AddRule(name=body.name, enabled=body.enabled, definition=definition, managed_by=body.managed_by)


async def _seen(request: Asked) -> NotificationRule:
    """The rule of the path, if the caller may see it. Raises NotFound."""
    rule_id = path_id(request, "rule_id")
    found = await _queue(request).reads.notification_rule(rule_id, principal(request).paths)
    if found is None:
        raise NotFound(f"there is no notification rule {rule_id}", rule_id=rule_id)
    return found


def _stir(request: Asked) -> None:
    request.app.state.announcer.changed()
    request.app.state.notifier.wake()


def _queue(request: Asked) -> Queue:
    queue: Queue = request.app.state.queue
    return queue


HANDLERS = tagged(
    (
        list_notification_rules, create_notification_rule, check_notification_rule, get_notification_rule,
        update_notification_rule, delete_notification_rule, test_notification_rule, redeliver_dead_notifications,
        list_notifications, redeliver_notification,
    ),
    "Notifications",
)  # fmt: skip
