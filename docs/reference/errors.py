"""Writes docs/reference/errors.md from the exceptions that server and SDK share: `python -m docs`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from docs.writing import table
from orchestrator.cli.exits import exit_code
from worker_client.contract.enums import LeaseEnd
from worker_client.errors import ERRORS, OrchestratorError, ServerUnreachable, UnexpectedAnswer

TO_DO: Final = {
    "VALIDATION_ERROR": "Mend what `details.field` names; the message says what is expected.",
    "UNAUTHORIZED": "Send a key that is good: `Authorization: Bearer KEY`. It may have ended or been revoked.",
    "FORBIDDEN": "Use a key that has the scope and the directory that the message names, or connect from an address that may.",
    "NOT_FOUND": "Look whether the id is right. What lies outside of the directories of a key is not there for it.",
    "METHOD_NOT_ALLOWED": "Use one of the methods in the header `Allow`.",
    "CONFLICT": "Read how it stands now, and decide again. The message says what is in the way.",
    "LEASE_LOST": "Stop the work and report nothing more of it: somebody else may have the task. `details.reason` says why.",
    "PAYLOAD_TOO_LARGE": "Send less, or more often. `details.limit` is how much is taken.",
    "RATE_LIMITED": "Wait for as many seconds as `Retry-After` says, then send the same again.",
    "OVERLOADED": "Wait for as many seconds as `Retry-After` says, then send the same again. Who holds a lease is still served.",
    "INTERNAL": "Look up `details.id` in the log of the server, and report it: it is a defect.",
    "UNREACHABLE": "Look whether a server runs at that address. Calls that may be repeated were repeated already.",
    "UNEXPECTED_ANSWER": "Look at the address: a proxy, another program, or another version answered.",
}
ENDS: Final = {
    LeaseEnd.EXPIRED: "it ended before a heartbeat or a report came",
    LeaseEnd.RECLAIMED: "the task has a newer lease",
    LeaseEnd.RELEASED: "it was given back",
    LeaseEnd.CANCELLED: "the task was cancelled",
    LeaseEnd.ALREADY_APPLIED: "the task has ended already, by another report",
}
INTRODUCTION: Final = """\
# Errors

<!-- Written by docs/reference/errors.py from worker_client/errors.py; a test compares them. -->

Every refusal of the API has the same form; `code` is for programs, `message` for people, and `details` has the facts:

<!-- output -->
```json
{"success": false, "data": null, "error": {"code": "CONFLICT", "message": "...", "details": {}}, "timestamp": "..."}
```

Server and SDK have one class per code, all of them `worker_client.OrchestratorError`, with `code`, `status`, `message` and
`details`. The SDK repeats what may be repeated by itself, and raises when that did not help. The last column is what
`orchestrator` ends with.

"""


def pages() -> Mapping[str, str]:
    """The page by its place below docs/reference."""
    own = (ServerUnreachable, UnexpectedAnswer)
    lines = [
        *table(("code", "HTTP", "means", "what to do", "class of the SDK", "exit code"), map(_row, ERRORS.values())),
        "",
        "These the SDK raises by itself, when it has no answer of this API:",
        "",
        *table(("code", "means", "what to do", "class of the SDK", "exit code"), (_cells(one) for one in own)),
        "",
        "`RateLimited` and `Overloaded` are `Retriable`, with `retry_after` in seconds.",
        "",
        "## Why a lease is lost",
        "",
        "`details.reason` of `LEASE_LOST`; `details.status` is how the task stands.",
        "",
        *table(("reason", "means"), ((f"`{end}`", ENDS[end]) for end in LeaseEnd)),
        "",
    ]
    return {"errors.md": INTRODUCTION + "\n".join(lines)}


def _row(kind: type[OrchestratorError]) -> tuple[str, ...]:
    code, *rest = _cells(kind)
    return code, f"{kind.status} {HTTPStatus(kind.status).phrase}", *rest


def _cells(kind: type[OrchestratorError]) -> tuple[str, ...]:
    means = " ".join((kind.__doc__ or "").split()).removesuffix(".")
    return f"`{kind.code}`", means, TO_DO[kind.code], f"`{kind.__name__}`", str(int(exit_code(kind(""))))
