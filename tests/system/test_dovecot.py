"""Mailboxes on a real dovecot: with TLS and IDLE, through its restarts and those of servers."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.mail.account import FolderError, MailError
from orchestrator.mail.connection import Connection
from tests.acceptance.programs import end, serving, until
from tests.dovecot import PASSWORD, USER, Dovecot
from tests.mail.office import Desk, Reader, Waits, eventually
from tests.mail.test_server import Api, reads
from tests.post import Wire, mail
from tests.postgres import database

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with closing(Dovecot()) as found:
        yield found


@pytest.mark.parametrize("tls", ["implicit", "starttls", "none"])
def test_new_mail_is_heard_of_at_once_over_each_kind_of_connection(dovecot: Dovecot, tls: str) -> None:
    folder = f"Ünder {tls}"
    dovecot.add_folder(folder)
    waits, port = Waits(folder=folder, subject="do"), dovecot.tls if tls == "implicit" else dovecot.plain
    desk = Desk(waits)
    with Reader(dovecot.account(tls=tls, port=port, interval=600), desk):
        desk.until(lambda: None in desk.failing)
        dovecot.put(mail("do one", number=1), folder)
        desk.until(lambda: desk.fired == ["do one"])
        dovecot.put(mail("other", number=2), folder)
        dovecot.put(mail("do two", number=3, body="grün"), folder, seen=True)
        desk.until(lambda: desk.fired == ["do one", "do two"])
        eventually(lambda: dovecot.seen(folder) == {"do one": True, "other": False, "do two": True})
    assert desk.inputs[-1]["text"] == "grün"


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            {"password": "wrong"},
            "the server refuses email.user with email.password: [AUTHENTICATIONFAILED]",
        ),
        ({"password": "wröng"}, "the server refuses email.user with email.password"),
        ({"ca_file": ""}, "the server's certificate is not trusted: self-signed certificate; see email.tls_ca_file"),
        ({"server": "127.0.0.1"}, "the server's certificate is not trusted: "),
    ],
)
def test_who_is_not_let_in_is_told_why(dovecot: Dovecot, facts: dict[str, Any], told: str) -> None:
    with pytest.raises(MailError) as refusal:
        Connection(dovecot.account(**facts))
    assert str(refusal.value).startswith(told)


def test_a_refusal_says_the_same_each_time(dovecot: Dovecot) -> None:
    connection = Connection(dovecot.account())
    with pytest.raises(FolderError) as refusal:
        connection.open("Nope")
    assert str(refusal.value) == "the server does not open this folder: Mailbox doesn't exist: Nope"
    connection.close()


def exchange(dovecot: Dovecot, wire: Wire, folder: str) -> Desk:
    """Two mails that were there, one filtered, one that comes while the server listens."""
    dovecot.add_folder(folder)
    for number, subject in enumerate(("do one", "do two", "other")):
        dovecot.put(mail(subject, number=number), folder)
    waits = Waits(folder=folder, subject="do")
    desk = Desk(waits)
    with Reader(dovecot.account(server="127.0.0.1", tls="none", port=wire.port, interval=600), desk):
        desk.until(lambda: len(desk.inputs) >= 2)
        dovecot.put(mail("do three", number=3), folder)
        desk.until(lambda: len(desk.inputs) >= 3)
        eventually(lambda: dovecot.seen(folder) == {"do one": True, "do two": True, "other": False, "do three": True})
        desk.until(lambda: not desk.positions[waits].backlog)
    return desk


@pytest.mark.parametrize("side", ["client", "server"])
def test_wherever_the_connection_breaks_no_mail_is_lost_and_none_taken_twice(dovecot: Dovecot, side: str) -> None:
    with closing(Wire(dovecot.plain)) as wire:
        exchange(dovecot, wire, f"{side}-whole")
        lines = wire.passed[side]
    for number in range(lines):
        with closing(Wire(dovecot.plain)) as wire:
            wire.cut(side, after=number)
            desk = exchange(dovecot, wire, f"{side}-{number}")
            assert desk.fired == ["do one", "do three", "do two"]
            assert sorted(desk.keys.values(), key=str) == [None, None, None, "another subject"]


def test_a_mail_server_that_restarts_and_numbers_anew_loses_no_mail_and_gives_none_twice() -> None:
    desk = Desk()
    with closing(Dovecot()) as dovecot, Reader(dovecot.account(interval=600), desk):
        dovecot.put(mail("one", number=1))
        desk.until(lambda: desk.fired == ["one"])
        dovecot.stop()
        desk.until(lambda: desk.failing[-1:] != [None])
        dovecot.start()
        dovecot.put(mail("two", number=2))
        desk.until(lambda: desk.fired == ["one", "two"] and desk.failing[-1:] == [None])
        eventually(lambda: all(dovecot.seen().values()))
        before = desk.positions[Waits()].validity
        dovecot.renumber()
        dovecot.put(mail("three", number=3))
        desk.until(lambda: desk.fired == ["one", "three", "two"])
        assert desk.positions[Waits()].validity != before


def variables(dovecot: Dovecot) -> dict[str, str]:
    given = {"SERVER": "localhost", "PORT": str(dovecot.tls), "USER": USER, "PASSWORD": PASSWORD}
    given |= {"TLS_CA_FILE": str(dovecot.certificate), "CHECK_INTERVAL": "600"}
    return {f"APP_EMAIL_{name}": value for name, value in given.items()}


def test_of_two_servers_one_reads_the_mailbox_and_the_other_takes_over_when_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    url = database(tmp_path)
    with closing(Dovecot()) as dovecot, ExitStack() as stack:
        given = variables(dovecot)
        servers = [
            stack.enter_context(serving(tmp_path / name, "--database", url, **given)) for name in ("a", "b")
        ]  # the last `--database` counts
        api, other = (stack.enter_context(closing(Api(server))) for server in servers)
        api.deployed({})
        for number in range(10):
            dovecot.put(mail(f"before {number}", number=number))
        until(lambda: len(api.prompts()) == 10)
        holders = [reads(server, dovecot.tls) for server in servers]
        assert sorted(holders) == [False, True]
        reader = holders.index(True)
        end(servers[reader].process, 9)
        for number in range(10, 20):
            dovecot.put(mail(f"after {number}", number=number))
        left = (api, other)[1 - reader]
        until(lambda: len(left.prompts()) == 20)
        assert len(set(left.prompts())) == 20
        eventually(lambda: all(dovecot.seen().values()))
        # The next one leaves of itself, and so at once.
        assert left.ask("GET", "/triggers/health")["healthy"]
