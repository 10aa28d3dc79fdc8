"""Everything that can go wrong while a request is handled, as an answer in the envelope."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar.exceptions import HTTPException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from orchestrator.http.body import ClientGoneError, too_large
from orchestrator.http.envelope import Answer, refusal
from orchestrator.http.scope import Asked, request_id
from orchestrator.queue import away as unreachable
from orchestrator.store.protocol import StoreAwayError
from worker_client.errors import Internal, MethodNotAllowed, NotFound, OrchestratorError, ValidationFailed

log = structlog.get_logger()


def headed(methods: Iterable[str]) -> list[str]:
    """Methods in their order, with the HEAD that comes with every GET."""
    found = set(methods)
    return sorted(found | {"HEAD"} if "GET" in found else found)


def refused(request: Asked, error: OrchestratorError) -> Answer:
    """What was refused on purpose; a defect that the queue met gets an id, too."""
    if isinstance(error, Internal) and "id" not in error.details:
        error.details["id"] = request_id(request.scope)
        log.error("an operation failed", reason=error.message)
    answer = refusal(error)
    if isinstance(error, MethodNotAllowed):
        answer.raw_headers.append((b"allow", error.details["allowed"].encode()))
    return answer


def framework(request: Asked, error: HTTPException) -> Answer:
    """What Litestar refuses by itself: unknown paths, wrong methods, a bad Host header."""
    path, method = request.scope["path"], request.scope["method"]
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return refusal(NotFound(f"there is nothing at {path[:200]}: /schema lists all there is", path=path[:200]))
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(headed((error.headers or {}).get("allow", "").split(", ")))
            said = f"{method} is not possible at {path[:200]}: it takes {allowed}"
            return refused(request, MethodNotAllowed(said, allowed=allowed))
        case status if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return refusal(ValidationFailed(error.detail, field=""))
        case _:
            return unexpected(request, error)


def too_much(request: Asked, _error: RequestEntityTooLarge) -> Answer:
    """A body that Litestar found too large."""
    return refusal(too_large(request.app.state.settings.limits.max_body_bytes))


def unreadable(_request: Asked, error: msgspec.ValidationError) -> Answer:
    """A value that does not fit, found outside of the contract's readers."""
    return refusal(ValidationFailed(str(error), field=""))


def gone(_request: Asked, _error: ClientGoneError) -> Answer:
    """Nobody reads this; 499 is what proxies write down for it."""
    return Answer(b"", 499, ())


def away(_request: Asked, _error: StoreAwayError) -> Answer:
    """The database cannot be reached."""
    return refusal(unreachable.refusal())


def unexpected(request: Asked, error: Exception) -> Answer:
    """A defect of ours: the client gets an id, the log has the rest."""
    found_by = request_id(request.scope)
    log.error("unexpected error", exc_info=error)
    return refusal(Internal(f"the server failed to do this; its log has the reason under request {found_by}", id=found_by))


HANDLERS: dict[Any, Any] = {
    OrchestratorError: refused,
    RequestEntityTooLarge: too_much,
    HTTPException: framework,
    msgspec.ValidationError: unreadable,
    ClientGoneError: gone,
    StoreAwayError: away,
    Exception: unexpected,
}
