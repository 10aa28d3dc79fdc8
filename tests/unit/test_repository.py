"""The repository itself: sizes, what may not stand in it, and its locks."""

import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

import orchestrator

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
LOCKS = tuple(f"requirements{part}.lock" for part in ("", "-server", "-load", "-peers", "-honker", "-agents"))


@cache
def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


@cache
def texts() -> list[tuple[str, str]]:
    readable = [path for path in tracked() if b"\0" not in path.read_bytes()]
    return [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in readable]


def test_files_stay_small() -> None:
    long = {name: text.count("\n") for name, text in texts() if name.endswith((".py", ".sql", ".js", ".css", ".md"))}
    assert {name: count for name, count in long.items() if count > MAX_LINES} == {}


@pytest.mark.parametrize(
    "pattern",
    [
        # Written in pieces, so that this file does not find itself.
        r"/" + r"(root|opt|work)/",
        r"/tm" + r"p/v/",
        r"(pypi\.o" + r"rg|pythonhosted\.o" + r"rg|npmjs\.(o" + r"rg|com)|--(extra-)?ind" + r"ex-url|--find-l" + r"inks)",
        r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
    ],
)
def test_no_machine_registry_or_promise_is_named(pattern: str) -> None:
    found = [f"{name}: {match[0]}" for name, text in texts() for match in re.finditer(pattern, text)]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_versions_and_hashes_only(lock: str) -> None:
    requirement = re.compile(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[0-9][^\s;]*( ; [^\\]+)? \\")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    lines = (ROOT / lock).read_text().splitlines()
    assert [line for line in lines if not requirement.fullmatch(line) and not hashed.fullmatch(line)] == []
    assert len(lines) > 1


@pytest.mark.parametrize("folder", ["tests/agents", "tests/browser", "examples/typescript"])
def test_a_lock_of_npm_pins_each_by_its_hash(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    package = json.loads((ROOT / folder / "package.json").read_text())
    asked = package["dependencies"] | package.get("devDependencies", {})
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert [name for name, package in packages.items() if not package.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert {name: packages[f"node_modules/{name}"]["version"] for name in asked} == asked


def test_the_lock_covers_what_the_program_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    asked = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["server"],
        *groups["test"],
        *groups["check"],
        *groups["build"],
    ]
    names = {match[0] for wanted in asked if (match := re.match(r"[a-z0-9-]+", wanted))}
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
    assert names - locked == set()


def test_every_ruff_exception_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    ruff = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.flake8")]
    rules = [line.strip() for line in ruff.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*",', line)]
    assert len(rules) > 10
    assert [line for line in rules if not re.search(r"# \S+( \S+){3,5}$", line)] == []


def test_the_changelog_has_a_place_for_what_changes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{orchestrator.__version__}]" in text or "## [Unreleased]" in text


def test_suppressions_name_their_rule_and_reason() -> None:
    bare = re.compile(r"# (noqa(?!: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)*[ -]+\w)|type: ignore(?!\[[a-z-]+(, ?[a-z-]+)*\]))")
    code = [(name, line) for name, text in texts() if name.endswith(".py") for line in text.splitlines()]
    assert [f"{name}: {line}" for name, line in code if bare.search(line) and "bare = re" not in line] == []
