"""A program calls the path of the workflow."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from orchestrator.domain.principal import Principal
from orchestrator.triggers import signatures
from orchestrator.triggers.base import Settings
from orchestrator.triggers.payload import fields
from orchestrator.triggers.signatures import Auth, HeaderName
from orchestrator.triggers.web import Incoming, Reveal, Taken, WebTrigger, context, first_key

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
KEYS: Final = ("idempotency-key", "webhook-id")


class WebhookSettings(Settings, kw_only=True):
    """`idempotency_header`: the header that names a delivery, by default `Idempotency-Key` or `webhook-id`."""

    auth: Auth
    methods: Annotated[list[Method], Meta(min_length=1, max_length=5)] = msgspec.field(default_factory=lambda: ["POST"])
    idempotency_header: HeaderName | None = None


class Webhook(WebTrigger[WebhookSettings]):
    """What the body says goes over the defaults of the workflow's input."""

    name = "webhook"
    settings = WebhookSettings
    hidden = ("auth.secret",)

    def check(self, settings: WebhookSettings, by: Principal, field: str) -> None:  # noqa: ARG002 - that of the base
        """Refuse an authentication that lacks something."""
        signatures.check(settings.auth, f"{field}.auth")

    def fits(self, settings: WebhookSettings, secret: str, field: str) -> None:
        """Refuse secrets that are none."""
        signatures.usable(settings.auth.type, secret, field)

    def methods(self, settings: WebhookSettings) -> Sequence[str]:
        """Those that were chosen."""
        return settings.methods

    def admit(self, settings: WebhookSettings, incoming: Incoming, reveal: Reveal) -> None:
        """Who shows the token, or has signed the body."""
        auth = settings.auth
        signatures.admit(auth, incoming, reveal(auth.secret) if auth.secret else "")

    def take(self, settings: WebhookSettings, incoming: Incoming) -> Taken:
        """Its fields; a delivery that names itself is taken once."""
        names = KEYS if settings.idempotency_header is None else (settings.idempotency_header,)
        key = first_key(incoming, names)
        return Taken(
            input=fields(incoming),
            trigger=context(self.name, incoming, *settings.auth.headers, delivery_id=key),
            facts={"method": incoming.method, "bytes": len(incoming.raw), "user_agent": _short(incoming.header("user-agent"))},
            key=key,
        )


def _short(text: str | None) -> str | None:
    return None if text is None else text[:200]
