"""What is between a Call and HTTP, sans I/O: building requests, reading answers, deciding what is worth another try."""

import random
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from time import monotonic, time
from typing import Any, Generic, TypeVar

import httpx
import msgspec
from msgspec import Struct

from worker_client import tracing
from worker_client.contract.envelope import Envelope, ErrorBody
from worker_client.contract.request import Request
from worker_client.contract.tasks import CreatedTask, CreatedTasks
from worker_client.endpoints import Call, Repeat
from worker_client.errors import OrchestratorError, Retriable, ServerUnreachable, UnexpectedAnswer, ValidationFailed, error_from

T = TypeVar("T")
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
GATEWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_encoder = msgspec.json.Encoder()


class Retries(Struct, frozen=True, kw_only=True):
    """How long to go on trying: stop after so many attempts or seconds, wait `first` doubling up to `most` seconds between."""

    attempts: int | None = 10
    seconds: float = 45.0
    first: float = 0.1
    most: float = 5.0


class Refusal(Struct):
    """The half of an envelope that says why not."""

    success: bool
    error: ErrorBody | None = None


@cache
def _decoder(returns: Any, *, bare: bool) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(returns if bare else Envelope[returns])


_refusals = msgspec.json.Decoder(Refusal)


def query_of(params: Request | None) -> list[tuple[str, str]]:
    """The fields that differ from their defaults: lists repeat, booleans are `true` or `false`, times RFC 3339."""
    if params is None:
        return []
    fields: dict[str, Any] = msgspec.to_builtins(params)
    return [(name, _text(one)) for name, value in fields.items() for one in (value if isinstance(value, list) else [value])]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Exchange(Generic[T]):
    """One call on its way: its request, what its answers mean, and whether an error is worth another try."""

    def __init__(self, call: Call[T], base_url: str, *, unique: str, margin: float, retries: Retries) -> None:
        self._call = call.repeatable(unique)
        self._unique = unique
        self._retries = retries
        self._tried = 0
        self._started = monotonic()
        self._base_url = base_url
        self._margin = margin

    @property
    def request(self) -> dict[str, Any]:
        """Arguments of httpx's `build_request`; the read time-out leaves room for a held call."""
        call = self._call
        body: dict[str, Any] = {}
        headers: dict[str, str] = {}
        if call.body is not None:
            headers["content-type"] = "application/json"
            body = {"content": _encoder.encode(call.body)}
        if (traceparent := tracing.current()) is not None:
            headers["traceparent"] = traceparent
        timeout = httpx.Timeout(self._margin, read=call.hold + self._margin)
        query = query_of(call.params)
        return {"method": call.method, "url": call.path, "params": query, "headers": headers, "timeout": timeout, **body}

    def answer(self, status: int, headers: Mapping[str, str], content: bytes) -> T:
        """What the server returned; raises the OrchestratorError that it answered with."""
        call = self._call
        if status == HTTPStatus.NO_CONTENT and call.returns is None:
            return None  # type: ignore[return-value]
        try:
            if call.bare and call.returns is str and status < HTTPStatus.BAD_REQUEST:
                return content.decode(errors="replace")  # type: ignore[return-value]
            if call.bare and status in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}:
                return _decoder(call.returns, bare=True).decode(content)  # type: ignore[no-any-return]
            if status < HTTPStatus.BAD_REQUEST:
                return self._own(_decoder(call.returns, bare=False).decode(content).data)
            refusal = _refusals.decode(content)
        except msgspec.MsgspecError as error:
            raise self._unexpected(status, headers, content, error) from None
        if refusal.error is None:
            raise self._unexpected(status, headers, content, None)
        raise error_from(refusal.error, retry_after=retry_after(headers))

    def _own(self, value: T) -> T:
        created = value.tasks if isinstance(value, CreatedTasks) else [value]
        for task in created:
            # The key is of this very call: that an earlier sending of it created the task is nothing the caller asked for.
            if isinstance(task, CreatedTask) and (task.key or "").startswith(self._unique):
                task.created = True
        return value

    def refusal(self, status: int, headers: Mapping[str, str], content: bytes) -> OrchestratorError:
        """The error of an answer that is none of the expected ones."""
        try:
            self.answer(max(status, HTTPStatus.BAD_REQUEST), headers, content)
        except OrchestratorError as error:
            return error
        return self._unexpected(status, headers, content, None)

    def _unexpected(self, status: int, headers: Mapping[str, str], content: bytes, error: Exception | None) -> OrchestratorError:
        call, kind = self._call, headers.get("content-type", "no content type")
        reason = f" ({error})" if error and "json" in kind else ""
        details: dict[str, Any] = {"status": status, "body": content[:500].decode(errors="replace")}
        if (wait := retry_after(headers)) is not None:
            details["retry_after"] = wait
        return UnexpectedAnswer(
            f"{call.method} {self._base_url}{call.path} answered {status} with {kind}, which is not this API's{reason}; "
            "check the address (ORCHESTRATOR_URL) and that client and server are of the same version",
            **details,
        )

    def pause_after(self, error: Exception) -> float:
        """Seconds until the next try after this error; raises what the caller is to see when there is none."""
        limits, again = self._retries, self._again(error)
        self._tried += 1
        pause = min(limits.most, limits.first * 2.0 ** min(self._tried - 1, 30)) if again is True else float(again)
        # Some of it is chance, so that all who were refused at once don't come back at once.
        pause *= random.uniform(1.0, 1.2) if again is not True else random.uniform(0.5, 1.5)  # noqa: S311  spreads the load
        over = limits.attempts is not None and self._tried >= limits.attempts
        if again is False or over or monotonic() + pause - self._started > limits.seconds:
            if isinstance(error, httpx.TransportError):
                raise self._unreachable(error) from error
            if isinstance(error, httpx.InvalidURL):
                raise ValidationFailed(f"this cannot be asked for in an address: {error}") from error
            raise error
        return pause

    def _again(self, error: Exception) -> bool | float:
        """Whether another try is harmless and promises something; seconds when the server said how long to wait."""
        unharmed = self._call.repeat is not Repeat.NEVER
        if isinstance(error, httpx.UnsupportedProtocol):
            return False
        if isinstance(error, httpx.TransportError):
            return unharmed or isinstance(error, NOT_SENT)
        if isinstance(error, Retriable):
            return error.retry_after
        if isinstance(error, UnexpectedAnswer) and unharmed and error.details["status"] in GATEWAY:
            return error.details.get("retry_after", True)  # type: ignore[no-any-return]
        return False

    def _unreachable(self, error: httpx.TransportError) -> ServerUnreachable:
        """What to raise when no try got an answer."""
        doubt = ""
        if self._call.repeat is Repeat.NEVER and not isinstance(error, NOT_SENT):
            doubt = "; whether the call was carried out is not known: look before you send it again"
        return ServerUnreachable(
            f"no answer from {self._base_url} to {self._call.method} {self._call.path} "
            f"({type(error).__name__}: {str(error) or 'no details'}){doubt}; is `orchestrator serve` running there? "
            "Set ORCHESTRATOR_URL or pass another address",
            url=self._base_url,
        )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, in either of its forms."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None
