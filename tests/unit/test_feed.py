"""The feed in memory: who waits for an event, and who reads after one."""

import asyncio

import pytest

from orchestrator.queue.feed import Feed
from orchestrator.store.protocol import FeedEvent

pytestmark = pytest.mark.anyio


def event(number: int, task_id: int = 1) -> FeedEvent:
    return FeedEvent(number, 0, "task.created", task_id, "/a", "", "waiting", "{}")


def numbers(events: list[FeedEvent] | None) -> list[int] | None:
    return None if events is None else [one.id for one in events]


async def test_a_watch_collects_the_events_of_its_task() -> None:
    feed = Feed()
    with feed.watch(1) as watch, feed.watch(1) as other:
        feed.publish([event(1), event(2, task_id=9), event(3)])
        assert numbers(await watch.next(20)) == [1, 3]
        assert numbers(await watch.next(0)) == []
        waiting = asyncio.create_task(watch.next(20))
        await asyncio.sleep(0)
        feed.publish([event(4)])
        assert numbers(await waiting) == [4]
        assert numbers(await other.next(20)) == [1, 3, 4]
    assert feed._watches == {}
    feed.publish([event(5)])


async def test_one_watch_ends_and_another_goes_on() -> None:
    feed = Feed()
    with feed.watch(1) as watch:
        with feed.watch(1):
            pass
        feed.publish([event(1)])
        assert numbers(await watch.next(20)) == [1]


async def test_draining_ends_all_waits() -> None:
    feed = Feed()
    with feed.watch(1) as watch, feed.reader() as bell:
        waiting = asyncio.create_task(watch.next(20))
        await asyncio.sleep(0)
        feed.drain()
        assert numbers(await waiting) == []
        assert numbers(await watch.next(20)) == []
        assert bell.is_set()
        assert feed.draining


async def test_a_reader_is_rung_for_every_event() -> None:
    feed = Feed()
    with feed.reader() as bell:
        feed.publish([])
        assert not bell.is_set()
        feed.publish([event(1)])
        assert bell.is_set()
    assert not feed._readers


def test_reading_after_an_event() -> None:
    feed = Feed(keep=3)
    feed.last_id = 4
    assert feed.after(4, 10) == []
    assert feed.after(2, 10) is None
    feed.publish(event(number) for number in range(5, 10))
    assert numbers(feed.after(9, 10)) == []
    assert numbers(feed.after(8, 10)) == [9]
    assert numbers(feed.after(6, 10)) == [7, 8, 9]
    assert numbers(feed.after(6, 2)) == [7, 8]
    assert feed.after(5, 10) is None
    assert numbers(feed.after(99, 10)) == []


def test_reading_after_an_event_goes_over_ids_that_there_never_were() -> None:
    feed = Feed()
    feed.publish(event(number) for number in (3, 4, 8, 9, 20))
    assert numbers(feed.after(2, 10)) == [3, 4, 8, 9, 20]
    assert numbers(feed.after(4, 2)) == [8, 9]
    assert numbers(feed.after(6, 10)) == [8, 9, 20]
    assert numbers(feed.after(9, 10)) == [20]
    assert feed.after(1, 10) is None
