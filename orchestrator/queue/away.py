"""While the database cannot be reached, or takes no writes."""

import re
from typing import Final

from msgspec import Struct

from orchestrator.domain.task import Millis
from orchestrator.store.protocol import BusyError
from worker_client.errors import Internal, OrchestratorError, Overloaded

RETRY_S: Final = 1.0
_PASSWORD: Final = re.compile(r"(://[^\s:/@]*):[^\s@]*@|(password\s*=\s*)('[^']*'|\S+)", re.IGNORECASE)


class Away(Struct, frozen=True):
    """Why the database cannot be reached, and since when."""

    reason: str
    since: Millis


def words(error: Exception) -> str:
    """What is wrong, without a password."""
    return _PASSWORD.sub(lambda found: f"{found[1]}:***@" if found[1] is not None else f"{found[2]}***", str(error))


def unwritten() -> Overloaded:
    """The answer to what could not be written."""
    return Overloaded("the database takes no writes at the moment, nothing was changed; try again", retry_after=RETRY_S)


def failed(error: Exception) -> OrchestratorError:
    """The answer to what was tried alone, and could not be committed."""
    if isinstance(error, BusyError):
        return Overloaded("the database is too busy with what others do, nothing was changed; try again", retry_after=RETRY_S)
    return Internal("the operation could not be committed; it had no effect")


def unsettled() -> Internal:
    """The answer to what was under way when the database went, and did not come back."""
    return Internal("the database went away while this was committed: it may have had an effect or not; look, and try again")


def refusal() -> Overloaded:
    """The answer to whoever wants something of the database now."""
    return Overloaded("the database cannot be reached at the moment, nothing was changed; try again", retry_after=RETRY_S)
