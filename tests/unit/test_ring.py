"""What is kept of a log in memory, and how little."""

import logging
from threading import Thread

from orchestrator.telemetry.ring import Ring


def test_the_oldest_are_forgotten() -> None:
    ring = Ring(lines=3, characters=1000, clock=lambda: 5_000_000)
    for number in range(5):
        ring.add(logging.INFO, str(number))
    assert [(line.number, line.text) for line in ring.after(0)] == [(5002, "2"), (5003, "3"), (5004, "4")]
    assert [line.text for line in ring.newest()] == ["4", "3", "2"]
    assert [line.text for line in ring.after(5002)] == ["3", "4"]


def test_long_lines_take_the_room_of_many() -> None:
    ring = Ring(lines=100, characters=1000)
    for letter in "abcd":
        ring.add(logging.INFO, letter * 400)
    assert [line.text[0] for line in ring.after(0)] == ["c", "d"]
    ring.add(logging.INFO, "x" * 60_000)
    assert [line.text[0] for line in ring.after(0)] == ["c", "d"], "it would push out all others"
    ring.clear()
    ring.add(logging.INFO, "y" * 1000)
    assert len(list(ring.after(0))) == 1


def test_numbers_grow_whatever_the_clock_does() -> None:
    times = iter([9_000_000, 4_000_000, 9_000_000, 20_000_000])
    ring = Ring(clock=lambda: next(times))
    for _ in range(4):
        ring.add(logging.INFO, "line")
    assert [line.number for line in ring.after(0)] == [9000, 9001, 9002, 20000]


def test_threads_do_not_get_into_each_others_way() -> None:
    ring = Ring(lines=100_000)

    def add() -> None:
        for _ in range(2000):
            ring.add(logging.INFO, "line")

    threads = [Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [line.number for line in ring.after(0)]
    assert len(numbers) == len(set(numbers)) == 8000
    assert numbers == sorted(numbers)
