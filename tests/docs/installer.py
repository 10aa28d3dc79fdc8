"""Stands in for pip, pipx and uv: says whether what is asked for could be installed."""

import re
import sys
import tomllib

from tests.docs.blocks import ROOT

ORDERS = ("pip install", "pipx install", "uv tool install", "uv pip install")


def wanted(line: str) -> list[str]:
    """What a command line asks for; exits when it is none that installs."""
    orders = [order for order in ORDERS if line.startswith(f"{order} ")]
    if not orders:
        sys.exit(f"{line}: only these are known here: {', '.join(ORDERS)}")
    return line.removeprefix(orders[0]).split()


def refuse(requirement: str) -> str | None:
    """Why there is no such thing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement)
    if requirement != "." and (found is None or found[1] != project["name"]):
        return f"this is {project['name']}"
    unknown = set(filter(None, ((found and found[2]) or "").split(","))) - project["optional-dependencies"].keys()
    return f"there is no extra {', '.join(unknown)}" if unknown else None


for requirement in wanted(" ".join(sys.argv[1:])):
    if why := refuse(requirement):
        sys.exit(f"{requirement}: {why}")
