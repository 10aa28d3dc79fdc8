"""Worktrees, made in real repositories."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.unit.worker_client.checkout import at, commit, context_of, ended, finish, git, lines_of, repository, run_in
from worker_client.errors import ConfigurationError
from worker_client.file_lock import locked
from worker_client.places import NoPlace
from worker_client.runners.outcomes import Failed, Outcome, Released
from worker_client.worktrees import Worktrees


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "shop")


@pytest.fixture
def worktrees(tmp_path: Path) -> Worktrees:
    return Worktrees(tmp_path / "state", patience=5)


async def refused(worktrees: Worktrees, directory: Path | str) -> Outcome:
    with pytest.raises(NoPlace) as none:
        async with run_in(worktrees, directory):
            pass
    return none.value.outcome


async def failure(worktrees: Worktrees, directory: Path | str) -> str:
    outcome = await refused(worktrees, directory)
    assert isinstance(outcome, Failed)
    assert (outcome.type, outcome.retryable) == ("Worktree", False)
    return outcome.message


def test_a_task_works_in_a_branch_of_its_own(repo: Path, worktrees: Worktrees, tmp_path: Path) -> None:
    async def scenario() -> None:
        base = git(repo, "rev-parse", "HEAD")
        (repo / "a").write_text("somebody is at work here\n")
        context = context_of(7, repo / "sub")
        async with worktrees.open(context) as place:
            top = Path(place.evidence["worktree"])
            assert top.parent.parent == tmp_path / "state"
            assert top.name == "task-7"
            assert top.parent.name.startswith("shop-")
            assert place.directory == str(top / "sub")
            assert git(place.directory, "branch", "--show-current") == "orchestrator/task-7"
            assert (top / "a").read_text() == "a\n"
            (top / "a").write_text("a\nmore\n")
            commit(top, "done")
            (top / "sub" / "new").write_text("new\n" * 3)
        evidence = place.evidence
        assert (evidence["branch"], evidence["base_commit"], evidence["commits"]) == ("orchestrator/task-7", base, 1)
        assert evidence["head_commit"] == git(top, "rev-parse", "HEAD")
        assert "2 files changed, 4 insertions(+)" in evidence["diff_stat"]
        assert " sub/new | 3 +++" in evidence["diff_stat"]
        assert evidence["kept"] == "1 files with changes that aren't committed: sub/new"
        assert git(top, "status", "--porcelain") == "?? sub/new", "looking at it changes nothing"
        assert "from" in lines_of(context)[0]
        assert "is kept" in lines_of(context)[-1]
        assert (repo / "a").read_text() == "somebody is at work here\n"
        assert git(repo, "rev-parse", "main") == base

    asyncio.run(scenario())


def test_retries_and_answers_find_it_again(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as first:
            at(first, "half").write_text("half of it")
            commit(at(first))
            at(first, "a").write_text("more")
        commit(repo, "the base goes on")
        async with run_in(Worktrees(at(first).parents[1]), repo, attempt=2) as second:
            assert second.directory == first.directory
            assert at(second, "a").read_text() == "more"
        assert second.evidence["base_commit"] == first.evidence["base_commit"]
        assert second.evidence["commits"] == 1

    asyncio.run(scenario())


def test_what_would_lose_nothing_is_removed_when_the_task_is_over(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        place = await finish(worktrees, repo, "mkdir build; echo x > build/x; echo y > y.log")
        assert "kept" not in place.evidence
        assert not at(place).exists()
        assert git(repo, "branch", "--list", "orchestrator/*") == ""
        assert git(repo, "worktree", "list").count("\n") == 0
        assert [path.name for path in at(place).parent.iterdir()] == [".lock"]

    asyncio.run(scenario())


def test_work_that_was_merged_is_removed_later(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        place = await finish(worktrees, repo, "echo more >> a && git commit -qam more")
        assert place.evidence["kept"] == "1 commits of orchestrator/task-7 aren't merged anywhere"
        git(repo, "merge", "--quiet", "orchestrator/task-7")
        place = await finish(worktrees, repo)
        assert not at(place).exists()
        assert git(repo, "branch", "--list", "orchestrator/*") == ""
        assert (repo / "a").read_text() == "a\nmore\n"

    asyncio.run(scenario())


def test_pushed_work_is_merged_elsewhere(repo: Path, worktrees: Worktrees, tmp_path: Path) -> None:
    async def scenario() -> None:
        git(tmp_path, "init", "--quiet", "--bare", "far.git")
        git(repo, "remote", "add", "origin", str(tmp_path / "far.git"))
        place = await finish(worktrees, repo, "echo more >> a && git commit -qam more && git push -q -u origin HEAD")
        assert not at(place).exists()
        assert git(repo, "branch", "--list", "orchestrator/*") == ""
        assert git(tmp_path / "far.git", "branch", "--list", "--format=%(refname:short)") == "orchestrator/task-7"
        assert '[branch "orchestrator' not in (repo / ".git" / "config").read_text()

    asyncio.run(scenario())


def test_directories_that_have_no_worktrees(tmp_path: Path, repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        plain = tmp_path / "plain"
        plain.mkdir()
        assert "is in no git repository" in await failure(worktrees, plain)
        empty = tmp_path / "empty"
        git(tmp_path, "init", "--quiet", "empty")
        assert "has no commit to start from" in await failure(worktrees, empty)
        git(tmp_path, "clone", "--quiet", "--bare", str(repo), "bare.git")
        assert "bare repository" in await failure(worktrees, tmp_path / "bare.git")
        assert "bare repository or a .git folder" in await failure(worktrees, repo / ".git")

    asyncio.run(scenario())


def test_somebody_elses_repository(repo: Path, worktrees: Worktrees, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Git tells by the owner; a test can have it believe in another one, but only through a variable of its own."""
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent), prepend=os.pathsep)

    async def scenario() -> None:
        message = await failure(worktrees, repo)
        assert "dubious ownership" in message
        assert "safe.directory" in message

    asyncio.run(scenario())


