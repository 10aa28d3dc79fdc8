"""What must not be read by anybody, masked before it is stored or logged."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

import msgspec

from orchestrator.patterns import any_of
from orchestrator.telemetry.logs import MASK

SHORTEST: Final = 6
"""Secrets with fewer characters stay: masking them would mostly hit other things."""


class Redaction:
    """Masks secrets, and what patterns match.

    Of a secret with several lines each is masked, as output comes line by line; and so is how JSON and addresses write it.
    """

    def __init__(self, patterns: Iterable[str], secrets: Iterable[str]) -> None:
        parts = {part for secret in secrets for part in (secret, *map(str.strip, secret.splitlines())) if len(part) >= SHORTEST}
        # The longest first: another one may be a part of it. Replacing them one by one is faster than a pattern of all.
        self._secrets = sorted({form for part in parts for form in _forms(part)}, key=len, reverse=True)
        self._pattern = any_of(patterns)

    def __bool__(self) -> bool:
        return bool(self._secrets) or self._pattern is not None

    def text(self, text: str) -> str:
        """A text without them."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        # No longer than it was: what is stored keeps to the bounds of its fields.
        return text if self._pattern is None else self._pattern.sub(lambda found: MASK[: len(found[0])], text)

    def value(self, value: Any) -> Any:
        """A value as JSON would show it, without them; keys and numbers are looked through, too."""
        match value:
            case str():
                return self.text(value)
            case None | bool():
                return value
            case dict():
                return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.value(inner) for inner in value]
            case msgspec.Struct():
                return self.value(msgspec.to_builtins(value))
            case _:
                shown = repr(value)
                masked = self.text(shown)
                return masked if masked != shown or not isinstance(value, int | float) else value


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")


def redaction(patterns: Iterable[str], secrets: Iterable[str]) -> Redaction | None:
    """What to mask; None when there is nothing to."""
    return Redaction(patterns, secrets) or None
