"""`make audit` says what was found, and never that nothing is wrong when nobody was asked."""

import runpy
from pathlib import Path
from typing import Any

VERDICT: Any = runpy.run_path(str(Path(__file__).parents[2] / ".ci/audit.py"))["verdict"]
FINE = {"name": "a", "version": "1", "vulns": []}
FLAWED = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"], "aliases": [], "description": ""}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


def test_a_known_vulnerability_is_a_finding() -> None:
    told, found = VERDICT("x.lock", [FINE, FLAWED, SKIPPED], "")
    assert found
    assert told == [
        "x.lock: asked about 2 of 3 packages, 1 vulnerabilities are known",
        "x.lock: nothing is known, either way, of c",
        "x.lock: b 2: CVE-1, mended in 3",
    ]


def test_nobody_asked_is_no_finding_and_no_all_clear() -> None:
    told, found = VERDICT("x.lock", [], "Traceback\nConnectionError: no route\n")
    assert (told, found) == (["x.lock: nobody could be asked, so nothing is known: ConnectionError: no route"], False)
    told, found = VERDICT("x.lock", [SKIPPED], "")
    assert (told[0], found) == ("x.lock: asked about 0 of 1 packages, 0 vulnerabilities are known", False)
