"""The repository that a directory belongs to."""

import hashlib
import re
from pathlib import Path
from typing import Final

from msgspec import Struct

from worker_client.git import Git, GitError

_PLAIN: Final = re.compile(r"[^A-Za-z0-9._-]")


class NoRepository(Exception):
    """No worktree can be made for a directory; the message says why, and what to do."""


class Repository(Struct, frozen=True):
    """`common`: what all its worktrees share (`.git`). `inner`: the directory, from the top of the worktree that it is in.

    `head`: the commit that is checked out there.
    """

    common: Path
    inner: Path
    head: str

    @property
    def folder(self) -> str:
        """A name for it that is unlike any other's, from whichever of its worktrees one looks."""
        name = self.common.parent.name if self.common.name == ".git" else self.common.name
        return f"{_PLAIN.sub('_', name)[:50] or '_'}-{hashlib.sha256(str(self.common).encode()).hexdigest()[:10]}"


async def repository_of(directory: str) -> Repository:
    """Look; raises NoRepository."""
    git = Git(directory)
    try:
        common = await git.line("rev-parse", "--git-common-dir")
        inside = await git.line("rev-parse", "--is-inside-work-tree") == "true"
    except GitError as error:
        if "not a git repository" in str(error):
            raise NoRepository(
                f"{directory} is in no git repository; run `git init` and commit there, or work without worktrees"
            ) from None
        raise NoRepository(f"git refuses to work in {directory}: {error}") from None
    if not inside:
        raise NoRepository(f"{directory} is inside a bare repository or a .git folder; name a directory of a checkout of it")
    try:
        head = await git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitError:
        raise NoRepository(f"the repository of {directory} has no commit to start from; commit something first") from None
    top = _real(await git.line("rev-parse", "--show-toplevel"))
    return Repository(_real(directory, common), _real(directory).relative_to(top), head)


async def is_worktree(path: str, common: str) -> bool:
    """Whether a directory is the top of a worktree of the repository."""
    git = Git(path)
    try:
        same = _real(path, await git.line("rev-parse", "--git-common-dir")) == Path(common)
        return same and Path(await git.line("rev-parse", "--show-toplevel")) == Path(path)
    except GitError:
        return False


def _real(*parts: str) -> Path:
    return Path(*parts).resolve()
