"""Keys and tokens: who may do what."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from worker_client.contract.enums import Scope
from worker_client.contract.fields import Name, PathPattern, Rate, SecretName, When
from worker_client.contract.request import Paged, Request

Scopes = Annotated[list[Scope], Meta(min_length=1, max_length=4)]
Paths = Annotated[list[PathPattern], Meta(min_length=1, max_length=100)]
Secrets = Annotated[list[SecretName], Meta(max_length=100)]


class CreateKey(Request, kw_only=True):
    """A new key. Without `paths` it sees every directory, without `rate` it has the server's, `secrets` names what it may use."""

    name: Name
    scopes: Scopes
    paths: Paths | None = None
    secrets: Secrets = []
    rate: Rate | None = None
    expires_at: When | None = None


class UpdateKey(Request, kw_only=True):
    """What changes of a key; what is left out stays. Scopes and paths are for good: make another key for others."""

    name: Name | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    secrets: Secrets | UnsetType = UNSET
    rate: Rate | UnsetType | None = UNSET
    expires_at: When | UnsetType | None = UNSET


class ListKeys(Paged, kw_only=True):
    """A page of keys, oldest first; `revoked` ones are shown on demand."""

    revoked: bool = False


class Key(Struct, kw_only=True):
    """What is known of a key; the key itself is shown once, when it is made."""

    id: str
    name: str
    scopes: list[Scope]
    paths: list[str] | None
    secrets: list[str]
    rate: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    disabled: bool
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None


class CreatedKey(Key, kw_only=True):
    """A key that was just made, with its secret in `key`."""

    key: str


class Identity(Struct, kw_only=True):
    """As whom the server knows who asks; `id` is empty for those without a key, `paths` null for all directories."""

    id: str
    scopes: list[Scope]
    paths: list[str] | None


class CreateToken(Request, kw_only=True):
    """A short-lived token that can do no more than the key that asks for it; what is left out is as the key has it."""

    scopes: Scopes | None = None
    paths: Paths | None = None
    expires_in: Annotated[int, Meta(ge=1, le=86_400)] = 3600


class Token(Struct, kw_only=True):
    """A JWT, and until when it is good."""

    token: str
    token_type: str
    expires_at: datetime
    scopes: list[Scope]
    paths: list[str] | None
