"""Email, SMS and Webhook: what is sent to people and to other programs."""

import re
import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import make_msgid
from fnmatch import fnmatchcase
from typing import Any, Final

import httpx
import msgspec

from worker_client.contract.enums import LogStream
from worker_client.contract.specs import HttpSpec
from worker_client.runners.base import RunContext
from worker_client.runners.functions.refusing import Refused, invalid, not_set_up
from worker_client.runners.functions.settings import EmailSettings, SmsSettings, WebhookSettings
from worker_client.runners.http import HttpRunner
from worker_client.runners.outcomes import Outcome

_SECONDS: Final = 30.0
_MOST_RECIPIENTS: Final = 50
_PHONE: Final = re.compile(r"\+?[0-9][0-9 ()/-]{2,30}")
_PLACE: Final = re.compile(r"\{(to|text)\}")


class Mail:
    """Mail through the server of the settings."""

    def __init__(self, settings: EmailSettings | None, context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._context = context

    def email(self, to: str, subject: str, text: str = "", *, context: RunContext) -> dict[str, Any]:
        """Sends a mail; several addresses are divided by `;`."""
        settings = self._settings
        if settings is None:
            raise not_set_up("Email", 'server = "smtp.example.com" and sender = "jobs@example.com"')
        recipients = [_address(one) for one in str(to).split(";") if one.strip()]
        if not 0 < len(recipients) <= _MOST_RECIPIENTS:
            raise invalid(f"a mail has 1 to {_MOST_RECIPIENTS} recipients, not {len(recipients)}")
        for one in recipients:
            if not any(fnmatchcase(one.lower(), pattern.lower()) for pattern in settings.to):
                raise Refused(
                    "NotAllowed",
                    f"{one} gets no mail from here: `to` in [functions.email] of worker.toml allows {', '.join(settings.to)}",
                )
        message = _message(settings, recipients, str(subject), str(text), context)
        try:
            refused = self._send(settings, message)
        except (smtplib.SMTPException, OSError) as error:
            permanent = isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPNotSupportedError)
            raise Refused("EmailError", f"{settings.server}: {error}", retryable=not permanent) from error
        if refused:
            raise Refused(
                "EmailError", f"{settings.server} took the mail for all but {', '.join(refused)}", refused=list(refused)
            )
        context.log(f"mail to {', '.join(recipients)} was taken by {settings.server}", LogStream.SYSTEM)
        return {"to": recipients, "subject": str(message["Subject"]), "message_id": str(message["Message-ID"])}

    def _send(self, settings: EmailSettings, message: EmailMessage) -> dict[str, Any]:
        trust = self._context or ssl.create_default_context()
        direct = settings.tls == "tls"
        server = (
            smtplib.SMTP_SSL(settings.server, settings.port, timeout=_SECONDS, context=trust)
            if direct
            else smtplib.SMTP(settings.server, settings.port, timeout=_SECONDS)
        )
        with server:
            if settings.tls == "starttls":
                server.starttls(context=trust)
            if settings.user is not None:
                server.login(settings.user, settings.password)
            return server.send_message(message)


def _address(text: str) -> str:
    try:
        return Address(addr_spec=text.strip()).addr_spec
    except (ValueError, IndexError) as error:
        raise invalid(f"{text.strip()[:200]!r} is no address of mail: {error}") from error


def _message(settings: EmailSettings, to: list[str], subject: str, text: str, context: RunContext) -> EmailMessage:
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = settings.sender, ", ".join(to), subject
    except ValueError as error:
        raise invalid(f"the subject can't be sent: {error}") from error
    # The name of this machine may take long to find out, and is nobody's business.
    domain = settings.sender.rpartition("@")[2].rstrip("> ") or "localhost"
    message["Message-ID"] = make_msgid(f"task-{context.task.id}-{context.task.attempt}", domain)
    message.set_content(text)
    return message


class Posts:
    """Requests over https, to where the settings say; the rules for addresses are those of http tasks."""

    def __init__(self, runner: HttpRunner, sms: SmsSettings | None, webhook: WebhookSettings | None) -> None:
        self._runner = runner
        self._sms = sms
        self._webhook = webhook

    async def sms(self, to: str, text: str, *, context: RunContext) -> Outcome:
        """Hands a short message to the gateway."""
        settings = self._sms
        if settings is None:
            raise not_set_up("SMS", 'url = "https://gateway.example.com/send"')
        number = str(to).strip()
        if not _PHONE.fullmatch(number):
            raise invalid(f"{number[:60]!r} is no phone number: write digits, with + before them for another country")
        given = {"to": number, "text": str(text)}
        body = {name: _PLACE.sub(lambda place: given[place[1]], value) for name, value in settings.body.items()}
        spec = HttpSpec(url=settings.url, method="POST", headers=settings.headers, body=body)
        return await self._runner.send(spec, context, redirects=0)

    async def webhook(self, url: str, data: object = "", *, context: RunContext) -> Outcome:
        """Sends data, which is JSON when it looks like it."""
        settings = self._webhook
        if settings is None:
            raise not_set_up("Webhook", 'hosts = ["hooks.example.com"]')
        try:
            address = httpx.URL(str(url).strip())
        except httpx.InvalidURL as error:
            raise invalid(f"{str(url)[:200]!r} is no address: {error}") from error
        if address.scheme != "https" or not address.host:
            raise invalid(f"{str(url)[:200]!r} can't be sent to: write an address that begins with https://")
        if not any(fnmatchcase(address.host.lower(), pattern.lower()) for pattern in settings.hosts):
            raise Refused(
                "NotAllowed",
                f"nothing is sent to {address.host} from here: `hosts` in [functions.webhook] has {', '.join(settings.hosts)}",
            )
        body = _parsed(data) if isinstance(data, str) else data
        spec = HttpSpec(url=str(address), method="POST", headers=settings.headers, body=body)
        return await self._runner.send(spec, context, redirects=0)


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
