"""Connections that read: a database that goes away, stands still or comes back; and people who hang up."""

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop

from orchestrator.store.postgres.reading import Readers
from orchestrator.store.protocol import StoreAwayError
from tests.postgres import Postgres, own_server
from tests.serving import until

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="module")
def running() -> Iterator[Postgres]:
    # Not below pytest's folder, which is root's alone where root runs the tests, and PostgreSQL does not run as root.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a file system, not a file
    with (
        tempfile.TemporaryDirectory(prefix="orchestrator-readers-", dir=memory) as directory,
        own_server(Path(directory), durable=False) as one,
    ):
        yield one


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@contextlib.asynccontextmanager
async def opened(server: Postgres, **options: Any) -> AsyncIterator[Readers]:
    readers = Readers(server.url(), **options)
    await readers.open()
    try:
        yield readers
    finally:
        await readers.close()


def sessions(server: Postgres, *, busy: bool = False) -> list[int]:
    """The processes that serve readers."""
    with psycopg.connect(server.url()) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            " AND (state = 'active' OR NOT %s)",
            [busy],
        )
        return [pid for (pid,) in rows]


async def asleep(server: Postgres, count: int = 1) -> list[int]:
    """The processes that work on a query, once there are so many."""
    await until(lambda: len(sessions(server, busy=True)) == count)
    return sessions(server, busy=True)


async def refused(readers: Readers) -> float:
    """How long it takes until a reader is told that the database is away."""
    began = time.monotonic()
    with pytest.raises(StoreAwayError):
        await readers.fetch("SELECT 1")
    return time.monotonic() - began


def test_rows_are_tuples_and_values_are_bound_where_they_are_named(running: Postgres, run: Run) -> None:
    async def test() -> None:
        async with opened(running) as readers:
            assert await readers.fetch("SELECT ?2, ?1, ?2", ("a", 1)) == [(1, "a", 1)]
            assert await readers.fetch("SELECT ?, ? + 1, ?", (True, 2**40, None)) == [(1, 2**40 + 1, None)]
            with pytest.raises(psycopg.ProgrammingError):
                await readers.fetch("SELECT nothing")
            assert await readers.fetch("SELECT 1") == [(1,)]

    run(test())


def test_more_ask_than_there_are_connections(running: Postgres, run: Run) -> None:
    async def test() -> None:
        async with opened(running, most=3) as readers:
            answers = await asyncio.gather(*(readers.fetch("SELECT ?, pg_sleep(0.001)", (number,)) for number in range(200)))
            assert [rows[0][0] for rows in answers] == list(range(200))
            assert len(sessions(running)) <= 3

    run(test())


def test_who_hangs_up_leaves_the_connection_as_it_was(running: Postgres, run: Run) -> None:
    async def test() -> None:
        async with opened(running, least=2, most=2) as readers:
            for times in (1, 1, 2, 5):
                tasks = [asyncio.create_task(readers.fetch("SELECT pg_sleep(60)")) for _ in range(6)]
                before = await asleep(running, 2)
                for _ in range(times):
                    for task in tasks:
                        task.cancel()
                    await asyncio.sleep(0)
                assert all(
                    isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True)
                )
                async with asyncio.timeout(5):
                    answers = await asyncio.gather(*(readers.fetch("SELECT pg_backend_pid()") for _ in range(20)))
                assert {rows[0][0] for rows in answers} <= set(before)
                await until(lambda: not sessions(running, busy=True))

    run(test())


def test_a_query_whose_connection_breaks_is_asked_once_more(running: Postgres, run: Run) -> None:
    async def test() -> None:
        async with opened(running, least=2, most=2) as readers:
            reading = asyncio.create_task(readers.fetch("SELECT pg_sleep(0.3), 'done'"))
            (pid,) = await asleep(running)
            os.kill(pid, signal.SIGTERM)
            assert [row[1] for row in await reading] == ["done"]
            reading = asyncio.create_task(readers.fetch("SELECT pg_sleep(60)"))
            (pid,) = await asleep(running)
            os.kill(pid, signal.SIGTERM)
            await until(lambda: sessions(running, busy=True) not in ([], [pid]))
            (pid,) = await asleep(running)
            os.kill(pid, signal.SIGTERM)
            with pytest.raises(StoreAwayError):
                await reading
            assert await readers.fetch("SELECT 1") == [(1,)]

    run(test())


