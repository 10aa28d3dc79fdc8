"""Asks a database which vulnerabilities are known of what the locks name; pip-audit is its one argument.

Ends with 1 for findings only. That nobody could be asked is said, and is neither a finding nor an all-clear.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCKS = ("requirements.lock", "requirements-load.lock", "requirements-peers.lock")
OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")


def verdict(lock: str, audited: list[dict[str, Any]], said: str) -> tuple[list[str], bool]:
    """What to tell of a lock, and whether something was found. `said` is what pip-audit complained of."""
    if not audited:
        return [f"{lock}: nobody could be asked, so nothing is known: {(said.strip().splitlines() or ['no reason'])[-1]}"], False
    found = [
        f"{lock}: {one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for one in audited
        for flaw in one.get("vulns", ())
    ]
    skipped = [one["name"] for one in audited if "skip_reason" in one]
    asked = len(audited) - len(skipped)
    told = [f"{lock}: asked about {asked} of {len(audited)} packages, {len(found)} vulnerabilities are known"]
    if skipped:
        told.append(f"{lock}: nothing is known, either way, of {', '.join(skipped[:5])}{' and others' * (len(skipped) > 5)}")
    return [*told, *found], bool(found)


def main(audit: str) -> int:
    """Ask about each lock."""
    bad = False
    for lock in LOCKS:
        ran = subprocess.run([audit, *OPTIONS, "-r", lock], capture_output=True, text=True, check=False)  # noqa: S603 - pip-audit
        told, found = verdict(lock, json.loads(ran.stdout or "{}").get("dependencies", []), ran.stderr)
        print("\n".join(told))  # noqa: T201 - printing is its whole purpose
        bad |= found
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]))))
