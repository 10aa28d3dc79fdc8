"""The bases of everything that clients send."""

from msgspec import Struct

from worker_client.contract.fields import Limit, Name, Offset


class Request(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of what clients send: an unknown field is an error, not a typo that is ignored."""


class Paged(Request, kw_only=True):
    """Which page of a list: from `offset` on, or after the page that gave `cursor`."""

    limit: Limit = 50
    offset: Offset = 0
    cursor: Name | None = None
