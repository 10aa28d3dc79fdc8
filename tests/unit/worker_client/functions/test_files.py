"""File, Backup and Cleanup stay below what they are allowed, whatever is put in their way."""

import asyncio
import contextlib
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.functions.calling import Functions
from worker_client.runners.functions import files
from worker_client.runners.outcomes import Done, Failed

pytestmark = pytest.mark.skipif(os.name == "nt", reason="directories as descriptors")
OLD = 1_000_000_000


def old(path: Path, text: str = "old") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (OLD, OLD))
    return path


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    place = tmp_path / "inside"
    old(place / "old.log")
    old(place / "sub" / "deep" / "old.log")
    (place / "new.log").write_text("new")
    (place / "empty").mkdir()
    return place


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return old(tmp_path / "outside" / "old.log", "SECRET").parent


@pytest.mark.parametrize(
    "path",
    [
        "{inside}/../outside/old.log",
        "{inside}/sub/../../outside/old.log",
        "{outside}/old.log",
        "{inside}x/old.log",
        "/etc/passwd",
        "inside/old.log",
        "",
        "{inside}/link/old.log",
        "{inside}/direct.log",
        "{inside}/pipe",
        "{inside}/sub",
        "{inside}/nothing",
        "{inside}/old.log/",
        "{inside}/new.log/../../outside/old.log",
        "{inside}/\0",
    ],
)
def test_reading_elsewhere_is_refused(inside: Path, outside: Path, path: str) -> None:
    (inside / "link").symlink_to(outside)
    (inside / "direct.log").symlink_to(outside / "old.log")
    os.mkfifo(inside / "pipe")
    functions = Functions(inside)
    if path.endswith("old.log/"):  # a slash too many is no other file
        assert functions.done("File", "read", path.format(inside=inside))["text"] == "old"
        return
    refused = functions.failed("File", "read", path.format(inside=inside, outside=outside))
    assert refused.type in {"PathRefused", "InvalidArgument"}
    assert "SECRET" not in refused.message


def test_files_are_read_and_looked_at(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 4)
    functions = Functions(inside)
    (inside / "long").write_bytes(b"ab\0\xffef")
    read = functions.done("File", "read", f"{inside}/long")
    assert (read["text"], read["size"], read["cut"]) == ("ab\ufffd\ufffd", 6, True)
    assert functions.done("File", "list", str(inside))["names"] == ["empty", "long", "new.log", "old.log", "sub"]
    assert functions.done("File", "exists", f"{inside}/nothing") == {"path": f"{inside}/nothing", "exists": False}
    assert functions.done("File", "info", f" {inside} ")["type"] == "directory"
    assert functions.done("File", "INFO", f"{inside}/old.log")["modified_at"] == "2001-09-09T01:46:40+00:00"
    assert functions.failed("File", "info", f"{inside}/nothing").type == "PathRefused"
    assert "read, exists" in functions.failed("File", "open", f"{inside}/old.log").message
    assert "quotes" in functions.failed("File", "read", f"{inside}/old.log", "x").message


def test_writing_has_to_be_allowed(inside: Path, outside: Path) -> None:
    for action in ("write", "delete"):
        assert "write = true" in Functions(inside).failed("File", action, f"{inside}/old.log").message
    functions = Functions(inside, file={"write": True})
    (inside / "direct.log").symlink_to(outside / "old.log")
    assert functions.done("File", "write", f"{inside}/direct.log", "mine")["written"] == 4
    assert (inside / "direct.log").read_text() == "mine"
    assert not (inside / "direct.log").is_symlink()
    assert (outside / "old.log").read_text() == "SECRET"
    assert functions.done("File", "delete", f"{inside}/direct.log")["deleted"]
    assert functions.failed("File", "delete", f"{inside}/sub").type == "PathRefused"
    assert functions.failed("File", "delete", str(inside)).type == "PathRefused"
    assert functions.failed("File", "write", f"{inside}/sub", "x").type == "PathRefused"
    assert functions.failed("File", "write", f"{inside}/x").type == "InvalidArgument"
    assert sorted(path.name for path in inside.iterdir()) == ["empty", "new.log", "old.log", "sub"]


def test_another_name_of_an_allowed_path(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "name").symlink_to(inside)
    functions = Functions(tmp_path / "name")
    assert functions.done("File", "read", f"{tmp_path}/name/old.log")["text"] == "old"
    assert functions.done("File", "read", f"{inside}/old.log")["text"] == "old"
    elsewhere = Functions(tmp_path / "outside", paths=[str(inside)])
    assert elsewhere.done("File", "read", f"{inside}/old.log")["text"] == "old"


