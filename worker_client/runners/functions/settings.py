"""What the built-in functions may do, `[functions]` of the worker's file of settings."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

NonEmpty = Annotated[str, Meta(min_length=1)]


class FileSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`write`: File may also write and delete files."""

    write: bool = False


class DatabaseSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url`: sqlite:////srv/app.db or postgresql://...; `write`: statements may also change data."""

    url: Annotated[
        str, Meta(pattern="^(sqlite:///|postgres(ql)?://).", description="sqlite:////srv/app.db, or postgresql://user@host/name")
    ]
    write: bool = False


class EmailSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that mail is handed to. `to`: patterns of the addresses that may get any, such as `*@example.com`."""

    server: NonEmpty
    sender: NonEmpty
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: NonEmpty | None = None
    password: str = ""
    to: tuple[NonEmpty, ...] = ("*",)


class SmsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gateway: `body` is sent to it as JSON, with `{to}` and `{text}` filled in."""

    url: Annotated[str, Meta(pattern="^https://", description="an address that begins with https://")]
    headers: dict[str, str] = {}
    body: dict[str, str] = field(default_factory=lambda: {"to": "{to}", "text": "{text}"})


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`hosts`: the names that may be sent to, such as `hooks.example.com` or `*.example.com`."""

    hosts: Annotated[list[NonEmpty], Meta(min_length=1)]
    headers: dict[str, str] = {}


class FunctionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`builtin`: names of those to offer, as `--function builtin:NAME` does; `paths`: where they may work besides --dir."""

    builtin: list[NonEmpty] = []
    paths: list[NonEmpty] = []
    file: FileSettings = FileSettings()
    database: DatabaseSettings | None = None
    email: EmailSettings | None = None
    sms: SmsSettings | None = None
    webhook: WebhookSettings | None = None
