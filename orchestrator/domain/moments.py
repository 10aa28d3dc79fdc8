"""Times of the tables as those of the contract, and back."""

from datetime import UTC, datetime, timedelta
from typing import Final

from orchestrator.domain.task import Millis
from worker_client.errors import ValidationFailed

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
LAST: Final[Millis] = 253_402_300_799_999
"""The end of the year 9999, after which there is no datetime."""


def moment(at: Millis) -> datetime:
    """A time of the contract."""
    return _EPOCH + timedelta(milliseconds=at)


def perhaps(at: Millis | None) -> datetime | None:
    """A time of the contract, if there is one."""
    return None if at is None else moment(at)


def millis(at: datetime) -> Millis:
    """A time of the tables; a fraction of a millisecond counts as the next."""
    return -((_EPOCH - at) // _MILLISECOND)


def instant(at: datetime, field: str) -> Millis:
    """A time in ms; only what every calendar can show. Raises ValidationFailed."""
    sent = millis(at)
    if not 0 <= sent <= LAST:
        raise ValidationFailed(f"`{field}` is {at.isoformat()}: send a time from 1970 to 9999", field=field)
    return sent
