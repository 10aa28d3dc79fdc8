"""Reads docker-compose.yml as Compose does, of its syntax what it uses."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
_VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")


@cache
def compose() -> dict[str, Any]:
    """All of it, anchors resolved and variables as they are written."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return found


def service(name: str, **variables: str) -> dict[str, Any]:
    """A service, with what `.env` says."""
    found: dict[str, Any] = _filled(compose()["services"][name], variables)
    return found


def asked() -> set[str]:
    """The variables that `.env` may have."""
    return {name for name, _ in _VARIABLE.findall((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))}


def mounts(said: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Where a service has what from, and whether it may only be read."""
    split = [(volume.removesuffix(":ro").rpartition(":"), volume.endswith(":ro")) for volume in said.get("volumes", [])]
    return {target: (source, read_only) for (source, _, target), read_only in split}


def seconds(said: str) -> int:
    """Of a duration in seconds or minutes."""
    return int(said[:-1]) * {"s": 1, "m": 60}[said[-1]]


def _filled(value: Any, variables: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, variables) for one in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], value)
    return value
