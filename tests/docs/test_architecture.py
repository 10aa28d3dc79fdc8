"""What docs/architecture.md tells of the code is so: files and functions exist, and a task takes the way that is told there."""

import ast
import asyncio
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from orchestrator.cli import main
from tests.docs.blocks import ROOT
from tests.http.conftest import serving, until
from worker_client import Worker
from worker_client.runners.script import ScriptRunner

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
WALK = PAGE[PAGE.index("## The walk of one task") : PAGE.index("## What becomes due")]
_NAMED = re.compile(r"`([\w.]+)`\s+in\s+`([\w/]+\.py)`")
Named = tuple[str, str]


def _named(text: str) -> list[Named]:
    return [(name, file) for name, file in _NAMED.findall(text)]


@cache
def _functions(file: str) -> set[str]:
    """Qualified names of all functions of a file."""
    found: set[str] = set()

    def walk(node: ast.AST, before: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(f"{before}{child.name}")
                walk(child, f"{before}{child.name}.")

    walk(ast.parse((ROOT / file).read_text(encoding="utf-8")), "")
    return found


def _is_there(name: str, file: str) -> bool:
    return any(found == name or found.endswith(f".{name}") for found in _functions(file))


def test_files_and_functions_are_there() -> None:
    assert len(_named(PAGE)) > 30
    assert [f"{name} in {file}" for name, file in _named(PAGE) if not _is_there(name, file)] == []
    places = set(re.findall(r"`((?:orchestrator|worker_client|migrations|config)/[\w/.]+)`", PAGE))
    places |= {f"orchestrator/loops/{name}" for name in re.findall(r"`(\w+\.py)`", PAGE)}
    assert len(places) > 50
    assert [place for place in places if not (ROOT / place).exists()] == []


@contextmanager
def _watched(wanted: set[Named]) -> Iterator[list[Named]]:
    """The calls of these functions, in their order, in this thread and in those that are started meanwhile."""
    called: list[Named] = []
    files = {str(ROOT / file): file for _, file in wanted}
    known: dict[Any, Named | None] = {}

    def name_of(frame: FrameType) -> Named | None:
        file = files.get(frame.f_code.co_filename)
        whole = frame.f_code.co_qualname
        return next((one for one in wanted if one[1] == file and (whole == one[0] or whole.endswith(f".{one[0]}"))), None)

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in known:
            known[code] = name_of(frame)
        if (found := known[code]) is not None:
            called.append(found)

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


def _missing(told: list[Named], called: list[Named]) -> Named | None:
    """The first that was not called after the one told before it."""
    calls = iter(called)
    return next((one for one in told if one not in calls), None)


@pytest.mark.system
@pytest.mark.anyio
async def test_a_task_takes_the_way_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = _named(WALK)
    until_kept = told[: told.index(("heartbeat", "orchestrator/domain/leasing.py")) + 1]
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path / "state"))
    work = tmp_path / "shop"
    work.mkdir()
    with _watched(set(told)) as called:
        async with serving(tmp_path / "tasks.db") as running:
            worker = Worker(running.address, directories=[work], runners=[ScriptRunner()], max_tasks=1, lease_seconds=2)
            working = asyncio.create_task(worker.serve())
            await until(lambda: running.queue.parked)
            script = "until [ -e done ]; do sleep 0.01; done"
            add = ["add", "--command", script, "--dir", str(work), "--url", running.address]
            await asyncio.to_thread(main, add, standalone_mode=False)
            await until(lambda: _missing(until_kept, called) is None)
            await running.task(str(work), depends_on=[1])
            (work / "done").touch()
            await working
            assert (await running.get("/tasks/1"))["status"] == "completed"
    assert _missing(told, called) is None


def test_a_way_that_is_not_taken_is_noticed() -> None:
    first, second, third = ("f", "a.py"), ("g", "a.py"), ("h", "b.py")
    assert _missing([first, second, first], [first, third, second, first]) is None
    assert _missing([first, third], [third, first]) == third
    assert _missing([second], []) == second
