"""The exception tree: one class per error code, with its HTTP status; server and SDK raise the same."""

from typing import Any, ClassVar

from worker_client.contract.enums import LeaseEnd
from worker_client.contract.envelope import ErrorBody


class OrchestratorError(Exception):
    """Base of everything the server refuses with and the SDK raises."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def body(self) -> ErrorBody:
        """The `error` of the envelope."""
        return ErrorBody(code=self.code, message=self.message, details=self.details)


class ConfigurationError(ValueError):
    """The worker was set up in a way that can't work; the message says how to mend it."""


class CannotBegin(Exception):
    """A run can't begin here and now, through no fault of the task's: it is given back, for `again_seconds` from now."""

    def __init__(self, message: str, *, again_seconds: float = 60.0) -> None:
        super().__init__(message)
        self.again_seconds = again_seconds


class ValidationFailed(OrchestratorError):
    """Something in the request is not as the contract says; `details.field` names it."""

    code = "VALIDATION_ERROR"
    status = 400

    def __init__(self, message: str, *, field: str = "", **details: Any) -> None:
        super().__init__(message, **{"field": field, "message": message, **details})


class Unauthorized(OrchestratorError):
    """Who asks is not known."""

    code = "UNAUTHORIZED"
    status = 401


class Forbidden(OrchestratorError):
    """Who asks is known, and may not."""

    code = "FORBIDDEN"
    status = 403


class NotFound(OrchestratorError):
    """There is no such thing, or not for who asks."""

    code = "NOT_FOUND"
    status = 404


class MethodNotAllowed(OrchestratorError):
    """The path exists, but not with this method."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


class Conflict(OrchestratorError):
    """Wrong state, version or key."""

    code = "CONFLICT"
    status = 409


class LeaseLost(OrchestratorError):
    """The lease is not the current one: nothing was changed, stop the work."""

    code = "LEASE_LOST"
    status = 409

    def __init__(self, message: str, *, task_status: str = "", reason: str = LeaseEnd.RECLAIMED, **details: Any) -> None:
        super().__init__(message, **{"status": task_status, "reason": str(reason), **details})

    @property
    def reason(self) -> str:
        """Why: expired, reclaimed, released, cancelled or already_applied."""
        return str(self.details.get("reason", ""))


class PayloadTooLarge(OrchestratorError):
    """The body, or one field of it, is larger than the server takes."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class Retriable(OrchestratorError):
    """Nothing is wrong with the request: send it again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0, **details: Any) -> None:
        super().__init__(message, **{"retry_after": retry_after, **details})

    @property
    def retry_after(self) -> float:
        """Seconds to wait before the next try."""
        return float(self.details.get("retry_after", 1.0))


class RateLimited(Retriable):
    """Too many requests from here."""

    code = "RATE_LIMITED"
    status = 429


class Overloaded(Retriable):
    """The server has more to do than it can; who holds a lease is still served."""

    code = "OVERLOADED"
    status = 503


class Internal(OrchestratorError):
    """A defect of the server; `details.id` finds it in the log."""


class ServerUnreachable(OrchestratorError):
    """The client got no answer; for calls that may not be repeated, whether they were carried out isn't known."""

    code = "UNREACHABLE"
    status = 503


class UnexpectedAnswer(OrchestratorError):
    """What answered does not speak this API, or not this version of it."""

    code = "UNEXPECTED_ANSWER"
    status = 502


ERRORS: dict[str, type[OrchestratorError]] = {
    error.code: error
    for error in (
        ValidationFailed, Unauthorized, Forbidden, NotFound, MethodNotAllowed, Conflict, LeaseLost, PayloadTooLarge,
        RateLimited, Overloaded, Internal,
    )
}  # fmt: skip


def error_from(body: ErrorBody, *, retry_after: float | None = None) -> OrchestratorError:
    """Rebuild the exception that the server raised, from the `error` of its answer.

    `retry_after`: seconds of the answer's Retry-After header, if it had one.
    """
    kind = ERRORS.get(body.code, OrchestratorError)
    error = kind.__new__(kind)
    OrchestratorError.__init__(error, body.message, **body.details)
    if retry_after is not None:
        error.details["retry_after"] = retry_after
    return error
