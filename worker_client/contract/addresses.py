"""Which addresses may connect."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from worker_client.contract.fields import Text
from worker_client.contract.request import Request


class ChangeAddress(Request, kw_only=True):
    """An address or a network (CIDR), IPv4 or IPv6; `force` also when it locks out whoever asks."""

    ip: Annotated[str, Meta(min_length=1, max_length=100)]
    note: Text = ""
    force: bool = False


class Address(Struct, kw_only=True):
    """An entry of a list; those of the settings have no `created_at`."""

    ip: str
    note: str
    created_at: datetime | None
    created_by: str | None


class AddressLists(Struct, kw_only=True):
    """Who may connect: nobody on `blacklist`; when `whitelist` has any, only those on it. `your_ip` is who asks."""

    enabled: bool
    your_ip: str
    whitelist: list[Address]
    blacklist: list[Address]
