"""Time goes on as it passes, whatever the database's clock says."""

import pytest

from orchestrator.store.postgres.timing import ALIVE_MS, JUMP_MS, Time

HOUR = 3_600_000
START = 1_800_000_000_000


class World:
    """The time that passes, and a database whose clock can be set."""

    def __init__(self) -> None:
        self.passed = 0
        self.set = 0
        self.alive_at = START
        self.ahead = 0
        self.time = Time(lambda: self.passed)
        self.hear()

    def hear(self, *, slow: int = 0) -> tuple[int, int]:
        """A transaction: its time since the start, and what the clock jumped. `slow`: how late the answer comes."""
        self.time.asks()
        at = START + self.passed + self.set
        self.passed += slow
        self.ahead = self.time.ahead(at, self.alive_at, self.ahead)
        now, jump = self.time.heard(at + self.ahead)
        self.time.committed()
        return now - START, jump

    def alive(self) -> None:
        """A server wrote down that it lives."""
        self.alive_at = self.time.now()


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("away", [0, 4_000, 60_000])
def test_nothing_is_missed_while_the_clock_is_behind(world: World, away: int) -> None:
    world.passed += 10_000
    world.hear()
    world.alive()
    world.passed += away
    world.set = -HOUR
    assert world.hear() == (10_000 + away, 0)
    world.passed += 2_000
    assert world.hear() == (12_000 + away, 0)
    world.set = 0
    assert world.hear() == (12_000 + away, 0)


def test_an_answer_that_comes_late_takes_time_nowhere(world: World) -> None:
    world.passed += 10_000
    world.hear()
    world.alive()
    world.set = -HOUR
    now, _ = world.hear(slow=7_000)
    assert now == 10_000
    world.set = 0
    world.passed += 1_000
    now, jump = world.hear()
    assert (now, jump) == (18_000, 7_000)


def test_a_clock_that_is_set_forward_is_given_back(world: World) -> None:
    world.set = HOUR
    assert world.hear() == (HOUR, HOUR)
    world.set += JUMP_MS + 1
    assert world.hear() == (HOUR + JUMP_MS + 1, JUMP_MS + 1)
    world.set += JUMP_MS
    assert world.hear() == (HOUR + 2 * JUMP_MS + 1, 0)


def test_another_servers_word_counts_where_nothing_else_is_known(world: World) -> None:
    fresh = Time(lambda: world.passed)
    fresh.asks()
    assert fresh.ahead(START - HOUR, START + 5_000, 0) == HOUR + 5_000 + ALIVE_MS


def test_what_the_servers_agreed_upon_holds_for_who_comes_and_who_stays(world: World) -> None:
    """One that knows how long the database was away goes on from where one that has just begun says."""
    world.passed += 10_000
    world.hear()
    world.alive()
    world.set = -HOUR
    world.passed += 4_000
    fresh = Time(lambda: world.passed)
    at = START + world.passed + world.set
    world.ahead = fresh.ahead(at, world.alive_at, world.ahead)
    assert world.hear() == (10_000 + ALIVE_MS, 0)
    world.passed += 2_000
    assert world.hear() == (12_000 + ALIVE_MS, 0)
    assert fresh.ahead(at + 2_000, world.alive_at, world.ahead) == world.ahead


def test_time_that_nothing_was_committed_at_has_not_been(world: World) -> None:
    world.passed += 10_000
    world.time.asks()
    world.time.heard(START + 10_000)
    world.set = -5_000
    assert world.hear() == (5_000, 0)
