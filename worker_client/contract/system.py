"""The server itself."""

from msgspec import Struct


class Reloaded(Struct, kw_only=True):
    """What the settings, read anew, changed (as `section.key`), and what of them only a restart brings into effect."""

    changed: list[str]
    needs_restart: list[str]
