"""Sends messages, each the way that its rule says, within a time. It is loaded when the first one is sent."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from msgspec import to_builtins

from orchestrator.deferring import installed
from orchestrator.domain.templates import render
from orchestrator.doors.sealing import SealedError, Sealing, names
from orchestrator.notify.message import Letter, Sent, encoder
from orchestrator.notify.words import line, subject
from orchestrator.settings.sections import Notify
from worker_client.contract.notifications import EmailTarget, SlackTarget, WebhookTarget
from worker_client.errors import ValidationFailed

_LONGEST_SUBJECT: Final = 200
_NO_MAILS: Final = (
    "notify.smtp_server: what sends mails is not installed: pip install 'task-orchestrator[email]', and start it again"
)


class Sender:
    """`settings` gives those in force, `wall` the seconds since 1970."""

    def __init__(self, settings: Callable[[], Notify], sealing: Sealing, wall: Callable[[], float]) -> None:
        self._settings = settings
        self._sealing = sealing
        self._wall = wall
        self._caller: Any = None
        self._caller_of: tuple[object, ...] = ()

    async def send(self, letter: Letter) -> Sent:
        """Try once; whatever goes wrong is told, and nothing raised."""
        settings = self._settings()
        try:
            async with asyncio.timeout(settings.timeout):
                return await self._sent(letter, settings)
        except TimeoutError:
            return Sent(delivered=False, reason=f"there was no answer within {settings.timeout:g} s")
        except (SealedError, ValidationFailed) as error:
            return Sent(delivered=False, reason=error.message)

    async def _sent(self, letter: Letter, settings: Notify) -> Sent:
        match letter.wanted.webhook or letter.wanted.email or letter.wanted.slack:
            case WebhookTarget() as webhook:
                url = self._revealed(webhook.url) if names(webhook.url) else webhook.url
                secret = self._revealed(webhook.secret) if webhook.secret else ""
                body = encoder().encode(letter.message)
                return await self._calls(settings).signed(url, secret, letter.id, body, self._wall())  # type: ignore[no-any-return]
            case SlackTarget() as slack:
                body = encoder().encode({"text": _for_slack(letter)})
                return await self._calls(settings).post(self._revealed(slack.url), body, {})  # type: ignore[no-any-return]
            case EmailTarget() if not installed("aiosmtplib"):
                return Sent(delivered=False, reason=_NO_MAILS)
            case EmailTarget() as email:
                from orchestrator.notify import mailing  # noqa: PLC0415 - its library is loaded for the first mail

                return await mailing.mail(
                    settings, email.to, _subject(letter, email.subject), _text(letter), id=letter.id, now=self._wall()
                )
        raise AssertionError("a rule has one of them")  # pragma: no cover

    def _revealed(self, kept: str) -> str:
        return self._sealing.revealed(kept)

    def _calls(self, settings: Notify) -> Any:
        """The caller for the settings in force; their certificates are read once."""
        from orchestrator.notify import calling  # noqa: PLC0415 - its libraries are loaded for the first call

        wanted = (settings.allow_private, settings.tls_ca_file)
        if self._caller_of != wanted:
            self._caller, self._caller_of = calling.Caller(*wanted), wanted
        return self._caller


def _subject(letter: Letter, template: str | None) -> str:
    data = letter.message.data
    if template is None:
        return line(subject(data.event, data.task, data.rule.name), _LONGEST_SUBJECT)
    values = {
        "summary": data.summary,
        "event": to_builtins(data.event),
        "task": to_builtins(data.task) if data.task is not None else {},
        "rule": to_builtins(data.rule),
    }
    return line(render(template, values, "email.subject"), _LONGEST_SUBJECT)


def _text(letter: Letter) -> str:
    """A mail in plain words: what happened, where to look, and why one was told."""
    data = letter.message.data
    parts = [data.summary]
    task = data.task
    if task is not None and task.options:
        parts.append("Answers to choose from:\n" + "\n".join(f"- {line(str(one), 200)}" for one in task.options))
    if task is not None and task.prompt:
        parts.append(f"What it was asked to do:\n{task.prompt}")
    if page := data.links.get("page"):
        parts.append(page)
    parts.append(f"-- \nThe notification rule {line(data.rule.name, 100)!r} tells you of this.")
    return "\n\n".join(parts) + "\n"


def _for_slack(letter: Letter) -> str:
    """The same for a chat, in which `<`, `>` and `&` mean something."""
    data = letter.message.data
    text = _escaped(data.summary)
    task = data.task
    if task is not None and task.prompt:
        text += f"\n>{_escaped(line(task.prompt, 1_500))}"
    page = data.links.get("page")
    return f"{text}\n<{page}>" if page else text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
