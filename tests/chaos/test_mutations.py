"""The checker itself: with a guard of the server taken out, it must see what comes of that."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.run import Plan, run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120), pytest.mark.system]

CAUGHT: dict[tuple[str, str], set[str]] = {
    ("lease", "sqlite"): {"stale", "doubled"},
    ("exclusivity", "sqlite"): {"overlap"},
    ("disconnect", "sqlite"): {"gone"},
    ("shift", "sqlite"): {"lease", "two"},
    ("rank", "sqlite"): {"rank"},
    ("attempts", "sqlite"): {"attempts"},
    ("commit", "sqlite"): {"two", "lease", "lifecycle", "lost", "feed", "key"},
    ("exclusivity", "postgres"): {"overlap"},
    ("version", "postgres"): {"version"},
    ("feed", "postgres"): {"feed", "lifecycle", "lease_no"},
}
"""What is seen, by guard and store."""
FORM: dict[str, dict[str, Any]] = {
    "shift": {"faults": ("ahead",)},
    "feed": {"pace": 0.02},
    "version": {"pace": 0.02, "managers": 12, "changes": (0, 0, 1, 6), "workers": 4, "most": 8},
}
"""What provokes it, where plain work does not."""


@pytest.mark.parametrize(("guard", "store"), CAUGHT)
async def test_a_guard_that_is_taken_out_is_missed(guard: str, store: str, tmp_path: Path, memory: Path) -> None:
    form = {"faults": (), "quiet": 2, **FORM.get(guard, {})}
    done = await run(Plan(store=store, seconds=30, seed=1, folder=tmp_path, memory=memory, mutation=guard, **form))
    assert {violation.kind for violation in done.checker.violations} & CAUGHT[guard, store], "\n".join(done.summary())
