"""Headers that tell browsers what they must not do with an answer."""

from typing import Final

from orchestrator.http.envelope import Header

NO_SNIFFING: Final[Header] = (b"x-content-type-options", b"nosniff")
"""On every answer: it is what it says it is."""
ONLY_TLS: Final[Header] = (b"strict-transport-security", b"max-age=31536000")
"""On every answer over https: never ask this server without."""
_OWN_ONLY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE: Final[tuple[Header, ...]] = (
    (b"content-security-policy", _OWN_ONLY),
    # Without any, a browser would hide from this server, too, that its own form was sent from its own page.
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
"""On every page: nothing of elsewhere in it, and it in nothing of elsewhere."""
