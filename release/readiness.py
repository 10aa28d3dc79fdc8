"""Whether a checkout is ready to be released: what git and the changelog say, and whether versions are the same."""

import hashlib
import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}")
_IMAGE: Final = re.compile(r"\btask-orchestrator:(latest|\d+\.[\w.-]+)|\bimage\.version=\"?([\w.-]+)|\bnewTag: ([\w.-]+)")
_HEADING: Final = re.compile(r"(?m)^## \[(.+?)\](?: - (.+))?$")


def version(root: Path) -> str:
    """The version that a checkout is of."""
    text = (root / "orchestrator/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'(?m)^__version__ = "(.+)"$', text)
    return found[1] if found else ""


def problems(root: Path, today: date) -> list[str]:
    """What has to be done first."""
    now = version(root)
    told = []
    if not _VERSION.fullmatch(now):
        told.append(f"__version__ in orchestrator/__init__.py is {now!r}: expected MAJOR.MINOR.PATCH")
    changed = _git(root, "status", "--porcelain").splitlines()
    if changed:
        told.append(f"the checkout is not clean: commit or remove {', '.join(line[3:] for line in changed[:5])}")
    tagged = _git(root, "tag", "--list", f"v{now}")
    if tagged and _git(root, "rev-list", "-n1", f"v{now}") != _git(root, "rev-parse", "HEAD"):
        told.append(f"the tag v{now} is on another commit: raise __version__")
    told += _changelog((root / "CHANGELOG.md").read_text(encoding="utf-8"), now, today)
    return told + _images(root, now) + _migrations(root / "migrations")


def _changelog(text: str, now: str, today: date) -> list[str]:
    sections = [(found[1], found[2], found.end()) for found in _HEADING.finditer(text)]
    names = [name for name, _, _ in sections]
    if names[:2] != ["Unreleased", now]:
        return [f"CHANGELOG.md begins with {names[:2]}: expected Unreleased, then {now}"]
    told = []
    end = sections[2][2] if len(sections) > 2 else len(text)
    if "\n- " not in text[sections[1][2] : end]:
        told.append(f"CHANGELOG.md has nothing below {now}: say what has changed")
    between = text[sections[0][2] : text.index(f"## [{now}]")].strip()
    if between:
        told.append(f"CHANGELOG.md has lines below Unreleased: move them below {now}")
    try:
        late = date.fromisoformat(sections[1][1] or "") > today
    except ValueError:
        told.append(f"CHANGELOG.md says {sections[1][1]!r} of {now}: expected a date, as in `## [{now}] - {today}`")
    else:
        if late:
            told.append(f"CHANGELOG.md says that {now} is of {sections[1][1]}, which is yet to come")
    return told


def images(root: Path) -> list[Path]:
    """The files that may name the image."""
    return [root / "Dockerfile", root / "docker-compose.yml", *root.glob("k8s/**/*.yaml"), *root.glob("docs/**/*.md")]


def _images(root: Path, now: str) -> list[str]:
    """Where the image is named, it is that of this version."""
    named = [(file, "".join(found)) for file in images(root) for found in _IMAGE.findall(file.read_text(encoding="utf-8"))]
    return [f"{file.relative_to(root)} names the image of {other}: expected {now}" for file, other in named if other != now]


def _migrations(folder: Path) -> list[str]:
    pinned = tomllib.loads((folder / "released.toml").read_text(encoding="utf-8"))
    gone = [
        f"migrations/{store}/{name}.sql was released and is not there: bring it back"
        for store, names in pinned.items()
        for name in sorted(names)
        if not (folder / store / f"{name}.sql").is_file()
    ]
    return gone + [
        f"migrations/{file.relative_to(folder)} is not as migrations/released.toml has it: add it, or undo what was changed"
        for file in sorted(folder.glob("*/*.sql"))
        if pinned[file.parent.name].get(file.stem, {}).get("sha256") != hashlib.sha256(file.read_bytes()).hexdigest()
    ]


def _git(root: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)  # noqa: S603, S607 - git
    return ran.stdout.strip("\n")
