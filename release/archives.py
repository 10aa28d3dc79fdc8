"""Builds the sdist and the wheel, and looks into them."""

import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

from packaging import metadata

from release.wheelhouse import environment


class Built(NamedTuple):
    """The two files of a release."""

    sdist: Path
    wheel: Path


def build(root: Path, out: Path) -> Built:
    """Build a source tree into a folder; raises CalledProcessError."""
    # No time of ours is in them, so that the same source gives the same files anywhere.
    line = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(out)]
    subprocess.run(line, cwd=root, check=True, env=environment(), capture_output=True, text=True)  # noqa: S603 - Python
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Built(sdist, wheel)


def problems(root: Path, built: Built) -> list[str]:
    """What speaks against releasing what was built from a git checkout."""
    return [*_other_bytes(root, built), *_other_files(root, built), *_other_words(root, built)]


def _other_bytes(root: Path, built: Built) -> list[str]:
    """Whether the same comes out once more, from the checkout and from the sdist."""
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(built.sdist) as sdist:
            sdist.extractall(name, filter="data")
        again = build(root, Path(name, "again"))
        from_sdist = build(Path(name, built.sdist.name.removesuffix(".tar.gz")), Path(name, "from_sdist")).wheel
        told = []
        if again.sdist.read_bytes() != built.sdist.read_bytes() or again.wheel.read_bytes() != built.wheel.read_bytes():
            told.append("built a second time, they are not the same byte for byte")
        if from_sdist.read_bytes() != built.wheel.read_bytes():
            told.append(f"built from {built.sdist.name}, {built.wheel.name} is not the same byte for byte")
        return told


def _other_files(root: Path, built: Built) -> list[str]:
    """Whether there is anything but what git knows, or not all of it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True)  # noqa: S607 - git
    tracked = set(filter(None, listed.stdout.split("\0")))
    about = built.wheel.name.removesuffix("-py3-none-any.whl")
    expected = {f"{about}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    wheel = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    places = {name: name for name in wheel["packages"]} | wheel["force-include"]
    for source, place in places.items():
        expected |= {place + name.removeprefix(source) for name in tracked if name == source or name.startswith(f"{source}/")}
    with zipfile.ZipFile(built.wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(built.sdist) as sdist:
        in_sdist = {member.name.partition("/")[2] for member in sdist if not member.isdir()}
    return [
        f"{file.name} {verb} {name}"
        for file, has, wanted in ((built.wheel, in_wheel, expected), (built.sdist, in_sdist, {*tracked, "PKG-INFO"}))
        for verb, names in (("has, and git has not,", has - wanted), ("has not", wanted - has))
        for name in sorted(names)
    ]


def _other_words(root: Path, built: Built) -> list[str]:
    """Whether an index would take what the wheel says of itself."""
    with zipfile.ZipFile(built.wheel) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        raw = archive.read(about)
    try:
        said = metadata.Metadata.from_email(raw, validate=True)
    except metadata.ExceptionGroup as error:
        return [f"{built.wheel.name}: {one}" for one in error.exceptions]
    readme = (root / "README.md").read_text(encoding="utf-8")
    told = []
    if said.description_content_type != "text/markdown" or (said.description or "").strip() != readme.strip():
        told.append(f"{built.wheel.name}: its description is not README.md as text/markdown")
    return told
