"""Who has hung up is known of all, however many do so at once."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from orchestrator.http.connections import Ends
from orchestrator.http.server import open_files

pytestmark = pytest.mark.anyio

MANY = 1_100
"""More than epoll tells of by itself."""


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Connections: our end and the client's."""
    assert open_files(raised=True) > 3 * MANY
    with ExitStack() as closing:
        made = [socket.socketpair() for _ in range(MANY)]
        for ours, theirs in made:
            closing.enter_context(ours)
            closing.enter_context(theirs)
        yield made


async def test_everybody_who_hangs_up_at_once_is_seen(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    ends = Ends(asyncio.get_running_loop())
    for ours, _ in pairs:
        ends.watch(ours.fileno())
    assert not any(ends.seen(ours.fileno()) for ours, _ in pairs)
    await asyncio.sleep(0)
    for _, theirs in pairs[1:]:
        theirs.close()
    assert [ends.seen(ours.fileno()) for ours, _ in pairs] == [False] + [True] * (MANY - 1)
    ends.close()
