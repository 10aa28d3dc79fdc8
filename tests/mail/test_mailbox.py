"""Mails are taken once and none is lost, wherever the connection breaks."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from orchestrator.mail.account import MailError
from orchestrator.mail.connection import Connection
from orchestrator.mail.letter import Bounds
from orchestrator.mail.office import Delivery
from orchestrator.mail.positions import Position
from tests.mail.office import Desk, Reader, Waits, eventually
from tests.post import PASSWORD, Post, Wire, mail


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


LONG = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("side", "step"), [("client", 2), ("server", 7), pytest.param("client", 1, marks=LONG), pytest.param("server", 1, marks=LONG)]
)
def test_wherever_the_connection_breaks_no_mail_is_lost_and_none_taken_twice(side: str, step: int) -> None:
    points = range(0, lines(side), step)
    broken = 0
    for number in points:
        desk = Desk(Waits(subject="do"))
        with closing(Post()) as post, closing(Wire(post.port)) as wire:
            wire.cut(side, after=number)
            exchange(post, wire, desk)
            broken += not wire.whole
            assert desk.fired == ["do one", "do three", "do two"]
            assert sorted(desk.keys.values(), key=str) == [None, None, None, "another subject"]
    # The last lines may be of an exchange that ended sooner.
    assert broken >= len(points) - 3


def test_what_is_in_a_folder_that_cannot_be_marked_is_taken_by_its_number(post: Post) -> None:
    post.put(mail("one", number=1))
    post.read_only()
    desk = Desk()
    with Reader(post.account(interval=0.01), desk):
        desk.until(lambda: desk.fired == ["one"])
        last = post.put(mail("two", number=2))
        desk.until(lambda: desk.fired == ["one", "two"] and desk.positions[Waits()].last == last)
    with Reader(post.account(), desk):
        desk.until(lambda: len(desk.failing) >= 2)
    assert (desk.fired, set(post.seen().values()), desk.calls["again"]) == (["one", "two"], {False}, 0)


def test_at_the_first_look_unread_mails_of_the_last_day_are_taken(post: Post) -> None:
    now = datetime.now(UTC)
    post.put(mail("old", number=1), when=now - timedelta(days=3))
    post.put(mail("read", number=2), seen=True)
    post.put(mail("unread", number=3))
    patient, impatient = Waits("patient", look_back_days=10), Waits("impatient", look_back_days=0)
    desk = Desk(Waits(), patient, impatient)
    with Reader(post.account(), desk):
        desk.until(lambda: len(desk.inputs) == 3)
        post.put(mail("new and read", number=4), seen=True)
        desk.until(lambda: len(desk.inputs) == 6)
    taken = sorted((by.name, post_key.split("/")[2]) for by, post_key in desk.keys if isinstance(by, Waits))
    assert taken == [("a", "103"), ("a", "104"), ("impatient", "104"), ("patient", "101"), ("patient", "103"), ("patient", "104")]


def test_a_folder_that_is_numbered_anew_has_no_mail_taken_twice_and_none_lost(post: Post) -> None:
    desk = Desk()
    post.put(mail("one", number=1))
    with Reader(post.account(), desk):
        desk.until(lambda: desk.fired == ["one"])
        eventually(lambda: all(post.seen().values()))
    # While nobody looked: one more arrives, and is read by a person; the other keeps its Message-ID.
    post.put(mail("two", number=2), seen=True, when=datetime.now(UTC) + timedelta(days=1))
    post.put(mail("three", number=3))
    post.renumber()
    with Reader(post.account(), desk):
        desk.until(lambda: desk.fired == ["one", "three", "two"])
        post.put(mail("one", number=1))
        desk.until(lambda: desk.fired == ["one", "one", "three", "two"])
    assert desk.calls["again"] == 0


def test_a_mail_that_is_gone_before_it_is_fetched_holds_nobody_up(post: Post) -> None:
    desk = Desk()
    gone = post.put(mail("one", number=1))
    desk.positions[Waits()] = Position(
        folder="INBOX", validity=post.validity(), last=gone, since=date(2026, 1, 1), backlog=(gone,)
    )
    post.take_away(gone)
    post.put(mail("two", number=2))
    with Reader(post.account(), desk):
        desk.until(lambda: desk.fired == ["two"] and not desk.positions[Waits()].backlog)


def test_a_delivery_that_fails_is_made_again(post: Post) -> None:
    desk = Desk()
    desk.fails = [MailError("the database is away"), RuntimeError("ann@example.com")]
    post.put(mail("one", number=1))
    with Reader(post.account(), desk):
        desk.until(lambda: desk.fired == ["one"] and desk.failing[-1:] == [None])
    assert desk.failing[:2] == ["reading failed, see the log", "the database is away"]


def test_a_large_mail_comes_with_its_header_only(post: Post) -> None:
    desk = Desk()
    post.put(mail("large", number=1, body="x" * 2000))
    with Reader(post.account(), desk, Bounds(directory=None, message=1000)):
        desk.until(lambda: desk.fired == ["large"])
        eventually(lambda: all(post.seen().values()))
    (found,) = desk.inputs
    assert (found["text"], found["from"]) == ("", "ann@example.com")
    assert found["notes"] == [f"the mail has {2101} bytes, more than email.max_message_bytes = 1000"]


def test_attachments_are_there_before_the_mail_is_delivered_and_go_when_nobody_takes_it(post: Post, tmp_path: Path) -> None:
    class Refusing(Desk):
        def deliver(self, deliveries: Sequence[Delivery]) -> list[bool]:
            saved = [Path(one["path"]).read_text() for delivery in deliveries for one in delivery.input["attachments"]]
            assert saved == ["hello\n"]
            super().deliver(deliveries)
            return [False]

    post.put(mail("one", number=1, body="hello", Content_Type="text/x; name=a.txt", Content_Disposition="attachment"))
    desk = Refusing()
    with Reader(post.account(), desk, Bounds(directory=tmp_path)):
        desk.until(lambda: desk.positions and not desk.positions[Waits()].backlog)
    assert list(tmp_path.iterdir()) == []
    assert set(post.seen().values()) == {False}


def test_a_disk_that_is_full_loses_no_mail(post: Post, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    post.put(mail("one", number=1, Content_Type="text/x; name=a.txt"))
    desk = Desk()
    with Reader(post.account(), desk, Bounds(directory=tmp_path / "file" / "below")):
        desk.until(lambda: "attachments cannot be saved: Not a directory" in desk.failing)
        (tmp_path / "file").unlink()
        desk.until(lambda: desk.fired == ["one"])


def test_each_trigger_watches_its_own_folder_and_one_that_is_missing_harms_no_other(post: Post) -> None:
    post.add_folder("Ärger")
    post.put(mail("one", number=1), "Ärger")
    post.put(mail("two", number=2))
    umlaut, missing = Waits("b", folder="Ärger"), Waits("c", folder="Nowhere")
    desk = Desk(Waits(), umlaut, missing)
    with Reader(post.account(interval=0.01), desk):
        desk.until(lambda: desk.fired == ["one", "two"] and len(desk.told) == 3)
        assert (desk.told[Waits()], desk.told[umlaut]) == (None, None)
        assert str(desk.told[missing]).startswith("the server does not open this folder: ")
        post.add_folder("Nowhere")
        desk.until(lambda: desk.told[missing] is None)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"password": "wrong"}, "the server refuses email.user with email.password: "),
        ({"server": "no-such-host.invalid"}, "email.server is not known: "),
        ({"tls": "starttls"}, "the server offers no STARTTLS: "),
        ({"port": 1}, "the connection failed: Connection refused"),
        ({"tls": "implicit"}, "the connection failed: "),
    ],
)
def test_why_a_mailbox_cannot_be_read_is_told(post: Post, facts: dict[str, Any], told: str) -> None:
    desk = Desk()
    with Reader(post.account(**facts), desk):
        desk.until(lambda: desk.failing)
    assert str(desk.failing[0]).startswith(told)
    assert not {PASSWORD, str(facts.get("password", PASSWORD))} & set(str(desk.failing[0]).split())


def test_no_password_is_sent_readable_to_another_machine(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.mail.connection.ip_address", lambda _: ip_address("192.0.2.1"))
    with closing(Wire(post.port)) as wire:
        with pytest.raises(MailError, match=r"email\.tls = 'none' would send the password readable for all"):
            Connection(post.account(wire.port))
        # It asked what the server can do, and no more.
        assert wire.passed["client"] <= 1
        Connection(post.account(wire.port, plaintext=True)).close()


@pytest.mark.parametrize("what", ["head", "body", "mark"])
def test_a_mail_at_which_the_connection_always_breaks_holds_up_no_others(
    post: Post, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = getattr(Connection, what)

    def breaks(connection: Connection, uid: int, *more: int) -> object:
        if uid == 101:
            raise MailError("the connection broke")
        return whole(connection, uid, *more)

    monkeypatch.setattr(Connection, what, breaks)
    post.put(mail("one", number=1))
    post.put(mail("two", number=2))
    desk = Desk()
    with Reader(post.account(), desk):
        desk.until(lambda: len(desk.inputs) == 2)
        desk.until(lambda: not desk.positions[Waits()].backlog)
    assert desk.failing.count("the connection broke") == 5
    assert desk.fired == (["", "two"] if what == "head" else ["one", "two"])
    assert post.seen() == {101: what == "body", 102: True}
