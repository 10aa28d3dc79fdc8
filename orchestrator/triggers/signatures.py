"""How a caller shows that it may fire a webhook: all compared in constant time, over the bytes as they came."""

import base64
import hmac
import importlib
from hashlib import sha256
from typing import Annotated, Final, Literal

from msgspec import Meta

from orchestrator.triggers.web import Incoming
from worker_client.contract.request import Request
from worker_client.errors import Unauthorized, ValidationFailed

HeaderName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9-]{1,100}$(?!\n)", description="the name of a header: letters, digits and `-`; up to 100 in all"),
]
_TOKENS: Final = ("authorization", "x-webhook-token")
_SIGNATURES: Final = ("x-signature-256", "x-hub-signature-256", "x-webhook-signature", "x-signature")
_SHORTEST: Final = 8


class Auth(Request, kw_only=True):
    """How a caller shows that it may: with the secret itself, or with a signature that is made with it.

    `header`: where; by default `Authorization: Bearer` or `X-Webhook-Token` for a token, and `X-Signature-256`,
    `X-Hub-Signature-256`, `X-Webhook-Signature` or `X-Signature` for an HMAC. `prefix`: what stands before an HMAC; by default
    nothing or the name of the algorithm, as in `sha256=`.
    """

    type: Literal["none", "token", "hmac", "standard-webhooks"]
    secret: str = ""
    header: HeaderName | None = None
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    prefix: Annotated[str, Meta(max_length=20)] | None = None

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that it looks at."""
        if self.header is not None:
            return (self.header.lower(),)
        return {"token": _TOKENS, "hmac": _SIGNATURES, "standard-webhooks": ("webhook-signature",)}.get(self.type, ())


def check(auth: Auth, field: str) -> None:
    """Refuse what does not go together. Raises ValidationFailed."""
    if auth.type == "none" and auth.secret:
        raise ValidationFailed(f"`{field}.secret` is not used when `{field}.type` is none: leave it out", field=f"{field}.secret")
    if auth.type != "none" and not auth.secret:
        raise ValidationFailed(
            f"`{field}.secret` is missing: send what callers show or sign with, or `type` none for everybody",
            field=f"{field}.secret",
        )
    if auth.type != "hmac" and auth.prefix is not None:
        raise ValidationFailed(f"`{field}.prefix` is for `type` hmac alone: leave it out", field=f"{field}.prefix")
    if auth.type == "standard-webhooks" and auth.header is not None:
        raise ValidationFailed(f"`{field}.header` is fixed for `type` standard-webhooks: leave it out", field=f"{field}.header")


def usable(type: str, secret: str, field: str) -> None:
    """Refuse a secret that protects nothing. Raises ValidationFailed, which does not show it."""
    if type == "standard-webhooks":
        try:
            encoded = secret.removeprefix("whsec_").rstrip("=")
            if len(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)) >= _SHORTEST:
                return
        except ValueError:
            pass
        raise ValidationFailed(
            f"`{field}` is no secret of standard webhooks: send whsec_ and at least {_SHORTEST} bytes in Base64 behind it",
            field=field,
        )
    if len(secret) < _SHORTEST:
        raise ValidationFailed(f"`{field}` has {len(secret)} characters: send {_SHORTEST} at the least", field=field)


def admit(auth: Auth, incoming: Incoming, secret: str) -> None:
    """Let in who shows what is good. Raises Unauthorized."""
    match auth.type:
        case "none":
            return
        case "token":
            good = _token(auth, incoming, secret)
        case "hmac":
            good = _hmac(auth, incoming, secret)
        case "standard-webhooks":
            good = _standard(incoming, secret)
    if not good:
        raise Unauthorized(f"this call does not show that it may: {_wanted(auth)}")


def signed(secret: str, raw: bytes, given: str) -> bool:
    """Whether GitHub's `sha256=` signature of a body is good."""
    return _same("sha256=" + hmac.digest(secret.encode(), raw, sha256).hex(), given)


def _token(auth: Auth, incoming: Incoming, secret: str) -> bool:
    for name in auth.headers:
        if (given := incoming.header(name)) is not None:
            if name == "authorization" and given[:7].lower() == "bearer ":
                given = given[7:].strip()
            return _same(secret, given)
    return False


def _hmac(auth: Auth, incoming: Incoming, secret: str) -> bool:
    given = next((found for name in auth.headers if (found := incoming.header(name)) is not None), None)
    if given is None:
        return False
    digest = hmac.digest(secret.encode(), incoming.raw, auth.algorithm)
    prefixes = (auth.prefix,) if auth.prefix is not None else ("", f"{auth.algorithm}=")
    written = (digest.hex(), base64.b64encode(digest).decode())
    return any(_same(prefix + form, given) for prefix in prefixes for form in written)


def _standard(incoming: Incoming, secret: str) -> bool:
    library = importlib.import_module("standardwebhooks")
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = {name: incoming.header(name) or "" for name in names}
    try:
        library.Webhook(secret).verify(incoming.raw, headers, json_parse=False)
    except (library.WebhookVerificationError, ValueError, OverflowError):
        # Its other errors are those of texts that are no signatures.
        return False
    return True


def _same(good: str, given: str) -> bool:
    # Headers are bytes, whatever they were taken for.
    return hmac.compare_digest(good.encode(), given.encode("latin-1", "replace"))


def _wanted(auth: Auth) -> str:
    match auth.type:
        case "token":
            where = f"in the header {auth.header}" if auth.header else "as Authorization: Bearer TOKEN"
            return f"send the token of this webhook {where}"
        case "hmac":
            return f"sign the body as it is sent with HMAC {auth.algorithm}, in the header {auth.header or 'X-Signature-256'}"
        case _:
            return "send webhook-id, webhook-timestamp (of the last five minutes) and a webhook-signature that fits"
