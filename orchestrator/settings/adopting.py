"""What of settings that are read anew a running server can adopt."""

from typing import Final

from msgspec.structs import replace

from orchestrator.settings.loading import check
from orchestrator.settings.sections import FIELDS, SECRETS, Settings
from orchestrator.settings.values import listed

AT_START: Final = {
    "server": frozenset({"host", "port", "root_path", "tls_certfile", "tls_keyfile", "tls_key_password"}),
    "database": frozenset(FIELDS["database"]),
    "tracing": frozenset(FIELDS["tracing"]),
    "log": frozenset({"format", "file", "file_max_bytes", "file_backups"}),
}
"""What a running server cannot change."""


def adopted(running: Settings, fresh: Settings) -> tuple[Settings, list[str], list[str]]:
    """Settings read anew, with what only a start can use as it is; the keys that change, and those that wait for a start.

    Raises SettingsError when the two do not go together.
    """
    differing = [
        (section, key)
        for section, keys in FIELDS.items()
        for key in keys
        if getattr(getattr(running, section), key) != getattr(getattr(fresh, section), key)
    ]
    waiting = [(section, key) for section, key in differing if key in AT_START.get(section, ())]
    for section in {section for section, _ in waiting}:
        now = getattr(running, section)
        kept = {key: getattr(now, key) for key in AT_START[section]}
        fresh = replace(fresh, **{section: replace(getattr(fresh, section), **kept)})
    check(fresh)
    changed = [pair for pair in differing if pair not in waiting]
    return fresh, [".".join(pair) for pair in changed], [".".join(pair) for pair in waiting]


def hidden(settings: Settings) -> list[str]:
    """The secrets among the settings."""
    values = (getattr(getattr(settings, section), key) for section, key in SECRETS)
    return [secret for value in values for secret in listed(value)]
