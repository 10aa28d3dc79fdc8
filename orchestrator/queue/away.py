"""While the database cannot be reached, or takes no writes."""

import re
from typing import Final

from msgspec import Struct

from orchestrator.domain.task import Millis
from worker_client.errors import Internal, Overloaded

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


def unsettled() -> Internal:
    """The answer to what was under way when the database went, and did not come back."""
    return Internal("the database went away while this was committed: it may have had an effect or not; look, and try again")


def refusal() -> Overloaded:
    """The answer to whoever wants something of the database now."""
    return Overloaded("the database cannot be reached at the moment, nothing was changed; try again", retry_after=RETRY_S)
