"""The base of everything that clients send."""

from msgspec import Struct


class Request(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of what clients send: an unknown field is an error, not a typo that is ignored."""
