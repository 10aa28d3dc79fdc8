"""What is sent to create a schedule."""

from msgspec import Struct

from orchestrator.http.body import read
from orchestrator.http.scope import Asked
from worker_client.contract.schedules import CreateSchedule


class Sent(Struct, frozen=True):
    """A schedule to be created; `fires`: it also fires when it is saved."""

    schedule: CreateSchedule
    fires: bool = False


async def sent(request: Asked) -> Sent:
    """The schedule that a body asks for. Raises ValidationFailed."""
    return Sent(await read(request, CreateSchedule))
