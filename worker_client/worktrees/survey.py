"""What a run made of its worktree: commits, and what has changed since the worktree was made."""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from worker_client.git import Git, GitError
from worker_client.worktrees.records import Record

_LONGEST: Final = 20_000
"""Characters of a diff stat that are reported."""
_FILES: Final = "200"


async def survey(record: Record) -> dict[str, Any]:
    """Facts for the evidence; what git can't tell is left out, and `survey_failed` says why."""
    git = Git(record.path)
    facts: dict[str, Any] = {}
    try:
        facts["head_commit"] = await git.line("rev-parse", "--verify", "--quiet", "HEAD")
        facts["commits"] = int(await git.line("rev-list", "--count", f"{record.base_commit}..HEAD"))
        facts["diff_stat"] = await _diff_stat(git, record)
    except (GitError, OSError) as error:
        facts["survey_failed"] = str(error)[:1000]
    return facts


async def _diff_stat(git: Git, record: Record) -> str:
    """The base against the files as they are, those that nobody added included."""
    index = Path(record.path, await git.line("rev-parse", "--git-path", "index"))
    with _copied(index, record.file.with_suffix(f".index-{secrets.token_hex(4)}")) as copy:
        aside = git.with_variables(GIT_INDEX_FILE=str(copy))
        # What can't be added, such as a repository without commits, is left out.
        await aside.succeeds("add", "--intent-to-add", "--ignore-errors", "--", ".")
        stat = await aside(
            *("diff", "--stat=120,90", f"--stat-count={_FILES}", "--no-color", "--no-ext-diff", "--no-textconv"),
            record.base_commit,
        )
    return stat.strip("\n")[-_LONGEST:]


@contextlib.contextmanager
def _copied(index: Path, copy: Path) -> Iterator[Path]:
    """An index to play with: the worktree's own is the agent's."""
    try:
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(index, copy)
        yield copy
    finally:
        for path in (copy, copy.with_name(f"{copy.name}.lock")):
            path.unlink(missing_ok=True)
