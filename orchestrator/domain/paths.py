"""Work paths: one canonical spelling per directory, and how directories contain each other."""

import re
from typing import Final

MAX_BYTES: Final = 1024
"""What fits into an index of PostgreSQL beside the longest host; few systems have longer ones."""
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_LONG_PREFIX: Final = "\\\\?\\"


class PathError(ValueError):
    """A string is not an absolute work path; the message says why."""


def canonical(path: str) -> str:
    r"""Normalise an absolute POSIX or Windows path lexically, so that equal directories are equal strings.

    POSIX: dots, double and trailing slashes go; case stays. Windows (`C:\x`, `C:/x`, `\\server\share\x`): backslashes,
    lower case with an upper-case drive, as its file systems ignore case. `..` at the root stays at the root.

    Raises PathError for a relative path, a NUL, text that is not UTF-8, or more than 1024 bytes.
    """
    if "\0" in path:
        raise PathError(f"{path!r} contains a NUL byte, which no path can")
    result = "/" + "/".join(_resolve(path.split("/"))) if path.startswith("/") else _windows(path)
    try:
        size = len(result.encode())
    except UnicodeEncodeError:
        raise PathError(f"{path!r} is not valid UTF-8") from None
    if size > MAX_BYTES:
        raise PathError(f"the path has {size} bytes, more than the {MAX_BYTES} that are allowed")
    return result


def _windows(path: str) -> str:
    if path.startswith(_LONG_PREFIX):
        path = path.removeprefix(_LONG_PREFIX)
        if path.upper().startswith("UNC\\"):
            path = "\\\\" + path[4:]
    if _DRIVE.match(path):
        root, rest = path[0].upper() + ":\\", path[3:]
    elif path.startswith("\\\\"):
        server, _, rest = path[2:].replace("/", "\\").partition("\\")
        share, _, rest = rest.partition("\\")
        if server in {".", "?"}:
            raise PathError(f"{path!r} names a device, not a directory; send for example C:\\Users\\me\\repo")
        if not server.strip(".") or not share.strip("."):
            raise PathError(f"{path!r} names no share; a network path is \\\\server\\share\\directory")
        root = f"\\\\{server}\\{share}\\".lower()
    else:
        raise PathError(f"Work directory must be an absolute path, but {path!r} is relative; send for example /home/me/repo")
    parts = [part.rstrip(". ") if part.strip(".") else part for part in rest.replace("/", "\\").lower().split("\\")]
    below = "\\".join(_resolve(parts))
    return root + below if below else (root if root[1] == ":" else root[:-1])


def _resolve(parts: list[str]) -> list[str]:
    resolved: list[str] = []
    for part in parts:
        if part == "..":
            if resolved:
                resolved.pop()
        elif part and part != ".":
            resolved.append(part)
    return resolved


def _separator(path: str) -> str:
    return "/" if path.startswith("/") else "\\"


def span(path: str) -> tuple[str, str]:
    """The half-open range of strings in which everything below a canonical path sorts, bytewise."""
    separator = _separator(path)
    base = path.removesuffix(separator)
    return base + separator, base + chr(ord(separator) + 1)


def ancestors(path: str) -> list[str]:
    """A canonical path and everything above it, itself first."""
    separator = _separator(path)
    found = [path]
    root_end = 1 if separator == "/" else 3 if path[1] == ":" else path.index("\\", 2) + 1
    end = len(path)
    while (end := path.rfind(separator, 0, end)) >= root_end:
        found.append(path[:end])
    root = path[:root_end]
    if (separator == "/" or path[1] == ":") and found[-1] != root:
        found.append(root)
    return found


def contains(outer: str, inner: str) -> bool:
    """Whether `inner` is `outer` or below it; both canonical."""
    if inner == outer:
        return True
    low, high = span(outer)
    return low <= inner < high


def overlap(one: str, other: str) -> bool:
    """Whether work in one directory can touch the other: they are equal, or one is above the other."""
    return contains(one, other) or contains(other, one)
