"""What a worker writes down of the sessions of agents."""

import json
import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from worker_client import sessions
from worker_client.sessions import Session, recorded, remember

AT = datetime(2026, 7, 1, 12, tzinfo=UTC)


def session(session_id: str = "0b6c9a2e-6d5f", directory: str = "/srv/shop", agent: str = "claude", task_id: int = 7) -> Session:
    return Session(agent=agent, session_id=session_id, directory=directory, task_id=task_id, at=AT)


def resumable(state: Path, agent: str, session_id: str, directory: str) -> bool:
    session = recorded(state, agent, session_id)
    return session is not None and session.is_of(directory)


def test_a_session_is_resumed_in_its_own_directory_only(tmp_path: Path) -> None:
    remember(tmp_path, session())
    assert recorded(tmp_path, "claude", "0b6c9a2e-6d5f") == session()
    assert resumable(tmp_path, "claude", "0b6c9a2e-6d5f", "/srv/shop")
    assert not resumable(tmp_path, "claude", "0b6c9a2e-6d5f", "/srv/shop/app")
    assert not resumable(tmp_path, "codex", "0b6c9a2e-6d5f", "/srv/shop")
    assert not resumable(tmp_path, "claude", "another", "/srv/shop")
    remember(tmp_path, session(directory="/srv/shop/app", task_id=8))
    assert resumable(tmp_path, "claude", "0b6c9a2e-6d5f", "/srv/shop/app")
    assert not resumable(tmp_path, "claude", "0b6c9a2e-6d5f", "/srv/shop")


NAMES = ["../../../etc/passwd", "..", ".", "", "a/b", "a\\b", "A", "a\0b", "con:", "x" * 5000, "é", "\udc80"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    remember(tmp_path, session(session_id=name, agent=name))
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent.parent.parent for path in kept] == [tmp_path] * len(kept)
    # A text that is none in UTF-8 can't be written down at all.
    assert len(kept) == (0 if name == "\udc80" else 1)
    assert resumable(tmp_path, name, name, "/srv/shop") == (name != "\udc80")


def test_names_that_differ_in_case_only_are_two(tmp_path: Path) -> None:
    remember(tmp_path, session("Ab", "/one"))
    remember(tmp_path, session("ab", "/two"))
    assert resumable(tmp_path, "claude", "Ab", "/one")
    assert resumable(tmp_path, "claude", "ab", "/two")
    names = {path.name.lower() for path in tmp_path.rglob("*.json")}
    assert len(names) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 100, b"[]", b'{"agent": "claude"}'])
def test_a_broken_record_is_none(tmp_path: Path, content: bytes) -> None:
    remember(tmp_path, session("ab"))
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(content)
    assert recorded(tmp_path, "claude", "ab") is None
    remember(tmp_path, session("ab"))
    assert recorded(tmp_path, "claude", "ab") is not None


def test_a_record_that_speaks_of_another_session_is_none(tmp_path: Path) -> None:
    remember(tmp_path, session("ab"))
    (path,) = tmp_path.rglob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "session_id": "cd"}))
    assert recorded(tmp_path, "claude", "ab") is None


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("in the way")
    remember(tmp_path, session())
    assert recorded(tmp_path, "claude", "0b6c9a2e-6d5f") is None


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST", 50)
    monkeypatch.setattr(sessions, "_PRUNED_TO", 45)
    for number in range(120):
        remember(tmp_path, session(f"s{number}"))
        os.utime(tmp_path / "sessions" / "claude" / f"s{number}.json", (number, number))
        assert len(list(tmp_path.rglob("*.json"))) <= 50
    assert recorded(tmp_path, "claude", "s0") is None
    assert recorded(tmp_path, "claude", "s119") is not None
    assert recorded(tmp_path, "claude", "s80") is not None


def _write(folder: Path, writer: int) -> None:
    for number in range(100):
        remember(folder, session("shared", f"/{writer}/{number}"))


def test_readers_never_see_half_a_record(tmp_path: Path) -> None:
    remember(tmp_path, session("shared"))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        writing = pool.starmap_async(_write, [(tmp_path, writer) for writer in range(2)])
        while not writing.ready():
            assert recorded(tmp_path, "claude", "shared") is not None
        writing.get()
    assert [path.name for path in (tmp_path / "sessions" / "claude").iterdir()] == ["shared.json"]
