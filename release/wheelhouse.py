"""A folder of wheels, made of what is installed here: from it, packages are installed elsewhere without any index."""

import base64
import csv
import hashlib
import io
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.tags import parse_tag, sys_tags
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
# What an installer adds, and what is written anew.
_NOT_OF_A_WHEEL: Final = {"INSTALLER", "REQUESTED", "direct_url.json", "RECORD"}
_OWN_VARIABLES: Final = ("APP_", "ORCHESTRATOR_", "PIP_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS", "SOURCE_DATE_EPOCH")


def fill(folder: Path) -> None:
    """Write a wheel of each package in requirements-server.lock that this platform needs: all extras, and what builds."""
    locked = set(re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "requirements-server.lock").read_text(encoding="utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    for distribution in metadata.distributions():
        if canonicalize_name(distribution.metadata["Name"]) in locked:
            _pack(distribution, folder)


def environment(house: Path | None = None) -> dict[str, str]:
    """The variables of who has a new machine; with a house, pip takes nothing but what is in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(house)} if house else {}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **offline}


def install(house: Path, into: Path, *wanted: str) -> None:
    """Make an environment, unless it is there, and install into it from the house; raises CalledProcessError."""
    if not into.exists():
        made = [sys.executable, "-m", "venv", "--without-pip", str(into)]
        subprocess.run(made, check=True, env=environment())  # noqa: S603 - Python
    line = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(into / "bin/python"),
        "-qq",
        "install",
        "--no-compile",
        "--upgrade",
        *wanted,
    ]
    subprocess.run(line, check=True, env=environment(house), capture_output=True, text=True)  # noqa: S603 - pip


def _pack(distribution: metadata.Distribution, folder: Path) -> None:
    files = [file for file in distribution.files or () if ".." not in file.parts and "__pycache__" not in file.parts]
    about = next(file.parts[0] for file in files if file.parts[0].endswith(".dist-info"))
    kept = [file for file in files if file.parts[0] != about or file.name not in _NOT_OF_A_WHEEL]
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(folder / f"{about.removesuffix('.dist-info')}-{_tag(distribution)}.whl", "w") as wheel:
        for file in kept:
            content = Path(str(distribution.locate_file(file))).read_bytes()
            wheel.writestr(file.as_posix(), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.writerow((file.as_posix(), f"sha256={digest}", len(content)))
        rows.writerow((f"{about}/RECORD", "", ""))
        wheel.writestr(f"{about}/RECORD", record.getvalue())


def _tag(distribution: metadata.Distribution) -> str:
    """Of the platforms that a package is for, ours."""
    said = re.findall(r"(?m)^Tag: (\S+)", distribution.read_text("WHEEL") or "")
    offered = {tag for one in said for tag in parse_tag(one)}
    return str(next(tag for tag in sys_tags() if tag in offered))
