"""Worktrees deleted with work in them: agent-orchestrator#1739, #5598. Here, each kind of work keeps its worktree."""

import asyncio
from pathlib import Path

import pytest

from tests.unit.worker_client.checkout import at, context_of, ended, finish, git, repository, server
from worker_client.worktrees import Worktree, Worktrees

CLASH = (
    "git checkout -qb side && echo 1 > a && git commit -qam 1 && git checkout -q orchestrator/task-7 && echo 2 > a && "
    "git commit -qam 2 && "
)
WORK = {
    "a changed file": ("echo more >> a", "a"),
    "a file that nobody added": ("echo new > new", "new"),
    "an untracked file in an untracked folder": ("mkdir -p x/y && echo new > x/y/z", "x/y/z"),
    "a staged file": ("echo new > new && git add new", "new"),
    "a deleted file": ("rm a", "a"),
    "a mode": ("chmod +x a", "a"),
    "a commit": ("echo more >> a && git commit -qam more", "aren't merged"),
    "a commit after which the branch was left": ("git checkout -q --detach && git commit -qm x --allow-empty", "aren't merged"),
    "a commit on the branch, and something else checked out": (
        "git commit -qm x --allow-empty && git checkout -q --detach HEAD~1",
        "aren't merged",
    ),
    "a stash": ("echo more >> a && git stash -q", "stashes"),
    "a merge that isn't finished": (
        CLASH + "! git merge side > /dev/null",
        "merge isn't finished",
    ),
    "a rebase that isn't finished": (
        CLASH + "! git rebase side > /dev/null 2>&1",
        "rebase isn't finished",
    ),
    "a cherry-pick that isn't finished": (
        CLASH + "! git cherry-pick side > /dev/null 2>&1",
        "cherry-pick isn't finished",
    ),
    "a bisection": ("git bisect start -q", "bisection"),
    "a change that git was told not to see": ("git update-index --assume-unchanged a && echo more >> a", "marked as unchanged"),
    "a change that git was told to skip": ("git update-index --skip-worktree a && echo more >> a", "marked as unchanged"),
    "a repository of its own": ("git init -q inner && git -C inner commit -qm x --allow-empty", "inner"),
    "a repository of its own that is ignored": (
        "git init -q build/inner && git -C build/inner commit -qm x --allow-empty",
        "build/inner",
    ),
    "a submodule": (
        "git -c protocol.file.allow=always submodule --quiet add ../../../shop part && git commit -qm x",
        "submodules",
    ),
    "a ref of its own": ("git update-ref refs/worktree/mine $(git commit-tree -m x HEAD^{tree})", "refs of its own"),
    "another repository in its place": ("rm .git && git init -q . && git add -A && git commit -qm x", "no worktree of"),
    "a branch without a past": ("git checkout -q --orphan fresh && git rm -rqf .", "git can't look at it"),
}


@pytest.mark.parametrize("kind", WORK)
def test_a_worktree_with_work_in_it_stays(tmp_path: Path, kind: str) -> None:
    repo = repository(tmp_path / "shop")
    work, reason = WORK[kind]

    async def scenario() -> None:
        worktrees = Worktrees(tmp_path / "state", patience=5)
        place = await finish(worktrees, repo, work)
        assert reason in place.evidence["kept"]
        before = contents(repo, place)
        # The janitor of the next worker, and an attempt that does nothing more.
        await Worktrees(tmp_path / "state").tidy(server(lambda number: ended(context_of(number, repo))))
        assert contents(repo, place) == before
        if kind != "another repository in its place":
            again = await finish(Worktrees(tmp_path / "state"), repo)
            assert again.directory == place.directory
            assert reason in again.evidence["kept"]
        git(repo, "worktree", "prune", "--expire=now")
        assert contents(repo, place) == before

    asyncio.run(scenario())


def contents(repo: Path, place: Worktree) -> tuple[object, ...]:
    top = at(place)
    files = {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}
    kept = {name: content for name, content in files.items() if ".git/" not in name}
    return kept, git(repo, "for-each-ref"), git(top, "rev-parse", "HEAD", check=False), git(repo, "worktree", "list")
