"""How commands end: exit codes that scripts can rely on, and errors in words."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn

import rich_click as click

if TYPE_CHECKING:
    from worker_client.errors import OrchestratorError, ServerUnreachable


class Exit(IntEnum):
    """The exit codes; Python and the shell own 126 and above."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNREACHABLE = 5
    FORBIDDEN = 6
    BUSY = 7
    DIFFERS = 8
    INTERRUPTED = 130


EPILOG = """\
Exit codes: 0 done, 1 refused or failed (also a task that --wait waited for), 2 wrong usage, 3 not found, \
4 in the way of something (state, version, key, another server), 5 no server answers, 6 not allowed, 7 too busy, \
8 not as declared (apply --dry-run) or not up to date (migrate --check), 130 interrupted.

Every option can also be set as ORCHESTRATOR_COMMAND_OPTION, for example ORCHESTRATOR_LIST_LIMIT=100; the server's settings as \
APP_SECTION_KEY. Clients read ORCHESTRATOR_URL and ORCHESTRATOR_API_KEY.\
"""
_BY_CODE = {
    "VALIDATION_ERROR": Exit.USAGE,
    "UNAUTHORIZED": Exit.FORBIDDEN,
    "FORBIDDEN": Exit.FORBIDDEN,
    "NOT_FOUND": Exit.NOT_FOUND,
    "CONFLICT": Exit.CONFLICT,
    "LEASE_LOST": Exit.CONFLICT,
    "RATE_LIMITED": Exit.BUSY,
    "OVERLOADED": Exit.BUSY,
    "UNREACHABLE": Exit.UNREACHABLE,
}


def fail(message: str, code: Exit = Exit.FAILED) -> NoReturn:
    """Say why on stderr, and end."""
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {message}", err=True)
    sys.exit(code)


def note(message: str) -> None:
    """Say something on stderr that is no result."""
    click.echo(click.style(message, dim=True), err=True)


@contextmanager
def refusals(*, as_json: bool = False) -> Iterator[None]:
    """Turn what the server refuses, or that there is none, into words (or JSON) on stderr and an exit code."""
    from worker_client.errors import OrchestratorError

    try:
        yield
    except OrchestratorError as error:
        refuse(error, as_json=as_json)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)


def refuse(error: "OrchestratorError", *, as_json: bool) -> NoReturn:
    """End with an error of the SDK."""
    from worker_client.errors import ServerUnreachable

    code = exit_code(error)
    if as_json:
        body = {"code": error.code, "message": error.message, "details": error.details}
        click.echo(json.dumps({"error": body}, default=str), err=True)
        sys.exit(code)
    fail(unreachable(error) if isinstance(error, ServerUnreachable) else worded(error), code)


def exit_code(error: "OrchestratorError") -> Exit:
    """The exit code that stands for an error."""
    return _BY_CODE.get(error.code, Exit.FAILED)


def worded(error: "OrchestratorError") -> str:
    """What an error says, with the field that it is about."""
    field = str(error.details.get("field") or "")
    return f"{field}: {error.message}" if field and field not in error.message else error.message


def unreachable(error: "ServerUnreachable") -> str:
    """What was tried, and what to do about it."""
    from worker_client.exchange import NOT_SENT

    url, cause = error.details.get("url", "?"), error.__cause__
    doubt = "" if isinstance(cause, NOT_SENT) else f"\n  {error.message}"
    return (
        f"no server answers at {url} ({cause or 'no details'}){doubt}\n"
        "  start one on this machine:  orchestrator serve\n"
        "  or use another one:         --url http://HOST:PORT, or ORCHESTRATOR_URL in the environment"
    )
