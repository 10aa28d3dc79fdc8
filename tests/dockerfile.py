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


def building() -> list[tuple[str, str]]:
    """Those of the stage that builds."""
    begun = [at for at, (name, _) in enumerate(instructions()) if name == "FROM"]
    return instructions()[begun[0] + 1 : begun[1]]


def of_image(name: str) -> str:
    """The arguments of an instruction in the last stage."""
    return [arguments for instruction, arguments in instructions() if instruction == name][-1]


def environment(arguments: str) -> dict[str, str]:
    """What an ENV sets."""
    return dict(word.split("=", 1) for word in shlex.split(arguments))
