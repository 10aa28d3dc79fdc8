"""Request bodies into the contract's Structs.

Handlers take the bare request and read the body here: Litestar's `data` converts twice, and its messages lose the field.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Struct

from orchestrator.domain.explain import invalid, nul
from orchestrator.http.query import nothing
from orchestrator.http.scope import Asked
from worker_client.errors import Overloaded, PayloadTooLarge, ValidationFailed

S = TypeVar("S", bound=Struct)
T = TypeVar("T")

_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_HALF = re.compile(
    rb"\\u[Dd][89ABab][0-9A-Fa-f]{2}(?!\\u[Dd][C-Fc-f])|(?<!\\u[Dd][89ABab][0-9A-Fa-f]{2})\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}"
)


_AT_ONCE: Final = 4
"""As much as so many of the largest bodies is gathered at a time."""
_NARROW_BYTES: Final = 1024 * 1024
_WIDEST: Final = 500_000
_BETWEEN: Final = (b",", b"[", b"{")


class ClientGoneError(Exception):
    """The client hung up before its request was whole: there is nobody to answer."""


async def read(request: Asked, of: type[S], *, optional: bool = False, query: bool = False) -> S:
    """The JSON body as an `of`; with `optional`, no body stands for an empty object, with `query` there may be parameters, too.

    Raises ValidationFailed with the path of the field, PayloadTooLarge past the setting `limits.max_body_bytes`.
    """
    if not query:
        nothing(request)
    raw = await whole(request)
    if optional and not raw.strip():
        raw = b"{}"
    check_width(raw)
    return decoded(raw, of)


async def read_or(request: Asked, of: type[S], other: Callable[[Any], T | None]) -> S | T:
    """The JSON body as an `of`, or as what `other` makes of one that is none; what it does not know is refused as by `read`."""
    nothing(request)
    raw = await whole(request)
    check_width(raw)
    try:
        return decoded(raw, of)
    except ValidationFailed:
        if (found := other(_loose(raw))) is None:
            raise
        return found


def decoded(raw: bytes, of: type[S]) -> S:
    """JSON as an `of`. Raises ValidationFailed with the path of the field."""
    decoder: msgspec.json.Decoder[S] = _decoder(of)
    try:
        body = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _unfit(error, of, raw) from None
    except _BROKEN as error:
        raise _broken(error, raw) from None
    # The escape is the only way in for a NUL, and rare enough to look twice.
    if b"\\u0000" in raw and (field := nul(_loose(raw))) is not None:
        raise ValidationFailed(f"`{field}` contains a NUL byte: leave it out", field=field)
    return body


async def whole(request: Asked, most: int | None = None) -> bytes:
    """The bytes of the body, up to `most` (by default `limits.max_body_bytes`). Raises PayloadTooLarge."""
    receive = request.receive
    if most is None:
        most = request.app.state.settings.limits.max_body_bytes
    message: Any = await receive()
    raw: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if len(raw) > most:
            raise too_large(most)
        return raw
    return await _rest(request, bytearray(raw), most)


async def _rest(request: Asked, raw: bytearray, most: int) -> bytes:
    together = max(_AT_ONCE * request.app.state.settings.limits.max_body_bytes, 2 * most)
    announced = next((value for name, value in request.scope["headers"] if name == b"content-length"), b"0")
    with request.app.state.slots.gathering() as gathered:
        while True:
            if max(len(raw), int(announced)) > most:
                raise too_large(most)
            if gathered(len(raw)) > together:
                raise Overloaded("too many large bodies are being sent to this server at once: send this one again later")
            message: Any = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            raw += message.get("body", b"")
            if not message.get("more_body", False):
                if len(raw) > most:
                    raise too_large(most)
                return bytes(raw)


def check_width(raw: bytes) -> None:
    """Refuse what would take many times its size: next to nothing in each of millions of lists."""
    if len(raw) > _NARROW_BYTES and sum(map(raw.count, _BETWEEN)) > _WIDEST:
        told = f"the body has more than the {_WIDEST} commas, brackets and braces that are allowed: send less at once"
        raise PayloadTooLarge(told, limit=_WIDEST)


def too_large(most: int) -> PayloadTooLarge:
    """The refusal of a body over `most` bytes."""
    return PayloadTooLarge(f"the body has more than the {most} bytes that are allowed: send less at once", limit=most)


@cache
def _decoder(of: type[S]) -> msgspec.json.Decoder[S]:
    return msgspec.json.Decoder(of)


def _loose(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except _BROKEN:
        return UNSET


def _unfit(error: msgspec.ValidationError, of: type[Struct], raw: bytes) -> ValidationFailed:
    """The refusal of a body that is no `of`; it may be broken as well, behind the place where that was found."""
    try:
        sent = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        # A number past all bounds: there is no showing it.
        sent = UNSET
    except _BROKEN as worse:
        return _broken(worse, raw)
    return invalid(error, of, sent)


def _broken(error: Exception, raw: bytes) -> ValidationFailed:
    if isinstance(error, RecursionError):
        return ValidationFailed("the body is nested too deeply: send it flatter", field="")
    if isinstance(error, UnicodeDecodeError):
        why = "it has bytes that are not UTF-8"
    elif not raw.strip():
        why = "it is empty, send an object"
    elif half := _HALF.search(raw):
        why = f"{half[0].decode()} is half of a surrogate pair, send whole characters"
    else:
        why = str(error)
    return ValidationFailed(f"the body is not JSON: {why}", field="")