def test_old_files_go_and_nothing_else(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to(outside)
    (inside / "direct.log").symlink_to(outside / "old.log")
    os.utime(inside / "direct.log", (OLD, OLD), follow_symlinks=False)
    os.mkfifo(inside / "pipe")
    os.utime(inside / "pipe", (OLD, OLD))
    os.utime(inside / "empty", (OLD, OLD))
    found = Functions(inside).done("Cleanup", str(inside), "7")
    assert (found["removed"], found["bytes"], found["left"]) == (2, 6, [])
    assert sorted(found["files"]) == [f"{inside}/old.log", f"{inside}/sub/deep/old.log"]
    assert (outside / "old.log").exists()
    assert {path.name for path in inside.iterdir()} == {"empty", "new.log", "sub", "link", "direct.log", "pipe"}
    assert (inside / "sub" / "deep").is_dir()


@pytest.mark.parametrize("days", ["0", "-1", "", "x", "1e9", "0.0", "9" * 20])
def test_a_cleanup_needs_a_number_of_days(inside: Path, days: str) -> None:
    assert Functions(inside).failed("Cleanup", str(inside), days).type == "InvalidArgument"
    assert (inside / "old.log").exists()


def test_a_backup_is_whole(inside: Path, outside: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (inside / "direct.log").symlink_to(outside / "old.log")
    os.mkfifo(inside / "pipe")
    with (inside / "huge").open("wb") as file:
        file.truncate(20_000_000)
    functions = Functions(inside, paths=[str(tmp_path / "backup")])
    made = functions.done("Backup", str(inside), str(tmp_path / "backup"))
    with tarfile.open(made["archive"]) as tar:
        members = {member.name: member for member in tar}
        assert members.keys() == {
            *("inside", "inside/empty", "inside/new.log", "inside/old.log", "inside/huge", "inside/direct.log"),
            *("inside/sub", "inside/sub/deep", "inside/sub/deep/old.log"),
        }
        assert members["inside/direct.log"].linkname == f"{outside}/old.log"
        assert (members["inside/old.log"].mtime, members["inside/huge"].size) == (OLD, 20_000_000)
        content = tar.extractfile("inside/old.log")
        assert content is not None
        assert content.read() == b"old"
    assert [path.name for path in (tmp_path / "backup").iterdir()] == [Path(made["archive"]).name]
    one = functions.done("Backup", f"{inside}/new.log", str(tmp_path / "backup"))
    assert one["files"] == 1


def test_a_backup_that_can_not_be_made_leaves_nothing(inside: Path, outside: Path) -> None:
    functions = Functions(inside)
    for source, target in [
        (inside, inside),
        (inside, inside / "sub"),
        (inside / "nothing", inside / "sub"),
        (outside, inside / "sub"),
        (inside / "new.log", outside),
        (inside / "new.log", inside / "missing"),
    ]:
        refused = functions.failed("Backup", str(source), str(target))
        assert refused.type in {"PathRefused", "BackupIncomplete"}, (source, target)
    assert sorted(path.name for path in (inside / "sub").rglob("*") if path.is_file()) == ["old.log"]


def test_what_is_stopped_stops(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    functions = Functions(inside, paths=[str(tmp_path / "backup")])

    async def scenario() -> list[Any]:
        def stop(context: Any) -> None:
            context.cancelled.set()

        return [
            await functions.run("Backup", str(inside), f"{tmp_path}/backup", prepare=stop),
            await functions.run("Cleanup", str(inside), "7", prepare=stop),
        ]

    assert [(outcome.type, outcome.retryable) for outcome in asyncio.run(scenario())] == [("Stopped", True)] * 2
    assert list((tmp_path / "backup").iterdir()) == []
    assert (inside / "old.log").exists()


@contextlib.contextmanager
def swapping(place: Path, elsewhere: Path, times: list[int]) -> Iterator[None]:
    """`place` is the directory that it was and a symlink to another one, in turns, as fast as it can be."""
    ended = threading.Event()
    aside, link = place.with_name("aside"), place.with_name("made")

    def swap() -> None:
        while not ended.is_set():
            link.symlink_to(elsewhere)
            place.rename(aside)
            link.rename(place)
            place.unlink()
            aside.rename(place)
            times.append(1)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_symlinks_that_come_and_go_lead_nowhere(inside: Path, outside: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    functions = Functions(inside, paths=[str(tmp_path / "backup")], file={"write": True})
    victim, times = inside / "sub", list[int]()
    seen: list[str] = []

    async def attack() -> None:
        for number in range(60):
            old(victim.with_name("keep") / str(number))
            for args in (
                ("File", "read", f"{victim}/old.log"),
                ("File", "list", str(victim)),
                ("File", "write", f"{victim}/old.log", "mine"),
                ("File", "delete", f"{victim}/old.log"),
                ("Cleanup", str(inside), "7"),
                ("Cleanup", str(victim), "7"),
            ):
                outcome = await functions.run(*args)
                assert isinstance(outcome, Done | Failed)
                seen.append(str(outcome))
            if number % 6 == 0:
                await functions.run("Backup", str(inside), f"{tmp_path}/backup")

    with swapping(victim, outside, times):
        asyncio.run(attack())
    assert len(times) > 20
    assert (outside / "old.log").read_text() == "SECRET"
    assert [path.name for path in outside.iterdir()] == ["old.log"]
    assert not any("SECRET" in one for one in seen)
    for archive in (tmp_path / "backup").iterdir():
        with tarfile.open(archive) as tar:
            assert not any(member.size == len("SECRET") for member in tar if member.isfile())