def test_a_machine_without_git(repo: Path, worktrees: Worktrees, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="worktrees need git"):
        Worktrees(tmp_path)
    outcome = asyncio.run(refused(worktrees, repo))
    assert isinstance(outcome, Released)
    assert outcome.stop
    assert "isn't installed" in outcome.reason


def test_the_workers_own_git_settings_are_not_its_tasks(
    repo: Path, worktrees: Worktrees, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))

    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            assert at(place, "a").exists()

    asyncio.run(scenario())


def test_filters_of_a_repository_see_no_secrets(
    repo: Path, worktrees: Worktrees, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_API_KEY", "the worker's own")
    (repo / ".gitattributes").write_text("a filter=nosy\n")
    commit(repo)
    git(repo, "config", "filter.nosy.smudge", f"env > {tmp_path}/seen; cat")

    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            assert at(place, "a").read_text() == "a\n"
        seen = (tmp_path / "seen").read_text()
        assert "PATH=" in seen
        assert "API_KEY" not in seen

    asyncio.run(scenario())


def test_hooks_that_a_run_left_are_not_run_by_the_worker(repo: Path, worktrees: Worktrees, tmp_path: Path) -> None:
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor"):
        path = repo / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        path.chmod(0o755)
    git(repo, "config", "core.fsmonitor", ".git/hooks/fsmonitor")
    (tmp_path / "ran").unlink(missing_ok=True)

    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            pass
        assert "commits" in place.evidence
        assert not (tmp_path / "ran").exists()

    asyncio.run(scenario())


def test_a_worktree_of_a_worktree(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as outer:
            commit(at(outer), "in the outer one")
            inner = await finish(worktrees, outer.directory, "git log -1 --format=%s > name.log", task_id=8)
            assert inner.evidence["base_commit"] == git(outer.directory, "rev-parse", "HEAD")
            assert at(inner).parent == at(outer).parent
            assert not at(inner).exists()
        assert outer.evidence["kept"].startswith("1 commits")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("taken", "branch", "folder"),
    [
        ("orchestrator/task-7", "orchestrator/task-7-2", "task-7-2"),
        ("orchestrator", "orchestrator-task-7", "task-7"),
        ("orchestrator/task-7/deeper", "orchestrator/task-7-2", "task-7-2"),
    ],
)
def test_a_name_that_is_taken(repo: Path, worktrees: Worktrees, taken: str, branch: str, folder: str) -> None:
    async def scenario() -> None:
        git(repo, "branch", taken)
        for _ in range(2):
            async with run_in(worktrees, repo) as place:
                assert (place.evidence["branch"], at(place).name) == (branch, folder)
        await finish(worktrees, repo)
        assert git(repo, "branch", "--list", "--format=%(refname:short)").split() == ["main", taken]

    asyncio.run(scenario())


def test_a_task_of_another_server_with_the_same_number(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as first:
            at(first, "new").touch()
        async with run_in(worktrees, repo, created_at="2026-02-02T00:00:00Z") as other:
            assert other.directory != first.directory
            assert not at(other, "new").exists()
        async with run_in(worktrees, repo) as again:
            assert again.directory == first.directory

    asyncio.run(scenario())


def test_a_directory_that_is_not_in_the_commit(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        (repo / "fresh" / "inner").mkdir(parents=True)
        place = await finish(worktrees, repo / "fresh" / "inner", 'test -z "$(ls)" && pwd > where.log')
        assert place.directory.endswith("task-7/fresh/inner")

    asyncio.run(scenario())


def test_a_directory_that_leads_out_of_the_commit(repo: Path, worktrees: Worktrees, tmp_path: Path) -> None:
    async def scenario() -> None:
        (repo / "way").symlink_to(tmp_path)
        commit(repo)
        (repo / "way").unlink()
        (repo / "way").mkdir()
        assert "out of the worktree" in await failure(worktrees, repo / "way")

    asyncio.run(scenario())


def test_a_worktree_that_was_taken_away_is_made_again_from_its_branch(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as first:
            at(first, "a").write_text("more")
            commit(at(first))
        shutil.rmtree(first.evidence["worktree"])
        git(repo, "worktree", "prune")
        async with run_in(worktrees, repo) as again:
            assert at(again, "a").read_text() == "more"
        assert again.evidence["base_commit"] == first.evidence["base_commit"]
        git(repo, "worktree", "unlock", again.directory)
        git(repo, "worktree", "remove", again.directory)
        async with run_in(worktrees, repo) as again:
            assert at(again, "a").read_text() == "more"

    asyncio.run(scenario())


def test_a_worktree_that_became_something_else_is_left_alone(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as first:
            at(first, ".git").unlink()
            git(first.directory, "init", "--quiet")
            at(first, "a").write_text("work")
        assert "no worktree of" in first.evidence["kept"]
        async with run_in(worktrees, repo) as second:
            assert second.directory != first.directory
        assert at(first, "a").read_text() == "work"

    asyncio.run(scenario())


def test_a_lock_that_a_killed_git_left_is_removed(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            lock = repo / ".git" / "worktrees" / "task-7" / "index.lock"
            lock.touch()
        assert "kept" not in place.evidence
        lock.touch()
        async with run_in(worktrees, repo) as place:
            at(place, "a").write_text("more")
            commit(at(place))

    asyncio.run(scenario())


def test_the_lock_of_a_git_that_runs_stays(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as place:
            git(place.directory, "config", "alias.hold", "!sleep 60")
            holding = await asyncio.create_subprocess_exec("git", "hold", cwd=place.directory, start_new_session=True)
            lock = repo / ".git" / "worktrees" / "task-7" / "index.lock"
            lock.touch()
        os.killpg(holding.pid, 9)
        await holding.wait()
        assert lock.exists()
        assert place.evidence["kept"] == "git is writing to it"

    asyncio.run(scenario())


def test_who_uses_a_worktree_keeps_others_out(repo: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        worktrees = Worktrees(tmp_path / "state", patience=0.05)
        async with run_in(worktrees, repo) as place:
            outcome = await refused(worktrees, repo)
            assert isinstance(outcome, Released)
            assert outcome.not_before is not None
            assert "an earlier attempt" in outcome.reason
            await worktrees.settle(ended(context_of(7, repo)), place)
            assert at(place).exists()

    asyncio.run(scenario())


def test_git_lets_go_of_a_repository_that_somebody_else_is_writing_to(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        refs = repo / ".git" / "refs" / "heads" / "orchestrator"
        refs.mkdir()
        (refs / "task-7.lock").touch()
        asyncio.get_running_loop().call_later(0.2, (refs / "task-7.lock").unlink)
        async with run_in(worktrees, repo) as place:
            assert at(place, "a").exists()

    asyncio.run(scenario())


def test_many_at_once(repo: Path, worktrees: Worktrees, tmp_path: Path) -> None:
    async def scenario() -> None:
        others = Worktrees(tmp_path / "state", patience=60)
        done = await asyncio.gather(*(finish((worktrees, others)[n % 2], repo, "echo x > a.log", task_id=n) for n in range(1, 7)))
        assert len({place.directory for place in done}) == 6
        assert git(repo, "worktree", "list").count("\n") == 0
        assert git(repo, "branch", "--list", "orchestrator/*") == ""

    asyncio.run(scenario())


def test_records_that_cannot_be_read_are_left_alone(repo: Path, worktrees: Worktrees) -> None:
    async def scenario() -> None:
        async with run_in(worktrees, repo) as first:
            pass
        first.record.file.write_text(json.dumps({"task_id": 7}))
        async with run_in(worktrees, repo) as second:
            assert second.directory != first.directory
        async with locked(first.record.lock, 0):
            assert at(first, "a").exists()

    asyncio.run(scenario())
