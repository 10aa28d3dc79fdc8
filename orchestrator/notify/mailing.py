"""Mails, over the SMTP server of the settings. It is loaded, with its library, when a mail is first sent."""

import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

import aiosmtplib

from orchestrator.notify.message import Sent
from orchestrator.settings.sections import Notify

PORTS: Final = {"implicit": 465, "starttls": 587, "none": 25}
_NOBODY: Final = "no connection to the mail server: nobody answers there"
_UNTRUSTED: Final = "the mail server's certificate is not trusted: see notify.tls_ca_file"
_NO_ADDRESS: Final = "an address is none that mail can go to or come from: correct the rule's email.to, or notify.smtp_from"
_UNSET: Final = "there is no mail server: set notify.smtp_server and notify.smtp_from"


async def mail(settings: Notify, to: list[str], subject: str, text: str, *, id: str, now: float) -> Sent:
    """Hand a mail to the server; `id`: a part of its Message-ID, by which who gets it twice may know it."""
    if not settings.smtp_server or not settings.smtp_from:
        return Sent(delivered=False, reason=_UNSET)
    message = EmailMessage()
    message["From"] = settings.smtp_from
    message["To"] = ", ".join(to)
    message["Subject"] = subject
    message["Date"] = formatdate(now)
    message["Message-ID"] = f"<{id}@{settings.smtp_from.rpartition('@')[2].rstrip('>')}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        refused, said = await aiosmtplib.send(
            message,
            hostname=settings.smtp_server,
            port=settings.smtp_port or PORTS[settings.smtp_tls],
            username=settings.smtp_user or None,
            password=settings.smtp_password or None,
            use_tls=settings.smtp_tls == "implicit",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=ssl.create_default_context(cafile=settings.tls_ca_file or None) if settings.smtp_tls != "none" else None,
            timeout=settings.timeout,
        )
    except aiosmtplib.SMTPException as error:
        return Sent(delivered=False, status=_status(error), reason=_words(error, settings))
    except ssl.SSLError:
        return Sent(delivered=False, reason=_UNTRUSTED)
    except OSError:
        return Sent(delivered=False, reason=_NOBODY)
    except ValueError:
        return Sent(delivered=False, reason=_NO_ADDRESS)
    partly = f"the server took it, but not for {', '.join(sorted(refused))}" if refused else None
    return Sent(delivered=True, status=250, reason=partly, answer=said[:200])


def _status(error: Exception) -> int | None:
    code = getattr(error, "code", None)
    return code if isinstance(code, int) and code > 0 else None


def _words(error: aiosmtplib.SMTPException, settings: Notify) -> str:
    """What is wrong in a line, without what was signed in with."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        first = error.recipients[0] if error.recipients else error
        return f"the mail server takes it for nobody: {str(getattr(first, 'message', first))[:300]}"
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return "the mail server does not let the server sign in: see notify.smtp_user and notify.smtp_password"
    if isinstance(error, aiosmtplib.SMTPConnectError):
        return _UNTRUSTED if isinstance(error.__cause__, ssl.SSLError) else _NOBODY
    if "STARTTLS extension not supported" in str(error):
        return f"the mail server offers no STARTTLS, and notify.smtp_tls is {settings.smtp_tls!r}"
    return f"{type(error).__name__}: {str(getattr(error, 'message', error))[:300]}"
