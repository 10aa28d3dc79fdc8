"""The pace of a worker that is handed tasks it must not do."""

from tests.unit.worker_client.stage import HandClock
from worker_client.refusals import FIRST_PAUSE, MOST_PAUSE, Refusals


def test_a_server_that_hands_the_same_task_out_at_once_is_asked_ever_less() -> None:
    clock = HandClock()
    refusals = Refusals(clock)
    asked = 0
    while clock.now() < 1000.0 + 600:
        asked += 1
        refusals.note(7)
        clock.advance(refusals.pause() + 0.01)
    assert asked < 40
    refusals.note(7)
    assert refusals.pause() == MOST_PAUSE
    clock.advance(31)
    refusals.note(8)
    assert refusals.pause() == FIRST_PAUSE
    assert refusals.pause() == 0


def test_many_different_ones_hold_up_nobody_for_long() -> None:
    clock = HandClock()
    refusals = Refusals(clock)
    due = {number: (clock.now(), 0.0) for number in range(50)}
    spent = 0.0
    while clock.now() < 1000.0 + 120:
        number = min(due, key=lambda number: due[number][0])
        if due[number][0] > clock.now():
            clock.advance(due[number][0] - clock.now())
        hold = refusals.note(number)
        pause = refusals.pause()
        spent += pause
        clock.advance(pause)
        due[number] = clock.now() + hold, hold
    assert spent < 30, "the rest of two minutes was there for others"


def test_what_it_remembers_is_bounded() -> None:
    refusals = Refusals(HandClock())
    for number in range(3000):
        refusals.note(number)
    assert len(refusals._last) == 1000
