"""Signing tokens, and checking who signed one. What it takes is large: loaded with the first token."""

from collections.abc import Callable, Iterable

import jwt

from orchestrator.doors.trust import HS256, TokenError, Verifier
from orchestrator.settings import Auth

Fitting = Callable[[object, object], Iterable[Verifier]]


def signed(claims: dict[str, object], secret: str) -> str:
    """A token that says so."""
    return jwt.encode(claims, secret, algorithm=HS256)


def verified(text: bytes, auth: Auth, fitting: Fitting) -> dict[str, object]:
    """What a token says that one of those has signed who fit its algorithm and key id. Raises TokenError."""
    try:
        header = jwt.get_unverified_header(text)
        for verifier in fitting(header.get("alg"), header.get("kid")):
            try:
                return jwt.decode(
                    text,
                    verifier.key,
                    algorithms=[verifier.algorithm],
                    issuer=auth.jwt_issuer or None,
                    audience=auth.jwt_audience or None,
                    leeway=auth.jwt_leeway,
                    options={"require": ["exp", "sub"]},
                )
            except jwt.InvalidSignatureError:
                continue
    except jwt.PyJWTError as error:
        raise TokenError(str(error)) from None
    raise TokenError("it is signed by nobody who is trusted here, or was changed")
