"""What options of the commands around keys turn into."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import filelock
import pytest
import time_machine

from orchestrator.cli import reaching
from orchestrator.cli.addresses import canonical
from orchestrator.cli.audit import since
from orchestrator.cli.keys import pattern, unless, until

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("given", ["/srv/repos", "/srv/repos/**", "/srv/../x", "**", r"C:\repos\**", r"\\host\share", ""])
def test_an_absolute_pattern_stays_as_it_is(given: str) -> None:
    assert pattern(given) == given


def test_a_relative_pattern_is_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path.resolve()
    monkeypatch.chdir(real)
    monkeypatch.setenv("HOME", str(real))
    (real / "link").symlink_to(real / "target")
    found = [pattern(given) for given in (".", "./**", "a/b/**", "link/**", "~/a", "*")]
    assert found == [f"{real}{rest}" for rest in ("", "/**", "/a/b/**", "/target/**", "/a", "/*")]


def test_times_are_counted_from_now_or_given() -> None:
    with time_machine.travel(NOW, tick=False):
        assert until("90d") == datetime(2030, 5, 1, 12, tzinfo=UTC)
        assert since("1h30m") == datetime(2030, 1, 31, 10, 30, tzinfo=UTC)
    assert until("2030-01-31T18:00Z") == since("2030-01-31T18:00Z") == datetime(2030, 1, 31, 18, tzinfo=UTC)
    for wrong in ("soon", "2030-13-01"):
        with pytest.raises(click.BadParameter):
            until(wrong)


def test_a_word_takes_a_limit_away() -> None:
    assert (unless("never", until)("never"), unless("default")("600/m")) == ("", "600/m")


def test_an_address_is_written_as_the_server_does() -> None:
    names = {"192.0.2.7": "192.0.2.7/32", "10.1.2.3/8": "10.0.0.0/8", "2001:DB8::/32": "2001:db8::/32"}
    assert {text: canonical(text) for text in names} == names
    with pytest.raises(click.BadParameter):
        canonical("nowhere")


def test_a_file_that_another_command_has_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tasks.db"
    held = [True, True]

    class Lock(filelock.FileLock):
        def acquire(self, *args: Any, **options: Any) -> Any:
            if held and held.pop():
                raise filelock.Timeout(self.lock_file)
            return super().acquire(*args, **options)

    monkeypatch.setattr(filelock, "FileLock", Lock)
    assert reaching.is_served(path) is False
    assert not held
    held.append(True)
    path.with_name("tasks.db.serving").touch()
    assert reaching.is_served(path) is True
