"""Runs a program as restricted as a unit of systemd says, as far as that can be had where systemd is not the first process.

    unshare --mount --propagation private python -m tests.system.confinement PLAN.json

What is done: ProtectSystem=strict, ProtectHome, PrivateTmp, StateDirectory and WorkingDirectory as mounts of its own; the user
of DynamicUser; an empty CapabilityBoundingSet; NoNewPrivileges; UMask; SystemCallFilter, MemoryDenyWriteExecute and
RestrictAddressFamilies as filters of system calls by the library that systemd uses, and ProcSubset=pid. What is not: the rest.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

USER: Final = 61_184
"""The first of those that DynamicUser takes from."""
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_EPERM: Final = 1
_EAFNOSUPPORT: Final = 97
_EQUAL, _MASKED_EQUAL = 4, 7
_WRITE, _EXECUTE = 2, 4
_NO_NEW_PRIVS: Final = 38
_DROP_FROM_BOUNDING_SET: Final = 24
_CAPABILITIES: Final = 41
_FAMILIES: Final = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
_MOST_FAMILIES: Final = 46
_KERNELS: Final = ("/proc", "/sys", "/dev")


class _Argument(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class Filter:
    """System calls that are answered otherwise than `default`."""

    def __init__(self, default: int) -> None:
        self._library = library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        library.seccomp_init.restype = ctypes.c_void_p
        library.seccomp_rule_add_array.argtypes = (
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Argument)
        )  # fmt: skip
        library.seccomp_load.argtypes = (ctypes.c_void_p,)
        self._context = library.seccomp_init(ctypes.c_uint32(default))

    def rule(self, action: int, name: str, *arguments: _Argument) -> None:
        """What to do about a call, where its arguments are so; nothing where this machine does not have it."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return
        given = (_Argument * len(arguments))(*arguments)
        done = self._library.seccomp_rule_add_array(self._context, action, number, len(arguments), given)
        assert done == 0, (name, os.strerror(-done))

    def load(self) -> None:
        """From here on it holds, for what is executed, too."""
        done = self._library.seccomp_load(self._context)
        assert done == 0, os.strerror(-done)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _mounts(plan: dict[str, Any]) -> None:
    """A file system that can be written to in the state directory and the private /tmp alone."""
    state = Path("/var/lib") / plan["StateDirectory"]
    kept = Path("/var/tmp/confined")  # noqa: S108 - seen by nobody else: hidden below
    _mount("-t", "tmpfs", "tmpfs", "/var/tmp")  # noqa: S108 - of this namespace
    needed = [Path(one) for one in plan["needs"]]
    for number, path in enumerate(needed):
        (kept / str(number)).mkdir(parents=True)
        _mount("--bind", str(path), str(kept / str(number)))
    (kept / "state").mkdir()
    _mount("--bind", plan["state"], str(kept / "state"))
    os.chown(plan["state"], USER, USER)
    state.mkdir(exist_ok=True)
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in dict.fromkeys(places):
        if not place.startswith((*_KERNELS, str(kept))):
            _mount("-o", "remount,bind,ro", place)
    _mount("--bind", str(kept / "state"), str(state))
    for hidden in ("/home", "/root", "/tmp"):  # noqa: S108 - of this namespace
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", hidden)
    for number, path in enumerate(needed):
        if not path.exists():
            path.mkdir(parents=True)
            _mount("--bind", str(kept / str(number)), str(path))
            _mount("-o", "remount,bind,ro", str(path))
    for hidden in ("/home", "/root"):
        _mount("-o", "remount,ro", hidden)
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp")  # noqa: S108 - of this namespace
    if plan["ProcSubset"] == "pid":
        _mount("-t", "proc", "-o", "subset=pid,hidepid=invisible", "proc", "/proc")


def _named(sets: str) -> set[str]:
    """The calls of some of systemd's sets."""
    found: set[str] = set()
    for one in sets.split():
        if not one.startswith("@"):
            found.add(one)
            continue
        told = subprocess.run(["systemd-analyze", "syscall-filter", one], check=True, capture_output=True, text=True).stdout
        for line in told.splitlines()[1:]:
            if (name := line.strip()) and not name.startswith("#"):
                found |= _named(name)
    return found


def _filters(plan: dict[str, Any]) -> list[Filter]:
    allowed, refused = plan["SystemCallFilter"]
    assert refused.startswith("~")
    calls = (_named(allowed) | _named("@default")) - _named(refused[1:])
    narrow = Filter(_ERRNO | _EPERM)
    for name in sorted(calls):
        narrow.rule(_ALLOW, name)
    also = Filter(_ALLOW)
    if plan["MemoryDenyWriteExecute"] == "yes":
        both = _WRITE | _EXECUTE
        also.rule(_ERRNO | _EPERM, "mmap", _Argument(2, _MASKED_EQUAL, both, both))
        for name in ("mprotect", "pkey_mprotect"):
            also.rule(_ERRNO | _EPERM, name, _Argument(2, _MASKED_EQUAL, _EXECUTE, _EXECUTE))
    families = {_FAMILIES[name] for name in plan["RestrictAddressFamilies"].split()}
    for family in set(range(_MOST_FAMILIES)) - families:
        also.rule(_ERRNO | _EAFNOSUPPORT, "socket", _Argument(0, _EQUAL, family, 0))
    return [also, narrow]


def main(plan: dict[str, Any]) -> None:
    """Become the program."""
    filters = _filters(plan)
    _mounts(plan)
    library = ctypes.CDLL(None, use_errno=True)
    for capability in range(_CAPABILITIES):
        library.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    assert library.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    os.umask(int(plan["UMask"], 8))
    os.chdir(plan["WorkingDirectory"])
    for one in filters:
        one.load()
    os.execve(plan["line"][0], plan["line"], plan["environment"])  # noqa: S606 - as systemd does


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
