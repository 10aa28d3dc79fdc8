"""A week in which clocks change, servers are killed and clocks are set: each due time has exactly one task."""

from pathlib import Path
from random import Random

import pytest

from tests.almanac import moment
from tests.week import Planned, Week, planned

AUTUMN = moment(2026, 10, 25), moment(2026, 11, 1, 12)
"""Berlin's clocks go back in its first hours, New York's in its last."""
SPRING = moment(2026, 3, 28, 12), moment(2026, 3, 29, 12)
REPLICAS = {"sqlite": 1, "postgres": 3}


def lived(directory: Path, kind: str, period: tuple[int, int], schedules: list[Planned], *, step_s: int, deaths: float) -> Week:
    week = Week(directory, kind, REPLICAS[kind], period[0], Random(7))
    try:
        week.plan(schedules)
        week.live(period[1], step_s, deaths)
        week.count = week.check(period[1])
    finally:
        week.close()
    return week


@pytest.mark.parametrize("kind", REPLICAS)
def test_a_day_in_spring(tmp_path: Path, kind: str) -> None:
    week = lived(tmp_path, kind, SPRING, planned(150, Random(1)), step_s=1200, deaths=0.05)
    assert week.count > 150
    assert week.deaths


@pytest.mark.system
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", REPLICAS)
def test_a_week_in_autumn(tmp_path: Path, kind: str) -> None:
    week = lived(tmp_path, kind, AUTUMN, planned(10_000, Random(1)), step_s=240, deaths=0.02)
    assert week.deaths > 20
    assert 90_000 <= week.count <= 100_000
