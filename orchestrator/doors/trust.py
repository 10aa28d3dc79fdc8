"""The keys that signatures of tokens are checked with, each bound to the one algorithm that it is for."""

from pathlib import Path
from typing import Any, Final, NamedTuple

from orchestrator.settings import Auth

HS256: Final = "HS256"


class TokenError(Exception):
    """A token is not what it should be."""


class Verifier(NamedTuple):
    """A key and what it checks; `kid` names it within its set."""

    algorithm: str
    key: Any
    kid: str | None = None

    def fits(self, algorithm: object, kid: object) -> bool:
        """Whether it may be the one that a token says it is signed with."""
        return algorithm == self.algorithm and (kid is None or self.kid is None or kid == self.kid)


def secrets(auth: Auth) -> list[Verifier]:
    """The shared secrets, the one that signs first."""
    return [Verifier(HS256, secret) for secret in auth.jwt_secrets]


def public_keys(auth: Auth) -> list[Verifier]:
    """The public keys of the files that the settings name. Raises SettingsError."""
    if not (auth.jwt_public_key_file or auth.jwt_jwks_file):
        return []
    from orchestrator.doors import public_keys as files  # noqa: PLC0415 - large, and few need it

    found = [files.of_pem(Path(auth.jwt_public_key_file))] if auth.jwt_public_key_file else []
    return found + (files.of_set(Path(auth.jwt_jwks_file)) if auth.jwt_jwks_file else [])
