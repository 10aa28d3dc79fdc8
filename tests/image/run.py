"""Runs programs of an image as an engine would: a root that cannot be written, a user without rights, volumes, a network."""

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final

import psutil

from tests.acceptance.programs import PATIENCE_SECONDS, until
from tests.image.build import MOUNTS, below

# $1: user:group; then what, source and target of each mount; "--"; and what is to be run.
_CONTAINED: Final = (
    MOUNTS
    + """
    user=$1; shift
    while [ "$1" != -- ]; do
        at=$0$3
        if [ -d "$2" ]; then mkdir -p "$at"; else mkdir -p "${at%/*}" && touch "$at"; fi
        case $1 in
            tmpfs) mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmpfs "$at" ;;
            *) mount --bind "$2" "$at" && mount -o "remount,bind,$1,nosuid,nodev" "$at" ;;
        esac
        shift 3
    done; shift
    mount -o remount,bind,ro "$0"
    exec chroot "$0" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs \\
        --bounding-set=-all --inh-caps=-all env --ignore-environment "$@"
"""
)
_LOOPBACK_UP: Final = "ip link set lo up && echo up && exec sleep infinity"


@dataclass
class Network:
    """A network of its own, in which each container is reached at 127.0.0.1."""

    holder: int

    @property
    def entered(self) -> list[str]:
        """What runs a program of the machine in it."""
        return ["nsenter", f"--net=/proc/{self.holder}/ns/net"]


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """One that ends with the block."""
    assert os.geteuid() == 0, "namespaces and mounts, as a container engine makes them, take root"
    holding = ["unshare", "--net", "sh", "-c", _LOOPBACK_UP]
    with subprocess.Popen(holding, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "up\n"
            yield Network(holder.pid)
        finally:
            holder.kill()


@dataclass
class Container:
    """How a program is run. `volumes`: a folder of the machine for each path, `files`: the same, not to be written."""

    root: Path
    network: Network
    variables: Mapping[str, str]
    user: str
    volumes: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    tmpfs: Sequence[str] = ()

    def line(self, *command: str) -> list[str]:
        """What starts it, as process 1 of its own."""
        mounts = [part for path in self.tmpfs for part in ("tmpfs", "/", path)]
        mounts += [part for path, source in self.volumes.items() for part in ("rw", str(source), path)]
        mounts += [part for path, source in self.files.items() for part in ("ro", str(source), path)]
        apart = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        said = [f"{name}={value}" for name, value in self.variables.items()]
        contained = ["sh", "-euc", _CONTAINED, str(self.root), self.user, *mounts, "--", *said, *command]
        return [*self.network.entered, *apart, *contained]

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A program to its end, as `docker compose run` would."""
        line = replace(self, variables={**self.variables, **more}).line(*command)
        return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)

    @contextlib.contextmanager
    def started(self, *command: str, log: Path) -> Iterator["Running"]:
        """A program that goes on; `log` gets what it says to standard error."""
        with log.open("w") as said:
            process = subprocess.Popen(self.line(*command), stdout=subprocess.PIPE, stderr=said, text=True)
            try:
                yield Running(self, process, log)
            finally:
                # With the first process of a container all of it ends; `--kill-child` knows none that has changed its user.
                with contextlib.suppress(psutil.NoSuchProcess):
                    for first in psutil.Process(process.pid).children():
                        first.kill()
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()


@dataclass
class Running:
    """A container that runs."""

    container: Container
    process: "subprocess.Popen[str]"
    log: Path

    @property
    def first(self) -> psutil.Process:
        """Process 1 of the container."""
        return until(lambda: psutil.Process(self.process.pid).children())[0]

    def says(self) -> str:
        """The next line on standard output."""
        stdout: IO[str] | None = self.process.stdout
        assert stdout is not None
        found = stdout.readline()
        assert found, self.log.read_text()
        return found

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Another program in it, as `docker exec` or a probe would."""
        user, _, group = self.container.user.partition(":")
        rights = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        said = [f"{name}={value}" for name, value in {**self.container.variables, **more}.items()]
        within = ["nsenter", f"--target={self.first.pid}", "--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wd"]
        line = [*within, "setpriv", "--reuid", user, "--regid", group, *rights, "env", "--ignore-environment", *said, *command]
        return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)

    def stop(self) -> int:
        """SIGTERM to process 1, as `docker stop` does; its exit code."""
        self.first.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


def volume(folder: Path, root: Path, path: str) -> Path:
    """A new volume for a path of an image: as an engine does, it belongs to whom the path belongs."""
    there = below(root, path).stat()
    made = folder / shlex.quote(path.strip("/").replace("/", "-"))
    made.mkdir(parents=True)
    made.chmod(there.st_mode & 0o7777)
    os.chown(made, there.st_uid, there.st_gid)
    return made
