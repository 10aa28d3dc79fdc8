"""Rules of notifications as they were sent, checked and with their secrets sealed, as they are stored."""

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.domain import templates
from orchestrator.domain.drafting import work_path
from orchestrator.domain.notification_records import Definition
from orchestrator.domain.principal import Principal
from orchestrator.doors.sealing import MASK, Sealing, names
from orchestrator.triggers.signatures import usable
from worker_client.contract.notifications import (
    CreateNotificationRule,
    EmailTarget,
    SlackTarget,
    UpdateNotificationRule,
    WebhookTarget,
)
from worker_client.errors import ValidationFailed

_AS_SENT: Final = ("recursive", "failed_times", "waiting_seconds", "include_prompt", "tries")
_LISTS: Final = ("events", "status", "tags", "priority")
_TARGETS: Final = ("webhook", "email", "slack")
_SUBJECT: Final = frozenset({"task", "event", "rule", "summary"})
_encode: Final = msgspec.json.Encoder().encode


def definition(body: CreateNotificationRule, by: Principal, sealing: Sealing) -> str:
    """What a new rule wants and where to. Raises ValidationFailed, Forbidden, neither of which shows a secret."""
    targets: dict[str, Any] = {
        name: _target(sent, by, sealing, None) for name in _TARGETS if (sent := getattr(body, name)) is not None
    }
    return _encode(Definition(**_facts(body), **targets)).decode()


def changed(body: UpdateNotificationRule, before: Definition, by: Principal, sealing: Sealing) -> str:
    """What a rule wants once it is changed; a target takes the place of another. Raises ValidationFailed, Forbidden."""
    facts = _facts(body)
    sent = {name: value for name in _TARGETS if (value := getattr(body, name)) is not UNSET}
    if sent:
        facts |= dict.fromkeys(_TARGETS)
        facts |= {name: _target(value, by, sealing, before) for name, value in sent.items()}
    return _encode(replace(before, **facts)).decode()


def _facts(body: CreateNotificationRule | UpdateNotificationRule) -> dict[str, Any]:
    facts: dict[str, Any] = {name: value for name in _AS_SENT if (value := getattr(body, name)) is not UNSET}
    facts |= {name: tuple(value) for name in _LISTS if (value := getattr(body, name)) is not UNSET}
    if body.work_path is not UNSET:
        facts["work_path"] = tuple(work_path(path, f"work_path[{place}]") for place, path in enumerate(body.work_path))
    return facts


def _target(
    sent: WebhookTarget | EmailTarget | SlackTarget, by: Principal, sealing: Sealing, before: Definition | None
) -> WebhookTarget | EmailTarget | SlackTarget:
    match sent:
        case WebhookTarget():
            known = "" if before is None or before.webhook is None else before.webhook.secret
            url = sealing.kept(sent.url, by, "webhook.url") if names(sent.url) else _url(sent.url, "webhook.url")
            if sent.secret and sent.secret != MASK and names(sent.secret) is None:
                usable("standard-webhooks", sent.secret, "webhook.secret")
            return WebhookTarget(url=url, secret=_kept(sent.secret, known, by, sealing, "webhook.secret"))
        case SlackTarget():
            known = "" if before is None or before.slack is None else before.slack.url
            if sent.url != MASK and names(sent.url) is None:
                _url(sent.url, "slack.url", secret=True)
            return SlackTarget(url=_kept(sent.url, known, by, sealing, "slack.url"))
        case EmailTarget():
            if sent.subject is not None:
                templates.check(sent.subject, _SUBJECT, "email.subject")
            return sent


def _kept(sent: str, known: str, by: Principal, sealing: Sealing, field: str) -> str:
    """A secret as it is stored; one that is sent as it is shown, or is the same, stays."""
    if not sent:
        return ""
    if sent == MASK and known:
        return known
    if sent == MASK:
        raise ValidationFailed(f"`{field}` is {MASK}, as secrets are shown, and none was stored before: send it", field=field)
    return known if known and sealing.stands_for(known, sent) else sealing.kept(sent, by, field)


def _url(url: str, field: str, *, secret: bool = False) -> str:
    """An address that can be called. Raises ValidationFailed."""
    shown = "what" if secret else f"{url[:100]!r}, which"
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ValidationFailed(
            f"`{field}` is {shown} nobody can call: send an address such as https://example.org/hook", field=field
        )
    if parts.username is not None or parts.password is not None:
        raise ValidationFailed(
            f"`{field}` has a name or a password before the @: a receiver knows this server by the signature, leave them out",
            field=field,
        )
    return url
