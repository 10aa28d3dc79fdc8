"""What the server would refuse, found out before anything is changed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.applying.declared import Declared
from worker_client.errors import ValidationFailed

if TYPE_CHECKING:
    from worker_client.client import Client

ANY = "@daily"
"""An expression to ask for the zone of schedules that name none."""


def checked(client: "Client", wanted: Sequence[Declared]) -> str:
    """Ask about all expressions and zones; the zone that the server takes for those that name none. Raises ValidationFailed."""
    for one in wanted:
        if one.kind != "schedule":
            continue
        body = one.body
        try:
            client.preview(
                cron=body.cron, timezone=body.timezone, name=body.name, starts_at=body.starts_at, ends_at=body.ends_at, count=1
            )
        except ValidationFailed as error:
            raise ValidationFailed(f"{one.place}: {error.message}") from None
    return client.preview(cron=ANY, count=1).timezone if any(one.kind == "schedule" for one in wanted) else "UTC"
