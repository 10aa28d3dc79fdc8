"""What keeps a repository in order: shell scripts, templates, hooks, and how its files are written."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import yaml

from tests.unit.test_repository import ROOT, texts, tracked

BIN = Path(sys.executable).parent
GITHUB = ROOT / ".github"
TABBED = ("Caddyfile", "Makefile", ".md")


def scripts() -> list[Path]:
    """By their first line, for they have no ending."""
    return [path for path in tracked() if re.match(rb"#!.*\b(ba|da|k)?sh\b", path.read_bytes()[:80])]


def test_shellcheck_has_no_objection() -> None:
    found = scripts()
    assert ROOT / ".ci/run" in found
    assert {*(path for path in tracked() if path.suffix == ".sh")} <= {*found}
    ran = subprocess.run([BIN / "shellcheck", *found], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_what_says_how_to_run_it_can_be_run() -> None:
    told = [path for path in tracked() if path.read_bytes()[:2] == b"#!"]
    assert [str(path) for path in told if not os.access(path, os.X_OK)] == []


def test_files_are_written_as_editors_are_told() -> None:
    assert "[{*Caddyfile,Makefile}]\nindent_style = tab" in (ROOT / ".editorconfig").read_text()
    wrong: dict[str, Callable[[str, str], object]] = {
        "does not end with a line": lambda _, text: text and not text.endswith("\n"),
        "has a space at the end of a line": lambda _, text: re.search(r"[ \t]$", text, re.MULTILINE),
        "has line ends of Windows": lambda _, text: "\r" in text,
        "is indented by a tab": lambda name, text: not name.endswith(TABBED) and re.search(r"^\t", text, re.MULTILINE),
    }
    assert [f"{name} {told}" for name, text in texts() for told, found in wrong.items() if found(name, text)] == []


def test_templates_name_what_is_there() -> None:
    for path in [*GITHUB.rglob("*.md"), *GITHUB.rglob("*.yml")]:
        text = path.read_text()
        assert [name for name in re.findall(r"\b(?:docs/[a-z/-]+|[A-Z]{5,})\.md\b", text) if not (ROOT / name).is_file()] == []
        for targets in re.findall(r"`make ([a-z ]+)`", text):
            assert [target for target in targets.split() if f"\n{target}: " not in (ROOT / "Makefile").read_text()] == []


def test_owners_are_of_what_is_there() -> None:
    lines = [line.split() for line in (GITHUB / "CODEOWNERS").read_text().splitlines() if not line.startswith("#")]
    assert [owner for _, *owners in lines for owner in owners if not re.fullmatch(r"@[\w-]+/[\w-]+", owner)] == []
    names = [f"/{path.relative_to(ROOT)}" for path in tracked()]
    assert [place for place, *_ in lines if not any(fnmatch(name, f"{place.rstrip('/')}*") for name in names)] == []


def test_hooks_are_the_checks_and_of_this_repository() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = config["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        program, *arguments = hook["entry"].split()
        assert hook["language"] == "system"
        assert program.startswith(".venv/bin/")
        assert (BIN / Path(program).name).is_file()
        assert [name for name in arguments if name.startswith("tests/") and not (ROOT / name).is_file()] == []
