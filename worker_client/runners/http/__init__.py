"""Kind `http`: a request, and what counts as success."""

import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpx
import msgspec

from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.contract.specs import HttpSpec
from worker_client.exchange import retry_after
from worker_client.runners.base import RunContext
from worker_client.runners.http.answer import Answer, read
from worker_client.runners.http.reach import AddressRefused, Reach
from worker_client.runners.http.transport import PROXIES, CheckedTransport
from worker_client.runners.outcomes import Done, Failed, Outcome

MOST_REDIRECTS: Final = 10
CONNECT_SECONDS: Final = 30.0
ANY: Final = "any"
MOST_PAUSE: Final = 86_400.0
"""A server that asks to be left alone for longer is asked again after a day."""
_ASKING_FOR_TIME: Final = frozenset({429, 503})
_OWN: Final = {"user-agent": "task-orchestrator", "accept": "*/*", "accept-encoding": "identity"}
_OF_THE_BODY: Final = ("content-type", "content-length", "transfer-encoding")


class _InvalidSpec(Exception):
    """The spec can't be sent as a request."""


class _Redirected(Exception):
    """A redirect that isn't followed."""


_FAILURES: Final[tuple[tuple[tuple[type[Exception], ...], str, str, bool], ...]] = (
    ((AddressRefused,), "AddressRefused", "", False),
    (
        (_InvalidSpec, httpx.InvalidURL, httpx.LocalProtocolError, UnicodeError),
        "InvalidSpec",
        "the request can't be sent: ",
        False,
    ),
    ((_Redirected, httpx.UnsupportedProtocol), "Redirect", "a redirect can't be followed: ", True),
    ((httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError), "Connect", "no connection: ", True),
    ((httpx.TimeoutException,), "Timeout", "no answer in time: ", True),
    ((httpx.TransportError,), "Connect", "the connection broke: ", True),
)
"""Which errors mean what, in words, and whether another attempt may help."""
_ERRORS: Final = tuple(error for errors, *_ in _FAILURES for error in errors)


def _failure(error: Exception) -> Failed:
    kind, words, retryable = next(meaning for errors, *meaning in _FAILURES if isinstance(error, errors))
    return Failed(type=str(kind), message=f"{words}{str(error) or type(error).__name__}", retryable=bool(retryable))


class HttpRunner:
    """Sends requests; `allowed`: networks to connect to besides public addresses, or "all". Raises ConfigurationError."""

    kind = "http"
    needs_directory = False

    def __init__(self, *, allowed: Iterable[str] = (), context: ssl.SSLContext | None = None) -> None:
        self._reach = Reach(allowed)
        self._context = context

    async def run(self, context: RunContext) -> Outcome:
        """Send the request, follow redirects, and look at the answer."""
        try:
            spec = msgspec.convert(context.task.spec or {}, HttpSpec)
        except msgspec.ValidationError as error:
            return Failed(type="InvalidSpec", message=f"spec of an http task: {error}", retryable=False)
        return await self.send(spec, context)

    async def send(self, spec: HttpSpec, context: RunContext, *, redirects: int = MOST_REDIRECTS) -> Outcome:
        """The same for a request that is none of the task's own words."""
        try:
            answer = await self._ask(spec, context, redirects)
        except _ERRORS as error:
            return _failure(error)
        return _outcome(spec, answer)

    async def _ask(self, spec: HttpSpec, context: RunContext, redirects: int) -> Answer:
        if self._context is None:
            self._context = httpx.create_ssl_context()
        transport = CheckedTransport(self._reach, proxy=_proxy(spec.proxy), context=self._context)
        timeout = httpx.Timeout(context.task.timeout_seconds, connect=min(CONNECT_SECONDS, context.task.timeout_seconds))
        started = time.monotonic()
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout) as client:
            request = client.build_request(spec.method.upper(), spec.url, **_body(spec))
            if not request.url.host:
                raise _InvalidSpec("`url` names no host")
            own, first = _headers(spec), request.url
            cookies = "; ".join(filter(None, [own.pop("cookie", None), _cookies(spec.cookies)]))
            request.headers.update(own)
            for hop in range(redirects + 1):
                if _same_origin(request.url, first):
                    request.headers["cookie"] = "; ".join(filter(None, [request.headers.get("cookie"), cookies]))
                if not request.headers.get("cookie"):
                    request.headers.pop("cookie", None)
                context.log(f"{'redirected: ' if hop else ''}{request.method} {request.url.host}", LogStream.SYSTEM)
                response = await client.send(request, stream=True)
                try:
                    if response.next_request is None or response.status_code in _expected(spec):
                        answer = await read(response, started=started)
                        context.log(f"{answer.status} after {answer.ms} ms", LogStream.SYSTEM)
                        return answer
                finally:
                    await response.aclose()
                request = _next(response.next_request, own, first)
        raise _Redirected(f"more than {redirects} redirects")


def _next(request: httpx.Request, own: Mapping[str, str], first: httpx.URL) -> httpx.Request:
    """What another server is not to see isn't sent to it."""
    if not _same_origin(request.url, first):
        for name in own:
            if name not in _OWN and name not in _OF_THE_BODY:
                request.headers.pop(name, None)
    return request


def _outcome(spec: HttpSpec, answer: Answer) -> Outcome:
    usage = Usage(duration_ms=answer.ms)
    expected = _expected(spec)
    fits = answer.status in expected if expected else httpx.codes.is_success(answer.status)
    if not fits and spec.expect_status != ANY:
        wanted = " or ".join(map(str, expected)) if expected else "2xx"
        pause = retry_after(answer.headers) if answer.status in _ASKING_FOR_TIME else None
        return Failed(
            type="HttpStatus",
            message=f"the answer has status {answer.status}, expected was {wanted}; it begins: {answer.text[:200]}",
            details=answer.excerpt(),
            retry_after=None if pause is None else min(pause, MOST_PAUSE),
            usage=usage,
        )
    if spec.expect_text is not None and spec.expect_text not in answer.text:
        where = "the part of the answer that is kept" if answer.cut else "the answer"
        message = f"{spec.expect_text!r} is not in {where}"
        return Failed(type="TextMissing", message=message, details=answer.excerpt(), usage=usage)
    return Done(answer.result(), usage)


def _expected(spec: HttpSpec) -> list[int]:
    given = spec.expect_status
    return given if isinstance(given, list) else [given] if isinstance(given, int) else []


def _headers(spec: HttpSpec) -> dict[str, str]:
    return {**_OWN, **{name.lower(): value for name, value in spec.headers.items()}}


def _body(spec: HttpSpec) -> dict[str, Any]:
    if spec.body is None:
        return {}
    if isinstance(spec.body, str):
        return {"content": spec.body.encode(), "headers": {"content-type": "text/plain; charset=utf-8"}}
    return {"content": msgspec.json.encode(spec.body), "headers": {"content-type": "application/json"}}


def _cookies(cookies: dict[str, str] | str | None) -> str:
    if cookies is None or isinstance(cookies, str):
        return cookies or ""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _proxy(address: str | None) -> httpx.URL | None:
    if not address:
        return None
    url = httpx.URL(address)
    if url.scheme == "socks":
        url = url.copy_with(scheme="socks5")
    if url.scheme not in PROXIES or not url.host:
        raise _InvalidSpec(f"`proxy` begins with {url.scheme}://; it has to be http://HOST:PORT or socks5://HOST:PORT")
    return url


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
