"""Reads the Dockerfile, of its syntax what it uses."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


@cache
def instructions() -> list[tuple[str, str]]:
    """All of them, with their arguments."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8")).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()]


def stages() -> list[tuple[str, list[tuple[str, str]]]]:
    """The name of each stage, empty for the last, and its instructions."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for name, arguments in instructions():
        if name == "FROM":
            found.append((arguments.partition(" AS ")[2], []))
        else:
            found[-1][1].append((name, arguments))
    return found


def of_image(name: str) -> str:
    """The arguments of an instruction in the last stage."""
    return [arguments for instruction, arguments in stages()[-1][1] if instruction == name][-1]


def environment(arguments: str) -> dict[str, str]:
    """What an ENV or a LABEL sets."""
    return dict(word.split("=", 1) for word in shlex.split(arguments))
