"""Request bodies into the contract's Structs.

Handlers take the bare request and read the body here: Litestar's `data` converts twice, and its messages lose the field.
"""

from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from orchestrator.http.explain import invalid, nul
from orchestrator.http.query import nothing
from orchestrator.http.scope import Asked
from worker_client.errors import PayloadTooLarge, ValidationFailed

S = TypeVar("S", bound=Struct)


class ClientGoneError(Exception):
    """The client hung up before its request was whole: there is nobody to answer."""


async def read(request: Asked, of: type[S], *, optional: bool = False, query: bool = False) -> S:
    """The JSON body as an `of`; with `optional`, no body stands for an empty object, with `query` there may be parameters, too.

    Raises ValidationFailed with the path of the field, PayloadTooLarge past the setting `limits.max_body_bytes`.
    """
    if not query:
        nothing(request)
    raw = await _whole(request)
    if optional and not raw.strip():
        raw = b"{}"
    decoder: msgspec.json.Decoder[S] = _decoder(of)
    try:
        body = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error, of, _loose(raw)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValidationFailed(f"the body is not JSON: {_why(error, raw)}", field="") from None
    # The escape is the only way in for a NUL, and rare enough to look twice.
    if b"\\u0000" in raw and (field := nul(_loose(raw))) is not None:
        raise ValidationFailed(f"`{field}` contains a NUL byte: leave it out", field=field)
    return body


async def _whole(request: Asked) -> bytes:
    receive = request.receive
    message: Any = await receive()
    raw: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        most = request.app.state.settings.limits.max_body_bytes
        if len(raw) > most:
            raise too_large(most)
        return raw
    return await _rest(request, bytearray(raw))


async def _rest(request: Asked, raw: bytearray) -> bytes:
    most = request.app.state.settings.limits.max_body_bytes
    announced = next((value for name, value in request.scope["headers"] if name == b"content-length"), b"0")
    while True:
        if max(len(raw), int(announced)) > most:
            raise too_large(most)
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        raw += message.get("body", b"")
        if not message.get("more_body", False):
            if len(raw) > most:
                raise too_large(most)
            return bytes(raw)


def too_large(most: int) -> PayloadTooLarge:
    """The refusal of a body over `most` bytes."""
    return PayloadTooLarge(f"the body has more than the {most} bytes that are allowed: send less at once", limit=most)


@cache
def _decoder(of: type[S]) -> msgspec.json.Decoder[S]:
    return msgspec.json.Decoder(of)


def _loose(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _why(error: Exception, raw: bytes) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it has bytes that are not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it is empty, send an object" if not raw.strip() else str(error)
