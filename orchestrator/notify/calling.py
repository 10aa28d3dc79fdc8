"""Calls of webhooks and of Slack: only to addresses that are allowed, and to nowhere else from there.

It is loaded, with its libraries, when something is first sent.
"""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import httpx
from standardwebhooks import Webhook

from orchestrator import __version__
from orchestrator.networks import network
from orchestrator.notify.message import Sent
from worker_client.exchange import retry_after
from worker_client.runners.http.reach import EVERYWHERE, AddressRefused, Reach
from worker_client.runners.http.transport import CheckedTransport

_KEPT_BYTES: Final = 2_000
_LONGEST_PAUSE_S: Final = 86_400.0
_BROKEN: Final = "the connection broke before the answer was there"


class Caller:
    """`allowed`: networks that may be called besides public addresses, or "all".

    `ca_file`: certificates to trust in place of the system's.
    """

    def __init__(self, allowed: tuple[str, ...], ca_file: str) -> None:
        self._reach = Reach(name if name == EVERYWHERE else str(network(name)) for name in allowed)
        self._context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()

    async def signed(self, url: str, secret: str, id: str, body: bytes, now: float) -> Sent:
        """Send JSON as standard-webhooks says; `now`: seconds since 1970."""
        at = datetime.fromtimestamp(int(now), UTC)
        headers = {"webhook-id": id, "webhook-timestamp": str(int(now))}
        if secret:
            headers["webhook-signature"] = Webhook(secret).sign(id, at, body.decode())
        return await self.post(url, body, headers)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Sent:
        """Send JSON, and see what the receiver says. A message of an error names no address, which may be a secret."""
        own = {
            "content-type": "application/json",
            "user-agent": f"task-orchestrator/{__version__}",
            "accept-encoding": "identity",
        }
        transport = CheckedTransport(self._reach, proxy=None, context=self._context)
        try:
            async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=None, follow_redirects=False) as client:  # noqa: S113 - whoever sends bounds the whole
                request = client.build_request("POST", url, content=body, headers={**own, **headers})
                response = await client.send(request, stream=True)
                try:
                    answer = await _beginning(response)
                finally:
                    await response.aclose()
        except AddressRefused:
            return Sent(
                delivered=False,
                reason="its address is no public one: allow it with the setting notify.allow_private, or name another",
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            return Sent(delivered=False, reason="it has no address that can be called: correct its url")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Sent(delivered=False, reason=f"no connection: {_words(error)}")
        except httpx.TransportError:
            return Sent(delivered=False, reason=_BROKEN)
        return _meaning(response, answer)


def _words(error: Exception) -> str:
    """What is wrong with a connection, without whom it was to."""
    text = str(error).lower()
    for sign, meaning in (
        ("certificate", "its certificate is not trusted, see notify.tls_ca_file"),
        ("resolve", "its name is not known"),
        ("refused", "nobody listens there"),
    ):
        if sign in text:
            return meaning
    return "nobody answers there"


async def _beginning(response: httpx.Response) -> str:
    """How an answer begins; that it breaks off says nothing about what its status says."""
    kept = b""
    with suppress(httpx.TransportError, httpx.DecodingError):
        async for part in response.aiter_bytes():
            kept += part
            if len(kept) >= _KEPT_BYTES:
                break
    return kept[:_KEPT_BYTES].decode(errors="replace")


def _meaning(response: httpx.Response, answer: str) -> Sent:
    status = response.status_code
    if response.is_success:
        return Sent(delivered=True, status=status, answer=answer)
    if 300 <= status < 400:
        reason = f"it answered {status}, and redirects are not followed: name the address that it leads to"
    else:
        reason = f"it answered {status}"
    pause = retry_after(response.headers)
    after_ms = None if pause is None else round(1000 * min(pause, _LONGEST_PAUSE_S))
    gone = status == HTTPStatus.GONE
    return Sent(delivered=False, status=status, reason=reason, answer=answer, after_ms=after_ms, gone=gone)
