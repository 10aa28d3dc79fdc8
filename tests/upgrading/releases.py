"""Databases that earlier releases wrote, to be opened by this one."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
RELEASES: Final = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0")
FILES: Final = {"sqlite": "sqlite.db.xz", "postgres": "postgres.sql.xz"}
"""What is kept of each kind of store."""
KEYS: Final = "keys.json"
"""The keys with which these were written, of tests alone; empty before there were any."""
KEYS_SINCE: Final = "0.2.0"
"""The first release that had keys."""
SEALED_SINCE: Final = "0.4.0"
"""The first release that stored secrets, sealed."""
_SEALING: Final = "0123456789abcdef" * 4


def variables(release: str) -> dict[str, str]:
    """With which settings the server of a release was run."""
    found = {"APP_SECRET_TOKEN": "of no use"} if release >= KEYS_SINCE else {}
    if release >= SEALED_SINCE:
        found["APP_SECRETS_KEY"] = _SEALING
    if release >= "0.5.0":
        found["APP_NOTIFY_ALLOW_PRIVATE"] = "127.0.0.0/8"
    return found
