"""What is done to notification rules, and to what they told."""

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.dashboard.acting.act import Act, Done, calling
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.measures import shown
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.notifications import (
    CreateNotificationRule,
    EmailTarget,
    SlackTarget,
    UpdateNotificationRule,
    WebhookTarget,
)
from worker_client.endpoints import Call


def _add(form: Form) -> Call[Any]:
    webhook, slack, mails, path = form.text("webhook"), form.text("slack"), form.words("email"), form.text("work_path")
    minutes = form.amount("waiting_minutes")
    return endpoints.create_notification_rule(
        CreateNotificationRule(
            name=form.needed("name").strip(),
            events=form.words("events"),
            failed_times=form.whole("failed_times"),
            waiting_seconds=None if minutes is None else minutes * 60,
            tags=form.words("tags"),
            work_path=[path.strip()] if path else [],
            webhook=None if webhook is None else WebhookTarget(url=webhook.strip(), secret=form.text("secret") or ""),
            slack=None if slack is None else SlackTarget(url=slack.strip()),
            email=EmailTarget(to=mails) if mails else None,
        )
    )


async def _test(visit: Visit, form: Form) -> Done:
    told = await visit.ask(endpoints.test_notification_rule(form.number("rule_id")))
    if told.delivered:
        return Done(visit.texts("did.test_rule"), back=form.back)
    return Done(visit.texts("did.test_failed", reason=shown(told.reason or told.answer or "", 300)), back=form.back)


def _switched(form: Form, *, enabled: bool) -> Call[Any]:
    return endpoints.update_notification_rule(form.number("rule_id"), UpdateNotificationRule(enabled=enabled))


ACTIONS: Final[Mapping[str, Act]] = {
    "add_rule": calling("add_rule", _add, to="/notifications"),
    "test_rule": _test,
    "enable_rule": calling("enable_rule", lambda form: _switched(form, enabled=True)),
    "disable_rule": calling("disable_rule", lambda form: _switched(form, enabled=False)),
    "delete_rule": calling("delete_rule", lambda form: endpoints.delete_notification_rule(form.number("rule_id"))),
    "redeliver": calling("redeliver", lambda form: endpoints.redeliver_notification(form.number("notification_id"))),
    "reload": calling("reload", lambda _: endpoints.reload()),
}
