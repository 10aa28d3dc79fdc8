"""What becomes of worktrees when workers end, are killed, and others come."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec import structs

from tests.unit.worker_client.checkout import at, commit, context_of, ended, finish, git, repository, run_in, server
from tests.unit.worker_client.stage import on_stage, script
from worker_client.contract.tasks import Task
from worker_client.places import NoPlace
from worker_client.runners.outcomes import Released
from worker_client.worktrees import NOT_OVER, Worktrees
from worker_client.worktrees.records import keep


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "shop")


@pytest.fixture
def worktrees(tmp_path: Path) -> Worktrees:
    return Worktrees(tmp_path / "state", patience=5)


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        ("completed", False),
        ("failed", False),
        ("cancelled", False),
        (404, False),
        ("waiting", True),
        ("running", True),
        (403, True),
    ],
)
def test_the_next_worker_tidies_up(repo: Path, worktrees: Worktrees, answer: str | int, stays: bool) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            pass
        asked = []

        def tell(number: int) -> Task | int:
            asked.append(number)
            return answer if isinstance(answer, int) else ended(context_of(number, repo), answer)

        async with server(tell) as client:
            later = Worktrees(at(place).parents[1])
            await later.tidy(client)
            await later.tidy(client)
        assert asked == [7]
        assert at(place).exists() == stays
        assert place.record.file.exists() == stays

    asyncio.run(scenario())


def test_what_is_in_use_elsewhere_or_of_another_server_is_not_tidied(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        def over(number: int) -> Task:
            return ended(context_of(number, repo))

        async with run_in(worktrees, repo) as place, server(over) as client:
            await Worktrees(at(place).parents[1]).tidy(client)
            assert at(place).exists()
        keep(structs.replace(place.record, server="http://another"))
        async with server(lambda _: 404) as client:
            await Worktrees(at(place).parents[1]).tidy(client)
        assert at(place).exists()

    asyncio.run(scenario())


def test_a_sweep_tells_of_each_worktree_why_it_stays(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            pass
        (at(place) / "new").write_text("unsaved")
        folder = at(place).parents[1]
        async with server(lambda number: ended(context_of(number, repo), "running")) as client:
            assert [reason async for _, reason in Worktrees(folder).sweep(client)] == [NOT_OVER]
        async with server(lambda number: ended(context_of(number, repo))) as client:
            ((record, reason),) = [found async for found in Worktrees(folder).sweep(client)]
            assert (record.path, reason) == (str(at(place)), "1 files with changes that aren't committed: new")
            (at(place) / "new").unlink()
            assert [reason async for _, reason in Worktrees(folder).sweep(client)] == [None]
            assert [found async for found in Worktrees(folder).sweep(client)] == []
        assert not at(place).exists()

    asyncio.run(scenario())


def test_a_task_that_took_an_old_number_has_its_worktree_tidied(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            pass
        later = context_of(7, repo, created_at="2026-02-02T00:00:00Z")
        async with server(lambda _: ended(later, "running")) as client:
            await Worktrees(at(place).parents[1]).tidy(client)
        assert not at(place).exists()

    asyncio.run(scenario())


def test_a_repository_that_is_gone_leaves_the_worktree(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            pass
        shutil.rmtree(repo)
        async with server(lambda _: 404) as client:
            await Worktrees(at(place).parents[1]).tidy(client)
        assert at(place, "a").exists()

    asyncio.run(scenario())


PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.unit.worker_client.checkout import run_in
from worker_client.worktrees import NOT_OVER, Worktrees

async def main():
    async with run_in(Worktrees(Path(sys.argv[2])), sys.argv[1]):
        print("made")

asyncio.run(main())
"""


@pytest.mark.parametrize("git_too", [True, False], ids=["git is killed, too", "git goes on"])
def test_a_worker_that_is_killed_while_it_makes_a_worktree(repo: Path, tmp_path: Path, git_too: bool) -> None:
    (repo / ".gitattributes").write_text("sub/* filter=slow\n")
    commit(repo)
    (tmp_path / "smudge").write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid\n"
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; cat\n"
    )
    (tmp_path / "smudge").chmod(0o755)
    git(repo, "config", "filter.slow.smudge", str(tmp_path / "smudge"))
    state = tmp_path / "state"
    worker = subprocess.Popen([sys.executable, "-c", PROGRAM, str(repo), str(state)], cwd=Path(__file__).parents[3])
    while not (tmp_path / "pid").exists():
        assert worker.poll() is None
        time.sleep(0.01)
    worker.kill()
    worker.wait()
    smudge = int((tmp_path / "pid").read_text())
    group = os.getpgid(smudge)
    if git_too:
        os.killpg(group, signal.SIGKILL)
        (tmp_path / "go").touch()

    async def scenario() -> None:
        if not git_too:
            with pytest.raises(NoPlace) as orphaned:
                async with run_in(Worktrees(state, patience=0.2), repo):
                    pass
            assert isinstance(orphaned.value.outcome, Released), "git is still at it"
            (tmp_path / "go").touch()
        place = await finish(Worktrees(state, patience=20), repo, "test -e a && test -e sub/b")
        assert place.evidence["branch"] == "orchestrator/task-7"
        assert not at(place).exists()
        assert git(repo, "worktree", "list").count("\n") == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_worker_that_is_killed_between_two_steps(repo: Path, worktrees: Worktrees, steps: int) -> None:
    """Reserved; with its branch; with its directory; locked."""

    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            pass
        record = structs.replace(place.record, ready=False)
        git(repo, "worktree", "unlock", record.path)
        git(repo, "worktree", "remove", record.path)
        git(repo, "branch", "-D", record.branch)
        keep(record)
        for step in (
            ("update-ref", f"refs/heads/{record.branch}", record.base_commit),
            ("worktree", "add", "--quiet", record.path, record.branch),
            ("worktree", "lock", record.path),
        )[:steps]:
            git(repo, *step)
        for _ in range(2):
            async with run_in(worktrees, repo) as again:
                assert again.evidence["branch"] == "orchestrator/task-7"
                assert at(again, "sub", "b").exists()
        keep(record)
        async with server(lambda _: 404) as client:
            await Worktrees(at(place).parents[1]).tidy(client)
        assert not at(place).exists()
        assert git(repo, "branch", "--list", "orchestrator/*") == ""

    asyncio.run(scenario())


def test_a_worker_whose_scripts_run_in_worktrees(repo: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        places = Worktrees(tmp_path / "state")
        async with on_stage(repo, places=places, concurrency=3) as stage:
            stage.queue.add(1, repo / "sub", **script("pwd; echo new > new"))
            stage.queue.add(2, repo, **script("pwd"))
            stage.queue.add(3, repo, **script("echo new > new; exit 1"))
            verb, body = await stage.end_of(1)
            top = Path(body["result"]["worktree"]["worktree"])
            assert (verb, top.name) == ("complete", "task-1")
            assert body["evidence"]["branch"] == "orchestrator/task-1"
            assert "new | 1 +" in body["evidence"]["diff_stat"]
            assert f"{top / 'sub'}\n" in stage.queue.text(1)
            assert "is kept: 1 files" in stage.queue.text(1)
            assert (await stage.end_of(2))[0] == "complete"
            verb, body = await stage.end_of(3)
            assert (verb, body["evidence"]["branch"]) == ("fail", "orchestrator/task-3")
        assert sorted(path.name for path in top.parent.glob("task-*")) == ["task-1", "task-3"]
        assert git(repo, "status", "--porcelain") == ""

    asyncio.run(scenario())