def test_a_server_that_was_restarted_is_not_noticed(running: Postgres, run: Run) -> None:
    async def test() -> None:
        async with opened(running, least=4, most=4) as readers:
            for how in (signal.SIGINT, signal.SIGQUIT):
                await asyncio.gather(*(readers.fetch("SELECT pg_sleep(0.01)") for _ in range(8)))
                running.stop(how)
                running.start()
                assert await readers.fetch("SELECT 1") == [(1,)]
                answers = await asyncio.gather(*(readers.fetch("SELECT 1") for _ in range(20)))
                assert answers == [[(1,)]] * 20

    run(test())


def test_a_server_that_is_away_is_told_soon_and_found_again(running: Postgres, run: Run) -> None:
    async def test() -> None:
        async with opened(running, most=3, patience_s=0.7) as readers:
            running.stop()
            try:
                waits = await asyncio.gather(*(refused(readers) for _ in range(20)))
                assert max(waits) < 1.5
                assert await refused(readers) < 1.5
                waiting = asyncio.create_task(readers.fetch("SELECT 1"))
                await asyncio.sleep(0)
            finally:
                running.start()
            assert await waiting == [(1,)]
            began = time.monotonic()
            assert await readers.fetch("SELECT 1") == [(1,)]
            assert time.monotonic() - began < 1

    run(test())


def test_a_server_that_stands_still_is_given_up(running: Postgres, run: Run) -> None:
    async def test() -> None:
        async with opened(running, least=2, most=2, query_s=0.5) as readers:
            ((pid,),) = await readers.fetch("SELECT pg_backend_pid()")
            os.kill(pid, signal.SIGSTOP)
            try:
                began = time.monotonic()
                one, other = await asyncio.gather(*(readers.fetch("SELECT 1") for _ in range(2)), return_exceptions=True)
                assert {type(one), type(other)} == {list, StoreAwayError}
                assert time.monotonic() - began < 1.5
                assert await readers.fetch("SELECT 1") == [(1,)]
            finally:
                os.kill(pid, signal.SIGCONT)
            await asyncio.gather(*(readers.fetch("SELECT pg_sleep(0.1)") for _ in range(4)))

    run(test())


def test_nobody_answers_when_it_is_opened(running: Postgres, run: Run) -> None:
    async def test() -> None:
        running.stop()
        try:
            began = time.monotonic()
            with pytest.raises(StoreAwayError):
                await Readers(running.url(), patience_s=0.5).open()
            assert time.monotonic() - began < 1.5
        finally:
            running.start()
        readers = Readers(running.url())
        with pytest.raises(StoreAwayError):
            await readers.fetch("SELECT 1")
        await readers.open()
        await readers.close()
        await readers.close()
        with pytest.raises(StoreAwayError):
            await readers.fetch("SELECT 1")

    run(test())


@pytest.mark.parametrize("address", ["postgresql://u:se%cret@127.0.0.1:{}/d", "postgresql://u:secret@127.0.0.1:{}/nothing"])
def test_a_password_is_told_to_nobody(running: Postgres, run: Run, caplog: pytest.LogCaptureFixture, address: str) -> None:
    caplog.set_level(logging.DEBUG)

    async def test() -> None:
        readers = Readers(address.format(running.port), patience_s=0.3)
        with pytest.raises((StoreAwayError, ValueError)) as refusal:
            await readers.open()
        assert "cret" not in "".join(map(repr, (refusal.value, refusal.value.__cause__, readers)))

    run(test())
    assert "cret" not in caplog.text
