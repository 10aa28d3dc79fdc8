"""Who signs tokens in tests."""

from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

SECRET: Final = "s" * 32
OLDER: Final = "o" * 32
ISSUER: Final = "https://login.example"
RSA: Final = rsa.generate_private_key(65537, 2048)
EC: Final = ec.generate_private_key(ec.SECP256R1())
OTHER_RSA: Final = rsa.generate_private_key(65537, 2048)
PEM: Final = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip
WEAK: Final = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is refused


def jwk(key: Any, kid: str | None = None, **facts: Any) -> dict[str, Any]:
    """A public key as sets have it."""
    kind: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else jwt.algorithms.ECAlgorithm
    named = {} if kid is None else {"kid": kid}
    return {**kind.to_jwk(key, as_dict=True), **named, **facts}
