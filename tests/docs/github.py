"""What a page about GitHub needs: a repository to push to, and a stand-in for `gh` that remembers pull requests and comments."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.docs.story import Story

_GH: Final = """\
#!{python}
import json, os, subprocess, sys

what, more = sys.argv[1:3], sys.argv[3:]
named = None if more[0].startswith("--") else more.pop(0)
given = dict(zip(more[::2], more[1::2]))
if what == ["pr", "view"]:
    given["--head"] = named
calls = [json.loads(line) for line in open({calls!r})]
known = any(call["what"] == ["pr", "create"] and call["given"]["--head"] == given.get("--head") for call in calls)
asked = ["git", "ls-remote", "--exit-code", {origin!r}, "refs/heads/" + given.get("--head", "none")]
there = subprocess.run(asked, stdout=subprocess.DEVNULL).returncode == 0
url = "https://github.com/acme/shop/pull/1"
if os.environ.get("GH_TOKEN") != "ghp_example":
    sys.exit("gh: To get started with GitHub CLI, please run: gh auth login")
if what == ["pr", "view"]:
    sys.exit(print(url) if known else "no pull requests found")
if what == ["pr", "create"] and (known or not there):
    sys.exit("pull request create failed")
with open({calls!r}, "a") as file:
    file.write(json.dumps({{"what": what, "given": given, "number": named}}) + "\\n")
print(url)
"""


@contextlib.contextmanager
def prepare(story: "Story") -> Iterator[None]:
    """Give the repository of the story an origin, and put `gh` on PATH."""
    origin, calls, program = story.folder / "origin.git", _calls(story), story.folder / "home/bin/gh"
    for command in (
        ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin)],
        ["git", "remote", "add", "origin", str(origin)],
        ["git", "push", "--quiet", "--set-upstream", "origin", "main"],
    ):
        subprocess.run(command, cwd=story.shop, env=story.variables, check=True, capture_output=True)
    calls.touch()
    program.write_text(_GH.format(python=sys.executable, calls=str(calls), origin=str(origin)))
    program.chmod(0o755)
    yield


def _calls(story: "Story") -> Path:
    return story.folder / "gh.jsonl"


def called(story: "Story", *what: str) -> list[dict[str, Any]]:
    """What `gh` was asked to do, with its options by their names."""
    calls = map(json.loads, _calls(story).read_text().splitlines())
    return [call for call in calls if call["what"] == list(what)]
