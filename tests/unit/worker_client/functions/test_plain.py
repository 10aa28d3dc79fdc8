"""Functions that need nothing but their arguments."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.functions.calling import Functions
from worker_client.runners.functions.go_time import formatted

AT = datetime(2026, 3, 7, 15, 4, 9, 70_500, timezone(timedelta(hours=-3, minutes=-30)))


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("2006-01-02 15:04:05", "2026-03-07 15:04:09"),
        ("2006年1月2日 3:04PM", "2026年3月7日 3:04PM"),
        ("Mon, 02 Jan 2006 15:04:05 -0700", "Sat, 07 Mar 2026 15:04:09 -0330"),
        ("Monday January _2 06 03pm 4 5", "Saturday March  7 26 03pm 4 9"),
        ("2006-01-02T15:04:05.000Z07:00", "2026-03-07T15:04:09.070-03:30"),
        ("15:04:05.999999999,00 -07 Z0700 -07:00:00", "15:04:09.0705,07 -03 -0330 -03:30:00"),
        ("002 __2", "066  66"),
        ("no time at all", "no time at all"),
        ("", ""),
    ],
)
def test_layouts_of_go(layout: str, text: str) -> None:
    assert formatted(AT, layout) == text


def test_the_zone_of_greenwich_and_midnight() -> None:
    at = datetime(2026, 12, 25, 0, 0, tzinfo=UTC)
    assert formatted(at, "3PM 15 Z07:00 Z0700 -07 MST .999 .000") == "12AM 00 Z Z +00 UTC  .000"


def test_what_only_says_something(tmp_path: Path) -> None:
    functions = Functions(tmp_path)
    assert functions.done("Hello", "张三") == "Hello, 张三!"
    assert functions.done("Hello") == "Hello, World!"
    assert functions.done("Echo", "Hello, World") == "Hello, World"
    assert functions.done("Test", "test123") == {"ok": True, "args": ["test123"]}
    assert functions.done("Dayin", "1", "hello", "true")["args"] == ["1", "hello", "true"]
    shown = datetime.strptime(functions.done("Time", "2006-01-02 15:04:05"), "%Y-%m-%d %H:%M:%S").astimezone()
    assert abs(datetime.now(UTC) - shown) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("args", "result"),
    [
        (("+", "10", "5"), 15),
        (("+", "0.1", "0.2"), 0.3),
        (("-", "1", "2.50"), -1.5),
        (("*", "99999999999999999999", "99999999999999999999"), "9999999999999999999800000000000000000001"),
        (("/", "1", "4"), 0.25),
        (("/", "1", "3"), "1/3"),
        (("%", "-7", "3"), 2),
        (("^", "2", "-2"), 0.25),
        ((" + ", " 1 ", 2), 3),
    ],
)
def test_numbers_are_exact(tmp_path: Path, args: tuple[Any, ...], result: Any) -> None:
    assert Functions(tmp_path).done("Math", *args)["result"] == result


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (("/", "1", "0"), "DivisionByZero"),
        (("%", "1", "0.0"), "DivisionByZero"),
        (("^", "0", "-1"), "DivisionByZero"),
        (("^", "9", "99999"), "InvalidArgument"),
        (("^", "9" * 100, "1000"), "InvalidArgument"),
        (("^", "2", "0.5"), "InvalidArgument"),
        (("+", "1e999999999", "1"), "InvalidArgument"),
        (("+", "__import__('os')", "1"), "InvalidArgument"),
        (("+", "1" * 101, "1"), "InvalidArgument"),
        (("**", "1", "1"), "InvalidArgument"),
        (("+", "1"), "InvalidSpec"),
    ],
)
def test_what_is_no_sum(tmp_path: Path, args: tuple[str, ...], kind: str) -> None:
    assert Functions(tmp_path).failed("Math", *args).type == kind


def test_how_this_machine_is(tmp_path: Path) -> None:
    functions = Functions(tmp_path)
    assert functions.done("Monitor", "disk")["disk"][0]["mount"] == "/"
    assert functions.done("Monitor").keys() >= {"cpu", "memory", "disk", "network", "load", "host"}
    assert "cpu, memory" in functions.failed("Monitor", "weather").message
