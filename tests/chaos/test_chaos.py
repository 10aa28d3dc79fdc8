"""Real servers under faults of all kinds, on both stores, and no promise broken; `make chaos` is the long form."""

import os
import sys
from pathlib import Path

import pytest

from tests.chaos.run import Plan, run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SECONDS = float(os.environ.get("APP_TEST_CHAOS_SECONDS", "20"))
PAUSE_S = 5
SEED = int(os.environ.get("APP_TEST_CHAOS_SEED", "1"))


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.system)])
async def test_no_promise_is_broken_whatever_happens(store: str, tmp_path: Path, memory: Path) -> None:
    done = await run(Plan(store=store, seconds=SECONDS, seed=SEED, folder=tmp_path, memory=memory))
    sys.stderr.write("\n".join(done.summary()) + "\n")
    assert done.checker.violations == []
    assert len(done.checker.closed) > SECONDS
    assert len(done.history.faults) > 2


@pytest.mark.system
async def test_of_several_servers_the_others_go_on(tmp_path: Path, memory: Path) -> None:
    faults = ("stop", "kill", "restart", "crash")
    seconds = 0.6 * SECONDS
    done = await run(Plan(store="postgres", seconds=seconds, most=60, seed=SEED, folder=tmp_path, memory=memory, faults=faults))
    sys.stderr.write("\n".join([*done.summary(), f"longest pause {done.longest_pause():.2f} s"]) + "\n")
    assert done.checker.violations == []
    assert len(done.history.faults) > 1
    assert done.longest_pause() < PAUSE_S


@pytest.mark.system
async def test_servers_that_nothing_befalls_turn_nobody_away(tmp_path: Path, memory: Path) -> None:
    done = await run(Plan(store="postgres", seconds=5, seed=SEED, folder=tmp_path, memory=memory, faults=(), most=40))
    assert done.checker.violations == []
    # Some clients do not wait for their answer.
    assert {outcome for _, outcome in done.history.counts} <= {"200", "201", "409", "unknown"}
    assert done.history.counts["claim", "200"] > 10
