"""Public keys in files. Reading them takes libraries of 8 MB, which a server without any does not load."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK, PyJWTError

from orchestrator.doors.trust import Verifier
from orchestrator.settings import SettingsError

_MOST: Final = 100
_SMALLEST: Final = 2048


def of_pem(path: Path) -> Verifier:
    """The key in a file of PEM. Raises SettingsError."""
    name = "auth.jwt_public_key_file"
    try:
        found = next(_verifiers([(None, load_pem_public_key(path.read_bytes()))]), None)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{name} = {str(path)!r}: expected a file with a public key in PEM: {error}") from None
    if found is None:
        raise SettingsError(f"{name} = {str(path)!r}: expected a key for RS256 ({_SMALLEST} bits or more) or ES256 (P-256)")
    return found


def of_set(path: Path) -> list[Verifier]:
    """The keys in a JSON Web Key Set. Raises SettingsError."""
    try:
        keys = json.loads(path.read_bytes())["keys"]
        found = list(_verifiers((one.get("kid"), _of_jwk(one)) for one in keys[:_MOST]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        said = f"auth.jwt_jwks_file = {str(path)!r}: expected a file with a JSON Web Key Set"
        raise SettingsError(f'{said}, {{"keys": [...]}}: {error!r}') from None
    if not found:
        raise SettingsError(f"auth.jwt_jwks_file = {str(path)!r}: none of its keys is for RS256 or ES256")
    return found


def _of_jwk(one: dict[str, Any]) -> object:
    if one.get("use", "sig") != "sig" or one.get("alg", "RS256") not in {"RS256", "ES256"}:
        return None
    try:
        return PyJWK(one).key
    except PyJWTError:
        # Keys of other kinds stand in such sets, too.
        return None


def _verifiers(keys: Iterable[tuple[str | None, object]]) -> Iterator[Verifier]:
    """Of public keys those that are strong enough; a secret or a private key is none."""
    for kid, key in keys:
        if isinstance(key, RSAPublicKey) and key.key_size >= _SMALLEST:
            yield Verifier("RS256", key, kid)
        elif isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            yield Verifier("ES256", key, kid)
