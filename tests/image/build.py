"""Does what the Dockerfile says, instruction by instruction, in roots of its own: what `docker build` does, without Docker."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.dockerfile import environment, stages

ROOT: Final = Path(__file__).parents[2]
MADE: Final = ROOT / ".image"
"""What base.sh makes: `make .image/.installed`."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The stand-in's Python is Debian's, which wants to be told; and packages come from a folder.
BASE: Final = {"PATH": PATH, "PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
SAID: Final = {"LABEL", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
"""Instructions that change no file: they say how it is run."""
MOUNTS: Final = """
    mount --bind "$0" "$0"
    mount -t proc -o nosuid,nodev,noexec proc "$0/proc"
    mount -t tmpfs -o nosuid,noexec,mode=755 tmpfs "$0/dev"
    for device in null zero full random urandom; do touch "$0/dev/$device"; mount --bind "/dev/$device" "$0/dev/$device"; done
"""
"""A root, $0, as programs in it expect one; devices are the machine's."""
BUILT: Final = """
    mkdir -p "$0/wheels" && mount --bind "$1" "$0/wheels" && shift
    here=$1 && shift && exec chroot "$0" env --chdir "$here" --ignore-environment "$@"
"""


def context(folder: Path) -> Path:
    """What the build is given of what is tracked here, and of secrets and rubbish that lie about."""
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    there = {name: (ROOT / name).read_bytes() for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    there |= dict.fromkeys(STRAY, b"a secret")
    for name, content in there.items():
        if not ignored(name):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def ignored(path: str) -> bool:
    """What .dockerignore says of a path: patterns count from its folder, and the last one that fits decides."""
    found = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            escaped = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if re.fullmatch(f"{escaped}(/.*)?", path):
                found = not line.startswith("!")
    return found


STRAY: Final = (
    ".env",
    "config/local.toml",
    "config/local.key",
    "data/tasks.db",
    "data/tasks.db.key",
    "secrets/prometheus.key",
    "orchestrator/__pycache__/stray.cpython-311.pyc",
    "migrations/sqlite/0011_mine.sql.orig",
    "orchestrator/.env",
    "orchestrator/app.py~",
    "worker_client/mine.pem",
)
"""Files that no image may have."""


def build(folder: Path) -> tuple[Path, dict[str, str]]:
    """The root of the last stage and what its ENV says; `folder` is on a file system that keeps owners."""
    given = context(folder / "context")
    roots: dict[str, Path] = {}
    variables: dict[str, str] = {}
    for name, instructions in stages():
        root = roots[name] = folder / (name or "image")
        subprocess.run(["cp", "-a", "--reflink=auto", MADE / "base", root], check=True)
        here, variables = "/", dict(BASE)
        for instruction, arguments in instructions:
            match instruction:
                case "ENV":
                    variables |= {key: value.replace("$PATH", variables["PATH"]) for key, value in environment(arguments).items()}
                case "WORKDIR":
                    here = arguments
                    below(root, here).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    _copy(shlex.split(arguments), root, here, {**roots, "": given})
                case "RUN":
                    _run(root, here, variables, arguments)
                case other:
                    assert other in SAID, f"tests do not know {other}"
    for made in (given, *roots.values()):
        if made != root:
            shutil.rmtree(made)
    return root, {name: value for name, value in variables.items() if name == "PATH" or name not in BASE}


def below(root: Path, path: str) -> Path:
    """A path of a root, as the machine sees it."""
    return root / path.lstrip("/")


def _copy(words: list[str], root: Path, here: str, places: dict[str, Path]) -> None:
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--") else ""
    *sources, said = words
    for source in (below(places[stage], source) for source in sources):
        target = below(root, str(Path(here, said)))
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(source, target / source.name if said.endswith(("/", ".")) else target)


def _run(root: Path, here: str, variables: dict[str, str], command: str) -> None:
    said = [f"{name}={value}" for name, value in variables.items()]
    inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", MOUNTS + BUILT]
    line = [*inside, str(root), str(MADE / "wheels"), here, *said, "sh", "-c", command]
    ran = subprocess.run(line, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
