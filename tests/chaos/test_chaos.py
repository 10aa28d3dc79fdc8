"""Real servers under faults of all kinds, on both stores, and no promise broken; `make chaos` is the long form."""

import os
import sys
from pathlib import Path

import pytest

from tests.chaos.run import Plan, run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SECONDS = float(os.environ.get("APP_TEST_CHAOS_SECONDS", "25"))
SEED = int(os.environ.get("APP_TEST_CHAOS_SEED", "1"))


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_no_promise_is_broken_whatever_happens(store: str, tmp_path: Path, memory: Path) -> None:
    done = await run(Plan(store=store, seconds=SECONDS, seed=SEED, folder=tmp_path, memory=memory))
    sys.stderr.write("\n".join(done.summary()) + "\n")
    assert done.checker.violations == []
    assert len(done.checker.closed) > SECONDS
    assert len(done.history.faults) > 5
