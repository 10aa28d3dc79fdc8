"""What would be lost with a worktree: as long as there is anything, it stays."""

import asyncio
import os
from pathlib import Path
from typing import Final

from worker_client.git import Git, GitError
from worker_client.worktrees.records import Record
from worker_client.worktrees.repository import is_worktree

_GOING_ON: Final = {
    "index.lock": "git is writing to it",
    "MERGE_HEAD": "a merge isn't finished",
    "CHERRY_PICK_HEAD": "a cherry-pick isn't finished",
    "REVERT_HEAD": "a revert isn't finished",
    "rebase-merge": "a rebase isn't finished",
    "rebase-apply": "a rebase or `git am` isn't finished",
    "sequencer": "a cherry-pick or revert isn't finished",
    "BISECT_LOG": "a bisection isn't finished",
    "modules": "it has submodules",
}
_GITLINK: Final = "160000"


async def at_stake(record: Record) -> str | None:
    """Why a worktree has to stay; None when nothing of it would be lost."""
    try:
        if record.is_there:
            return await _in_directory(record) or await _unmerged(record, Git(record.path), "HEAD")
        return await _unmerged(record, Git(record.repository))
    except (GitError, OSError) as error:
        return f"git can't look at it: {error}"


async def _in_directory(record: Record) -> str | None:
    if not await is_worktree(record.path, record.repository):
        return f"it is no worktree of {record.repository} any more"
    git = Git(record.path)
    private = Path(record.path, await git.line("rev-parse", "--git-dir"))
    for name, meaning in _GOING_ON.items():
        if (private / name).exists():
            return meaning
    if changed := await git.items(
        "status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=none", "--no-renames"
    ):
        names = ", ".join(entry[3:] for entry in changed[:3]) + (" ..." if len(changed) > 3 else "")
        return f"{len(changed)} files with changes that aren't committed: {names}"
    return (
        await _hidden(git, record)
        or await _repositories_inside(git, record)
        or await _stashed(git, record)
        or ("it has refs of its own" if await git("for-each-ref", "refs/worktree") else None)
    )


async def _hidden(git: Git, record: Record) -> str | None:
    """Changes that `git status` was told not to look for, and submodules that are checked out."""
    top = Path(record.path)
    for entry in await git.items("ls-files", "-v", "-z"):
        tag, name = entry[0], entry[2:]
        if tag.islower() or (tag == "S" and _exists(top / name)):
            return f"changes of {name} would not be seen: it is marked as unchanged"
    for entry in await git.items("ls-files", "--stage", "-z"):
        about, _, name = entry.partition("\t")
        if about.startswith(_GITLINK) and _exists(top / name / ".git"):
            return f"it has the submodule {name}"
    return None


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


async def _repositories_inside(git: Git, record: Record) -> str | None:
    """Ignored files may go; a repository among them may hold what is nowhere else."""
    ignored = await git.items("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    folders = [Path(record.path, name) for name in ignored if name.endswith("/")]
    found = await asyncio.to_thread(lambda: next(filter(None, map(_repository_in, folders)), None))
    return found and f"there is another repository in {found}"


def _repository_in(folder: Path) -> str | None:
    for inner, folders, files in os.walk(folder):
        if ".git" in folders or ".git" in files:
            return inner
    return None


async def _stashed(git: Git, record: Record) -> str | None:
    subjects = (await git("stash", "list", "--format=%gs")).splitlines()
    mine = [subject for subject in subjects if subject.startswith((f"WIP on {record.branch}:", f"On {record.branch}:"))]
    return f"{len(mine)} stashes were made in it" if mine else None


async def _unmerged(record: Record, git: Git, *heads: str) -> str | None:
    """Commits that only this worktree and its branch lead to."""
    branch = f"refs/heads/{record.branch}"
    tips = [*heads, *([branch] if await git.succeeds("rev-parse", "--verify", "--quiet", branch) else [])]
    if not tips:
        return None
    elsewhere = [f"^{head}" for head in await _other_heads(git, record)]
    others = [f"--exclude={record.branch}", "--branches", "--remotes", "--tags"]
    count = int(await git.line("rev-list", "--count", *tips, *elsewhere, "--not", *others))
    return f"{count} commits of {record.branch} aren't merged anywhere" if count else None


async def _other_heads(git: Git, record: Record) -> list[str]:
    """What is checked out in the repository's other worktrees."""
    found = []
    for entry in (await git("worktree", "list", "--porcelain")).split("\n\n"):
        facts = dict(line.partition(" ")[::2] for line in entry.splitlines())
        if Path(facts.get("worktree", "")) != Path(record.path) and facts.get("branch") != f"refs/heads/{record.branch}":
            found.append(facts.get("HEAD", ""))
    return [head for head in found if head.strip("0")]
