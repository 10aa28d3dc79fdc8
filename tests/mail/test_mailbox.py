"""Mails are taken once and none is lost, wherever the connection breaks."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.mail.account import MailError
from orchestrator.mail.letter import Bounds
from tests.mail.office import Desk, Reader, Waits, eventually
from tests.post import Post, Wire, mail


@pytest.fixture
def post() -> Iterator[Post]:
    with closing(Post()) as found:
        yield found


def test_a_mail_that_arrives_while_the_server_listens_is_taken_at_once_and_marked(post: Post) -> None:
    desk = Desk()
    with closing(Wire(post.port)) as wire, Reader(post.account(wire.port, interval=600), desk):
        assert wire.listens.wait(20)
        uid = post.put(mail("Now", number=1))
        desk.until(lambda: desk.fired == ["Now"])
        eventually(lambda: post.seen() == {uid: True})


def test_without_idle_the_mailbox_is_asked_every_so_often() -> None:
    desk = Desk()
    with closing(Post(idle=False)) as post, Reader(post.account(interval=0.01), desk):
        desk.until(lambda: None in desk.failing)
        post.put(mail("Now", number=1))
        desk.until(lambda: desk.fired == ["Now"])


def exchange(post: Post, wire: Wire, desk: Desk) -> None:
    """Two mails that were there, one filtered, one that comes while the server listens."""
    first = [post.put(mail("do one", number=1)), post.put(mail("do two", number=2)), post.put(mail("other", number=3))]
    with Reader(post.account(wire.port, interval=0.3), desk):
        desk.until(lambda: len(desk.inputs) >= 2)
        wire.listens.wait(0.3)
        last = post.put(mail("do three", number=4))
        desk.until(lambda: len(desk.inputs) >= 3)
        everything = {first[0]: True, first[1]: True, first[2]: False, last: True}
        eventually(lambda: post.seen() == everything)
        desk.until(lambda: (kept := next(iter(desk.positions.values()))).last == last and not kept.backlog)


def lines(side: str) -> int:
    """How many lines one side says in an undisturbed exchange."""
    desk = Desk(Waits(subject="do"))
    with closing(Post()) as post, closing(Wire(post.port)) as wire:
        exchange(post, wire, desk)
        return wire.passed[side]


@pytest.mark.parametrize("side", ["client", "server"])
def test_wherever_the_connection_breaks_no_mail_is_lost_and_none_taken_twice(side: str) -> None:
    broken = 0
    for number in range(lines(side)):
        desk = Desk(Waits(subject="do"))
        with closing(Post()) as post, closing(Wire(post.port)) as wire:
            wire.cut(side, after=number)
            exchange(post, wire, desk)
            broken += not wire.whole
            assert desk.fired == ["do one", "do three", "do two"]
            assert sorted(desk.keys.values(), key=str) == [None, None, None, "another subject"]
    assert broken >= number
