"""Accounts behind agents: which of them wait for their quota."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from worker_client.contract.fields import Text, When
from worker_client.contract.request import Paged, Request

AccountName = Annotated[str, Meta(min_length=1, max_length=255)]


class ListAccounts(Paged, kw_only=True):
    """A page of accounts, by name."""


class Account(Struct, kw_only=True):
    """An account that has no quota until a time, or had none lately; `parked`: how many tasks wait for it, up to 10,000."""

    account: str
    held_until: datetime | None
    reason: str | None
    parked: int
    updated_at: datetime


class SetAccount(Request, kw_only=True):
    """Until when nobody gets a task with the account; null: it may be used, and the tasks that wait for it come back."""

    held_until: When | None
    reason: Text | None = None
